"""Between the work queue and the planner: takes what the watch shows, and gives each resource its turns."""

<<<<<<< HEAD
from collections.abc import Callable
from dataclasses import dataclass, replace
=======
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
>>>>>>> 50a466bf9919db8a7d9a05ccbf5158823c46984a

from esa_preload_operator.domain.plan import advance
from esa_preload_operator.domain.ports import ObjectRef
<<<<<<< HEAD
from esa_preload_operator.domain.steps import CrdChanged, Fact, Read, Told, Wait
from esa_preload_operator.domain.values import Rules
from esa_preload_operator.domain.view import View
from esa_preload_operator.services.refresh import Refresher
from esa_preload_operator.services.registry import Registry, TrackedResource
from esa_preload_operator.services.runner import Runner, Turn
from esa_preload_operator.services.writer import GoneError
=======
from esa_preload_operator.domain.reset import advance, hurry
from esa_preload_operator.domain.reset_values import Observed, Phase, Rules, Wait
from esa_preload_operator.domain.retry import retry_delay
from esa_preload_operator.domain.status import (
    acknowledged,
    completed,
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
from esa_preload_operator.services.reset import LeadershipLostError, Ports, ResetRun, store_status

logger = logging.getLogger(__name__)

>>>>>>> 50a466bf9919db8a7d9a05ccbf5158823c46984a

@dataclass(slots=True)
class Reconciler:
    """The one way in which resources are handled. At most one `reconcile` per resource runs at a time."""

    runner: Runner
    rules: Rules
    registry: Registry
    refresher: Refresher
    wake: Callable[[ObjectRef], None]
    """Puts a resource into the work queue."""

    def needs_work(self, ref: ObjectRef, view: View) -> bool | float:
        """Return whether a worker has something to do for what the watch shows, or else when on the monotonic clock.

        It costs no I/O, so that 10,000 idle resources need no queue, no write and no call when the operator starts.
        """
        tracked = self.upsert(ref, view)
        if tracked.busy or tracked.told:
            return True
        happened = self.runner.observed(tracked, view, fresh=False)
        tracked.local, step = advance(tracked.local, happened, self.runner.clock.now(), self.rules)
        tracked.decided = None if isinstance(step, Wait) else (view, step)
        if not isinstance(step, Wait):
            return True
        self._rest(tracked, view)
        return False if step.until is None else step.until

    async def reconcile(self, ref: ObjectRef, seen: View | None) -> float | None:
        """Take the steps that the resource needs now; return when to come back on the monotonic clock, None for never.

        `seen` is what the watch showed; without it the resource is read.

        Raises:
            LeadershipLostError: another process may act now.
            StoreError: the API server does not answer; come back later.
        """
        self.runner.check_lead()
        tracked = self.registry.get(ref)
        try:
            if tracked is None:
                seen = seen if seen is not None else await self.runner.read(ref)
                tracked = self.upsert(ref, seen)
            tracked.busy = True
            turn = Turn(tracked)
            await self._take_turn(turn, seen)
        except GoneError:
            if tracked is None or self.registry.get(ref) is tracked:
                self.forget(ref)
            return None
<<<<<<< HEAD
        finally:
            if tracked is not None:
                tracked.busy = False
        if turn.view is not None and not turn.view.deleting:
            self._rest(tracked, turn.view)
        return turn.until
=======
        job, complaint = read_job(body)
        record = self.upsert(job)
        if job.metadata.deletion_timestamp is not None:
            return None
        complaint = complaint or self._claim_against(record, job)
        if complaint is not None:
            return await self._report(record, job, complaint)
        run = ResetRun(self.ports, self.rules, record, job, self.refresher.wake)
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
>>>>>>> 50a466bf9919db8a7d9a05ccbf5158823c46984a

    async def _take_turn(self, turn: Turn, seen: View | None) -> None:
        tracked = turn.tracked
        decided, tracked.decided = tracked.decided, None
        told, tracked.told = tracked.told, ()
        now = self.runner.clock.now()
        for fact in told:
            tracked.local, _ = advance(tracked.local, fact, now, self.rules)
        if seen is not None and seen.version < tracked.version:
            seen = None
        if decided is not None and not told and decided[0].version == tracked.version:
            turn.view = decided[0]
            await self.runner.run(turn, decided[1], self._rules)
        elif seen is None:
            await self.runner.run(turn, Read(), self._rules)
        else:
            await self.runner.run(turn, self.runner.observed(tracked, seen, fresh=False), self._rules)

    def _rules(self) -> Rules:
        return self.rules

    def _rest(self, tracked: TrackedResource, view: View) -> None:
        """Let the refresh of the job's site watch over a resource that waits, and settle who acts on its job."""
        if self.registry.get(tracked.ref) is not tracked:
            return
        if tracked.local.seen.works or (view.shown.ready and view.shown.job.id == view.job_id):
            replaced = self.registry.confirm(tracked)
            if replaced is not None:
                self.wake(replaced.ref)
        self.refresher.track(tracked, view)

    def upsert(self, ref: ObjectRef, view: View) -> TrackedResource:
        """Return what is known of a resource, anew if another object has taken the name."""
        tracked = self.registry.get(ref)
        if tracked is not None and (tracked.uid != view.uid or tracked.job_id != view.job_id):
            self.forget(ref)  # its deletion was not seen
            tracked = None
        if tracked is None:
            tracked = self.registry.put(TrackedResource(ref, view.uid, view.created, view.job_id))
        tracked.secret = view.secret
        tracked.version = max(tracked.version, view.version)
        return tracked

    def forget(self, ref: ObjectRef) -> None:
        """Forget a resource that is gone, and wake the one that acts on its job now."""
        tracked = self.registry.drop(ref)
        self.refresher.untrack(ref)
        heir = self.registry.owner_of(tracked.job_id) if tracked is not None else None
        if heir is not None:
            self.wake(heir.ref)

    def tell(self, tracked: TrackedResource, fact: Fact) -> None:
        """Let the next turn of a resource take in a fact."""
        now = self.runner.clock.monotonic()
        tracked.told = (*tracked.told, Told(fact, tracked.job_id, tracked.secret, now))
        self.wake(tracked.ref)

<<<<<<< HEAD
    def crd_changed(self, lacks: str) -> None:
        """Take in which status fields the installed CRD does not keep."""
        self.rules = replace(self.rules, crd_lacks=lacks)
        for tracked in self.registry:
            self.tell(tracked, CrdChanged())
=======
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
            if facts(completed(latest, status)) != stored_facts(status) or not self._settled(job):
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
            if not account.admit(record.ref, 1, partial(self.refresher.wake, record.ref)):
                return None
            seen = await account.get_job(record.job_id)
        except EsaError as error:
            return await self._failed_look(record, job, error.problem)
        record.failures, record.retry_at, record.needs_verification = 0, 0.0, False
        news = facts(completed(seen, job.status)) != stored_facts(job.status)
        if news or not self._settled(job) or not is_healthy(job.status):
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
    record.retry_at, record.failures = 0.0, 0
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
>>>>>>> 50a466bf9919db8a7d9a05ccbf5158823c46984a
