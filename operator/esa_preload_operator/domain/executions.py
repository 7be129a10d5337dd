"""Compares the executions that ESA lists with the windows that the status records, and says what to do about it.

What identifies an execution (start, end, interval, slice length) is recorded before the call that opens it, so that a
lost answer is found again in the list of the job's executions.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from esa_preload_operator.domain import work
from esa_preload_operator.domain.entries import AHEAD, Entries, changed, identity, starts_at_once, write_of
from esa_preload_operator.domain.esa import CreatedExecutions, Execution, ExecutionChange, NewExecution
from esa_preload_operator.domain.local import NO_ATTEMPTS, Executions, LocalState, Opening, Work, settled
from esa_preload_operator.domain.recorded import (
    ENDED,
    MISSED,
    PENDING,
    REFUSED,
    RESTING,
    RUNNING,
    STOPPED,
    WindowState,
)
from esa_preload_operator.domain.spec import WindowSpec
from esa_preload_operator.domain.steps import (
    Command,
    DeleteExecution,
    Open,
    StartExecution,
    StopExecution,
    UpdateExecution,
)
from esa_preload_operator.domain.values import Moment
from esa_preload_operator.domain.view import View
from esa_preload_operator.domain.work import Asked


def synced(view: View, listed: Executions, known: Work, wall: float) -> Entries:
    """Return the entries as the list of the job's executions shows them."""
    found = {execution.id: execution for execution in listed.items}
    owned = {entry.id for entry in view.recorded.windows if entry.id in found}
    free = [execution for execution in listed.items if execution.id not in owned]
    entries = []
    for entry in _with_new(view, wall):
        if entry.id:
            entries.append(_seen_again(entry, found.get(entry.id), wall, starts=not view.suspended))
            continue
        match = next((one for one in free if _is_match(one, entry, known)), None)
        if match is not None:
            free.remove(match)
            sent = identity_of(match) or entry.sent  # ESA may keep another time than it was sent
            entries.append(replace(entry, id=match.id, sent=sent, state=match.state, message=""))
        else:
            entries.append(_unopened(entry, dict(known.refusals), wall))
    return tuple(_resting(entry) for entry in entries) if view.suspended else tuple(entries)


def _resting(entry: WindowState) -> WindowState:
    none = not entry.id and entry.sent is not None and entry.state in {PENDING, REFUSED}
    return replace(entry, state=RESTING, stopped=False, message="") if none else entry


def _is_match(execution: Execution, entry: WindowState, known: Work) -> bool:
    if entry.sent is None:
        return False
    return identity_of(execution) == entry.sent or (entry.sent, execution.id) in known.altered


def _with_new(view: View, wall: float) -> Iterable[WindowState]:
    """Yield the recorded entries, and those of windows that the spec has and the status does not."""
    recorded = {entry.name: entry for entry in view.recorded.windows}
    yield from recorded.values()
    for spec in () if view.suspended else view.windows:
        if spec.name not in recorded:
            yield WindowState(spec.name, identity(spec, None, wall))


def identity_of(execution: Execution) -> NewExecution | None:
    """Return what identifies an execution; None if the list does not tell all of it."""
    start, end = execution.start, execution.end
    interval, length = execution.interval_seconds, execution.slice_len
    if start is None or end is None or interval is None or length is None:
        return None
    return NewExecution(start, end, interval, length)


def _seen_again(entry: WindowState, execution: Execution | None, wall: float, *, starts: bool) -> WindowState:
    if execution is not None:
        if entry.state == PENDING and identity_of(execution) != entry.sent:
            return entry  # a reset has made the window due anew, and this is its former execution
        if entry.state == PENDING and entry.stopped and execution.state == STOPPED and starts:
            return entry  # it is about to be started
        return replace(entry, state=execution.state or entry.state)
    if entry.sent is not None and entry.sent.end <= wall:
        return replace(entry, id="", state=entry.state if entry.state in ENDED else "finished")
    return replace(entry, id="", state=PENDING)  # somebody has deleted it


def _unopened(entry: WindowState, refusals: Mapping[NewExecution, str], wall: float) -> WindowState:
    if entry.sent is None or entry.state in ENDED:
        return entry
    if entry.sent in refusals:
        return replace(entry, state=REFUSED, message=refusals[entry.sent])
    if entry.sent.end <= wall or is_too_late(entry.sent, wall):
        return replace(entry, state=MISSED, message="its end had passed before it was opened")
    return entry if entry.state == REFUSED else replace(entry, state=PENDING, message="")


def is_too_late(sent: NewExecution, wall: float) -> bool:
    """Return whether a window has begun and would end before it could begin anew."""
    return sent.start <= wall and sent.end <= wall + AHEAD


