"""The schedule as one more token: which scheduled time is due, and from when on times count."""

from dataclasses import replace
from typing import Final

from esa_preload_operator.domain.errors import Reason
from esa_preload_operator.domain.local import LocalState
from esa_preload_operator.domain.schedule import due_time, first_base, next_time, skipped_runs, time_of, token_of
from esa_preload_operator.domain.spec import ScheduleSpec
from esa_preload_operator.domain.steps import Tell, Wait, Write
from esa_preload_operator.domain.tokens import SCHEDULE_KEY
from esa_preload_operator.domain.values import Moment, Notice, Rules
from esa_preload_operator.domain.view import View
from esa_preload_operator.domain.work import Asked

_LONGEST_WAIT: Final = 3600.0
"""Seconds after which the wall clock is read again, which may have been set meanwhile."""


def with_due(view: View, wall: float) -> View:
    """Return the view with the scheduled time that is due as one of the tokens that ask for a reset."""
    if view.schedule is None:
        return view
    base, asked = _base(view), view.annotated
    due = due_time(view.schedule, view.uid, base, wall) if base is not None else None
    if due is not None:
        asked = tuple(sorted((*asked, (SCHEDULE_KEY, token_of(due)))))
    return view if asked == view.asked else replace(view, asked=asked)


def _base(view: View) -> float | None:
    """Return the last scheduled time that was dealt with; None before the schedule was noted."""
    schedule = view.schedule
    if schedule is None or view.problem is not None or view.recorded.schedule_seen != schedule.seen:
        return None
    return time_of(dict(view.handled).get(SCHEDULE_KEY, ""))


def note(local: LocalState, view: View, now: Moment, rules: Rules, fresh: bool) -> Asked:
    """Note a schedule that is new or has changed: no time before that is ever made. Tell of times that were skipped."""
    del rules, fresh
    schedule, base = view.schedule, _base(view)
    if (schedule.seen if schedule is not None else "") != view.recorded.schedule_seen or (schedule and base is None):
        return local, _noted(view, schedule, now)
    if schedule is None or base is None:
        return local, None
    skipped = skipped_runs(schedule, view.uid, base, now.wall) if base != local.work.skip_base else 0
    if skipped:
        local = replace(local, work=replace(local.work, skip_base=base))
        message = (
            f"{skipped} scheduled resets since {token_of(base)} were not made: their deadline has passed, or a later "
            "one stands for them"
        )
        return local, Tell(view, Notice(Reason.SCHEDULE_SKIPPED, message, warning=True), skipped)
    coming = next_time(schedule, view.uid, base, now.wall)
    if coming is None:
        return local, None
    return local, Wait(now.monotonic + min(_LONGEST_WAIT, max(0.0, coming - now.wall)))


def _noted(view: View, schedule: ScheduleSpec | None, now: Moment) -> Write:
    handled = dict(view.handled)
    old = handled.pop(SCHEDULE_KEY, "")
    if schedule is not None:
        handled[SCHEDULE_KEY] = token_of(first_base(schedule, time_of(old), now.wall))
    recorded = replace(view.recorded, schedule_seen=schedule.seen if schedule is not None else "")
    newest = tuple(entry for entry in view.newest if entry[0] != SCHEDULE_KEY)
    return Write(view, view.reset, tuple(sorted(handled.items())), newest, recorded=recorded)


def next_reset(view: View, wall: float) -> float | None:
    """Return when the schedule asks for a reset next, in epoch seconds, for people to see."""
    schedule = view.schedule
    if schedule is None or view.problem is not None:
        return None
    return next_time(schedule, view.uid, _base(view) or wall, wall)
