"""Carries out the reset protocol: does what `domain.reset` says and tells it what happened."""

import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from esa_preload_operator.domain.cleaning import format_time
from esa_preload_operator.domain.conditions import URLS_ACCEPTED, find
from esa_preload_operator.domain.errors import (
    Delivery,
    ErrorClass,
    EsaError,
    ObjectGoneError,
    Problem,
    Reason,
    VersionConflictError,
    WriteRefusedError,
    WriteUnknownError,
)
from esa_preload_operator.domain.ports import Accounts, EsaAccount, EventLog, JobStore, Leadership, ObjectRef, Observer
from esa_preload_operator.domain.reset import advance, may_send
from esa_preload_operator.domain.reset_values import (
    Answered,
    CallFailed,
    Conflicted,
    Input,
    Look,
    Looked,
    LookFailed,
    Observed,
    Read,
    Rules,
    Send,
    Stored,
    View,
    Wait,
    Write,
    WriteLost,
    WriteRefused,
)
from esa_preload_operator.domain.signing import Signing
from esa_preload_operator.domain.status import composed, view_of
from esa_preload_operator.resources.job import ScheduledPreloadJob, Status
from esa_preload_operator.services.clock import Clock
from esa_preload_operator.services.registry import TrackedResource

logger = logging.getLogger(__name__)

_CALLS_PER_RESET = 2
UNPROVEN = "progress proves nothing"
"""Why a call may be repeated although the first one was executed."""


class LeadershipLostError(Exception):
    """This process no longer leads: it starts no read and no decision."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything that services reach through ports."""

    store: JobStore
    accounts: Accounts
    events: EventLog
    leadership: Leadership
    observer: Observer
    clock: Clock


