"""Between the work queue and the planner: gives each resource its turns."""

from dataclasses import dataclass, replace

from esa_preload_operator.domain.errors import StoreError
from esa_preload_operator.domain.plan import advance
from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.domain.steps import Read, Wait
from esa_preload_operator.domain.values import Rules
from esa_preload_operator.domain.view import View
from esa_preload_operator.services.caller import Turn
from esa_preload_operator.services.members import Members
from esa_preload_operator.services.runner import LeadershipLostError, Runner
from esa_preload_operator.services.writer import GoneError


@dataclass(slots=True)
class Reconciler:
    """The one way in which resources are handled. At most one `reconcile` per resource runs at a time."""

    runner: Runner
    rules: Rules
    members: Members

    def needs_work(self, ref: ObjectRef, view: View) -> bool | float:
        """Return whether a worker has something to do for what the watch shows, or else when on the monotonic clock.

        It costs no I/O, so that 10,000 idle resources need no queue, no write and no call when the operator starts.
        """
        tracked = self.members.upsert(ref, view)
        if tracked.busy or tracked.told:
            return True
        happened = self.runner.observed(tracked, view, fresh=False)
        tracked.local, step = advance(tracked.local, happened, self.runner.clock.now(), self.rules)
        tracked.decided = None if isinstance(step, Wait) else (view, step)
        if not isinstance(step, Wait):
            return True
        self.members.settle(tracked, view)
        return False if step.until is None else step.until

    async def reconcile(self, ref: ObjectRef, seen: View | None) -> float | None:
        """Take the steps that the resource needs now; return when the next turn is due, None for never.

        `seen` is what the watch showed; without it the resource is read. Moments are on the monotonic clock.

        Raises:
            LeadershipLostError: another process may act now.
            StoreError: the API server does not answer; another turn is needed.
        """
        self.runner.check_lead()
        tracked = self.members.registry.get(ref)
        try:
            if tracked is None:
                seen = seen if seen is not None else await self.runner.read(ref)
                tracked = self.members.upsert(ref, seen)
            tracked.busy = True
            turn = Turn(tracked)
            await self._take_turn(turn, seen)
        except GoneError:
            if tracked is None or self.members.registry.get(ref) is tracked:
                self.members.forget(ref)
            return None
        except (StoreError, LeadershipLostError):
            raise
        except Exception as error:
            if tracked is not None:
                await self.runner.show_fault(tracked, error)
            raise
        finally:
            if tracked is not None:
                tracked.busy = False
        if turn.account is not tracked.line:
            tracked.leave_line()
        if turn.view is not None:
            self.members.settle(tracked, turn.view)
        return turn.until

    async def _take_turn(self, turn: Turn, seen: View | None) -> None:
        tracked = turn.tracked
        ready, told = tracked.take(seen)
        now = self.runner.clock.now()
        for fact in told:
            tracked.local, _ = advance(tracked.local, fact, now, self.rules)
        if ready is not None and not told:
            turn.view = ready[0]
            await self.runner.run(turn, ready[1], lambda: self.rules)
        elif seen is None or seen.version < tracked.version:
            await self.runner.run(turn, Read(), lambda: self.rules)
        else:
            await self.runner.run(turn, self.runner.observed(tracked, seen, fresh=False), lambda: self.rules)

    def leads(self) -> None:
        """Take in that this process leads from now on: calls of its predecessor may still be on the wire."""
        self.rules = replace(self.rules, leading_since=self.runner.clock.monotonic())

    def crd_changed(self, lacks: str) -> None:
        """Take in which status fields the installed CRD does not keep."""
        everybody = lacks != self.rules.crd_lacks
        self.rules = replace(self.rules, crd_lacks=lacks)
        self.members.crd_changed(everybody=everybody)
