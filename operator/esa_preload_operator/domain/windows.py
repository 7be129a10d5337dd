"""Opens, changes and closes the windows of a job, and says when its executions are listed."""

from dataclasses import replace
from typing import Final

from esa_preload_operator.domain import executions, work
from esa_preload_operator.domain.conditions import Finding, State, finding_of
from esa_preload_operator.domain.entries import identity, owes_window, write_of
from esa_preload_operator.domain.local import NO_ATTEMPTS, Executions, LocalState
from esa_preload_operator.domain.recorded import (
    ENDED,
    MISSED,
    PENDING,
    REFUSED,
    RESTING,
    WAITING,
    WindowState,
)
from esa_preload_operator.domain.spec import WindowSpec
from esa_preload_operator.domain.steps import (
    Do,
    ListExecutions,
    Open,
    Wait,
)
from esa_preload_operator.domain.values import Moment, Rules
from esa_preload_operator.domain.view import View
from esa_preload_operator.domain.work import Asked


def plan(local: LocalState, view: View, now: Moment, rules: Rules, fresh: bool) -> Asked:
    """Bring the windows of the job in line with the spec."""
    del fresh
    if view.suspended or not view.job_id or not (view.windows or view.recorded.windows):
        return local, None
    listed = local.work.executions
    at_hand = listed is not None and listed.job_id == view.job_id
    if listed is not None and listed.job_id in view.recorded.retired:
        return local, None  # that job is being removed; two lists that replace each other would never end
    if not at_hand and not local.work.suspected and _fits(view, now.wall):
        return local, Wait(_next_bound(view, now))
    pause = waits(local, now, rules)
    if pause is None and not at_hand and not owes_window(view, now.wall):
        pause = Wait(local.work.repairs.not_before) if now.monotonic < local.work.repairs.not_before else None
    if pause is not None:
        return local, pause
    if listed is None or not at_hand:
        return list_again(local, view, now, rules)
    entries = executions.synced(view, listed, local.work, now.wall)
    if entries != view.recorded.windows:
        return local, write_of(view, entries)
    acting, step = _act(local, view, listed, now)
    if step is not None:
        return acting, step
    if listed.touched or local.work.suspected:
        return list_again(local, view, now, rules)
    return _at_rest(local, view, now)


def list_again(local: LocalState, view: View, now: Moment, rules: Rules) -> Asked:
    """List the executions of the job, once a list shows what was opened last: it must not look as if it were gone."""
    visible_at = local.work.opened_at + rules.list_grace
    if now.monotonic < visible_at:
        return local, Wait(visible_at)
    relisted = replace(local, work=replace(local.work, suspected=False, executions=None))
    return work.ask(relisted, view, ListExecutions(view.job_id))


def waits(local: LocalState, now: Moment, rules: Rules) -> Wait | None:
    """Return how long no call is made on executions."""
    if work.is_final(local.work.windows.problem):
        return Wait()
    quiet = work.quiet_at(local, rules)
    return (Wait(quiet) if now.monotonic < quiet else None) or work.pause(local.work.windows, now)


def _act(local: LocalState, view: View, listed: Executions, now: Moment) -> Asked:
    """Do what is left to do; what was brought in line and does not fit again, at once some times, then more slowly."""
    acting, step = executions.act(local, view, listed, now)
    if not isinstance(step, Do | Open) or not local.work.acted or listed.touched:
        return acting, step
    repairs = work.again(local.work.repairs, now, free=_FREE_REPAIRS, first=10.0)
    if now.monotonic < repairs.not_before and not owes_window(view, now.wall):
        left = replace(local.work, acted=False, repairs=repairs, executions=None, suspected=True)
        return replace(local, work=left), Wait(repairs.not_before)
    return replace(acting, work=replace(acting.work, acted=False, repairs=repairs)), step


_FREE_REPAIRS: Final = 2
"""Rounds that begin at once: what the spec asks for, and one repair."""


def _at_rest(local: LocalState, view: View, now: Moment) -> Asked:
    """Forget the list; where a window is late, look again after a while."""
    known = replace(local.work, done=())
    if known.acted:
        known = replace(known, acted=False, repairs=work.again(known.repairs, now, free=_FREE_REPAIRS, first=10.0))
    if _is_late(view, now.wall):
        tried = known.windows if known.refusals else replace(known.windows, problem=None)
        late = work.late_again(tried, now)
        return replace(local, work=replace(known, executions=None, windows=late)), Wait(late.backoff.not_before)
    if not known.refusals:  # whatever failed on the way here is healed
        known = replace(known, windows=NO_ATTEMPTS)
    return replace(local, work=replace(known, executions=None)), Wait(_next_bound(view, now))


def _fits(view: View, wall: float) -> bool:
    """Return whether the status says that every window is as the spec wants it, as far as time has gone."""
    entries = {entry.name: entry for entry in view.recorded.windows}
    if set(entries) != {spec.name for spec in view.windows} or _is_late(view, wall):
        return False
    return all(_is_settled(spec, entries[spec.name], wall) for spec in view.windows)


def _is_settled(spec: WindowSpec, entry: WindowState, wall: float) -> bool:
    if entry.stopped or entry.state in {REFUSED, RESTING}:
        return False
    wanted = identity(spec, entry, wall)
    if wanted is None or (wanted.end <= wall and not entry.live):
        return entry.state != PENDING or wanted is None
    missed = entry.state == MISSED and executions.is_too_late(wanted, wall)  # by a clock that may have been wrong
    settled = missed or entry.state in ENDED or (bool(entry.id) and entry.state != PENDING)
    return wanted == entry.sent and settled


def _is_late(view: View, wall: float) -> bool:
    """Return whether a bound has passed that the recorded state does not show."""
    return any(
        entry.id
        and entry.sent is not None
        and ((entry.state == WAITING and entry.sent.start <= wall) or (entry.live and entry.sent.end <= wall))
        for entry in view.recorded.windows
    )


def _next_bound(view: View, now: Moment) -> float | None:
    """Return when the next window begins or ends, on the monotonic clock; None if none does."""
    bounds = [
        bound
        for entry in view.recorded.windows
        if entry.live and entry.sent is not None
        for bound in (entry.sent.start, entry.sent.end)
        if bound > now.wall
    ]
    return now.monotonic + min(bounds) - now.wall + 1.0 if bounds else None


def finding(local: LocalState, view: View) -> Finding | None:
    """Return what there is to say of windows that could not be opened."""
    problem = local.work.windows.problem
    if problem is None or not (view.windows or view.recorded.windows):
        return None
    found = finding_of(problem)
    return Finding(State.BLOCKED, found.reason, f"windows: {found.message}") if found.state is State.STALLED else found
