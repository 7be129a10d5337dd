"""Which resources there are, which of them acts on a job, and what the next turn of each is told."""

from collections.abc import Callable
from dataclasses import dataclass

from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.domain.spec import ConfigMapSource
from esa_preload_operator.domain.steps import CrdChanged, Fact, SourceChanged, Told
from esa_preload_operator.domain.view import View
from esa_preload_operator.services.clock import Clock
from esa_preload_operator.services.counting import tally_of
from esa_preload_operator.services.refresh import Refresher
from esa_preload_operator.services.registry import Registry, TrackedResource


@dataclass(frozen=True, slots=True)
class Members:
    """Keeps the registry and the refresh in line with what the watch and the turns show."""

    registry: Registry
    refresher: Refresher
    clock: Clock
    wake: Callable[[ObjectRef], None]
    """Puts a resource into the work queue."""

    def upsert(self, ref: ObjectRef, view: View) -> TrackedResource:
        """Return what is known of a resource, anew if another object has taken the name."""
        tracked = self.registry.get(ref)
        if tracked is not None and (tracked.uid != view.uid or tracked.creates != (view.owned is not None)):
            self.forget(ref)  # its deletion was not seen
            tracked = None
        if tracked is None:
            new = TrackedResource(ref, view.uid, view.created, view.job_id, creates=view.owned is not None)
            tracked = self.registry.put(new)
        tracked.tally = tally_of(view)
        self._move(tracked, view)
        self._confirm(tracked, view)
        tracked.saw(view.version, self.clock.monotonic())
        source = view.owned.source if view.owned is not None else None
        tracked.source = source.name if isinstance(source, ConfigMapSource) else ""
        return tracked

    def _move(self, tracked: TrackedResource, view: View) -> None:
        """Let a resource be about the job that its status names now, and wake who acts on the former one."""
        if tracked.job_id == view.job_id:
            return
        heir = self.registry.move(tracked, view.job_id)
        tracked.confirmed = False
        if heir is not None:
            self.wake(heir.ref)

    def forget(self, ref: ObjectRef) -> None:
        """Forget a resource that is gone, and wake the one that acts on its job now."""
        tracked = self.registry.get(ref)
        acted = tracked is not None and self.registry.owner_of(tracked.job_id) is tracked
        self.registry.drop(ref)
        self.refresher.untrack(ref)
        if tracked is None:
            return
        tracked.gone = True
        tracked.leave_line()
        heir = self.registry.owner_of(tracked.job_id)
        if acted and heir is not None:
            self.wake(heir.ref)

    def settle(self, tracked: TrackedResource, view: View) -> None:
        """Let the refresh of the job's site watch over a resource that waits, and decide which one acts on its job."""
        if self.registry.get(tracked.ref) is not tracked:
            return
        tracked.tally = tally_of(view)
        if view.deleting:
            self.refresher.untrack(tracked.ref)
            return
        self._move(tracked, view)
        self._confirm(tracked, view)
        self.refresher.track(tracked, view)

    def _confirm(self, tracked: TrackedResource, view: View) -> None:
        """Let a resource that has seen its job go before those that have not."""
        if not (tracked.local.seen.works or view.adopted):
            return
        replaced = self.registry.confirm(tracked)
        if replaced is not None:
            replaced.in_line = None  # at its turn it is to be judged anew
            self.wake(replaced.ref)

    def tell(self, tracked: TrackedResource, fact: Fact) -> None:
        """Let the next turn of a resource take in a fact."""
        tracked.told = (*tracked.told, Told(fact, tracked.job_id, tracked.secret, self.clock.monotonic()))
        self.wake(tracked.ref)

    def source_changed(self, namespace: str, name: str) -> None:
        """Tell the resources whose list of URLs stands in a ConfigMap that it may be another one now."""
        for tracked in self.registry:
            if tracked.ref.namespace == namespace and tracked.source == name:
                self.tell(tracked, SourceChanged())

    def crd_changed(self, *, everybody: bool) -> None:
        """Tell those for whom another CRD makes a difference."""
        for tracked in self.registry:
            if everybody or tracked.local.pruned or tracked.local.mute:
                self.tell(tracked, CrdChanged())
