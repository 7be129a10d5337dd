"""Asks ESA and calls it: each request at its turn under the account's rate, each change after one last check."""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from esa_preload_operator.domain.call import NOT_SENT, may_send
from esa_preload_operator.domain.cleaning import format_time
from esa_preload_operator.domain.errors import (
    Delivery,
    ErrorClass,
    EsaError,
    Problem,
    Reason,
    StoreUnavailableError,
)
from esa_preload_operator.domain.esa import Execution
from esa_preload_operator.domain.ports import Accounts, EsaAccount, Leadership, ObjectRef, Sources
from esa_preload_operator.domain.signing import Signing
from esa_preload_operator.domain.source import BadUrls, Content, content_of
from esa_preload_operator.domain.steps import (
    Ask,
    Call,
    Command,
    Create,
    DeleteExecution,
    DeleteJob,
    Do,
    Done,
    GetJob,
    ListExecutions,
    ListSite,
    LookFirst,
    Open,
    Query,
    ReadSource,
    Result,
    Returned,
    StartExecution,
    StopExecution,
    Told,
    TurnCame,
    UpdateExecution,
    Wait,
)
from esa_preload_operator.domain.values import Rules
from esa_preload_operator.domain.view import View
from esa_preload_operator.services.clock import Clock
from esa_preload_operator.services.looks import SharedLooks
from esa_preload_operator.services.registry import TrackedResource
from esa_preload_operator.services.writer import GoneError

logger = logging.getLogger(__name__)

Change = Call | Create | Open | Do
MaySend = Callable[[], bool]
LONG_WAIT: Final = 120.0
"""Seconds of waiting for a turn under the account's rate from which on the status says so."""


