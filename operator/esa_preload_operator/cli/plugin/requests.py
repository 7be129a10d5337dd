"""The requests of one `reset`: which are asked for, which are open, what has become of them. No I/O, no clock."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from esa_preload_operator.cli.plugin.jobs import Job, Ref
from esa_preload_operator.cli.plugin.layout import Cell, Line, Piece, bar, table
from esa_preload_operator.cli.plugin.outcome import GONE, End, Verdict, verdict
from esa_preload_operator.cli.plugin.words import share, span

_STYLE = {End.OPEN: "busy", End.MADE: "good", End.FAILED: "bad"}
_NOT_YET = Verdict(End.OPEN, "Waiting", "for its turn")


@dataclass(slots=True)
class Request:
    """The request for one job."""

    job: Job
    verdict: Verdict = _NOT_YET
    asked: float | None = None
    """When it was asked for, on the monotonic clock."""
    ended: float | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return None if self.asked is None or self.ended is None else self.ended - self.asked


@dataclass(slots=True)
class Requests:
    """All requests of one token; at most `limit` are open at a time, and with `submitted` URLs are waited for, too."""

    token: str
    limit: int = 0
    submitted: bool = False
    entries: dict[Ref, Request] = field(default_factory=dict)

    def add(self, jobs: Iterable[Job]) -> None:
        """Take these jobs into account."""
        self.entries |= {job.ref: Request(job) for job in jobs}

    def due(self) -> list[Job]:
        """Return the jobs that are to be asked for now."""
        waiting = [each.job for each in self.entries.values() if each.asked is None and each.ended is None]
        running = sum(each.asked is not None and each.ended is None for each in self.entries.values())
        return waiting[: max(0, self.limit - running)] if self.limit else waiting

    def was_asked(self, jobs: Iterable[Job], now: float) -> None:
        """Note that these are asked for; each is as the API server has stored it."""
        for job in jobs:
            entry = self.entries[job.ref]
            entry.job, entry.asked, entry.verdict = job, now, Verdict(End.OPEN, "Requested")
            self.observe(job, now)

    def was_refused(self, jobs: Iterable[Job], now: float) -> None:
        """Note that kubectl could not ask for these."""
        for job in jobs:
            self._end(self.entries[job.ref], Verdict(End.FAILED, "NotAsked", "kubectl could not set the token"), now)

    def observe(self, job: Job, now: float) -> bool:
        """Take in a version of a resource; return whether something is to be told."""
        entry = self.entries.get(job.ref)
        if entry is None or entry.asked is None or job.version < entry.job.version:
            return False
        if job.uid != entry.job.uid:
            return self.gone(job.ref, now)
        before, entry.job = (entry.verdict, entry.job.submitted), job
        if entry.ended is None or (entry.verdict.end is End.MADE and self.submitted):
            found = verdict(job, self.token)
            entry.verdict = found if entry.ended is None else entry.verdict
            if found.end is End.FAILED or (found.end is End.MADE and self._is_enough(job)):
                entry.ended = now if entry.ended is None else entry.ended
        return before != (entry.verdict, job.submitted)

    def gone(self, ref: Ref, now: float) -> bool:
        """Note that a resource was deleted; return whether something is to be told."""
        entry = self.entries.get(ref)
        if entry is None or entry.ended is not None:
            return False
        self._end(entry, GONE, now)
        return True

    @property
    def open(self) -> list[Request]:
        """Requests whose end is not seen yet."""
        return [each for each in self.entries.values() if each.ended is None]

    @property
    def failed(self) -> list[Request]:
        """Requests that no reset came of."""
        return [each for each in self.entries.values() if each.verdict.end is End.FAILED]

    def _is_enough(self, job: Job) -> bool:
        return not self.submitted or (job.urls is not None and (job.submitted or 0) >= job.urls)

    @staticmethod
    def _end(entry: Request, how: Verdict, now: float) -> None:
        entry.verdict, entry.ended = how, now


def told(entry: Request, *, namespaces: bool) -> Line:
    """Return one request as a line for a log."""
    name = f"{entry.job.ref.namespace}/{entry.job.ref.name}" if namespaces else entry.job.ref.name
    took = f" after {span_of(entry.seconds)}" if entry.seconds is not None and entry.verdict.end is End.MADE else ""
    urls = ""
    if entry.verdict.end is End.MADE and entry.job.urls is not None:
        urls = f", {share(entry.job.submitted, entry.job.urls)} URLs submitted"
    why = f": {entry.verdict.message}" if entry.verdict.message else ""
    return (
        Piece(name, "name"),
        Piece("  "),
        Piece(entry.verdict.word, _STYLE[entry.verdict.end]),
        Piece(f"{took}{urls}{why}"),
    )


def span_of(seconds: float) -> str:
    """Return a short time with a tenth of a second, a long one as `span` does."""
    return f"{seconds:.1f}s" if seconds < 10 else span(seconds)


def picture(requests: Requests, now: float, width: int | None, height: int, *, namespaces: bool) -> list[Line]:
    """Return all requests as a table no higher than the screen: those that fail or are open come first."""
    order = {End.FAILED: 0, End.OPEN: 1, End.MADE: 2}
    entries = sorted(requests.entries.values(), key=lambda each: order[each.verdict.end])
    room = max(3, height - 4)
    shown = entries if len(entries) <= room else entries[:room]
    titles = ["NAMESPACE"] * namespaces + ["NAME", "RESET", "TIME", "URLS", "PROGRESS", "WHY"]
    lines = table(titles, [_cells(each, now, namespaces=namespaces) for each in shown], width)
    if len(entries) > len(shown):
        lines.append((Piece(f"and {len(entries) - len(shown)} more", "dim"),))
    return [*lines, tally(requests)]


def _cells(entry: Request, now: float, *, namespaces: bool) -> Sequence[Cell]:
    job, found = entry.job, entry.verdict
    seconds = now - entry.asked if entry.asked is not None and entry.ended is None else entry.seconds
    submitted = job.submitted if found.end is End.MADE else None
    drawn = bar(submitted or 0, job.urls) if job.urls and found.end is End.MADE else ""
    cells = [Cell(job.ref.namespace, "dim")] if namespaces else []
    return [
        *cells,
        Cell(job.ref.name, "name"),
        Cell(found.word, _STYLE[found.end]),
        Cell("" if seconds is None else span_of(seconds)),
        Cell(share(submitted, job.urls) if found.end is End.MADE else ""),
        Cell(drawn),
        Cell(found.message, "dim"),
    ]


def tally(requests: Requests) -> Line:
    """Return one line about all requests, with a bar over all URLs."""
    entries = list(requests.entries.values())
    made = [each for each in entries if each.verdict.end is End.MADE]
    pieces = [Piece(f"{len(made)} of {len(entries)} reset", "good" if len(made) == len(entries) else "bold")]
    pieces += [Piece(f", {len(requests.failed)} failed", "bad")] if requests.failed else []
    total = sum(each.job.urls or 0 for each in made)
    done = sum(min(each.job.submitted or 0, each.job.urls or 0) for each in made)
    pieces += [Piece(f"  {bar(done, total, 30)} {done}/{total} URLs submitted")] if total else []
    return tuple(pieces)


def as_data(requests: Requests) -> list[dict[str, object]]:
    """Return all requests for programs."""
    return [
        {
            "namespace": each.job.ref.namespace,
            "name": each.job.ref.name,
            "token": requests.token,
            "outcome": each.verdict.word,
            "succeeded": each.verdict.end is End.MADE,
            "message": each.verdict.message,
            "seconds": None if each.seconds is None else round(each.seconds, 1),
            "urlCount": each.job.urls,
            "urlSubmitted": each.job.submitted,
        }
        for each in requests.entries.values()
    ]
