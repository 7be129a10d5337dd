"""How fast one set of credentials may call, and who is next."""

import asyncio
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final, Protocol

from esa_preload_operator.domain.line import Line
from esa_preload_operator.domain.ports import ObjectRef

MAX_RETRY_AFTER: Final = 120.0
"""Seconds that one resource waits at ESA's wish; the official clients wait no longer either."""
MAX_HOLD: Final = 30.0
"""Seconds that such a wish stops all calls of the credentials: it may be about one job or one kind of call only."""
FLOOR: Final = 1.0
"""Calls per second that are tried whatever ESA says, so that its recovery shows within a second."""
TURN_LASTS: Final = 10.0
"""Seconds after which a turn that was not taken is given to the next."""
_CUT_EVERY: Final = 1.0
"""Seconds; the throttling answers to one burst are one piece of news."""
_GOAL: Final = 0.9
"""Share of the rate that was cut up to which recovery is quick, since ESA was seen to take it shortly before."""
_FAST_STEP: Final = 2.0
"""Calls per second that a success adds below the goal: the rate more than doubles each second."""
_SLOW_STEP: Final = 0.02
"""Share of the goal that is added each second above it."""
_QUIET: Final = 20.0
"""Seconds without throttling after which the old limit no longer counts."""
_ROUNDING: Final = 1e-6


class Timer(Protocol):
    """What `call_later` returns."""

    def cancel(self) -> None:
        """Forget the call."""
        ...


CallLater = Callable[[float, Callable[[], None]], Timer]


def _on_running_loop(seconds: float, call: Callable[[], None]) -> Timer:
    return asyncio.get_running_loop().call_later(seconds, call)


@dataclass(slots=True)
class Pace:
    """The present rate in calls per second: halved when ESA throttles, raised by each success.

    A cut needs an answer to a call that left after the last cut, so answers to older calls count neither way. Cuts
    without a success in between, an outage, leave the goal of the recovery where it was.
    """

    full: float
    floor: float = FLOOR
    rate: float = field(init=False)
    _goal: float = field(init=False)
    _cut_at: float = field(default=float("-inf"), init=False)
    _proven: bool = field(default=True, init=False)
    """There was a success since the last cut, or no cut."""

    def __post_init__(self) -> None:
        if not self.full > 0:
            raise ValueError("the rate must be more than 0 calls per second")
        self.floor = min(self.floor, self.full)
        self.rate = self._goal = self.full

    @property
    def burst(self) -> float:
        """Calls that may leave at once after a pause: a second's worth."""
        return max(1.0, self.rate)

    def throttled(self, left: float, now: float) -> bool:
        """Take in that ESA throttled a call that left at `left`; say whether that cut the rate."""
        if left < self._cut_at or now - self._cut_at < _CUT_EVERY:
            return False
        if self._proven:
            self._goal = max(self.floor, _GOAL * self.rate)
        self.rate = max(self.floor, self.rate / 2)
        self._cut_at, self._proven = now, False
        return True

    def succeeded(self, left: float, now: float) -> None:
        """Take in that ESA served a call that left at `left`."""
        if left < self._cut_at:
            return
        self._proven = True
        if now - self._cut_at > _QUIET:
            self._goal = self.full
        if self.rate < self._goal:
            self.rate = min(self._goal, self.rate + _FAST_STEP)
        else:
            self.rate = min(self.full, self.rate + _SLOW_STEP * self._goal / self.rate)


@dataclass(slots=True)
class _Waiter:
    """Somebody who waits until `calls` calls may leave; `wake` tells that they may."""

    calls: int
    wake: Callable[[], None]
    keeps_turn: bool = True
    """The turn lasts until it is taken, or for some seconds; otherwise `wake` itself takes it."""


