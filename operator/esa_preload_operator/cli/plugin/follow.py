"""Watches resources by kubectl in the background, and starts it anew when the API server has ended a watch."""

import queue
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from esa_preload_operator.cli.plugin.jobs import Job, Ref, part, read_job
from esa_preload_operator.cli.plugin.kubectl import Kubectl, KubectlError, documents
from esa_preload_operator.cli.plugin.targets import RESOURCE

_MOST_WATCHES: Final = 4
"""Namespaces that are watched one by one; of more, all are watched at once."""
_END: Final = 2.0
"""Seconds that the end of a watch is waited for."""
_PAUSES: Final = (0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Seen:
    """A version of a resource, or that it was deleted."""

    job: Job
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A watch has failed and is tried again."""

    why: str
    missing: bool = False
    """What was to be watched does not exist."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A watch begins: what exists follows, and what does not follow was deleted."""


News = Seen | Interrupted | Begun


def scopes(refs: Iterable[Ref]) -> list[tuple[str, ...]]:
    """Return the words after `kubectl get` for as few watches as show these resources."""
    known = sorted(set(refs))
    namespaces = sorted({ref.namespace for ref in known})
    if len(known) == 1:
        return [(RESOURCE, known[0].name, f"--namespace={known[0].namespace}")]
    if len(namespaces) > _MOST_WATCHES:
        return [(RESOURCE, "--all-namespaces")]
    return [(RESOURCE, f"--namespace={namespace}") for namespace in namespaces]


class Watch:
    """`with Watch(kubectl, scopes) as watch: watch.next(timeout)`."""

    def __init__(self, kubectl: Kubectl, words: Sequence[Sequence[str]]) -> None:
        self._kubectl = kubectl
        self._news: queue.Queue[News] = queue.Queue()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(each,), daemon=True) for each in words]

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        ends = time.monotonic() + _END
        while any(each.is_alive() for each in self._threads) and time.monotonic() < ends:
            self._kubectl.stop()  # again, because one may just have been started
            for each in self._threads:
                each.join(0.05)

    def next(self, seconds: float) -> News | None:
        """Return the next news, or None when there are none for so long."""
        try:
            return self._news.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None

    def _run(self, words: Sequence[str]) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            self._news.put(Begun())
            try:
                with self._kubectl.lines("get", *words, "--watch", "--output-watch-events", "--output=json") as lines:
                    for body in documents(lines):
                        self._news.put(Seen(read_job(part(body, "object")), part(body).get("type") == "DELETED"))
            except KubectlError as error:
                self._news.put(Interrupted(str(error), error.is_missing))
            except ValueError:
                self._news.put(Interrupted("kubectl wrote something that is no JSON"))
            failures = failures + 1 if time.monotonic() - began < 10 else 0
            self._stopping.wait(_PAUSES[min(failures, len(_PAUSES) - 1)])
