"""When a schedule asks for a reset. Its times are tokens like others; only the outcome of a reset moves the base."""

import hashlib
import math
from itertools import islice, takewhile
from typing import Final

from esa_preload_operator.domain.cleaning import format_time, parse_time
from esa_preload_operator.domain.cron import latest_time, time_after, times_after
from esa_preload_operator.domain.spec import ScheduleSpec

MAX_SKIPPED: Final = 1000
"""As many skipped times are counted; a year of minutes would take seconds."""


def due_time(schedule: ScheduleSpec, uid: str, base: float, now: float) -> float | None:
    """Return the scheduled time for which a reset is to be made now; None if there is none.

    It is the latest one after the base that has come and has not passed the deadline. The jitter moves all of that by
    the same seconds, and the time itself stays as the expression says.
    """
    until = now - delay_of(schedule, uid)
    too_old = math.ceil(until - schedule.starting_deadline) - 1  # times are whole seconds
    return latest_time(schedule.cron, schedule.time_zone, max(base, too_old), until)


def next_time(schedule: ScheduleSpec, uid: str, base: float, now: float) -> float | None:
    """Return when the next reset is to be made, jitter included; None if never.

    A base in the future, written by a clock that was wrong, is waited for: taking it back could repeat a reset.
    """
    delay = delay_of(schedule, uid)
    found = time_after(schedule.cron, schedule.time_zone, max(base, now - delay))
    return None if found is None else found + delay


def skipped_runs(schedule: ScheduleSpec, uid: str, base: float, now: float) -> int:
    """Return how many times since the base are past and not made, because a later one stands for them or none does.

    At most `MAX_SKIPPED` are counted.
    """
    until = now - delay_of(schedule, uid)
    due = due_time(schedule, uid, base, now)
    times = takewhile(lambda each: each <= until, times_after(schedule.cron, schedule.time_zone, base))
    return sum(1 for each in islice(times, MAX_SKIPPED) if each != due)


def first_base(schedule: ScheduleSpec, old: float | None, now: float) -> float:
    """Return the base of a schedule that is new or changed: no time before it was seen is made.

    A base that was written a little ahead, by another clock or before the change, stays.
    """
    return old if old is not None and now < old <= now + schedule.starting_deadline else now


def delay_of(schedule: ScheduleSpec, uid: str) -> float:
    """Return by how many seconds this resource comes later: the same at each time, and evenly spread over resources."""
    if not schedule.jitter:
        return 0.0
    number = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:8])
    return float(number % (schedule.jitter + 1))


def token_of(scheduled: float) -> str:
    """Return a scheduled time as the status keeps it."""
    return format_time(scheduled)


def time_of(token: str) -> float | None:
    """Return the scheduled time that a token of the status says; None if it can't be read."""
    return parse_time(token)
