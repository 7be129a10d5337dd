"""An intake with a reconciler that decides as a test says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from esa_preload_operator.runtime.health import Health
from esa_preload_operator.runtime.intake import Intake
from esa_preload_operator.runtime.metrics import Metrics
from esa_preload_operator.runtime.queue import WorkQueue
from esa_preload_operator.services.registry import Registry, TrackedResource

if TYPE_CHECKING:
    from esa_preload_operator.domain.ports import ObjectRef
    from esa_preload_operator.domain.view import View
    from esa_preload_operator.services.reconcile import Reconciler


def body(name: str = "j1", version: object = 5, uid: str = "u1", **metadata: Any) -> dict[str, Any]:
    """Return an object as the API server shows it."""
    meta = {"namespace": "team", "name": name, "uid": uid, "resourceVersion": str(version), **metadata}
    return {"metadata": meta, "spec": {"jobId": "665d"}}


@dataclass
class Looker:
    """Stands where the reconciler does: names in `broken` raise, those in `answers` need what stands there."""

    registry: Registry
    broken: dict[str, Exception] = field(default_factory=dict)
    answers: dict[str, bool | float] = field(default_factory=dict)
    looked: list[tuple[str, int]] = field(default_factory=list)

    @property
    def members(self) -> Looker:
        return self

    def needs_work(self, ref: ObjectRef, view: View) -> bool | float:
        if ref.name in self.broken:
            raise self.broken[ref.name]
        record = self.registry.get(ref)
        if record is None or record.uid != view.uid:
            record = self.registry.put(TrackedResource(ref, view.uid, view.created, view.job_id))
        record.version = view.version
        self.looked.append((ref.name, view.version))
        return self.answers.get(ref.name, True)

    def forget(self, ref: ObjectRef) -> None:
        self.registry.drop(ref)


@dataclass
class Hall:
    """The intake and what stands around it."""

    intake: Intake
    looker: Looker
    registry: Registry
    health: Health
    metrics: Metrics
    added: list[str]
    """Names that were queued, with a ! for urgent ones and a ? for those that are to be read."""
    views: dict[str, View]
    """What the worker of a name gets."""
    due: list[tuple[str, float]]
    """Names that come back later, and when on the monotonic clock."""

    def list(self, *bodies: Any, scope: str = "") -> None:
        """Deliver a whole list."""
        self.intake.listed(scope, bodies, begins=True, ends=False)
        self.intake.listed(scope, (), begins=False, ends=True)


class RecordingQueue(WorkQueue["View"]):
    """Records what is added."""

    added: list[str]
    views: dict[str, View]
    due: list[tuple[str, float]]

    def add(self, ref: ObjectRef, item: View | None = None, *, urgent: bool = False) -> None:
        self.added.append(ref.name + "!" * urgent + "?" * (item is None))
        if item is not None:
            self.views[ref.name] = item

    def add_at(self, ref: ObjectRef, moment: float, *, urgent: bool = False) -> None:
        self.due.append((ref.name + "!" * urgent, moment))


def new_hall(*namespaces: str) -> Hall:
    registry, metrics = Registry(), Metrics("1")
    queue = RecordingQueue(metrics)
    queue.added, queue.views, queue.due = [], {}, []
    health = Health(queue, metrics, work_limit=60)
    looker = Looker(registry)
    intake = Intake(namespaces, registry, cast("Reconciler", looker), queue, health, metrics)
    return Hall(intake, looker, registry, health, metrics, queue.added, queue.views, queue.due)
