"""Broken versions of the planner around windows, suspension and the schedule: each leaves out one rule."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from esa_preload_operator.domain import entries, executions, plan, scheduling, suspend, windows, work
from esa_preload_operator.domain.local import Executions, LocalState, Storing, Work, settled
from esa_preload_operator.domain.recorded import RUNNING, STOPPED, WAITING, WindowState
from esa_preload_operator.domain.schedule import time_of, token_of
from esa_preload_operator.domain.steps import (
    DeleteExecution,
    Input,
    ListExecutions,
    Observed,
    StartExecution,
    StopExecution,
    Stored,
    Tell,
    Write,
)
from esa_preload_operator.domain.tokens import SCHEDULE_KEY
from esa_preload_operator.domain.values import Moment, Phase, Rules
from unit.lifecycle.mutations import Next, without_rule, writing
from unit.lifecycle.world import Rulebook, changed

if TYPE_CHECKING:
    from esa_preload_operator.domain.entries import Entries
    from esa_preload_operator.domain.esa import Execution
    from esa_preload_operator.domain.steps import Command
    from esa_preload_operator.domain.view import View
    from esa_preload_operator.domain.work import Asked

_synced, _is_match, _command, _stop_next, _noted, _with_due = (
    executions.synced,
    executions._is_match,
    executions._command,
    suspend._stop_next,
    scheduling._noted,
    scheduling.with_due,
)


def _by_spec(view: View, listed: Executions, known: Work, wall: float) -> Entries:
    """An execution is looked for as the spec wants the window now."""
    specs = {spec.name: spec for spec in view.windows}
    looked = tuple(
        entry
        if entry.id or entry.name not in specs
        else replace(entry, sent=entries.identity(specs[entry.name], entry, wall))
        for entry in view.recorded.windows
    )
    return _synced(replace(view, recorded=replace(view.recorded, windows=looked)), listed, known, wall)


@dataclass(frozen=True, slots=True)
class Owing(LocalState):
    """A local state that keeps what another write is to record."""

    owed: Entries = ()
    handled: str = ""
    known_since: float = 0.0


def _owing(local: LocalState, **kept: Any) -> Owing:
    return Owing(**{name: getattr(local, name) for name in LocalState.__dataclass_fields__}, **kept)


def _plain(local: LocalState) -> LocalState:
    return LocalState(**{name: getattr(local, name) for name in LocalState.__dataclass_fields__})


def _windows_later(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    """The outcome of a reset is stored first, and the windows that it makes due in a write of their own."""
    owed = memory.owed if isinstance(memory, Owing) else ()
    after, step = plan.advance(_plain(memory), happened, now, rules)
    if isinstance(step, Write) and step.outcome == Phase.SUCCEEDED and step.recorded is not None:
        kept = replace(step, recorded=None)
        return _owing(writing(after, kept), owed=step.recorded.windows), kept
    if isinstance(happened, Stored) and owed:
        write = entries.write_of(happened.view, owed)
        return replace(after, call=Storing(write, settled(after.call), settled(after.call))), write
    return after, step


def _is_mine(execution: Execution, entry: WindowState, known: Work) -> bool:
    """Only who has opened windows himself finds them again."""
    return known.opened_at > float("-inf") and _is_match(execution, entry, known)


def _never(view: View, wall: float) -> bool:
    del view, wall
    return False


def _shared(view: View, listed: Executions, known: Work, wall: float) -> Entries:
    """One execution may serve several windows."""
    found = _synced(view, listed, known, wall)
    ids = {entry.sent: entry for entry in found if entry.id}
    return tuple(
        replace(entry, id=ids[entry.sent].id, state=ids[entry.sent].state)
        if not entry.id and entry.sent in ids
        else entry
        for entry in found
    )


def _stop_first(local: LocalState, view: View, listed: Executions) -> Asked:
    """A running window is stopped first and marked afterwards."""
    found = {execution.id: execution.state for execution in listed.items}
    for entry in view.recorded.windows:
        if found.get(entry.id) == RUNNING:
            return work.do(local, view, StopExecution(entry.id))
        if found.get(entry.id) == WAITING:
            return work.do(local, view, DeleteExecution(entry.id))
    return local, None


def _marked_afterwards(view: View, listed: Executions, known: Work, wall: float) -> Entries:
    before = {entry.name: entry.state for entry in view.recorded.windows}
    found = _synced(view, listed, known, wall)
    if not view.suspended:
        return found
    return tuple(
        replace(entry, stopped=True) if entry.state == STOPPED and before.get(entry.name) == RUNNING else entry
        for entry in found
    )


def _unquiet(local: LocalState, rules: Rules) -> float:
    del local, rules
    return float("-inf")


def _waiting_left(local: LocalState, view: View, listed: Executions) -> Asked:
    running = replace(listed, items=tuple(one for one in listed.items if one.state != WAITING))
    return _stop_next(local, view, running)


def _starts_all(local: LocalState, pair: Any, wall: float) -> Command | None:
    """Whatever is stopped is started."""
    if pair.execution is not None and pair.execution.state == STOPPED:
        return StartExecution(pair.execution.id)
    return _command(local, pair, wall)


def _list_at_once(local: LocalState, view: View, now: Moment, rules: Rules) -> Asked:
    del now, rules
    relisted = replace(local, work=replace(local.work, suspected=False, executions=None))
    return work.ask(relisted, view, ListExecutions(view.job_id))


def _no_double(view: View, listed: Executions) -> Execution | None:
    del view, listed
    return None


# The schedule.


def _in_memory(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    """The next run is computed when the process first sees the resource, and kept in memory."""
    since = memory.known_since if isinstance(memory, Owing) else 0.0
    if isinstance(happened, Observed) and not since:
        since = now.wall

    def with_due(view: View, wall: float) -> View:
        due = _with_due(view, wall)
        time = time_of(dict(due.asked).get(SCHEDULE_KEY, ""))
        return view if time is not None and time <= since else due

    with changed(((scheduling, "with_due", with_due),)):
        after, step = plan.advance(_plain(memory), happened, now, rules)
    return _owing(after, known_since=since), step


def _writes_now(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    after, step = plan.advance(memory, happened, now, rules)
    served = step.reset.tokens if isinstance(step, Write) and step.reset is not None else ()
    if isinstance(step, Write) and step.outcome == Phase.SUCCEEDED and SCHEDULE_KEY in dict(served):
        step = replace(step, handled=tuple(sorted((dict(step.handled) | {SCHEDULE_KEY: token_of(now.wall)}).items())))
        after = writing(after, step)
    return after, step


def _own_write(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    """The last time is written after the outcome."""
    owed = memory.handled if isinstance(memory, Owing) else ""
    after, step = plan.advance(_plain(memory), happened, now, rules)
    if isinstance(step, Write) and step.outcome == Phase.SUCCEEDED and step.handled != step.view.handled:
        kept = replace(step, handled=step.view.handled)
        return _owing(writing(after, kept), handled=dict(step.handled).get(SCHEDULE_KEY, "")), kept
    if isinstance(happened, Stored) and owed:
        view = happened.view
        handled = tuple(sorted((dict(view.handled) | {SCHEDULE_KEY: owed}).items()))
        write = Write(view, view.reset, handled, view.newest)
        return replace(after, call=Storing(write, settled(after.call), settled(after.call))), write
    return after, step


def _old_base(schedule: Any, old: float | None, now: float) -> float:
    del schedule
    return now if old is None else old


def _skips_written(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    after, step = plan.advance(memory, happened, now, rules)
    if isinstance(step, Tell):
        view = step.view
        handled = tuple(sorted((dict(view.handled) | {SCHEDULE_KEY: token_of(now.wall)}).items()))
        write = Write(view, view.reset, handled, view.newest)
        return replace(after, call=Storing(write, settled(after.call), settled(after.call))), write
    return after, step


def _taken_back(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    after, step = plan.advance(memory, happened, now, rules)
    view = happened.view if isinstance(happened, Observed | Stored) else None
    base = scheduling._base(view) if view is not None else None
    if view is not None and base is not None and base > now.wall:
        handled = tuple(sorted((dict(view.handled) | {SCHEDULE_KEY: token_of(now.wall)}).items()))
        write = Write(view, view.reset, handled, view.newest)
        return replace(memory, call=Storing(write, settled(after.call), settled(after.call))), write
    return after, step


BY_SPEC = without_rule("recovery looks for the spec's window", (executions, "synced", _by_spec))
WINDOWS_LATER = Rulebook("the windows of a reset are recorded after its outcome", _windows_later)
UNRECORDED_INSTANTS = without_rule("instants are not recorded before the call", (executions, "_is_match", _is_mine))
OVERWRITES = without_rule("a reset does not wait for an owed window", (entries, "owes_window", _never))
SHARED = without_rule("one execution may serve two windows", (executions, "synced", _shared))
STOPS_FIRST = without_rule(
    "stopped first, marked afterwards", (suspend, "_stop_next", _stop_first), (executions, "synced", _marked_afterwards)
)
UNQUIET = without_rule("who leads or has lost an answer acts at once", (work, "quiet_at", _unquiet))
WAITING_LEFT = without_rule("waiting windows are left alone", (suspend, "_stop_next", _waiting_left))
STARTS_ALL = without_rule("what is stopped is started", (executions, "_command", _starts_all))
LISTS_AT_ONCE = without_rule("a list counts right after the opening", (windows, "list_again", _list_at_once))
NO_DOUBLES = without_rule("doubles stay", (executions, "_double", _no_double))
IN_MEMORY = Rulebook("the next run is kept in memory", _in_memory)
WRITES_NOW = Rulebook("the outcome writes the present time", _writes_now)
OWN_WRITE = Rulebook("the last time is written by itself", _own_write)
OLD_BASE = without_rule("a changed schedule keeps its base", (scheduling, "first_base", _old_base))
SKIPS_WRITTEN = Rulebook("skipped times are written", _skips_written)
TAKEN_BACK = Rulebook("a base in the future is taken back", _taken_back)