class Throttle:
    """Admits calls at the present pace. Nothing is booked ahead: who can't leave now waits in line.

    Room for calls collects while nobody asks, up to a second's worth. One timer stands for the first in line.
    """

    def __init__(
        self,
        max_rate: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        call_later: CallLater = _on_running_loop,
        full: bool = True,
    ) -> None:
        """`max_rate` is in calls per second; `clock` in seconds is the one that `call_later` goes by.

        Unless `full`, there is no room yet for calls that leave at once.
        """
        self.clock = clock
        self.pace = Pace(max_rate)
        self._call_later = call_later
        self._line: Line[Hashable, _Waiter] = Line()
        self._room = self.pace.burst if full else 0.0
        """Calls that may leave at `_as_of`; below 0 after calls that needed more than there was."""
        self._as_of = clock()
        """In the future while ESA asked for a pause."""
        self._turns: dict[Hashable, tuple[float, int]] = {}
        """Who was woken and has not come yet: when the turn is lost, and its calls."""
        self._timer: Timer | None = None
        self._timer_at = 0.0

    def admit(self, ref: ObjectRef, calls: int, wake: Callable[[], None], *, last: bool = False) -> bool:
        """Say whether these calls may leave now; if not, `ref` waits in line and `wake` is called at its turn.

        Those that may go `last` are served after the others of their namespace.
        """
        turn = self._turns.pop(ref, None)
        if turn is not None:
            self._room -= calls - turn[1]  # it may need more or less by now than it lined up for
            self._serve()
            return True
        place = self._line.get(ref.namespace, ref)
        if place is not None and place.last == last:
            place.item.calls, place.item.wake = calls, wake
            return False
        if place is not None:
            self._line.leave(place)
        self._serve()
        if not self._line and self._has_room(calls):
            self._room -= calls
            return True
        self._line.join(ref.namespace, ref, _Waiter(calls, wake), last=last)
        self._arm()
        return False

    def take(self, calls: int) -> float:
        """Let calls go before those who wait in line; return the seconds after which they may leave."""
        self._refill()
        self._room -= calls
        return max(0.0, -self._room) / self.pace.rate + max(0.0, self._as_of - self.clock())

    def withdraw(self, ref: ObjectRef) -> None:
        """Take `ref` out of the line, or its turn from it."""
        self._withdraw(ref.namespace, ref)

    def wait_estimate(self, ref: ObjectRef) -> float | None:
        """Return the seconds until the turn of `ref` at the present rate; None if it does not wait."""
        if ref in self._turns:
            return 0.0
        place = self._line.get(ref.namespace, ref)
        if place is None:
            return None
        self._refill()
        calls = self._line.ahead_of(place) * place.item.calls + min(place.item.calls, self.pace.burst)
        return max(0.0, calls - self._room) / self.pace.rate + max(0.0, self._as_of - self.clock())

    async def admitted(self, namespace: str, calls: int) -> None:
        """Return when these calls may leave, in the line of `namespace`."""
        done = asyncio.Event()
        key = object()
        self._line.join(namespace, key, _Waiter(calls, done.set, keeps_turn=False))
        self._serve()
        try:
            await done.wait()
        finally:
            self._withdraw(namespace, key)

    def throttled(self, left: float, retry_after: float | None) -> None:
        """Take in that ESA throttled a call that left at `left` on the clock, and what it wishes for."""
        self._refill()
        if self.pace.throttled(left, self.clock()):
            self._room = min(self._room, 0.0)
        pause = min(retry_after or 0.0, MAX_HOLD)
        self._as_of = max(self._as_of, self.clock() + pause)

    def succeeded(self, left: float) -> None:
        """Take in that ESA served a call that left at `left` on the clock."""
        self._refill()
        self.pace.succeeded(left, self.clock())
        self._serve()

    def _withdraw(self, namespace: str, key: Hashable) -> None:
        place = self._line.get(namespace, key)
        if place is not None:
            self._line.leave(place)
        self._give_back(key)
        self._serve()

    def _refill(self) -> None:
        now = self.clock()
        if now > self._as_of:
            self._room += (now - self._as_of) * self.pace.rate
            self._as_of = now
        self._room = min(self._room, self.pace.burst)

    def _has_room(self, calls: int) -> bool:
        return self._as_of <= self.clock() and self._room >= self._needs(calls) - _ROUNDING

    def _needs(self, calls: int) -> float:
        """Return how much room must be there: calls that are more than a burst leave with a whole one."""
        return min(calls, self.pace.burst)

    def _give_back(self, key: Hashable) -> None:
        _, calls = self._turns.pop(key, (0.0, 0))
        self._room = min(self._room + calls, self.pace.burst)

    def _serve(self) -> None:
        """Give turns to those for whom there is room, as long as those who were woken before come in time."""
        self._refill()
        now = self.clock()
        for key in [key for key, (lost_at, _) in self._turns.items() if lost_at <= now]:
            self._give_back(key)
        while (place := self._line.first()) is not None and self._has_room(place.item.calls):
            waiter = place.item
            if waiter.keeps_turn and sum(calls for _, calls in self._turns.values()) >= self.pace.burst:
                break
            self._line.take(place)
            self._room -= waiter.calls
            if waiter.keeps_turn:
                self._turns[place.key] = now + TURN_LASTS, waiter.calls
            waiter.wake()
        self._arm()

    def _arm(self) -> None:
        """Let the one timer stand for the first in line; it stays if it is early enough."""
        place = self._line.first()
        if place is None:
            return
        now, calls = self.clock(), place.item.calls
        if self._has_room(calls):  # but those who were woken have not come yet
            wait = min(lost_at for lost_at, _ in self._turns.values()) - now
        else:
            wait = max(0.0, self._needs(calls) - self._room) / self.pace.rate + max(0.0, self._as_of - now)
        if self._timer is not None:
            if self._timer_at <= now + wait + _ROUNDING:
                return
            self._timer.cancel()
        self._timer_at = now + wait
        self._timer = self._call_later(wait, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._serve()