@dataclass(frozen=True, slots=True)
class _Pair:
    """A window, what the status records of it, and its execution at ESA."""

    spec: WindowSpec | None
    entry: WindowState
    execution: Execution | None


def act(local: LocalState, view: View, listed: Executions, now: Moment) -> Asked:
    """Return the next write, command or call that brings the executions in line."""
    found = {execution.id: execution for execution in listed.items}
    specs = {spec.name: spec for spec in view.windows}
    pairs = [_Pair(specs.get(e.name), e, found.get(e.id)) for e in view.recorded.windows]
    for pair in pairs:
        if pair.spec is None and pair.execution is None:
            return local, write_of(view, tuple(entry for entry in view.recorded.windows if entry is not pair.entry))
        if _is_cut_short(pair):  # marked first: if it is wanted again before it is deleted, it is started again
            return local, write_of(view, changed(view, replace(pair.entry, stopped=True)))
        command = _command(local, pair, now.wall)
        if command is not None:
            return work.do(local, view, command)
        again = _recorded_again(pair, now.wall)
        if again is not None:
            return local, write_of(view, changed(view, again))
    owed = [p.entry for p in pairs if p.spec is not None and p.spec.on_reset and p.entry.state == REFUSED]
    for entry in owed:
        if _is_to_open(entry, now.wall):  # written first, so that the next reset waits for what may be opened now
            tried = replace(local, work=replace(local.work, refusals=()))
            return tried, write_of(view, changed(view, replace(entry, state=PENDING, message="")))
    due = [pair.entry for pair in pairs if pair.spec is not None and _is_to_open(pair.entry, now.wall)]
    if due:
        return _open(local, view, due)
    double = _double(view, listed) if view.owned is not None else None
    return work.do(local, view, DeleteExecution(double.id)) if double is not None else (local, None)


def _is_cut_short(pair: _Pair) -> bool:
    """Return whether an execution is about to be stopped because the spec has no such window any more."""
    running = pair.execution is not None and pair.execution.state == RUNNING
    return pair.spec is None and running and not pair.entry.stopped


def _command(local: LocalState, pair: _Pair, wall: float) -> Command | None:
    """Return the command that an execution needs which an entry owns."""
    spec, entry, execution = pair.spec, pair.entry, pair.execution
    if execution is None:
        return None
    if spec is None or (spec.on_reset and identity_of(execution) != entry.sent):
        return removal_of(execution)
    wanted = _wanted(spec, pair, wall)
    if wanted is None or wanted == identity_of(execution):
        starts = entry.stopped and execution.state == STOPPED and entry.state == PENDING
        return StartExecution(execution.id) if starts else None
    if execution.state in ENDED:
        return DeleteExecution(execution.id) if wanted.end > wall and wanted != entry.sent else None
    if wanted.end <= wall:  # the spec has shortened it, or ESA has not ended it yet
        return removal_of(execution) if execution.end != wanted.end else None
    if (execution.id, wanted) in local.work.stubborn:
        return None
    return UpdateExecution(execution.id, _change(execution, wanted))


def _wanted(spec: WindowSpec, pair: _Pair, wall: float) -> NewExecution | None:
    """Return what the execution of a window should be.

    One that is to begin at once, but was recorded to begin much later, has the start that an update gave it.
    """
    entry, execution = pair.entry, pair.execution
    if execution is not None and execution.start is not None and entry.sent is not None and starts_at_once(spec, wall):
        soon = wall + AHEAD
        if execution.start <= soon < entry.sent.start:
            entry = replace(entry, sent=replace(entry.sent, start=execution.start))
    return identity(spec, entry, wall)


def removal_of(execution: Execution) -> Command:
    """Return the next command that removes an execution."""
    return StopExecution(execution.id) if execution.state == RUNNING else DeleteExecution(execution.id)


def _change(execution: Execution, wanted: NewExecution) -> ExecutionChange:
    return ExecutionChange(
        start=wanted.start if wanted.start != execution.start else None,
        end=wanted.end if wanted.end != execution.end else None,
        interval_seconds=wanted.interval_seconds,
        slice_len=wanted.slice_len,
    )


_DIFFERS: Final = "ESA keeps other times or numbers than it was asked for"


def _recorded_again(pair: _Pair, wall: float) -> WindowState | None:
    """Return the entry with what is to be written of it; None if it is right."""
    spec, entry, execution = pair.spec, pair.entry, pair.execution
    if spec is None:
        return None
    wanted = _wanted(spec, pair, wall)
    if execution is None:
        return _rechosen(entry, wanted, wall)
    if entry.stopped and execution.state != STOPPED:
        return replace(entry, stopped=False)
    if entry.stopped and entry.state != PENDING:  # once this is written, a process that suspends it knows it may run
        return replace(entry, state=PENDING)
    if wanted is not None and wanted == identity_of(execution) != entry.sent:
        return replace(entry, sent=wanted, message="")
    differs = wanted is not None and wanted != identity_of(execution) and execution.state not in ENDED
    message = _DIFFERS if differs and wanted is not None and wanted.end > wall else ""
    return replace(entry, message=message) if entry.message != message and not spec.on_reset else None


