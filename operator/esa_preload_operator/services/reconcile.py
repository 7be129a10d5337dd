"""Between the work queue and the planner: takes what the watch shows, and gives each resource its turns."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from esa_preload_operator.domain.conditions import READY, Finding, State, find
from esa_preload_operator.domain.errors import Reason, StoreError
from esa_preload_operator.domain.local import LocalState
from esa_preload_operator.domain.plan import advance
from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.domain.status import is_news
from esa_preload_operator.domain.steps import CrdChanged, Fact, Read, Told, Wait, Write
from esa_preload_operator.domain.values import Rules
from esa_preload_operator.domain.view import View
from esa_preload_operator.services.refresh import Refresher
from esa_preload_operator.services.registry import Registry, TrackedResource
from esa_preload_operator.services.runner import LeadershipLostError, Runner, Turn
from esa_preload_operator.services.writer import GoneError


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
        except (StoreError, LeadershipLostError):
            raise
        except Exception as error:
            if tracked is not None:
                await self._show_fault(tracked, error)
            raise
        finally:
            if tracked is not None:
                tracked.busy = False
        if turn.account is not tracked.line:
            tracked.leave_line()
        if turn.view is not None:
            self._rest(tracked, turn.view)
        return turn.until

    async def _take_turn(self, turn: Turn, seen: View | None) -> None:
        tracked = turn.tracked
        decided, tracked.decided = tracked.decided, None
        in_line, tracked.in_line = tracked.in_line, None
        told, tracked.told = tracked.told, ()
        now = self.runner.clock.now()
        for fact in told:
            tracked.local, _ = advance(tracked.local, fact, now, self.rules)
        if seen is not None and seen.version < tracked.version:
            seen = None
        if decided is not None and decided[0] is not seen:
            decided = None
        ready = decided or (in_line if seen is None else None)
        if ready is not None and not told and ready[0].version == tracked.version:
            turn.view = ready[0]
            await self.runner.run(turn, ready[1], self._rules)
        elif seen is None:
            await self.runner.run(turn, Read(), self._rules)
        else:
            await self.runner.run(turn, self.runner.observed(tracked, seen, fresh=False), self._rules)

    async def _show_fault(self, tracked: TrackedResource, error: Exception) -> None:
        """Name in the resource's condition what its handling failed with; the next turn starts from a read."""
        tracked.local, tracked.decided = LocalState(), None
        message = f"InternalError: {type(error).__name__} while this resource was handled; the operator's log has more"
        view = await self.runner.read(tracked.ref)
        finding = Finding(State.WAITING, Reason.INTERNAL_ERROR, message)
        write = Write(view, view.reset, view.handled, view.newest, finding=finding)
        if is_news(write):
            await self.runner.writer.store(tracked, write)

    def _rules(self) -> Rules:
        return self.rules

    def _rest(self, tracked: TrackedResource, view: View) -> None:
        """Let the refresh of the job's site watch over a resource that waits, and settle who acts on its job."""
        if self.registry.get(tracked.ref) is not tracked:
            return
        if view.deleting:
            self.refresher.untrack(tracked.ref)
            return
        self._confirm(tracked, view)
        self.refresher.track(tracked, view)

    def _confirm(self, tracked: TrackedResource, view: View) -> None:
        """Let a resource that has seen its job go before those that have not."""
        if not (tracked.local.seen.works or has_adopted(view)):
            return
        replaced = self.registry.confirm(tracked)
        if replaced is not None:
            replaced.in_line = None  # at its turn it is to be judged anew
            self.wake(replaced.ref)

    def upsert(self, ref: ObjectRef, view: View) -> TrackedResource:
        """Return what is known of a resource, anew if another object has taken the name."""
        tracked = self.registry.get(ref)
        if tracked is not None and (tracked.uid != view.uid or tracked.job_id != view.job_id):
            self.forget(ref)  # its deletion was not seen
            tracked = None
        if tracked is None:
            tracked = self.registry.put(TrackedResource(ref, view.uid, view.created, view.job_id))
        self._confirm(tracked, view)
        tracked.version = max(tracked.version, view.version)
        return tracked

    def forget(self, ref: ObjectRef) -> None:
        """Forget a resource that is gone, and wake the one that acts on its job now."""
        tracked = self.registry.get(ref)
        acted = tracked is not None and self.registry.owner_of(tracked.job_id) is tracked
        self.registry.drop(ref)
        self.refresher.untrack(ref)
        if tracked is None:
            return
        tracked.leave_line()
        heir = self.registry.owner_of(tracked.job_id)
        if acted and heir is not None:
            self.wake(heir.ref)

    def tell(self, tracked: TrackedResource, fact: Fact) -> None:
        """Let the next turn of a resource take in a fact."""
        now = self.runner.clock.monotonic()
        tracked.told = (*tracked.told, Told(fact, tracked.job_id, tracked.secret, now))
        self.wake(tracked.ref)

    def crd_changed(self, lacks: str) -> None:
        """Take in which status fields the installed CRD does not keep."""
        everybody = lacks != self.rules.crd_lacks
        self.rules = replace(self.rules, crd_lacks=lacks)
        for tracked in self.registry:
            if everybody or tracked.local.pruned or tracked.local.mute:
                self.tell(tracked, CrdChanged())

    def doubts_crd(self) -> bool:
        """Return whether a write has come back without what was written."""
        return any(tracked.local.pruned for tracked in self.registry)


def has_adopted(view: View) -> bool:
    """Return whether the status shows that the resource already acts on its job, so no older one can be about it."""
    ready = find(view.shown.conditions, READY)
    return view.shown.job.id == view.job_id and (ready is None or ready.reason != Reason.JOB_CLAIMED)
