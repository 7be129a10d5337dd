"""Does what the planner says and tells it what happened: the one place where steps are carried out."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from esa_preload_operator.domain.conditions import Finding, State
from esa_preload_operator.domain.errors import Reason
from esa_preload_operator.domain.local import NO_WORK, LocalState
from esa_preload_operator.domain.plan import advance
from esa_preload_operator.domain.ports import JobStore, Leadership, ObjectRef
from esa_preload_operator.domain.status import is_news
from esa_preload_operator.domain.steps import (
    Ask,
    Call,
    Create,
    Do,
    Finalizer,
    Input,
    Observed,
    Open,
    Read,
    Step,
    Stored,
    Tell,
    Wait,
    Write,
)
from esa_preload_operator.domain.values import Rules
from esa_preload_operator.domain.view import View, view_of
from esa_preload_operator.services.caller import Caller, Turn
from esa_preload_operator.services.clock import Clock
from esa_preload_operator.services.registry import Registry, TrackedResource
from esa_preload_operator.services.writer import GoneError, Writer

logger = logging.getLogger(__name__)


class LeadershipLostError(Exception):
    """This process no longer leads: it starts no read and no decision."""


@dataclass(frozen=True, slots=True)
class Runner:
    """Carries out steps until there is nothing to do but to wait."""

    jobs: JobStore
    caller: Caller
    leadership: Leadership
    clock: Clock
    writer: Writer
    registry: Registry

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
        if view.owned is None:  # a job belongs first to the resource that it was created for
            told = tracked.local.seen.job
            name = told.name if told is not None and told.name else view.shown.job.name
            owner = self.registry.maker_of(name) or owner
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
        unknown = replace(NO_WORK, unknown_at=self.clock.monotonic())  # something may still be on the wire
        tracked.local, tracked.decided = LocalState(work=unknown), None
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
            case Ask():
                return await self.caller.ask(turn, step, rules)
            case Write():
                return await self.writer.store(turn.tracked, step)
            case Call() | Create() | Open() | Do():
                return await self.caller.call(turn, step)
            case Finalizer():
                return await self.writer.finalize(turn.tracked, step)
            case Tell(view, notice, skipped):
                self.writer.tell(turn.tracked, view, notice)
                self.writer.observer.schedule_skipped(skipped)
                return self.observed(turn.tracked, view, fresh=False)
            case Wait():
                return step

    async def _read(self, tracked: TrackedResource) -> Observed:
        view = await self.read(tracked.ref)
        if view.uid != tracked.uid:  # another object has the name now, and its own event
            raise GoneError
        tracked.saw(view.version, self.clock.monotonic())
        return self.observed(tracked, view, fresh=True)
