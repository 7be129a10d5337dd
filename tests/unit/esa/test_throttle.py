from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from esa_preload_operator.esa.throttle import Throttle


def test_a_second_of_calls_may_leave_at_once_and_then_one_by_one() -> None:
    throttle = Throttle(4)
    waits = [throttle.reserve(1, 100.0) for _ in range(7)]
    assert waits == [0, 0, 0, 0, 0.25, 0.5, 0.75]


def test_throttling_halves_once_a_second_down_to_the_floor() -> None:
    throttle = Throttle(8, floor=1)
    for moment, rate in [(0, 4), (0.5, 4), (1, 2), (2, 1), (3, 1)]:
        throttle.throttled(moment, None)
        assert throttle.rate == rate


def test_the_pause_that_esa_asks_for_is_kept() -> None:
    throttle = Throttle(10)
    throttle.throttled(0.0, 3.0)
    assert throttle.reserve(1, 0.0) == pytest.approx(3.2)
    throttle.throttled(0.0, 1e9)
    assert throttle.reserve(1, 0.0) < 121


def test_what_was_saved_up_is_gone_after_throttling() -> None:
    throttle = Throttle(10)
    throttle.reserve(1, 0.0)
    throttle.throttled(100.0, None)
    assert throttle.reserve(1, 100.0) == pytest.approx(0.2)


def test_successes_bring_the_rate_back() -> None:
    throttle = Throttle(10)
    for second in range(20):
        throttle.throttled(float(second), None)
    now, calls = 20.0, 0
    while throttle.rate < 10:
        now += throttle.reserve(1, now)
        throttle.succeeded(now)
        calls += 1
        assert calls <= 50
    assert now < 120


def test_answers_from_before_the_cut_do_not_undo_it() -> None:
    throttle = Throttle(10)
    throttle.throttled(5.0, None)
    throttle.succeeded(5.5)
    assert throttle.rate == 5


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_must_be_above_zero(rate: float) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        Throttle(rate)


@given(st.floats(0.01, 1000))
def test_the_floor_is_never_above_the_rate(rate: float) -> None:
    throttle = Throttle(rate)
    throttle.throttled(0, None)
    assert 0 < throttle.rate <= rate


@dataclass
class _Booked:
    starts: list[tuple[float, int]] = field(default_factory=list)


class ThrottleMachine(RuleBasedStateMachine):
    """Any mixture of bookings, answers and pauses."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.throttle = Throttle(5)
        self.booked = _Booked()
        self.not_before = 0.0

    @rule(calls=st.integers(1, 5))
    def book(self, calls: int) -> None:
        wait = self.throttle.reserve(calls, self.now)
        assert wait >= 0
        start = self.now + wait
        assert start >= self.not_before - 1e-6
        if self.booked.starts:
            assert start >= self.booked.starts[-1][0] - 1e-6, "first come, first served"
        self.booked.starts.append((start, calls))

    @rule(seconds=st.floats(0, 3))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(pause=st.none() | st.floats(0, 5))
    def be_throttled(self, pause: float | None) -> None:
        self.throttle.throttled(self.now, pause)
        self.not_before = max(self.not_before, self.now + (pause or 0))

    @precondition(lambda self: bool(self.booked.starts))
    @rule()
    def succeed(self) -> None:
        self.throttle.succeeded(self.now)

    @invariant()
    def the_rate_stays_in_its_bounds(self) -> None:
        assert 0.1 <= self.throttle.rate <= 5

    @invariant()
    def no_window_holds_more_than_its_rate_and_one_burst(self) -> None:
        starts = self.booked.starts
        for first, (since, _) in enumerate(starts):
            total = 0
            for until, calls in starts[first:]:
                total += calls
                assert total <= 5 * (until - since) + 5 + 1e-6


TestThrottle = ThrottleMachine.TestCase
