"""The work queue: each resource at most once in it, at most one worker per resource, delays, backoff."""

import asyncio
import heapq
import itertools
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic_core import from_json, to_json

from esa_preload_operator.domain.errors import StoreError
from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.services.reset import LeadershipLostError

logger = logging.getLogger(__name__)

Body = Mapping[str, Any]
Work = Callable[[ObjectRef, Body | None], Awaitable[float | None]]

_FIRST_BACKOFF: Final = 0.2
_LONGEST_BACKOFF: Final = 60.0
_ROOM: Final = 16 << 20
"""Bytes of bodies kept for waiting resources; beyond that a resource is read when its turn comes."""


class QueueMetrics:
    """What /metrics learns from the queue; the names follow client-go's work queue."""

    def added(self) -> None:
        """A resource was put into the queue."""

    def waited(self, seconds: float) -> None:
        """A resource waited that long for a worker."""

    def worked(self, seconds: float, result: str) -> None:
        """A reconcile took that long and ended as success, retry or error."""

    def retried(self) -> None:
        """A resource comes back after a failure."""


@dataclass(slots=True)
class WorkQueue:
    """Hands resources to workers."""

    metrics: QueueMetrics = field(default_factory=QueueMetrics)
    _urgent: deque[ObjectRef] = field(default_factory=deque)
    _calm: deque[ObjectRef] = field(default_factory=deque)
    _waiting: dict[ObjectRef, float] = field(default_factory=dict)
    """Resources in the queue and since when."""
    _bodies: dict[ObjectRef, bytes] = field(default_factory=dict)
    """What the watch delivered, as JSON, which takes less memory than the parsed body."""
    _room: int = _ROOM
    _patient: set[ObjectRef] = field(default_factory=set)
    """Resources whose place in the calm line counts; one that was asked for since then has moved to the urgent line."""
    _busy: dict[ObjectRef, float] = field(default_factory=dict)
    """Resources that a worker has, and since when."""
    _again: set[ObjectRef] = field(default_factory=set)
    """Resources that were added while a worker had them."""
    _due: dict[ObjectRef, float] = field(default_factory=dict)
    _heap: list[tuple[float, int, ObjectRef]] = field(default_factory=list)
    _count: "itertools.count[int]" = field(default_factory=itertools.count)
    _failures: dict[ObjectRef, int] = field(default_factory=dict)
    _ready: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    _timer: asyncio.TimerHandle | None = None
    _closing: bool = False

    def add(self, ref: ObjectRef, body: Body | None = None, *, urgent: bool = True) -> None:
        """Put a resource into the queue, with what the watch delivered if it did."""
        self._drop_body(ref)
        if body is not None and self._room > 0:
            self._bodies[ref] = packed = to_json(body)
            self._room -= len(packed)
        self._line_up(ref, urgent=urgent)

    def _line_up(self, ref: ObjectRef, *, urgent: bool = True) -> None:
        if ref in self._busy:
            self._again.add(ref)
            return
        if ref in self._waiting:
            if urgent and ref in self._patient:
                self._patient.discard(ref)
                self._urgent.append(ref)
            return
        self._waiting[ref] = time.monotonic()
        if urgent:
            self._urgent.append(ref)
        else:
            self._patient.add(ref)
            self._calm.append(ref)
        self.metrics.added()
        self._ready.release()

    def add_at(self, ref: ObjectRef, moment: float) -> None:
        """Put a resource into the queue at a moment on the monotonic clock; the earliest moment wins."""
        known = self._due.get(ref)
        if known is not None and known <= moment:
            return
        self._due[ref] = moment
        heapq.heappush(self._heap, (moment, next(self._count), ref))
        self._arm()

    def forget(self, ref: ObjectRef) -> None:
        """Drop what is remembered of a resource that is gone."""
        self._due.pop(ref, None)
        self._failures.pop(ref, None)
        self._drop_body(ref)

    def depth(self) -> int:
        """Count the resources that wait for a worker."""
        return len(self._waiting)

    def longest_work(self) -> float:
        """Return the seconds that the slowest running reconcile has taken so far."""
        return time.monotonic() - min(self._busy.values(), default=time.monotonic())

    def unfinished_work(self) -> float:
        """Return the sum of seconds that running reconciles have taken so far."""
        now = time.monotonic()
        return sum(now - since for since in self._busy.values())

    async def run(self, workers: int, work: Work) -> None:
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

    async def _worker(self, work: Work) -> None:
        while True:
            await self._ready.acquire()
            if self._closing:
                return
            ref = self._next()
            begun = time.monotonic()
            self.metrics.waited(begun - self._waiting.pop(ref))
            self._busy[ref] = begun
            self._due.pop(ref, None)
            result = "error"
            try:
                result = await self._reconcile(ref, work)
            finally:
                del self._busy[ref]
                self.metrics.worked(time.monotonic() - begun, result)
            if ref in self._again:
                self._again.discard(ref)
                self._line_up(ref)

    def _next(self) -> ObjectRef:
        if self._urgent:
            return self._urgent.popleft()
        while (ref := self._calm.popleft()) not in self._patient:
            pass
        self._patient.discard(ref)
        return ref

    async def _reconcile(self, ref: ObjectRef, work: Work) -> str:
        try:
            packed = self._drop_body(ref)
            until = await work(ref, None if packed is None else from_json(packed))
        except StoreError as error:
            logger.info("%s: comes back: %s", ref, error)
            self._back_off(ref, error.retry_after)
            return "retry"
        except LeadershipLostError:
            raise
        except Exception:  # a bug that one resource meets must not stop the others
            logger.exception("%s: reconcile failed; the other resources go on", ref)
            self._back_off(ref, None)
            return "error"
        self._failures.pop(ref, None)
        if until is not None:
            self.add_at(ref, until)
        return "success"

    def _drop_body(self, ref: ObjectRef) -> bytes | None:
        packed = self._bodies.pop(ref, None)
        self._room += len(packed or b"")
        return packed

    def _back_off(self, ref: ObjectRef, at_least: float | None) -> None:
        failures = self._failures[ref] = self._failures.get(ref, 0) + 1
        delay = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2.0 ** min(failures - 1, 12))
        delay *= 0.5 + random.random() / 2  # noqa: S311 - jitter
        self.metrics.retried()
        self.add_at(ref, time.monotonic() + max(delay, at_least or 0.0))

    def _arm(self) -> None:
        """Let one timer of the loop stand for the earliest delay."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap and not self._closing:
            wait = max(0.0, self._heap[0][0] - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait, self._ring)

    def _ring(self) -> None:
        now = time.monotonic()
        while self._heap and self._heap[0][0] <= now:
            moment, _, ref = heapq.heappop(self._heap)
            if self._due.get(ref) == moment:
                del self._due[ref]
                self._line_up(ref)
        self._timer = None
        self._arm()
