"""The log of calls: what came in, what was answered, and whether the work was done."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

LOG_LENGTH = 200_000


@dataclass(slots=True)
class Entry:
    """One call.

    Attributes:
        seq: counts from 1, in order of arrival.
        time: epoch seconds of arrival.
        action: as asked for, known or not.
        params: from query and form.
        access_key_id: of the verified credential; empty before.
        ali_uid: of its account.
        job_id: the job that the call is about, also when it names an execution.
        nonce: of the signature; tells whether the same signed request came twice.
        outcome: `OK`, an error code, `Garbage` or `ConnectionCut`; None while it is not answered.
        status: HTTP status; None without an answer.
        executed: the work was done, whatever was answered.
    """

    seq: int
    time: float
    action: str
    params: Mapping[str, str]
    nonce: str = ""
    access_key_id: str = ""
    ali_uid: str = ""
    job_id: str | None = None
    outcome: str | None = None
    status: int | None = None
    executed: bool = False


class Calls:
    """The last calls, and counts of all."""

    def __init__(self) -> None:
        self.seq = 0
        self._entries: deque[Entry] = deque(maxlen=LOG_LENGTH)
        self.counts: Counter[tuple[str, str]] = Counter()

    def begin(self, time: float, action: str, params: Mapping[str, str], nonce: str) -> Entry:
        """A call came in."""
        self.seq += 1
        entry = Entry(self.seq, time, action, params, nonce)
        self._entries.append(entry)
        return entry

    def end(self, entry: Entry, outcome: str, status: int | None) -> None:
        """It was answered, or cut."""
        entry.outcome = outcome
        entry.status = status
        self.counts[entry.action, outcome] += 1

    def select(self, *, action: str | None = None, job_id: str | None = None, since: int = 0) -> Iterator[Entry]:
        """Entries after sequence number `since`, oldest first."""
        for entry in self._entries:
            if entry.seq > since and action in {None, entry.action} and job_id in {None, entry.job_id}:
                yield entry

    def clear(self) -> None:
        """Forget; sequence numbers go on."""
        self._entries.clear()
        self.counts.clear()