@dataclass(slots=True)
class Turn:
    """One turn of a resource: from what happened to the next wait."""

    tracked: TrackedResource
    view: View | None = None
    """The newest version that was seen in this turn."""
    account: EsaAccount | None = None
    until: float | None = None
    """When to come back, on the monotonic clock; None for never."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Carries out what decisions ask of ESA; decides nothing but whether it is too late."""

    accounts: Accounts
    sources: Sources
    leadership: Leadership
    clock: Clock
    looks: SharedLooks
    resume: Callable[[ObjectRef], None]
    """Puts a resource into the work queue when its turn under the account's rate has come."""

    async def ask(self, turn: Turn, step: Ask, rules: Rules) -> Returned | Wait:
        """Ask ESA or the API server; or wait for the turn under the account's rate."""
        ref, query = turn.tracked.ref, step.query
        if isinstance(query, ReadSource):
            return Returned(await self._read_source(ref, query))
        try:
            account = await self._account(turn)
            if isinstance(query, ListSite):  # each page stands in line by itself
                return Returned(await account.list_jobs(query.site_id, ref.namespace))
            if isinstance(query, LookFirst):
                looked = await self._look_first(turn, account, step, query)
                signing = self._new_signing(account) if rules.confirm_by_nonce else None
                return replace(looked, signing=signing) if isinstance(looked, Returned) else looked
            waiting = self._in_line(turn, account, step)
            if waiting is not None:
                return waiting
            if isinstance(query, GetJob):
                return Returned(await account.get_job(query.job_id))
            if isinstance(query, ListExecutions):
                return Returned(tuple(await account.list_executions(query.job_id)))
        except EsaError as error:
            logger.warning("%s: cannot ask ESA (%s): %s", ref, _describe_query(query), error.problem)
            return Returned(error.problem)
        return Returned(Done())

    async def _look_first(self, turn: Turn, account: EsaAccount, step: Ask, query: LookFirst) -> Returned | Wait:
        """Look, and have the reset that may follow admitted with it; the list of the site may have told already."""
        tracked = turn.tracked
        told = await self.looks.told(tracked, query)
        if tracked.gone:
            raise GoneError
        waiting = self._in_line(turn, account, step, calls=2 if told is None else 1, last=query.scheduled)
        if waiting is not None:
            self.looks.wait(tracked, account, query)
            return waiting
        tracked.leave_looks()
        if told is None:
            told = await self.looks.list_for(tracked, account, query)
        return Returned(told if told is not None else await account.get_job(query.job_id))

    async def call(self, turn: Turn, step: Change) -> Returned | Wait:
        """Make one call and return what became of it; one without an intent waits for its turn first."""
        ref, account = turn.tracked.ref, turn.account
        try:
            if isinstance(step, Open | Do):
                account = await self._account(turn)
                waiting = self._in_line(turn, account, step)
                if waiting is not None:
                    return waiting
            if account is None:
                return Returned(_NO_ACCOUNT)
            result = await self._send(account, step)
        except EsaError as error:
            logger.warning("%s: %s: %s", ref, describe(step), error.problem)
            return Returned(error.problem)
        if not isinstance(step, Call):
            logger.info("%s: %s", ref, describe(step))
        return Returned(result)

    async def _account(self, turn: Turn) -> EsaAccount:
        tracked = turn.tracked
        turn.account = account = await self.accounts.account(tracked.ref.namespace, tracked.local.seen.secret)
        if tracked.line is not account:
            tracked.leave_line()
        return account

    async def _read_source(self, ref: ObjectRef, query: ReadSource) -> Content | BadUrls | Problem:
        source = query.source
        try:
            text = await self.sources.read(ref.namespace, source.name, source.key)
        except StoreUnavailableError as error:
            problem = Problem("SourceUnreadable", str(error), ErrorClass.TRANSIENT, Reason.SOURCE_NOT_FOUND)
            return replace(problem, retry_after=error.retry_after)
        if text is None:
            said = f"spec.source.configMapKeyRef: there is no ConfigMap {source.name} with a key {source.key}"
            return Problem("SourceNotFound", said, ErrorClass.BLOCKED, Reason.SOURCE_NOT_FOUND)
        return content_of(source, text)

    def _in_line(
        self, turn: Turn, account: EsaAccount, step: Ask | Open | Do, *, calls: int = 1, last: bool = False
    ) -> Returned | Wait | None:
        """Wait for the turn under the account's rate; a long wait shows in the status. None: the turn has come."""
        tracked = turn.tracked
        if account.admit(tracked.ref, calls, lambda: self._resume(tracked), last=last):
            tracked.line = None
            return None
        tracked.line = account
        seconds = account.wait_estimate(tracked.ref) or 0.0
        if seconds < LONG_WAIT and turn.view is not None:
            tracked.in_line = turn.view, step
            return Wait()
        return Returned(
            Problem(
                "WaitingForRate",
                "waits for its turn: the account's calls per second are used up (MAX_CALLS_PER_SECOND, or ESA "
                f"throttles); expected at {format_time(self.clock.wall() + seconds)}",
                ErrorClass.TRANSIENT,
                Reason.THROTTLED,
                Delivery.NEVER_SENT,
                retry_after=LONG_WAIT,
            )
        )

    def _resume(self, tracked: TrackedResource) -> None:
        if tracked.in_line is None:
            now = self.clock.monotonic()
            tracked.told = (*tracked.told, Told(TurnCame(), tracked.job_id, tracked.secret, now))
        self.resume(tracked.ref)

    def _new_signing(self, account: EsaAccount) -> Signing:
        return Signing(nonce=uuid.uuid4().hex, date=format_time(self.clock.wall()), signer=account.signer)

    async def _send(self, account: EsaAccount, step: Change) -> Result:
        if isinstance(step, Do):
            return Done(await self._carry_out(account, step.command))
        if isinstance(step, Open):
            return await account.create_executions(step.job_id, step.wanted, self._leads)
        if isinstance(step, Create):
            return await account.create_job(step.new, self._check(step))
        answer = await account.reset_job(step.intent.job_id, self._check(step), step.intent.signing)
        return answer if answer.id else replace(answer, id=step.intent.job_id)

    async def _carry_out(self, account: EsaAccount, command: Command) -> Execution | None:
        match command:
            case DeleteJob(job_id):
                await account.delete_job(job_id, self._leads)
            case DeleteExecution(execution_id):
                await account.delete_execution(execution_id, self._leads)
            case StartExecution(execution_id):
                return await account.start_execution(execution_id, self._leads)
            case StopExecution(execution_id):
                return await account.stop_execution(execution_id, self._leads)
            case UpdateExecution(execution_id, change):
                return await account.update_execution(execution_id, change, self._leads)
        return None

    def _check(self, step: Call | Create) -> MaySend:
        clock, leadership = self.clock, self.leadership
        return lambda: may_send(step, clock.monotonic(), leadership.valid_until(), clock.wall())

    def _leads(self) -> bool:
        return self.clock.monotonic() < self.leadership.valid_until()


def _describe_query(query: Query) -> str:
    match query:
        case GetJob(job_id) | LookFirst(job_id) | ListExecutions(job_id):
            return f"{type(query).__name__} {job_id}"
        case ListSite(site_id):
            return f"ListSite {site_id}"
        case _:
            return type(query).__name__


def describe(step: Change) -> str:
    """Return what a call does, for the log."""
    if isinstance(step, Do):
        named = step.command.job_id if isinstance(step.command, DeleteJob) else step.command.id
        return f"{type(step.command).__name__} {named}"
    if isinstance(step, Open):
        return f"open {len(step.wanted)} windows of job {step.job_id}"
    return f"reset of job {step.intent.job_id}" if isinstance(step, Call) else f"create of job {step.intent.name}"


_NO_ACCOUNT: Final = Problem(
    NOT_SENT, "there was no look before the call", ErrorClass.TRANSIENT, Reason.PENDING, Delivery.NEVER_SENT
)
