"""What a window is to be: when it begins and ends, and what the status records of it after a reset or on a new job."""

from dataclasses import replace
from typing import Final

from esa_preload_operator.domain.esa import NewExecution
from esa_preload_operator.domain.recorded import ENDED, MISSED, PENDING, RUNNING, WindowState
from esa_preload_operator.domain.spec import WindowSpec
from esa_preload_operator.domain.steps import Write, record
from esa_preload_operator.domain.values import Moment
from esa_preload_operator.domain.view import View

AHEAD: Final = 10
"""Seconds that a start which has passed, or that nobody names, lies ahead: what a missing one means is UNKNOWN."""

Entries = tuple[WindowState, ...]


def identity(spec: WindowSpec, entry: WindowState | None, wall: float) -> NewExecution | None:
    """Return the execution that a window should be; None while it is not due, as `onReset` before a reset.

    Args:
        spec: the window as the resource wants it.
        entry: what the status records of it.
        wall: epoch seconds.
    """
    sent = entry.sent if entry is not None else None
    if spec.on_reset and sent is None:
        return None
    start = _start(spec, entry, wall)
    if spec.end is not None:
        end = int(spec.end.timestamp())
    else:
        first = int(spec.start.timestamp()) if spec.start is not None else start
        end = first + int(spec.duration.total_seconds() if spec.duration is not None else 0)
    begun = start if end > wall else min(start, end)  # of one that is missed the start lies before the end, too
    return NewExecution(begun, end, spec.interval_seconds, spec.slice_len)


def _start(spec: WindowSpec, entry: WindowState | None, wall: float) -> int:
    wanted = int(spec.start.timestamp()) if spec.start is not None else None
    if entry is not None and entry.sent is not None:
        sent = entry.sent
        if entry.id and (sent.start <= wall or entry.state == RUNNING):
            return sent.start  # the start of a window that has begun is not compared
        if spec.on_reset or (starts_at_once(spec, wall) and sent.start <= wall + AHEAD):
            return sent.start  # it was chosen when the window was due
    return wanted if wanted is not None and wanted > wall else int(wall) + AHEAD


def starts_at_once(spec: WindowSpec, wall: float) -> bool:
    """Return whether a window is to begin as soon as it may: its start has passed, or nobody names one."""
    return not spec.on_reset and (spec.start is None or int(spec.start.timestamp()) <= wall)


def on_reset(view: View, now: Moment) -> Entries:
    """Return the entries after a reset: each `onReset` window is due anew, from now on, and keeps its old execution."""
    entries = {entry.name: entry for entry in view.recorded.windows}
    for spec in view.windows:
        if spec.on_reset and spec.duration is not None:
            old = entries.get(spec.name, WindowState(spec.name))
            start = int(now.wall) + AHEAD
            if old.sent is not None:
                start = max(start, old.sent.start + 1)
            end = start + int(spec.duration.total_seconds())
            sent = NewExecution(start, end, spec.interval_seconds, spec.slice_len)
            entries[spec.name] = replace(old, sent=sent, state=PENDING, message="", stopped=False)
    return tuple(entries.values())


def on_new_job(view: View, now: Moment, *, reset: bool) -> Entries:
    """Return the entries for a job that was just created, on which nothing is open yet."""
    entries = on_reset(view, now) if reset else view.recorded.windows
    return without_executions(entries, now.wall)


def without_executions(entries: Entries, wall: float) -> Entries:
    """Return the entries of a job that has no executions: those whose end has passed stay as they are.

    One that has finished early, because all URLs were submitted, is due again for the URLs of another job.
    """
    return tuple(
        replace(entry, id="", stopped=False, state=entry.state if _is_over(entry, wall) else PENDING)
        for entry in entries
    )


def _is_over(entry: WindowState, wall: float) -> bool:
    if entry.state == MISSED:
        return True
    return entry.state in ENDED and entry.sent is not None and entry.sent.end <= wall


def owes_window(view: View, wall: float) -> bool:
    """Return whether a reset has made a window due that is not open yet: the next reset would hide it."""
    due = {spec.name for spec in view.windows if spec.on_reset}
    return any(
        entry.name in due
        and entry.sent is not None
        and entry.state == PENDING  # also with the id of the execution that the former reset opened
        and entry.sent.end > wall
        for entry in view.recorded.windows
    )


def changed(view: View, entry: WindowState) -> Entries:
    """Return the entries with another one in the place of the one of its name."""
    return tuple(entry if other.name == entry.name else other for other in view.recorded.windows)


def write_of(view: View, entries: Entries) -> Write:
    """Return the write of what is recorded of the windows."""
    return record(view, replace(view.recorded, windows=entries))
