"""Stops what submits URLs while a resource is suspended; what was stopped is started again when it goes on."""

from dataclasses import replace

from esa_preload_operator.domain import entries, executions, windows, work
from esa_preload_operator.domain import reset_writes as writes
from esa_preload_operator.domain.conditions import Finding, State
from esa_preload_operator.domain.errors import Reason
from esa_preload_operator.domain.local import NO_ATTEMPTS, Executions, LocalState
from esa_preload_operator.domain.recorded import PENDING, REFUSED, RUNNING, WAITING, WindowState
from esa_preload_operator.domain.steps import DeleteExecution, StopExecution
from esa_preload_operator.domain.values import Moment, Phase, Rules
from esa_preload_operator.domain.view import View, requested
from esa_preload_operator.domain.work import Asked


def plan(local: LocalState, view: View, now: Moment, rules: Rules, fresh: bool) -> Asked:
    """Hold what asks for a reset, and let no window of the resource submit URLs."""
    del fresh
    if not view.suspended:
        return local, None
    wanted, before = requested(view), view.reset
    if wanted and not (before is not None and before.phase == Phase.HELD and before.tokens == wanted):
        return local, writes.hold_suspended(view, wanted)
    if not wanted and before is not None and before.phase in (Phase.HELD, Phase.RETRYING):
        return local, writes.withdraw(view, now, "the request disappeared before ESA was called")
    return _stop(local, view, now, rules)


def _stop(local: LocalState, view: View, now: Moment, rules: Rules) -> Asked:
    listed = local.work.executions
    at_hand = listed is not None and listed.job_id == view.job_id
    if not view.job_id or not (at_hand or local.work.suspected or any(map(_may_run, view.recorded.windows))):
        return local, None
    waits = windows.waits(local, now, rules)
    if waits is not None:
        return local, waits
    if listed is None or not at_hand:
        return windows.list_again(local, view, now, rules)
    synced = executions.synced(view, listed, local.work, now.wall)
    if synced != view.recorded.windows:
        return local, entries.write_of(view, synced)
    local, step = _stop_next(local, view, listed)
    if step is not None:
        return local, step
    if listed.touched:
        return windows.list_again(local, view, now, rules)
    return replace(local, work=replace(local.work, executions=None, windows=NO_ATTEMPTS, done=())), None


def _stop_next(local: LocalState, view: View, listed: Executions) -> Asked:
    """Mark a running window before it is stopped, so that it is started again whatever crashes; delete waiting ones."""
    found = {execution.id: execution for execution in listed.items}
    for entry in view.recorded.windows:
        execution = found.get(entry.id)
        if execution is None:
            continue
        state = execution.state
        if entry.state == PENDING and executions.identity_of(execution) != entry.sent:  # of a former reset
            return work.do(local, view, executions.removal_of(execution))
        if state == RUNNING and not entry.stopped:
            return local, entries.write_of(view, entries.changed(view, replace(entry, stopped=True)))
        if state == RUNNING:
            return work.do(local, view, StopExecution(entry.id))
        if state == WAITING:  # a waiting one can't be stopped (ESA API, StopScheduledPreloadExecution)
            return work.do(local, view, DeleteExecution(entry.id))
    return local, None


def _may_run(entry: WindowState) -> bool:
    """Return whether a window may have an execution that submits URLs now or later."""
    return entry.live or (entry.sent is not None and entry.state in {PENDING, REFUSED})


def finding(view: View) -> Finding | None:
    """Return that the resource rests."""
    if not view.suspended:
        return None
    return Finding(State.SUSPENDED, Reason.SUSPENDED, "spec.suspend is true: no window is open and resets are held")
