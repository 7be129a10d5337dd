"""An event loop whose clock the test turns, and work for the queue on it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.domain.view import View

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from esa_preload_operator.runtime.queue import WorkQueue


class Loop(asyncio.SelectorEventLoop):
    """An event loop that jumps to the next timer when nothing else is to do: delays cost no time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready:  # type: ignore[attr-defined] # the base class' own list
            timers = self._scheduled  # type: ignore[attr-defined] # the same
            self.now = max(self.now, min((each._when for each in timers if not each._cancelled), default=self.now))
        super()._run_once()  # type: ignore[misc] # the same


@contextlib.contextmanager
def clock_of(loop: Loop) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", loop.time)
        yield


def play(scene: Callable[[], Awaitable[None]]) -> None:
    """Run a scene on the loop with the turned clock."""
    loop = Loop()
    with clock_of(loop), asyncio.Runner(loop_factory=lambda: loop) as runner:

        async def bounded() -> None:
            async with asyncio.timeout(100_000):
                await scene()

        runner.run(bounded())


def ref(name: str | int) -> ObjectRef:
    return ObjectRef("n", str(name))


class Worked:
    """A work function that notes what it was given and does what the test says."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds
        self.done: list[tuple[float, ObjectRef, View | None]] = []
        self.running: Counter[ObjectRef] = Counter()
        self.most_at_once = 0
        self.answers: dict[ObjectRef, list[float | Exception | None]] = {}

    async def __call__(self, key: ObjectRef, item: View | None) -> float | None:
        self.running[key] += 1
        assert self.running[key] == 1, "two workers for one resource"
        self.most_at_once = max(self.most_at_once, self.running.total())
        await asyncio.sleep(self.seconds)
        self.running[key] -= 1
        self.done.append((time.monotonic(), key, item))
        answer = self.answers[key].pop(0) if self.answers.get(key) else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def keys(self) -> list[str]:
        return [key.name for _, key, _ in self.done]

    def times(self, key: ObjectRef) -> list[float]:
        return [moment for moment, each, _ in self.done if each == key]


@contextlib.asynccontextmanager
async def working(queue: WorkQueue[View], work: Any, workers: int = 2) -> Any:
    task = asyncio.create_task(queue.run(workers, work))
    try:
        yield task
    finally:
        queue.close(workers)
        await task


def view(version: int = 0) -> View:
    """Return what the watch may show; versions tell them apart."""
    return View("u", version, "J1")
