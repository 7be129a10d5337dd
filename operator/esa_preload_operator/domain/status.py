"""From a decision to the status that the API server is to keep."""

from collections.abc import Mapping
from typing import Any, Final

from esa_preload_operator.domain.cleaning import format_time
from esa_preload_operator.domain.conditions import (
    effective_as_shown,
    judged,
    shows,
    urls_as_shown,
    with_effective,
    with_urls,
)
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.recorded import Creating, Recorded, WindowState
from esa_preload_operator.domain.scheduling import next_reset
from esa_preload_operator.domain.signing import Signing
from esa_preload_operator.domain.steps import Write
from esa_preload_operator.domain.values import Phase, ResetState
from esa_preload_operator.domain.view import View
from esa_preload_operator.resources.job import ExecutionStatus, ResetStatus

_FACTS: Final = tuple(name for name in EsaJob.__dataclass_fields__ if name not in {"id", "request_id"})
_KEYS: Final = {"id": "jobId"} | {
    name: "".join([name.split("_")[0], *(part.capitalize() for part in name.split("_")[1:])])
    for name in (*_FACTS, "request_id")
}
_SHOWN_AT_ZERO: Final = frozenset({"task_submitted", "url_count", "url_submitted"})
_WINDOW_KEYS: Final = frozenset(field.alias or name for name, field in ExecutionStatus.model_fields.items())
_RESET_KEYS: Final = frozenset(field.alias or name for name, field in ResetStatus.model_fields.items())


def status_after(write: Write, wall: float) -> dict[str, Any]:
    """Return the whole status that a write stores: what it does not change, or does not know, stays as it is."""
    view, now = write.view, format_time(wall)
    status = dict(view.status)
    _put_decided(status, write, wall)
    conditions = list(view.shown.conditions)
    if write.finding is not None:
        conditions = judged(conditions, write.finding, view.generation, now)
    if write.job is not None:
        job = merged(view.shown.job, write.job, job_id_after(write))
        conditions = with_urls(conditions, job, view.generation, now)
        for name, key in _KEYS.items():
            value = getattr(job, name)
            _put(status, key, value or (0 if value == 0 and name in _SHOWN_AT_ZERO else None))
        status |= {"progress": progress(job), "refreshedAt": now}
    if write.effective is not None:
        conditions = with_effective(conditions, write.effective, view.generation, now)
    if write.finding is not None:
        status["observedGeneration"] = view.generation
    status["conditions"] = [item.model_dump(by_alias=True, exclude_none=True) for item in conditions]
    return status


def _put_decided(status: dict[str, Any], write: Write, wall: float) -> None:
    """Put what later decisions rest on."""
    view = write.view
    if write.reset != view.reset:
        _put(status, "reset", _reset_after(write.reset, view))
    if write.handled != view.handled:
        status["handledResets"] = dict(write.handled)
    if write.newest != view.newest:
        _put(status, "handledTimes", dict(write.newest) or None)
    if write.recorded is not None:
        _put_recorded(status, write.recorded, view)
    if write.decides:
        _put(status, "nextResetTime", _next_reset(write, wall))
        if made_a_reset(write):
            status["lastResetTime"] = write.reset.finished_at if write.reset is not None else None


def is_news(write: Write) -> bool:
    """Return whether a write would store something that the status does not say; request ids and times aside."""
    view = write.view
    if write.decides:
        return True
    if write.finding is not None and not (shows(view.shown.conditions, write.finding) and not _unobserved(view)):
        return True
    if write.effective is not None and not effective_as_shown(view.shown.conditions, write.effective):
        return True
    if write.job is None:
        return False
    job = merged(view.shown.job, write.job, job_id_after(write))
    return facts(job) != facts(view.shown.job) or not urls_as_shown(view.shown.conditions, job)


def is_kept(write: Write, stored: View) -> bool:
    """Return whether the API server has kept what later decisions rest on."""
    if write.decides and (stored.reset, stored.handled, stored.newest) != (write.reset, write.handled, write.newest):
        return False
    if write.recorded is not None and any(_dropped_of(write, stored.recorded).values()):
        return False
    return not made_a_reset(write) or stored.last_reset is not None


def job_id_after(write: Write) -> str:
    """Return the id of the resource's job once the write is stored."""
    owned = write.view.owned is not None and write.recorded is not None
    return write.recorded.job_id if owned and write.recorded is not None else write.view.job_id


def _next_reset(write: Write, wall: float) -> str | None:
    """Return when the next reset is made that is known of: a held one, or the next of the schedule."""
    due = write.due if write.due is not None else next_reset(write.view, wall)
    return format_time(due) if due is not None else None


_JOB_FIELDS: Final = (*_KEYS.values(), "progress", "refreshedAt")


