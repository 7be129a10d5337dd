"""Steps in words, for a trace that people read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esa_preload_operator.domain.steps import (
    Ask,
    Call,
    Create,
    Do,
    Finalizer,
    GetJob,
    ListExecutions,
    LookFirst,
    Open,
    Step,
    Wait,
    Write,
)

if TYPE_CHECKING:
    from esa_preload_operator.domain.recorded import Recorded, WindowState


def words(step: Step) -> str:
    match step:
        case Write():
            return f"write: {_written(step)}"
        case Ask(GetJob(job_id) | LookFirst(job_id) | ListExecutions(job_id)):
            return f"{type(step.query).__name__} {job_id}"
        case Ask(query):
            return type(query).__name__
        case Call(intent):
            return f"reset {intent.job_id} for {','.join(token for _, token in intent.tokens)}"
        case Create(intent):
            return f"create {intent.name[-8:].lstrip('0')} from {intent.source[7:]}"
        case Do(command):
            return f"{type(command).__name__} {getattr(command, 'id', '') or getattr(command, 'job_id', '')}"
        case Open(job_id, wanted):
            return f"open {len(wanted)} on {job_id}"
        case Finalizer(present=present):
            return f"finalizer {'on' if present else 'off'}"
        case Wait(until):
            return f"wait {until:g}" if until is not None else "rest"
        case _:
            return type(step).__name__


def _written(write: Write) -> str:
    found = []
    if write.reset != write.view.reset and write.reset is not None:
        found.append(f"{write.reset.phase} {','.join(token for _, token in write.reset.tokens)}")
    if write.handled != write.view.handled:
        found.append(f"handled {','.join(token for _, token in write.handled)}")
    if write.recorded is not None:
        found += _recorded(write.view.recorded, write.recorded)
    if write.finding is not None:
        found.append(f"says {write.finding.reason}")
    return ", ".join(found if write.view.version else [*found, "outdated"])


def _recorded(old: Recorded, new: Recorded) -> list[str]:
    creating = new.creating.name[-8:].lstrip("0") if new.creating is not None else "none"
    changes = {
        f"job {new.job_id or 'none'}": new.job_id != old.job_id,
        f"creating {creating}": new.creating != old.creating,
        f"retired {','.join(new.retired) or 'none'}": new.retired != old.retired,
        f"windows {' '.join(map(_window, new.windows))}": new.windows != old.windows,
        "schedule noted": new.schedule_seen != old.schedule_seen,
    }
    return [text for text, changed in changes.items() if changed]


def _window(entry: WindowState) -> str:
    return f"{entry.name}={entry.id or '-'}/{entry.state}{'!' if entry.stopped else ''}"
