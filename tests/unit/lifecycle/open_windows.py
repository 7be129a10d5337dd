"""What must be true of windows when everything is at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esa_preload_operator.domain.recorded import MISSED, RUNNING, STOPPED, WAITING
from unit.lifecycle.calls import STRANGERS
from unit.lifecycle.world import AHEAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esa_preload_operator.domain.recorded import WindowState
    from esa_preload_operator.domain.spec import WindowSpec
    from unit.lifecycle.account import Job, Run
    from unit.lifecycle.resource import Obj


def _runs(job: Job) -> dict[str, Run]:
    return {run.id: run for run in job.runs if run.sent.interval_seconds < STRANGERS}


def submitting(obj: Obj, job: Job, wall: int, *, by_others: bool) -> Iterator[str]:
    """Say whether a suspended resource submits URLs."""
    del by_others
    owned = {entry.id for entry in obj.recorded.windows}
    live = [run for run in _runs(job).values() if run.state(wall) in {WAITING, RUNNING}]
    if any(run.id in owned or not obj.adopts for run in live):
        yield "a window submits although the resource is suspended"


def faults_of_windows(obj: Obj, job: Job, wall: int, *, by_others: bool) -> Iterator[str]:
    """Say what is wrong with the windows of a job; `by_others`: somebody else may have stopped or started them."""
    entries, specs, runs = {e.name: e for e in obj.recorded.windows}, {w.name: w for w in obj.windows}, _runs(job)
    yield "the status tells of windows that the spec has not" if set(entries) - set(specs) else ""
    ids = [entry.id for entry in entries.values() if entry.id]
    yield "one execution serves two windows" if len(ids) != len(set(ids)) else ""
    yield "an execution that no window owns" if set(runs) - set(ids) and not obj.adopts else ""
    for name, spec in specs.items():
        entry = entries.get(name)
        run = runs.get(entry.id) if entry is not None else None
        if entry is None:
            yield f"window {name} is not in the status"
        elif run is None:
            yield from _about_closed(spec, entry, wall)
        else:
            yield from _about_open(spec, entry, run, wall)
            yield f"window {name} stays stopped" if run.state(wall) == STOPPED and not by_others else ""


def _about_closed(spec: WindowSpec, entry: WindowState, wall: int) -> Iterator[str]:
    late = AHEAD if entry.state == MISSED else 0
    over = entry.sent is not None and entry.sent.end <= wall + late
    gone = spec.end is not None and spec.end.timestamp() <= wall + late
    owed = not spec.on_reset or entry.sent is not None
    yield f"window {spec.name} is not open" if owed and not over and not gone else ""
    yield f"window {spec.name} has an id without an execution" if entry.lasting else ""


def _about_open(spec: WindowSpec, entry: WindowState, run: Run, wall: int) -> Iterator[str]:
    name, sent, state = spec.name, run.sent, run.state(wall)
    yield f"window {name} is {state}, the status says {entry.state}" if state != entry.state else ""
    yield f"window {name} is marked as stopped" if entry.stopped else ""
    if state == "finished":
        return
    if entry.message:
        return  # that ESA, or somebody else, keeps other values than it was asked for is told and not repeated
    yield f"window {name} is recorded with other times than it has" if sent != entry.sent else ""
    same = sent.interval_seconds == spec.interval_seconds and sent.slice_len == spec.slice_len
    ends = spec.end is None or int(spec.end.timestamp()) == sent.end
    yield "" if same and ends else f"window {name} is open with other values than the spec's"
