"""Between the resource's status and the values that decisions are made of."""

from dataclasses import replace
from typing import Any

from esa_preload_operator.domain.cleaning import format_time, parse_time
from esa_preload_operator.domain.conditions import READY, State, Verdict, find, judged, verdict_of, with_urls
from esa_preload_operator.domain.errors import Problem, Reason
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.reset_values import Phase, ResetState, View, Write
from esa_preload_operator.domain.signing import Signing
from esa_preload_operator.domain.tokens import asked_tokens
from esa_preload_operator.resources.durations import parse_duration
from esa_preload_operator.resources.job import ResetStatus, ScheduledPreloadJob, SigningStatus, Status


def view_of(job: ScheduledPreloadJob) -> View:
    """Return what one version of the resource says about resets."""
    meta, status = job.metadata, job.status
    return View(
        uid=meta.uid,
        version=int(meta.resource_version),
        job_id=job.spec.job_id,
        asked=asked_tokens(meta.annotations),
        handled=tuple(sorted(status.handled_resets.items())),
        record=_record_of(status.reset),
        created=parse_time(meta.creation_timestamp) or 0.0,
        changed=status.observed_generation is not None and status.observed_generation != meta.generation,
        last_reset=parse_time(status.last_reset_time),
        min_interval=_interval(job.spec.min_reset_interval),
    )


def _interval(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError:
        return 0.0


def _record_of(reset: ResetStatus | None) -> ResetState | None:
    if reset is None or not reset.phase:
        return None
    return ResetState(
        phase=reset.phase,
        job_id=reset.job_id,
        tokens=tuple(sorted(reset.tokens.items())),
        trigger=reset.trigger,
        owner=reset.owner or "",
        started_at=reset.started_at or "",
        finished_at=reset.finished_at or "",
        submitted_before=reset.submitted_before,
        request_id=reset.request_id or "",
        attempts=reset.attempts,
        message=reset.message or "",
        signing=_signing_of(reset.signing),
    )


def _signing_of(signing: SigningStatus | None) -> Signing | None:
    return None if signing is None else Signing(nonce=signing.nonce, date=signing.date, signer=signing.signer)


def _reset_of(record: ResetState | None) -> ResetStatus | None:
    if record is None:
        return None
    return ResetStatus(
        phase=record.phase,
        job_id=record.job_id,
        tokens=dict(record.tokens),
        trigger=record.trigger,
        owner=record.owner or None,
        started_at=record.started_at or None,
        finished_at=record.finished_at or None,
        submitted_before=record.submitted_before,
        request_id=record.request_id or None,
        attempts=record.attempts,
        message=record.message or None,
        signing=_status_of(record.signing),
    )


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


def facts(job: EsaJob) -> tuple[object, ...]:
    """Return what a refresh compares: everything that ESA says about the job but the request's own id."""
    return job.id, *(getattr(job, name) or None for name in _TOLD)


def stored_facts(status: Status) -> tuple[object, ...]:
    """Return the same facts as the status shows them."""
    return status.job_id or "", *(getattr(status, name) or None for name in _TOLD)
