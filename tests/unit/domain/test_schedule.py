"""When a schedule asks for a reset, and that each of its times is made once."""

from datetime import datetime
from itertools import takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esa_preload_operator.domain.cron import time_after, times_after
from esa_preload_operator.domain.schedule import (
    MAX_SKIPPED,
    delay_of,
    due_time,
    first_base,
    next_time,
    skipped_runs,
    time_of,
    token_of,
)
from esa_preload_operator.domain.spec import ScheduleSpec

UID = "6f5a1a2e-1c1f-4d8e-9c55-0a3a1f0f7b11"
NIGHTLY = ScheduleSpec("0 2 * * *", "Asia/Shanghai")


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


TWO = at("2026-11-26T02:00:00+08:00")
BASE = at("2026-11-25T12:00:00+08:00")


@pytest.mark.parametrize(
    ("now", "due"), [(TWO - 0.001, None), (TWO, TWO), (TWO + 3600, TWO), (TWO + 3600.001, None), (TWO + 86_399, None)]
)
def test_a_time_is_due_from_its_moment_to_its_deadline(now: float, due: float | None) -> None:
    assert due_time(NIGHTLY, UID, BASE, now) == due


def test_a_time_is_due_once() -> None:
    assert due_time(NIGHTLY, UID, TWO, TWO + 1) is None
    assert next_time(NIGHTLY, UID, TWO, TWO + 1) == TWO + 86_400


def test_of_several_the_latest_is_due_and_the_others_are_skipped() -> None:
    hourly = ScheduleSpec("0 * * * *", starting_deadline=7200)
    base, now = at("2026-11-25T10:00:00Z"), at("2026-11-25T18:30:00Z")
    assert due_time(hourly, UID, base, now) == at("2026-11-25T18:00:00Z")
    assert skipped_runs(hourly, UID, base, now) == 7
    assert skipped_runs(hourly, UID, at("2026-11-25T17:00:00Z"), now) == 0


def test_what_was_missed_by_more_than_the_deadline_is_skipped() -> None:
    now = TWO + 5 * 86_400 - 60
    assert due_time(NIGHTLY, UID, BASE, now) is None
    assert skipped_runs(NIGHTLY, UID, BASE, now) == 5
    assert next_time(NIGHTLY, UID, BASE, now) == TWO + 5 * 86_400


def test_a_year_of_minutes_is_not_counted_to_its_end() -> None:
    assert skipped_runs(ScheduleSpec("* * * * *"), UID, BASE - 366 * 86_400, BASE) == MAX_SKIPPED


def test_a_base_far_ahead_is_waited_for() -> None:
    ahead = TWO + 400 * 86_400
    assert due_time(NIGHTLY, UID, ahead, TWO + 1) is None
    assert next_time(NIGHTLY, UID, ahead, TWO + 1) == ahead + 86_400
    assert skipped_runs(NIGHTLY, UID, ahead, TWO + 1) == 0
    never = at("9999-12-31T23:00:00Z")
    assert next_time(NIGHTLY, UID, never, TWO) is None
    assert due_time(NIGHTLY, UID, never, TWO) is None


@pytest.mark.parametrize(
    ("old", "base"),
    [(None, TWO), (TWO - 1, TWO), (TWO, TWO), (TWO + 1, TWO + 1), (TWO + 3600, TWO + 3600), (TWO + 3601, TWO)],
)
def test_a_schedule_begins_when_it_is_seen(old: float | None, base: float) -> None:
    assert first_base(NIGHTLY, old, TWO) == base


def test_no_time_before_a_schedule_was_seen_is_made() -> None:
    late = ScheduleSpec("0 2 * * *", "Asia/Shanghai", jitter=3600)
    seen = TWO + 10  # its jitter may let the present time come later still
    base = first_base(late, None, seen)
    assert all(due_time(late, f"uid-{number}", base, seen + 3000) is None for number in range(50))


def test_jitter_is_stable_and_spread_and_moves_the_deadline_along() -> None:
    late = ScheduleSpec("0 2 * * *", "Asia/Shanghai", jitter=600)
    delays = [delay_of(late, f"uid-{number}") for number in range(500)]
    assert delays == [delay_of(late, f"uid-{number}") for number in range(500)]
    assert min(delays) >= 0
    assert max(delays) <= 600
    assert len(set(delays)) > 250
    delay = delay_of(late, UID)
    assert due_time(late, UID, BASE, TWO + delay - 1) is None
    assert due_time(late, UID, BASE, TWO + delay) == TWO  # the token is the time of the expression
    assert due_time(late, UID, BASE, TWO + delay + 3600) == TWO
    assert due_time(late, UID, BASE, TWO + delay + 3601) is None
    assert next_time(late, UID, BASE, BASE) == TWO + delay
    assert delay_of(NIGHTLY, UID) == 0


def test_a_scheduled_time_is_a_token_in_utc() -> None:
    assert token_of(TWO) == "2026-11-25T18:00:00Z"
    assert time_of(token_of(TWO)) == TWO
    assert time_of("soon") is None


def test_the_same_schedule_in_another_layout_is_seen_as_the_same() -> None:
    assert NIGHTLY.seen == "Asia/Shanghai 0 2 * * *"


schedules = st.builds(
    ScheduleSpec,
    st.sampled_from(
        ["*/5 * * * *", "30 * * * *", "30 2 * * *", "15 1,2,3 * * *", "0 */3 * * 1-5", "@hourly", "59 23 * * 0"]
    ),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Shanghai"]),
    st.sampled_from([60, 3600, 86_400]),
    st.sampled_from([0, 59, 3600]),
)
starts = st.one_of(
    st.floats(1.75e9, 1.95e9),
    st.sampled_from([at("2026-03-28T22:00:00Z"), at("2026-10-24T21:00:00Z"), at("2026-11-01T03:00:00Z")]),
)


@settings(deadline=None)
@given(schedules, starts, st.lists(st.floats(0, 20_000), min_size=1, max_size=40))
def test_whenever_it_is_asked_a_time_is_made_once_in_order_and_in_its_deadline(
    schedule: ScheduleSpec, start: float, pauses: list[float]
) -> None:
    base = now = start
    for pause in pauses:
        now += pause
        due = due_time(schedule, UID, base, now)
        coming = next_time(schedule, UID, base, now)
        assert coming is None or coming > now
        if due is not None:
            assert base < due <= now - delay_of(schedule, UID) <= due + schedule.starting_deadline
            assert due == time_after(schedule.cron, schedule.time_zone, due - 60)
            base = due
            assert due_time(schedule, UID, base, now) is None


@settings(deadline=None)
@given(schedules, starts)
def test_who_comes_back_at_the_next_time_each_time_misses_none(schedule: ScheduleSpec, start: float) -> None:
    base = now = start
    made = []
    for _ in range(20):
        coming = next_time(schedule, UID, base, now)
        assert coming is not None
        now = coming
        due = due_time(schedule, UID, base, now)
        assert due is not None
        made.append(due)
        base = due
    every = list(takewhile(lambda each: each <= made[-1], times_after(schedule.cron, schedule.time_zone, start)))
    assert every == made
