"""From a decision to the status that the API server is to keep."""

<<<<<<< HEAD
from collections.abc import Mapping
from typing import Any, Final
=======
from dataclasses import replace
from typing import Any
>>>>>>> 50a466bf9919db8a7d9a05ccbf5158823c46984a

from esa_preload_operator.domain.cleaning import format_time
from esa_preload_operator.domain.conditions import judged, shows, urls_as_shown, with_urls
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.signing import Signing
from esa_preload_operator.domain.steps import Write
from esa_preload_operator.domain.values import Phase, ResetState
from esa_preload_operator.domain.view import View
from esa_preload_operator.resources.job import ResetStatus

_FACTS: Final = tuple(name for name in EsaJob.__dataclass_fields__ if name not in {"id", "request_id"})
_KEYS: Final = {"id": "jobId"} | {
    name: "".join([name.split("_")[0], *(part.capitalize() for part in name.split("_")[1:])])
    for name in (*_FACTS, "request_id")
}
_EMPTY: Final = dict.fromkeys(("task_submitted", "url_count", "url_submitted"), 0)
"""Facts that are shown even if there is nothing to show."""
_RESET_KEYS: Final = frozenset(field.alias or name for name, field in ResetStatus.model_fields.items())


def status_after(write: Write, wall: float) -> dict[str, Any]:
    """Return the whole status that a write stores: what it does not change, or does not know, stays as it is."""
    view, now = write.view, format_time(wall)
    status = dict(view.status)
    if write.reset != view.reset:
        _put(status, "reset", _reset_after(write.reset, view))
    if write.handled != view.handled:
        status["handledResets"] = dict(write.handled)
    if write.newest != view.newest:
        _put(status, "handledTimes", dict(write.newest) or None)
    if write.decides:
        _put(status, "nextResetTime", format_time(write.due) if write.due is not None else None)
        if made_a_reset(write):
            status["lastResetTime"] = write.reset.finished_at if write.reset is not None else None
    conditions = list(view.shown.conditions)
    if write.finding is not None:
        conditions = judged(conditions, write.finding, view.generation, now)
    if write.job is not None:
        job = merged(view.shown.job, write.job, view.job_id)
        conditions = with_urls(conditions, job, view.generation, now)
        for name, key in _KEYS.items():
            _put(status, key, getattr(job, name) or _EMPTY.get(name))
        status |= {"progress": progress(job), "refreshedAt": now}
    if write.finding is not None or write.job is not None or write.decides:
        status["observedGeneration"] = view.generation
    status["conditions"] = [item.model_dump(by_alias=True, exclude_none=True) for item in conditions]
    return status


def is_news(write: Write) -> bool:
    """Return whether a write would store something that the status does not say; request ids and times aside."""
    view = write.view
    if write.decides:
        return True
    if write.finding is not None and not (shows(view.shown.conditions, write.finding) and not _unobserved(view)):
        return True
    if write.job is None:
        return False
    job = merged(view.shown.job, write.job, view.job_id)
    return facts(job) != facts(view.shown.job) or not urls_as_shown(view.shown.conditions, job)


def is_kept(write: Write, stored: View) -> bool:
    """Return whether the API server has kept what later decisions rest on."""
    if write.decides and (stored.reset, stored.handled, stored.newest) != (write.reset, write.handled, write.newest):
        return False
    return not made_a_reset(write) or stored.last_reset is not None


def made_a_reset(write: Write) -> bool:
    """Return whether the write tells of a reset that was made."""
    return write.reset is not None and write.reset.phase == Phase.SUCCEEDED and bool(write.outcome)


def _unobserved(view: View) -> bool:
    return view.observed != view.generation


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

