"""Time, ESA and resources as models: a whole day of throttling runs in seconds."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from esa_preload_operator.domain.errors import Delivery, ErrorClass, Problem, Reason
from esa_preload_operator.domain.retry import retry_delay
from esa_preload_operator.esa.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable

    from esa_preload_operator.domain.ports import ObjectRef

ROUND_TRIP: Final = 0.1
"""Seconds of a call to ESA."""
BETWEEN: Final = 0.05
"""Seconds between look and reset, in which the intent is written."""
CALLS: Final = 2


@dataclass
class _Due:
    call: Callable[[], None] | None

    def cancel(self) -> None:
        self.call = None


class FakeLoop:
    """A clock that jumps from one timer to the next."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._heap: list[tuple[float, int, _Due]] = []
        self.armed = asyncio.Event()
        self._count = itertools.count()

    def clock(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> _Due:
        assert seconds >= 0
        due = _Due(call)
        self.armed.set()
        heapq.heappush(self._heap, (self.now + seconds, next(self._count), due))
        return due

    @property
    def timers(self) -> int:
        return sum(due.call is not None for _, _, due in self._heap)

    def run_until(self, moment: float) -> None:
        """Let time pass; what is due happens in order."""
        while self._heap and self._heap[0][0] <= moment:
            at, _, due = heapq.heappop(self._heap)
            self.now = max(self.now, at)
            if due.call is not None:
                call, due.call = due.call, None
                call()
        self.now = max(self.now, moment)

    def throttle(self, rate: float) -> Throttle:
        return Throttle(rate, clock=self.clock, call_later=self.call_later)


@dataclass
class ModelEsa:
    """Admits calls by a token bucket; `calls_per_second` of a moment, None for no limit."""

    loop: FakeLoop
    calls_per_second: Callable[[float], float | None]
    depth: float = 1.0
    tokens: float = 1.0
    seen: float = 0.0
    served: int = 0
    refused: int = 0

    def takes(self) -> bool:
        """Say whether one more call is within the rate."""
        now, rate = self.loop.now, self.calls_per_second(self.loop.now)
        if rate is None:
            self.tokens = self.depth
        else:
            self.tokens = min(self.depth, self.tokens + (now - self.seen) * rate)
        self.seen = now
        taken = rate is None or self.tokens >= 1 - 1e-9
        self.tokens -= taken and rate is not None
        self.served += taken
        self.refused += not taken
        return taken


THROTTLED: Final = Problem("TooManyRequests", "", ErrorClass.TRANSIENT, Reason.THROTTLED, Delivery.REFUSED)


@dataclass
class Crowd:
    """Resources of which each looks and resets once, and stands in line again after a refusal."""

    loop: FakeLoop
    esa: ModelEsa
    throttle: Throttle
    dice: random.Random = field(default_factory=lambda: random.Random(1))
    done: dict[ObjectRef, float] = field(default_factory=dict)
    failures: dict[ObjectRef, int] = field(default_factory=dict)

    def request(self, *refs: ObjectRef) -> None:
        for ref in refs:
            self._try(ref)

    def _try(self, ref: ObjectRef) -> None:
        if self.throttle.admit(ref, CALLS, lambda: self._later(0.0, lambda: self._try(ref))):
            self._call(ref, lambda: self._later(BETWEEN, lambda: self._call(ref, lambda: self._end(ref))))

    def _call(self, ref: ObjectRef, then: Callable[[], None]) -> None:
        left = self.loop.now

        def answer() -> None:
            if taken:
                self.throttle.succeeded(left)
                then()
                return
            self.throttle.throttled(left, None)
            self.failures[ref] = self.failures.get(ref, 0) + 1
            delay = retry_delay(THROTTLED, self.failures[ref], self.dice.random())
            self._later(delay, lambda: self._try(ref))

        taken = self.esa.takes()
        self._later(ROUND_TRIP, answer)

    def _end(self, ref: ObjectRef) -> None:
        self.done[ref] = self.loop.now

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self.loop.call_later(seconds, call)