_OVER: Final = "its end has passed"


def _rechosen(entry: WindowState, wanted: NewExecution | None, wall: float) -> WindowState | None:
    """Choose the times of an entry anew that has no execution: its start may have passed, the spec have changed."""
    if wanted is None or (entry.state in ENDED and wanted == entry.sent):
        return None
    if wanted.end <= wall:
        done = entry.state in ENDED or entry.state == MISSED
        return None if done else replace(entry, sent=wanted, state=MISSED, message=_OVER, stopped=False)
    if wanted.start <= wall:
        wanted = replace(wanted, start=int(wall) + AHEAD)
    if wanted.end <= wanted.start:
        return None
    chosen = replace(entry, sent=wanted, state=PENDING, message="", stopped=False)
    return chosen if wanted != entry.sent else None


def _is_to_open(entry: WindowState, wall: float) -> bool:
    sent = entry.sent
    return not entry.id and sent is not None and entry.state in {PENDING, REFUSED} and sent.start > wall


def _open(local: LocalState, view: View, due: Sequence[WindowState]) -> Asked:
    wanted = tuple(entry.sent for entry in due if entry.sent is not None)
    fresh = replace(local, work=replace(local.work, refusals=()))
    return replace(fresh, call=Opening(view, wanted, settled(local.call))), Open(view.job_id, wanted)


def _double(view: View, listed: Executions) -> Execution | None:
    """Return an execution that no entry owns and that equals a window that has its own."""
    owned = {entry.id for entry in view.recorded.windows}
    wanted = {entry.sent for entry in view.recorded.windows if entry.id}
    return next((one for one in listed.items if one.id not in owned and identity_of(one) in wanted), None)


def after_opening(
    local: LocalState, wanted: Sequence[NewExecution], answer: CreatedExecutions, now: Moment
) -> LocalState:
    """Return the local state after an answer that may be a success in part; parts are told apart by their times."""
    listed = local.work.executions
    items = listed.items if listed is not None else ()
    opened = [identity_of(execution) for execution in answer.succeeded]
    left = [one for one in wanted if one not in opened]
    strange = [execution.id for execution in answer.succeeded if identity_of(execution) not in wanted]
    altered = tuple(zip(left, strange, strict=False)) if len(left) == len(strange) else ()
    left = [one for one in left if one not in dict(altered)]
    said = {identity_of(execution): message for execution, message in answer.failed}
    default = next(iter(said.values()), "") or "ESA gave no reason"
    refusals = tuple((one, said.get(one, default)) for one in left)
    attempts = work.refused_again(local.work.windows, refusals[0][1], now) if left else NO_ATTEMPTS
    executions = replace(listed, items=(*items, *answer.succeeded), touched=True) if listed is not None else None
    known = replace(local.work, executions=executions, refusals=refusals, altered=altered, windows=attempts)
    return replace(local, work=known)


def after_command(local: LocalState, command: Command, execution: Execution | None) -> LocalState:
    """Return the local state after a command: the list is brought up to date, and proved by another one later."""
    listed = local.work.executions
    if listed is None or not isinstance(command, DeleteExecution | StartExecution | StopExecution | UpdateExecution):
        return local
    items = tuple(one for one in listed.items if one.id != command.id)
    if execution is not None and not isinstance(command, DeleteExecution):
        items = (*items, replace(execution, id=command.id))
    stubborn = local.work.stubborn
    old = next((one for one in listed.items if one.id == command.id), None)
    if isinstance(command, UpdateExecution) and old is not None and (asked := _asked(old, command.change)) is not None:
        stubborn = (*(entry for entry in stubborn if entry[0] != command.id), (command.id, asked))
    executions = replace(listed, items=items, touched=True)
    return replace(local, work=replace(local.work, executions=executions, stubborn=stubborn))


def still_stubborn(
    stubborn: tuple[tuple[str, NewExecution], ...], items: Sequence[Execution]
) -> tuple[tuple[str, NewExecution], ...]:
    """Return the updates that a list does not show: what it shows has worked, and may be repeated after a drift."""
    shown = {(one.id, identity_of(one)) for one in items}
    return tuple(entry for entry in stubborn if entry not in shown)


def _asked(old: Execution, change: ExecutionChange) -> NewExecution | None:
    """Return the execution that an update asked for."""
    return identity_of(
        Execution(
            old.id,
            old.start if change.start is None else change.start,
            old.end if change.end is None else change.end,
            change.interval_seconds,
            change.slice_len,
        )
    )
