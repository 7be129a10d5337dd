from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from esa_preload_operator.domain.errors import ErrorClass, Reason
from esa_preload_operator.domain.retry import retry_delay
from support.protocol import problem

chances = st.floats(0.0, 1.0)
failures = st.integers(1, 10_000)
healers = st.sampled_from(ErrorClass)


@given(healers, failures, chances)
def test_a_delay_is_bounded(error_class: ErrorClass, count: int, jitter: float) -> None:
    assert 0.5 <= retry_delay(problem(error_class=error_class), count, jitter) <= 600.0


@given(healers, failures, chances)
def test_the_next_delay_is_never_shorter(error_class: ErrorClass, count: int, jitter: float) -> None:
    trouble = problem(error_class=error_class)
    assert retry_delay(trouble, count, jitter) <= retry_delay(trouble, count + 1, jitter)


@given(healers, failures, chances, st.floats(0.0, 7200.0))
def test_a_delay_is_never_shorter_than_what_esa_asks_for(
    error_class: ErrorClass, count: int, jitter: float, hint: float
) -> None:
    assert retry_delay(replace(problem(error_class=error_class), retry_after=hint), count, jitter) >= hint


def test_blocked_errors_are_retried_more_slowly_than_transient_ones() -> None:
    for count in range(1, 12):
        slow = retry_delay(problem(error_class=ErrorClass.BLOCKED), count, 0.5)
        assert slow > retry_delay(problem(error_class=ErrorClass.TRANSIENT), count, 0.5)


@given(failures, chances)
def test_throttling_is_met_again_soon_because_the_throttle_itself_holds_the_rate(count: int, jitter: float) -> None:
    throttled = replace(problem(error_class=ErrorClass.TRANSIENT), reason=Reason.THROTTLED)
    assert 1.0 <= retry_delay(throttled, count, jitter) <= 2.0
