"""Does what the planner says and tells it what happened: the one place where steps are carried out."""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from esa_preload_operator.domain.call import NOT_SENT, may_send
from esa_preload_operator.domain.cleaning import format_time
from esa_preload_operator.domain.conditions import Finding, State
from esa_preload_operator.domain.errors import Delivery, ErrorClass, EsaError, Problem, Reason
from esa_preload_operator.domain.local import LocalState
from esa_preload_operator.domain.plan import advance
from esa_preload_operator.domain.ports import Accounts, EsaAccount, JobStore, Leadership, ObjectRef
from esa_preload_operator.domain.signing import Signing
from esa_preload_operator.domain.status import is_news
from esa_preload_operator.domain.steps import (
    Ask,
    Call,
    GetJob,
    Input,
    Observed,
    Read,
    Returned,
    Step,
    Stored,
    Tell,
    Told,
    TurnCame,
    Wait,
    Write,
)
from esa_preload_operator.domain.values import Rules
from esa_preload_operator.domain.view import View, view_of
from esa_preload_operator.services.clock import Clock
from esa_preload_operator.services.registry import Registry, TrackedResource
from esa_preload_operator.services.writer import GoneError, Writer

logger = logging.getLogger(__name__)

LONG_WAIT: Final = 120.0
"""Seconds of waiting for a turn under the account's rate from which on the status says so."""


class LeadershipLostError(Exception):
    """This process no longer leads: it starts no read and no decision."""


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
class Runner:
    """Carries out steps until there is nothing to do but to wait."""

    jobs: JobStore
    accounts: Accounts
    leadership: Leadership
    clock: Clock
    writer: Writer
    registry: Registry
    resume: Callable[[ObjectRef], None]
    """Puts a resource into the work queue when its turn under the account's rate has come."""

    async def run(self, turn: Turn, first: Input | Step, rules: Callable[[], Rules]) -> None:
        """Go on from an input, or from a step that was decided already, to the next wait.

        Raises:
            GoneError: the resource does not exist any more.
            LeadershipLostError: another process may act now.
            StoreUnavailableError: the resource could not be read; what is in memory is kept.
        """
        tracked = turn.tracked
        happened = first if isinstance(first, Input) else await self._do(turn, first, rules())
        while not isinstance(happened, Wait):
            if isinstance(happened, Observed | Stored):
                turn.view = happened.view
            self.check_lead()
            tracked.local, step = advance(tracked.local, happened, self.clock.now(), rules())
            happened = step if isinstance(step, Wait) else await self._do(turn, step, rules())
        turn.until = happened.until

    def check_lead(self) -> None:
        """Raise `LeadershipLostError` unless this process leads for sure."""
        if self.clock.monotonic() >= self.leadership.valid_until():
            raise LeadershipLostError

    def observed(self, tracked: TrackedResource, view: View, *, fresh: bool) -> Observed:
        """Return the input for a version of the resource, which may also show what became of a lost write."""
        self.writer.announce_late(tracked, view)
        owner = self.registry.owner_of(view.job_id)
        return Observed(view, fresh=fresh, claimed=owner is not None and owner is not tracked)

    async def read(self, ref: ObjectRef) -> View:
        """Read a resource from the API server.

        Raises:
            GoneError: the resource does not exist any more.
            StoreUnavailableError: nothing is known.
        """
        body = await self.jobs.read(ref)
        view = view_of(body) if body is not None else None
        if view is None or self.registry.tombstones.is_gone(view.uid, view.version):
            raise GoneError
        return view

    async def show_fault(self, tracked: TrackedResource, error: Exception) -> None:
        """Name in the resource's condition what its handling failed with; the next turn starts from a read."""
        tracked.local, tracked.decided = LocalState(), None
        message = f"InternalError: {type(error).__name__} while this resource was handled; the operator's log has more"
        view = await self.read(tracked.ref)
        finding = Finding(State.WAITING, Reason.INTERNAL_ERROR, message)
        write = Write(view, view.reset, view.handled, view.newest, finding=finding)
        if is_news(write):
            await self.writer.store(tracked, write)

    async def _do(self, turn: Turn, step: Step, rules: Rules) -> Input | Wait:
        match step:
            case Read():
                return await self._read(turn.tracked)
            case Ask(query):
                return await self._ask(turn, query, rules)
            case Write():
                return await self.writer.store(turn.tracked, step)
            case Call():
                return await self._call(turn, step)
            case Tell(view, notice):
                self.writer.tell(turn.tracked, view, notice)
                return self.observed(turn.tracked, view, fresh=False)
            case Wait():
                return step

    async def _read(self, tracked: TrackedResource) -> Observed:
        view = await self.read(tracked.ref)
        if view.uid != tracked.uid:  # another object has the name now, and its own event
            raise GoneError
        tracked.version = max(tracked.version, view.version)
        return self.observed(tracked, view, fresh=True)

    async def _ask(self, turn: Turn, query: GetJob, rules: Rules) -> Returned | Wait:
        ref, secret = turn.tracked.ref, turn.tracked.local.seen.secret
        try:
            turn.account = account = await self.accounts.account(ref.namespace, secret)
            if turn.tracked.line is not account:
                turn.tracked.leave_line()
            if not account.admit(ref, query.calls, lambda: self._resume(turn.tracked)):
                return self._in_line(turn, account, query)
            turn.tracked.line = None
            job = await account.get_job(query.job_id)
        except EsaError as error:
            logger.warning("%s: cannot look at job %s: %s", ref, query.job_id, error.problem)
            return Returned(error.problem)
        return Returned(job, self._new_signing(account) if rules.confirm_by_nonce else None)

    def _in_line(self, turn: Turn, account: EsaAccount, query: GetJob) -> Returned | Wait:
        """Wait for the turn under the account's rate; a long wait shows in the status."""
        turn.tracked.line = account
        seconds = account.wait_estimate(turn.tracked.ref) or 0.0
        if seconds < LONG_WAIT and turn.view is not None:
            turn.tracked.in_line = turn.view, Ask(query)
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

    async def _call(self, turn: Turn, step: Call) -> Returned:
        clock, leadership = self.clock, self.leadership
        if turn.account is None:
            return Returned(_NOT_LOOKED)
        try:
            answer = await turn.account.reset_job(
                step.intent.job_id,
                lambda: may_send(step, clock.monotonic(), leadership.valid_until()),
                step.intent.signing,
            )
        except EsaError as error:
            logger.warning("%s: reset of job %s: %s", turn.tracked.ref, step.intent.job_id, error.problem)
            return Returned(error.problem)
        return Returned(answer if answer.id else replace(answer, id=step.intent.job_id))


_NOT_LOOKED: Final = Problem(
    NOT_SENT, "there was no look before the call", ErrorClass.TRANSIENT, Reason.PENDING, Delivery.NEVER_SENT
)