@dataclass(slots=True)
class ResetRun:
    """One pass of the protocol over one resource: from what was seen to the next rest."""

    ports: Ports
    rules: Rules
    record: TrackedResource
    job: ScheduledPreloadJob
    wake: Callable[[ObjectRef], None]
    """Puts the resource into the work queue when its calls may leave."""
    gone: bool = False
    account: EsaAccount | None = None
    written: bool = False

    async def run(self, *, fresh: bool) -> Wait:
        """Do one step after the other until there is nothing to do now.

        Raises:
            LeadershipLostError: somebody else may act now.
            StoreUnavailableError: the resource could not be read; what is in memory is kept.
        """
        happened: Input = Observed(view_of(self.job), fresh=fresh)
        while True:
            if isinstance(happened, Observed) and happened.fresh:
                await self._tell_late(happened.view)
            now = self.ports.clock.now()
            if now.monotonic >= self.ports.leadership.valid_until():
                raise LeadershipLostError
            self.record.memory, step = advance(self.record.memory, happened, now, self.rules)
            if isinstance(step, Wait):
                return step
            outcome = await self._do(step)
            if isinstance(outcome, Wait):
                return outcome
            happened = outcome

    async def _do(self, step: Read | Look | Write | Send) -> Input | Wait:
        match step:
            case Read():
                return await self._read()
            case Look():
                return await self._look(step)
            case Write():
                return await self._write(step)
            case Send():
                return await self._send(step)

    async def _read(self) -> Input | Wait:
        body = await self.ports.store.read(self.record.ref)
        if body is None:
            self.gone = True
            return Wait()
        self._keep(body)
        return Observed(view_of(self.job), fresh=True)

    def _keep(self, body: Mapping[str, Any]) -> None:
        """Decide on what was read or written last, not on what the watch shows."""
        self.job = ScheduledPreloadJob.model_validate(body)
        self.record.version = int(self.job.metadata.resource_version)

    async def _look(self, step: Look) -> Input | Wait:
        secret = self.job.spec.credentials_secret_ref
        try:
            self.account = await self.ports.accounts.account(
                self.record.ref.namespace, secret.name if secret is not None else None
            )
            ref = self.record.ref
            if not self.account.admit(ref, _CALLS_PER_RESET, partial(self.wake, ref)):
                return Wait()
            job = await self.account.get_job(step.job_id)
            return Looked(job, self._new_signing(self.account))
        except EsaError as error:
            logger.warning("%s: cannot look at job %s: %s", self.record.ref, step.job_id, error.problem)
            return LookFailed(error.problem)

    def _new_signing(self, account: EsaAccount) -> Signing | None:
        if not self.rules.confirm_by_nonce:
            return None
        return Signing(nonce=uuid.uuid4().hex, date=format_time(self.ports.clock.wall()), signer=account.signer)

    async def _write(self, step: Write) -> Input | Wait:
        status = composed(self.job, step, self.ports.clock.wall())
        try:
            body = await store_status(self.ports, self.record, self.job, status)
        except VersionConflictError:
            return Conflicted()
        except ObjectGoneError:
            self.gone = True
            return Wait()
        except WriteRefusedError as error:
            logger.warning("%s: the API server refused the status: %s", self.record.ref, error)
            return WriteRefused(refused_write(error))
        except WriteUnknownError as error:
            logger.warning("%s: the status may not have been stored: %s", self.record.ref, error)
            self.record.unannounced = step
            return WriteLost()
        self.written = True
        self._keep(body)
        await self._announce(step)
        return Stored(view_of(self.job))

    async def _tell_late(self, view: View) -> None:
        """Tell about a write whose answer was lost, now that it is seen to be stored."""
        untold, self.record.unannounced = self.record.unannounced, None
        if untold is not None and untold.record is not None and untold.record == view.record:
            await self._announce(untold)

    async def _announce(self, write: Write) -> None:
        """Tell people and /metrics about what was stored."""
        record = write.record
        if write.outcome and record is not None:
            self.ports.observer.reset_ended(write.outcome, record.trigger)
            logger.info("%s: reset %s for %s", self.record.ref, write.outcome, dict(record.tokens))
        if record is not None and write.undecidable:
            self.ports.observer.reset_undecidable(UNPROVEN)
            logger.warning("%s: %s", self.record.ref, record.message)
        if write.notice is not None:
            notice = write.notice
            await self.ports.events.post(self.job, notice.reason, notice.message, warning=notice.warning)
        urls = find(self.job.status.conditions, URLS_ACCEPTED)
        if write.outcome and write.job is not None and urls is not None and urls.status == "False":
            await self.ports.events.post(self.job, Reason.URLS_REJECTED, urls.message, warning=True)

    async def _send(self, step: Send) -> Input:
        account, clock, leadership = self.account, self.ports.clock, self.ports.leadership
        if account is None:
            return CallFailed(_NOT_LOOKED)
        try:
            answer = await account.reset_job(
                step.intent.job_id,
                lambda: may_send(step, clock.monotonic(), leadership.valid_until()),
                step.intent.signing,
            )
        except EsaError as error:
            logger.warning("%s: reset of job %s: %s", self.record.ref, step.intent.job_id, error.problem)
            return CallFailed(error.problem)
        return Answered(answer if answer.id else replace(answer, id=step.intent.job_id))


_NOT_LOOKED = Problem(
    "NotSent", "there was no look before the call", ErrorClass.TRANSIENT, Reason.PENDING, Delivery.NEVER_SENT
)


async def store_status(
    ports: Ports, record: TrackedResource, job: ScheduledPreloadJob, status: Status
) -> Mapping[str, Any]:
    """Store a status, and let the record know what is under way meanwhile.

    Raises:
        StoreError: see `JobStore.write_status`.
    """
    record.writing = job, status
    try:
        return await ports.store.write_status(job, status)
    finally:
        record.writing = None


def refused_write(error: WriteRefusedError) -> Problem:
    """Say that the API server did not store a status; time heals it."""
    return Problem("StatusRefused", str(error), ErrorClass.TRANSIENT, Reason.SERVICE_UNAVAILABLE)


def ref_of(job: ScheduledPreloadJob) -> ObjectRef:
    """Return the name of a resource."""
    return ObjectRef(job.metadata.namespace, job.metadata.name)
