"""The work queue: each resource at most once in it, at most one worker per resource, delays, backoff, fair turns."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from esa_preload_operator.domain.errors import StoreError
from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.runtime.dues import Dues
from esa_preload_operator.runtime.shares import Shares
from esa_preload_operator.runtime.turns import Turns
from esa_preload_operator.services.runner import LeadershipLostError

logger = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[ObjectRef, T | None], Awaitable[float | None]]

ITEMS: Final = 4096
"""Items kept for waiting resources; beyond that a resource is read when its turn comes."""
_FIRST_BACKOFF: Final = 0.2
_LONGEST_BACKOFF: Final = 60.0


class QueueMetrics:
    """What /metrics learns from the queue; the names follow client-go's work queue."""

    def added(self) -> None:
        """A resource was put into the queue."""

    def waited(self, seconds: float) -> None:
        """A resource waited that long for a worker."""

    def worked(self, seconds: float, result: str) -> None:
        """A reconcile took that long and ended as success, retry or error."""

    def retried(self) -> None:
        """A resource is retried after a failure."""


@dataclass(slots=True)
class WorkQueue(Generic[T]):
    """Hands resources to workers, namespace by namespace in turn, and to each namespace no more than its share.

    A resource may wait with an item, such as what the watch delivered; the newest one is handed to the work, and None
    if the resource was added without one since.
    """

    metrics: QueueMetrics = field(default_factory=QueueMetrics)
    shares: Shares = field(default_factory=Shares)
    _turns: Turns = field(default_factory=Turns)
    _since: dict[ObjectRef, float] = field(default_factory=dict)
    """Resources that wait for a worker, and since when."""
    _items: dict[ObjectRef, T] = field(default_factory=dict)
    _busy: dict[ObjectRef, float] = field(default_factory=dict)
    """Resources that a worker has, and since when."""
    _again: dict[ObjectRef, bool] = field(default_factory=dict)
    """Resources that were added while a worker had them, and whether that was urgent."""
    _dues: Dues = field(default_factory=Dues)
    _failures: dict[ObjectRef, int] = field(default_factory=dict)
    _pauses: dict[ObjectRef, float] = field(default_factory=dict)
    """When a resource may be tried again after the API server answered with Retry-After."""
    _ready: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    """How often a worker should look for something to take: once for what was added, once for room that was made."""
    _timer: asyncio.TimerHandle | None = None
    _rings_at: float | None = None
    """When the timer ends; uvloop's handle of a moment that has passed does not tell."""
    _closing: bool = False

    def add(self, ref: ObjectRef, item: T | None = None, *, urgent: bool = False) -> None:
        """Put a resource into the queue, with what its worker shall get; urgent is for those that ask for a reset."""
        self._items.pop(ref, None)
        if item is not None and len(self._items) < ITEMS:
            self._items[ref] = item
        self._line_up(ref, urgent=urgent)

    def add_at(self, ref: ObjectRef, moment: float, *, urgent: bool = False) -> None:
        """Put a resource into the queue at a moment on the monotonic clock; the earliest moment wins.

        It is forgotten when a worker takes the resource: what the work returns then replaces it.
        """
        self._dues.add(ref, moment, urgent=urgent)
        self._arm()

    def forget(self, ref: ObjectRef) -> None:
        """Drop what is remembered of a resource that is gone."""
        self._dues.drop(ref)
        self._failures.pop(ref, None)
        self._pauses.pop(ref, None)
        self._items.pop(ref, None)

    def depth(self) -> int:
        """Count the resources that wait for a worker."""
        return len(self._since)

    def longest_work(self) -> float:
        """Return the seconds that the slowest running reconcile has taken so far."""
        return time.monotonic() - min(self._busy.values(), default=time.monotonic())

    def unfinished_work(self) -> float:
        """Return the sum of seconds that running reconciles have taken so far."""
        now = time.monotonic()
        return sum(now - since for since in self._busy.values())

    async def run(self, workers: int, work: Work[T]) -> None:
        """Work until `close` is called and what workers have in hand is finished."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(workers):
                tasks.create_task(self._worker(work))

    def close(self, workers: int) -> None:
        """Take nothing new into hand; running reconciles are finished."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        for _ in range(workers):
            self._ready.release()

    def _line_up(self, ref: ObjectRef, *, urgent: bool) -> None:
        """Put a resource in line for a worker, but not before a Retry-After has passed."""
        pause = self._pauses.get(ref)
        if pause is not None and pause > time.monotonic():
            self.add_at(ref, pause, urgent=urgent)
        elif ref in self._busy:
            self._again[ref] = urgent or self._again.get(ref, False)
        elif self._turns.add(ref, urgent=urgent):
            self._since[ref] = time.monotonic()
            self.metrics.added()
            self._ready.release()

    async def _worker(self, work: Work[T]) -> None:
        while True:
            await self._ready.acquire()
            if self._closing:
                return
            try:
                ref, urgent = self._turns.take(self.shares.has_room)
            except LookupError:  # the end of a work makes room again
                continue
            begun = time.monotonic()
            self.metrics.waited(begun - self._since.pop(ref))
            self._busy[ref] = begun
            self.shares.begin(ref.namespace)
            self._dues.drop(ref)
            self._pauses.pop(ref, None)
            result = "error"
            try:
                result = await self._reconcile(ref, work, urgent=urgent)
            finally:
                del self._busy[ref]
                self.shares.end(ref.namespace)
                self._ready.release()
                self.metrics.worked(time.monotonic() - begun, result)
            if ref in self._again:
                self._line_up(ref, urgent=self._again.pop(ref))

    async def _reconcile(self, ref: ObjectRef, work: Work[T], *, urgent: bool) -> str:
        try:
            until = await work(ref, self._items.pop(ref, None))
        except StoreError as error:
            logger.info("%s: retried later: %s", ref, error)
            self._back_off(ref, error.retry_after, urgent=urgent)
            return "retry"
        except LeadershipLostError:
            raise
        except Exception:  # a bug that one resource meets must not stop the others
            logger.exception("%s: reconcile failed; the other resources go on", ref)
            self._back_off(ref, None, urgent=urgent)
            return "error"
        self._failures.pop(ref, None)
        if until is not None:
            self.add_at(ref, until, urgent=urgent)
        return "success"

    def _back_off(self, ref: ObjectRef, at_least: float | None, *, urgent: bool) -> None:
        failures = self._failures[ref] = self._failures.get(ref, 0) + 1
        delay = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2.0 ** min(failures - 1, 12))
        delay *= 0.5 + random.random() / 2  # noqa: S311 - jitter
        now = time.monotonic()
        if at_least:
            self._pauses[ref] = now + at_least
        self.metrics.retried()
        self.add_at(ref, now + max(delay, at_least or 0.0), urgent=urgent)

    def _arm(self) -> None:
        """Let one timer of the loop stand for the earliest delay."""
        earliest = self._dues.next()
        if self._timer is not None:
            if self._rings_at == earliest:
                return
            self._timer.cancel()
            self._timer = None
        if earliest is not None and not self._closing:
            self._timer = asyncio.get_running_loop().call_at(earliest, self._ring)
            self._rings_at = earliest

    def _ring(self) -> None:
        for ref, urgent in self._dues.take(time.monotonic()):
            self._pauses.pop(ref, None)
            self._line_up(ref, urgent=urgent)
        self._timer = None
        self._arm()