def _put_recorded(status: dict[str, Any], recorded: Recorded, view: View) -> None:
    """Put what is recorded of job and windows; what was shown of a job that is given up goes with it."""
    if view.owned is not None and not recorded.job_id:
        for key in _JOB_FIELDS:
            status.pop(key, None)
    _put(status, "source", recorded.source or None)
    _put(status, "creating", _creating(recorded.creating))
    _put(status, "retiredJobs", list(recorded.retired) or None)
    known = {entry.get("name"): entry for entry in view.status.get("executions") or () if isinstance(entry, Mapping)}
    entries = [_window(entry, known.get(entry.name, {})) for entry in recorded.windows]
    _put(status, "executions", entries or None)
    _put(status, "scheduleSeen", recorded.schedule_seen or None)


def _creating(intent: Creating | None) -> dict[str, Any] | None:
    if intent is None:
        return None
    named = {"name": intent.name, "source": intent.source, "since": intent.since}
    return named | ({"tokens": dict(intent.tokens)} if intent.tokens else {})


def _window(entry: WindowState, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry for the status; fields that this version does not know stay."""
    known: dict[str, Any] = {"name": entry.name, "state": entry.state}
    if entry.id:
        known["id"] = entry.id
    if entry.sent is not None:
        known |= {
            "startTime": format_time(entry.sent.start),
            "endTime": format_time(entry.sent.end),
            "intervalSeconds": entry.sent.interval_seconds,
            "sliceLen": entry.sent.slice_len,
        }
    if entry.stopped:
        known["stopped"] = True
    if entry.message:
        known["message"] = entry.message
    return {key: value for key, value in before.items() if key not in _WINDOW_KEYS} | known


def dropped(write: Write, stored: View) -> str:
    """Name the status fields that the API server has dropped."""
    lost = {
        "status.reset": write.reset != stored.reset,
        "status.handledResets": write.handled != stored.handled,
        "status.handledTimes": write.newest != stored.newest,
        **_dropped_of(write, stored.recorded),
    }
    return ", ".join(name for name, is_lost in lost.items() if is_lost) or "status.lastResetTime"


def _dropped_of(write: Write, kept: Recorded) -> dict[str, bool]:
    written = write.recorded
    if written is None:
        return {}
    return {
        "status.jobId": write.view.owned is not None and written.job_id != kept.job_id,  # of an adopted job it is shown
        "status.source": written.source != kept.source,
        "status.creating": written.creating != kept.creating,
        "status.retiredJobs": written.retired != kept.retired,
        "status.executions": written.windows != kept.windows,
        "status.scheduleSeen": written.schedule_seen != kept.schedule_seen,
    }


def made_a_reset(write: Write) -> bool:
    """Return whether the write reports a reset that was made."""
    return write.reset is not None and write.reset.phase == Phase.SUCCEEDED and bool(write.outcome)


def _unobserved(view: View) -> bool:
    return view.observed != view.generation and not view.damaged  # what is damaged does not show it


def _put(status: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        status.pop(key, None)
    else:
        status[key] = value


def _reset_after(reset: ResetState | None, view: View) -> dict[str, Any] | None:
    """Return the reset for the status; of the same attempt, fields that this version does not know stay."""
    if reset is None:
        return None
    known: dict[str, Any] = ResetStatus(
        phase=reset.phase,
        job_id=reset.job_id,
        tokens=dict(reset.tokens),
        trigger=reset.trigger,
        generation=reset.generation or None,
        owner=reset.owner or None,
        started_at=reset.started_at or None,
        finished_at=reset.finished_at or None,
        submitted_before=reset.submitted_before,
        request_id=reset.request_id or None,
        attempts=reset.attempts,
        unproven=reset.unproven or None,
        reason=reset.reason or None,
        message=reset.message or None,
        signing=None,
    ).model_dump(by_alias=True, exclude_none=True)
    if reset.signing is not None:
        known["signing"] = _signing(reset.signing)
    before = view.status.get("reset")
    if isinstance(before, Mapping) and view.reset is not None and view.reset.started_at == reset.started_at != "":
        known |= {key: value for key, value in before.items() if key not in _RESET_KEYS}
    return known


def _signing(signing: Signing) -> dict[str, str]:
    return {"nonce": signing.nonce, "date": signing.date, "signer": signing.signer}


def merged(shown: EsaJob, told: EsaJob, job_id: str) -> EsaJob:
    """Return what is known of a job after an answer: what the answer does not tell stays as it was.

    What was shown of another job does not stay.
    """
    base = shown if shown.id in {told.id, job_id} else EsaJob("")
    values = {name: getattr(base if getattr(told, name) is None else told, name) for name in _FACTS}
    return EsaJob(id=told.id or job_id, request_id=told.request_id or base.request_id, **values)


def progress(job: EsaJob) -> int:
    """Return the percentage of the job's URLs that are submitted, from 0 to 100; a job without URLs is at 0."""
    return min(100, (job.url_submitted or 0) * 100 // job.url_count) if job.url_count else 0


def facts(job: EsaJob) -> tuple[object, ...]:
    """Return what a refresh compares: everything that ESA says about the job but the request's own id."""
    return (job.id, *(getattr(job, name) or _NOTHING for name in _FACTS))


_NOTHING: Final = 0
"""Stands for what is empty, zero or not told: the status shows none of them differently."""
