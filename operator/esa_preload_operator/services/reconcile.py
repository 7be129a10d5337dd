"""Looks at one resource and takes the steps it needs, whatever the occasion: event, retry, restart, refresh."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from esa_preload_operator.domain.conditions import newly_rejected, shows, verdict_of
from esa_preload_operator.domain.errors import (
    ErrorClass,
    EsaError,
    ObjectGoneError,
    Problem,
    Reason,
    VersionConflictError,
    WriteRefusedError,
    WriteUnknownError,
)
from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.domain.reset import advance, hurry
from esa_preload_operator.domain.reset_values import Observed, Phase, Rules, Wait
from esa_preload_operator.domain.retry import retry_delay
from esa_preload_operator.domain.status import (
    acknowledged,
    facts,
    is_healthy,
    refreshed,
    stored_facts,
    troubled,
    view_of,
)
from esa_preload_operator.resources.job import Metadata, ScheduledPreloadJob, Spec, Status
from esa_preload_operator.services.refresh import Refresher
from esa_preload_operator.services.registry import Registry, TrackedResource
from esa_preload_operator.services.reset import LeadershipLostError, Ports, ResetRun, book, store_status

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Reconciler:
    """The one way in which resources are handled. At most one `reconcile` per resource runs at a time."""

    ports: Ports
    rules: Rules
    records: Registry
    refresher: Refresher

    async def reconcile(self, ref: ObjectRef, seen: Mapping[str, Any] | None) -> float | None:
        """Take the steps that the resource needs now; return when to come back on the monotonic clock, None for never.

        `seen` is what the watch delivered; without it the resource is read.

        Raises:
            LeadershipLostError: somebody else may act now.
            StoreError: the API server does not answer; come back later.
        """
        if self.ports.clock.monotonic() >= self.ports.leadership.valid_until():
            raise LeadershipLostError
        body = seen if seen is not None else await self.ports.store.read(ref)
        if body is None or self._is_gone(body):
            self.forget(ref)
            return None
        job, complaint = read_job(body)
        record = self.upsert(job)
        if job.metadata.deletion_timestamp is not None:
            return None
        complaint = complaint or self._claim_against(record, job)
        if complaint is not None:
            return await self._report(record, job, complaint)
        run = ResetRun(self.ports, self.rules, record, job)
        rest = await run.run(fresh=seen is None)
        if run.gone:
            self.forget(ref)
            return None
        if run.written:
            record.pending_refresh = None
        if rest.problem is not None and rest.until is None:  # only the author helps, unless the job turns up by itself
            now = self.ports.clock.now()
            record.retry_at = now.monotonic + retry_delay(rest.problem, 1, now.jitter)
        elif rest.problem is not None or _busy(run.job):
            self._track(record, run.job)
            return rest.until
        return soonest(rest.until, await self._look_after(record, run.job))

    def _is_gone(self, body: Mapping[str, Any]) -> bool:
        """Say whether the body was read before a deletion that the watch has told of since."""
        uid, version = body["metadata"]["uid"], int(body["metadata"]["resourceVersion"])
        return self.records.tombstones.is_gone(uid, version)

    def glance(self, body: Mapping[str, Any]) -> bool:
        """Say whether there is nothing to do for what the watch delivered, without any I/O.

        So 10,000 idle resources cost no queue, no write and no call when the operator starts.
        """
        job, complaint = read_job(body)
        record = self.upsert(job)
        if job.metadata.deletion_timestamp is not None:
            return True
        if complaint is not None or self._claim_against(record, job) is not None:
            return False
        _, step = advance(record.memory, Observed(view_of(job)), self.ports.clock.now(), self.rules)
        idle = step == Wait() and self._settled(job) and not record.needs_verification and record.site_problem is None
        if idle and record.pending_refresh is None:
            self._track(record, job)
            return True
        return False

    def _claim_against(self, record: TrackedResource, job: ScheduledPreloadJob) -> Problem | None:
        owner = self.records.owner_of(record.job_id)
        return None if owner is None or owner is record else claimed_by(owner, job)

    def upsert(self, job: ScheduledPreloadJob) -> TrackedResource:
        """Return the record of a resource, a new one if another object has taken the name."""
        meta = job.metadata
        ref = ObjectRef(meta.namespace, meta.name)
        record = self.records.get(ref)
        if record is not None and (record.uid != meta.uid or record.job_id != job.spec.job_id):
            self.forget(ref)  # its deletion was not seen
            record = None
        if record is None:
            record = self.records.put(TrackedResource(ref, meta.uid, meta.creation_timestamp, job.spec.job_id))
        secret = job.spec.credentials_secret_ref
        name = secret.name if secret is not None else None
        if name != record.secret_name:
            record.secret_name, record.credentials_verified = name, False
            reset_backoff(record)
        record.version = max(record.version, int(meta.resource_version))
        return record

    def forget(self, ref: ObjectRef) -> None:
        """Forget a resource that is gone and wake those that waited for its job."""
        record = self.records.drop(ref)
        self.refresher.untrack(ref)
        for rival in self.records.rivals_of(record.job_id) if record is not None else ():
            self.refresher.wake(rival)

    async def _report(self, record: TrackedResource, job: ScheduledPreloadJob, problem: Problem) -> float | None:
        """Show a problem once; say when to look again."""
        verdict = verdict_of(problem)
        told = shows(job.status.conditions, verdict) and job.status.observed_generation == job.metadata.generation
        if problem.reason is Reason.JOB_CLAIMED:  # the older resource may be another one than before
            told = told and any(condition.message == verdict.message for condition in job.status.conditions)
        if not told:
            logger.warning("%s: %s", record.ref, problem)
            await self._store(record, job, troubled(job, problem, self.ports.clock.wall()))
            await self.ports.events.post(job, problem.reason, str(problem), warning=True)
        return record.retry_at if record.retry_at > self.ports.clock.monotonic() else None

    async def _look_after(self, record: TrackedResource, job: ScheduledPreloadJob) -> float | None:
        """Adopt the job, or bring the status in line with what a refresh found."""
        status = job.status
        monotonic = self.ports.clock.monotonic()
        if record.site_problem is not None:
            record.retry_at = 0.0
            await self._report(record, job, record.site_problem)
            self._track(record, job)
            return None
        if record.pending_refresh is not None and record.pending_refresh.id == record.job_id:
            latest, record.pending_refresh = record.pending_refresh, None
            if facts(latest) != stored_facts(status) or not self._settled(job):
                job = await self._store(record, job, refreshed(job, latest, self.ports.clock.wall()))
        elif (
            record.credentials_verified
            and not record.needs_verification
            and is_healthy(status)
            and not self._settled(job)
        ):
            job = await self._store(record, job, acknowledged(job, self.ports.clock.wall()))
        if self._settled(job) and not record.needs_verification:
            record.failures = 0
            self._track(record, job)
            return None
        if monotonic < record.retry_at:
            return record.retry_at
        return await self._look(record, job)

    def _settled(self, job: ScheduledPreloadJob) -> bool:
        """Say whether the status tells all there is to tell without asking ESA."""
        status = job.status
        failed = status.reset is not None and status.reset.phase == Phase.FAILED
        return (
            status.job_id == job.spec.job_id
            and status.observed_generation == job.metadata.generation
            and (is_healthy(status) or failed)
        )

    async def _look(self, record: TrackedResource, job: ScheduledPreloadJob) -> float | None:
        """Ask ESA for the job itself."""
        clock = self.ports.clock
        try:
            account = await self.ports.accounts.account(record.ref.namespace, record.secret_name)
            wait = book(record, account, 1, clock.monotonic())
            if wait is not None:
                return wait
            seen = await account.get_job(record.job_id)
        except EsaError as error:
            return await self._failed_look(record, job, error.problem)
        record.failures, record.retry_at, record.needs_verification = 0, 0.0, False
        if facts(seen) != stored_facts(job.status) or not self._settled(job) or not is_healthy(job.status):
            job = await self._store(record, job, refreshed(job, seen, clock.wall()))
        self._track(record, job)
        return None

    async def _failed_look(self, record: TrackedResource, job: ScheduledPreloadJob, problem: Problem) -> float | None:
        now = self.ports.clock.now()
        record.failures += 1
        record.retry_at = now.monotonic + retry_delay(problem, record.failures, now.jitter)
        await self._report(record, job, problem)
        return record.retry_at

    async def _store(self, record: TrackedResource, job: ScheduledPreloadJob, status: Status) -> ScheduledPreloadJob:
        """Store a status that no reset depends on.

        Raises:
            StoreError: it was not stored, or may not have been; the queue comes back.
        """
        try:
            body = await store_status(self.ports, record, job, status)
        except ObjectGoneError:
            self.forget(record.ref)
            raise
        except (VersionConflictError, WriteRefusedError, WriteUnknownError) as error:
            logger.info("%s: the status was not stored: %s", record.ref, error)
            raise
        stored, _ = read_job(body)
        record.version = max(record.version, int(stored.metadata.resource_version))
        rejected = newly_rejected(job.status.conditions, stored.status.conditions)
        if rejected is not None:
            await self.ports.events.post(stored, Reason.URLS_REJECTED, rejected, warning=True)
        return stored

    def _track(self, record: TrackedResource, job: ScheduledPreloadJob) -> None:
        """Let the refresh of the job's site watch over the resource from now on."""
        status = job.status
        record.credentials_verified = record.credentials_verified or (self._settled(job) and is_healthy(status))
        known = self.records.get(record.ref) is record  # else it was deleted while it was worked on
        if known and status.job_id == job.spec.job_id and status.site_id:
            resetting = status.reset is not None and status.reset.phase in (Phase.IN_FLIGHT, Phase.RETRYING)
            running = resetting or 0 < (status.progress or 0) < 100
            fresh_reset = status.reset is not None and status.reset.phase == Phase.SUCCEEDED and not status.progress
            self.refresher.track(
                record.ref,
                secret_name=record.secret_name,
                site_id=status.site_id,
                job_id=record.job_id,
                known=hash(stored_facts(status)),
                running=running or fresh_reset,
            )