<<<<<<< HEAD
    What was shown of another job does not stay.
    """
    base = shown if shown.id in {told.id, job_id} else EsaJob("")
    values = {name: getattr(base if getattr(told, name) is None else told, name) for name in _FACTS}
    return EsaJob(id=told.id or job_id, request_id=told.request_id or base.request_id, **values)


def progress(job: EsaJob) -> int:
    """Return the percentage of the job's URLs that are submitted, from 0 to 100; a job without URLs is at 0."""
    return min(100, (job.url_submitted or 0) * 100 // job.url_count) if job.url_count else 0
=======

def _status_of(signing: Signing | None) -> SigningStatus | None:
    return None if signing is None else SigningStatus(nonce=signing.nonce, date=signing.date, signer=signing.signer)


def composed(job: ScheduledPreloadJob, write: Write, wall: float) -> Status:
    """Return the whole status that a write of the reset protocol stores."""
    record = write.record
    changes: dict[str, Any] = {
        "reset": _reset_of(record),
        "handled_resets": dict(write.handled),
        "next_reset_time": format_time(write.due) if write.due is not None else None,
    }
    if record is not None and record.phase == Phase.SUCCEEDED and write.outcome:
        changes["last_reset_time"] = record.finished_at
    return _with_verdict(job, changes, write.job, _verdict(job, write), wall)


def refreshed(job: ScheduledPreloadJob, seen: EsaJob, wall: float) -> Status:
    """Return the status with what ESA says about the job now."""
    verdict = _healthy(job)
    return _with_verdict(job, {}, seen, verdict, wall)


def acknowledged(job: ScheduledPreloadJob, wall: float) -> Status:
    """Return the status after a change of the spec that ESA need not be asked about."""
    return _with_verdict(job, {}, None, _healthy(job), wall)


def troubled(job: ScheduledPreloadJob, problem: Problem, wall: float) -> Status:
    """Return the status with a problem that is not about one reset."""
    return _with_verdict(job, {}, None, verdict_of(problem), wall)


def is_healthy(status: Status) -> bool:
    """Say whether the resource was seen to work and nothing has contradicted it since."""
    ready = find(status.conditions, READY)
    return ready is not None and ready.status == "True"


def _verdict(job: ScheduledPreloadJob, write: Write) -> Verdict | None:
    """Return what the conditions must say; None keeps them, because the write knows nothing new."""
    if write.problem is not None:
        return verdict_of(write.problem)
    record = write.record
    phase = record.phase if record is not None else ""
    ready = find(job.status.conditions, READY)
    works = write.job is not None or (ready is not None and ready.status == "True")
    if not works:
        return None
    if phase == Phase.IN_FLIGHT and record is not None:
        return Verdict(State.RESETTING, Reason.RESETTING, f"resetting ESA job {record.job_id}")
    if phase == Phase.HELD and record is not None:
        return Verdict(State.HELD, Reason.HELD, record.message)
    if phase == Phase.FAILED:
        return None
    return _ready(job)


def _healthy(job: ScheduledPreloadJob) -> Verdict | None:
    """Return the verdict after ESA told about the job: a reset that failed for another reason keeps its word."""
    reset = job.status.reset
    ready = find(job.status.conditions, READY)
    if reset is not None and reset.phase == Phase.HELD:
        return Verdict(State.HELD, Reason.HELD, reset.message or "")
    if reset is not None and reset.phase in (Phase.IN_FLIGHT, Phase.RETRYING):
        return None
    lost = {Reason.JOB_NOT_FOUND, Reason.INVALID_JOB_ID}
    if reset is not None and reset.phase == Phase.FAILED and ready is not None and ready.status == "False":
        unchanged = job.status.observed_generation == job.metadata.generation
        if ready.reason not in lost and unchanged:
            return None
    return _ready(job)


def _ready(job: ScheduledPreloadJob) -> Verdict:
    return Verdict(State.READY, Reason.READY, f"ESA job {job.spec.job_id} can be reset")


def _with_verdict(
    job: ScheduledPreloadJob, changes: dict[str, Any], seen: EsaJob | None, verdict: Verdict | None, wall: float
) -> Status:
    generation = job.metadata.generation
    now = format_time(wall)
    conditions = list(job.status.conditions)
    if verdict is not None:
        conditions = judged(conditions, verdict, generation, now)
    if seen is not None:
        known = completed(seen, job.status)
        conditions = with_urls(conditions, known, generation, now)
        changes |= _fields(job, known, now)
    changes |= {"observed_generation": generation, "conditions": conditions}
    return job.status.model_copy(update=changes)


_TOLD = (
    "ali_uid",
    "created_at",
    "domains",
    "error_info",
    "failed_file_oss",
    "file_id",
    "insert_way",
    "name",
    "site_id",
    "task_submitted",
    "task_type",
    "url_count",
    "url_submitted",
)
"""Fields of a job that have the same name in a status."""


def _fields(job: ScheduledPreloadJob, seen: EsaJob, now: str) -> dict[str, Any]:
    """Return the fifteen fields of ESA's answer under the status' names, and what is derived from them."""
    return {
        "request_id": seen.request_id or job.status.request_id,
        "ali_uid": seen.ali_uid or None,
        "created_at": seen.created_at or None,
        "domains": seen.domains or None,
        "error_info": seen.error_info or None,
        "failed_file_oss": seen.failed_file_oss or None,
        "file_id": seen.file_id or None,
        "job_id": seen.id or job.spec.job_id,
        "insert_way": seen.insert_way or None,
        "name": seen.name or None,
        "site_id": seen.site_id or None,
        "task_submitted": seen.task_submitted,
        "task_type": seen.task_type or None,
        "url_count": seen.url_count,
        "url_submitted": seen.url_submitted,
        "progress": progress(seen),
        "refreshed_at": now,
    }


def progress(job: EsaJob) -> int:
    """Percent of the job's URLs that are submitted, from 0 to 100; a job without URLs is at 0."""
    return min(100, (job.url_submitted or 0) * 100 // job.url_count) if job.url_count else 0


def completed(job: EsaJob, status: Status) -> EsaJob:
    """Return the job with what the answer does not tell as the status shows it, if the status is about this job."""
    if status.job_id not in {None, job.id}:
        return job
    return replace(job, **{name: getattr(status, name) for name in _TOLD if getattr(job, name) is None})
>>>>>>> 50a466bf9919db8a7d9a05ccbf5158823c46984a


def facts(job: EsaJob) -> tuple[object, ...]:
    """Return what a refresh compares: everything that ESA says about the job but the request's own id."""
<<<<<<< HEAD
    return (job.id, *(getattr(job, name) or _NOTHING for name in _FACTS))


_NOTHING: Final = 0
"""Stands for what is empty, zero or not told: the status shows none of them differently."""
=======
    return job.id, *(getattr(job, name) or None for name in _TOLD)


def stored_facts(status: Status) -> tuple[object, ...]:
    """Return the same facts as the status shows them."""
    return status.job_id or "", *(getattr(status, name) or None for name in _TOLD)
>>>>>>> 50a466bf9919db8a7d9a05ccbf5158823c46984a
