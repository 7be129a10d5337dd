from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from esa_preload_operator.domain.errors import Healer
from esa_preload_operator.domain.retry import retry_delay
from support.protocol import problem

chances = st.floats(0.0, 1.0)
failures = st.integers(1, 10_000)
healers = st.sampled_from(Healer)


@given(healers, failures, chances)
def test_a_delay_is_bounded(healer: Healer, count: int, chance: float) -> None:
    assert 0.5 <= retry_delay(problem(healer=healer), count, chance) <= 600.0


@given(healers, failures, chances)
def test_the_next_delay_is_never_shorter(healer: Healer, count: int, chance: float) -> None:
    trouble = problem(healer=healer)
    assert retry_delay(trouble, count, chance) <= retry_delay(trouble, count + 1, chance)


@given(healers, failures, chances, st.floats(0.0, 7200.0))
def test_a_delay_is_never_shorter_than_what_esa_asks_for(
    healer: Healer, count: int, chance: float, hint: float
) -> None:
    assert retry_delay(replace(problem(healer=healer), retry_after=hint), count, chance) >= hint


def test_what_the_account_heals_is_retried_more_slowly_than_what_time_heals() -> None:
    for count in range(1, 12):
        slow = retry_delay(problem(healer=Healer.ACCOUNT), count, 0.5)
        assert slow > retry_delay(problem(healer=Healer.TIME), count, 0.5)
