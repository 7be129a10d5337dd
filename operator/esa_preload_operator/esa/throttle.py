"""How fast one set of credentials may call: halves when ESA throttles, grows again with what succeeds."""

from dataclasses import dataclass, field
from typing import Final

MAX_RETRY_AFTER: Final = 120.0
"""Seconds; the official clients wait no longer either, whatever the header says."""
_CUT_EVERY: Final = 1.0
"""Seconds; the throttling answers to one burst are one piece of news."""
_GROWTH: Final = 0.02
"""Share of the full rate that a success gives back."""


@dataclass(slots=True)
class Throttle:
    """Books calls first come, first served; rates are in calls per second, times in seconds of any one clock.

    At most one second's worth of calls leaves at once after a pause. Booked calls keep their time when the rate falls.
    """

    max_rate: float
    floor: float = 0.1
    rate: float = field(init=False)
    _next: float = field(default=float("-inf"), init=False)
    _cut_at: float = field(default=float("-inf"), init=False)

    def __post_init__(self) -> None:
        if not self.max_rate > 0:
            raise ValueError("the rate must be more than 0 calls per second")
        self.floor = min(self.floor, self.max_rate)
        self.rate = self.max_rate

    @property
    def burst(self) -> float:
        """Calls that may leave at once after a pause."""
        return max(1.0, self.rate)

    def reserve(self, calls: int, now: float) -> float:
        """Book `calls`, which then leave together; return the seconds to wait before they do."""
        if calls <= 0:
            return 0.0
        self._next = max(self._next, now - self.burst / self.rate) + calls / self.rate
        return max(0.0, self._next - now)

    def throttled(self, now: float, retry_after: float | None) -> None:
        """ESA throttled a call: halve the rate, forget what was saved up, book nothing before `retry_after` seconds."""
        if now - self._cut_at >= _CUT_EVERY:
            self.rate = max(self.floor, self.rate / 2)
            self._cut_at = now
        pause = min(retry_after or 0.0, MAX_RETRY_AFTER)
        self._next = max(self._next, now + pause)

    def succeeded(self, now: float) -> None:
        """A call went through: give some of the rate back, unless it left before the last cut could show."""
        if now - self._cut_at >= _CUT_EVERY:
            self.rate = min(self.max_rate, self.rate + _GROWTH * self.max_rate)