def _busy(job: ScheduledPreloadJob) -> bool:
    """Say whether a reset is under way, so that nothing else should touch the status."""
    reset = job.status.reset
    return reset is not None and reset.phase in (Phase.IN_FLIGHT, Phase.RETRYING)


def soonest(one: float | None, other: float | None) -> float | None:
    """Return the earlier of two moments; None is never."""
    return min((moment for moment in (one, other) if moment is not None), default=None)


def has_adopted(job: Mapping[str, Any]) -> bool:
    """Say whether the status shows that the resource already acts on its job, so no older one can be about it."""
    status = job.get("status") or {}
    adopted = status.get("jobId") == (job.get("spec") or {}).get("jobId")
    claimed = any(item.get("reason") == Reason.JOB_CLAIMED for item in status.get("conditions") or ())
    return adopted and not claimed


def reset_backoff(record: TrackedResource) -> None:
    """Try again at once what failed, because credentials may have changed."""
    record.memory = hurry(record.memory)
    record.retry_at, record.failures, record.booked = 0.0, 0, 0.0
    record.needs_verification = record.needs_verification or record.site_problem is not None
    record.site_problem = None


def claimed_by(owner: TrackedResource, job: ScheduledPreloadJob) -> Problem:
    """Say that an older resource is about the same job."""
    message = f"spec.jobId {job.spec.job_id} belongs to the older resource {owner.ref}; delete one of the two resources"
    return Problem("JobClaimed", message, ErrorClass.TERMINAL, Reason.JOB_CLAIMED)


def read_job(body: Mapping[str, Any]) -> tuple[ScheduledPreloadJob, Problem | None]:
    """Read the resource; one that is malformed comes back with empty parts and a problem that names the fields."""
    try:
        job = ScheduledPreloadJob.model_validate(body)
    except ValidationError as error:
        fields = ", ".join(".".join(str(part) for part in item["loc"]) for item in error.errors()[:5])
        problem = Problem("InvalidSpec", f"cannot read {fields}", ErrorClass.TERMINAL, Reason.INVALID_SPEC)
        return _readable_part(body), problem
    return job, None


def _readable_part(body: Mapping[str, Any]) -> ScheduledPreloadJob:
    meta = Metadata.model_validate(body["metadata"])
    try:
        status = Status.model_validate(body.get("status") or {})
    except ValidationError:
        status = Status()
    return ScheduledPreloadJob(metadata=meta, spec=Spec.model_construct(job_id=""), status=status)
