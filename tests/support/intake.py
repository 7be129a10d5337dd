"""An intake with a reconciler that decides as a test says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from esa_preload_operator.runtime.health import Health
from esa_preload_operator.runtime.intake import Intake, identify
from esa_preload_operator.runtime.metrics import Metrics
from esa_preload_operator.runtime.queue import WorkQueue
from esa_preload_operator.services.registry import Registry, TrackedResource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esa_preload_operator.domain.ports import ObjectRef
    from esa_preload_operator.services.reconcile import Reconciler


def body(name: str = "j1", version: object = 5, uid: str = "u1", **metadata: Any) -> dict[str, Any]:
    """Return an object as the API server shows it."""
    meta = {"namespace": "team", "name": name, "uid": uid, "resourceVersion": str(version), **metadata}
    return {"metadata": meta, "spec": {"jobId": "665d"}}


@dataclass
class Looker:
    """Stands where the reconciler does; names in `broken` raise, those in `idle` need nothing."""

    registry: Registry
    broken: dict[str, Exception] = field(default_factory=dict)
    idle: set[str] = field(default_factory=set)
    looked: list[tuple[str, int]] = field(default_factory=list)

    def glance(self, obj: Mapping[str, Any]) -> bool:
        ref, uid, version = identify(obj)
        if ref.name in self.broken:
            raise self.broken[ref.name]
        record = self.registry.get(ref)
        if record is None or record.uid != uid:
            record = self.registry.put(TrackedResource(ref, uid, "2026-01-01T00:00:00Z", "665d"))
        record.version = version
        self.looked.append((ref.name, version))
        return ref.name in self.idle

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

    def list(self, *bodies: Any, scope: str = "") -> None:
        """Deliver a whole list."""
        self.intake.listed(scope, bodies, begins=True, ends=False)
        self.intake.listed(scope, (), begins=False, ends=True)


class RecordingQueue(WorkQueue):
    """Records what is added."""

    added: list[str]

    def add(self, ref: ObjectRef, body: Mapping[str, Any] | None = None, *, urgent: bool = True) -> None:
        self.added.append(ref.name + "!" * urgent + "?" * (body is None))


def new_hall(*namespaces: str) -> Hall:
    registry, metrics = Registry(), Metrics("1")
    queue = RecordingQueue(metrics)
    queue.added = []
    health = Health(queue, metrics, work_limit=60)
    looker = Looker(registry)
    intake = Intake(namespaces, registry, cast("Reconciler", looker), queue, health, metrics)
    return Hall(intake, looker, registry, health, metrics, queue.added)
