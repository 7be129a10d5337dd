"""Takes what the watch delivers: drops what is no news, queues what needs work, and lets no object stop the others."""

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from esa_preload_operator.domain.cleaning import printable
from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.domain.tokens import asked_tokens, without
from esa_preload_operator.domain.view import View, requested, view_of
from esa_preload_operator.k8s.feed import Interruption
from esa_preload_operator.runtime.health import Health
from esa_preload_operator.runtime.metrics import Metrics
from esa_preload_operator.runtime.queue import WorkQueue
from esa_preload_operator.services.reconcile import Reconciler
from esa_preload_operator.services.registry import Registry, TrackedResource

logger = logging.getLogger(__name__)

ALL: Final = ""
"""The scope of a watch of all namespaces; any other scope is a namespace."""
_REPORTED: Final = 1000
"""Objects of which it is remembered that their problem was logged."""
_TEXT: Final = 300


class Identity(NamedTuple):
    """Which version of which object something is."""

    ref: ObjectRef
    uid: str
    version: int


def identify(obj: Any) -> Identity:
    """Return the identity of an object.

    Raises:
        ValueError: its metadata are not what the API server guarantees.
    """
    ref = _ref_of(obj)
    if ref is None:
        raise ValueError("metadata without namespace and name")
    uid, version = obj["metadata"].get("uid"), obj["metadata"].get("resourceVersion")
    if not isinstance(uid, str) or not uid:
        raise ValueError("metadata.uid is missing")
    if not isinstance(version, str) or not version.isdecimal():
        raise ValueError("metadata.resourceVersion is no number")
    return Identity(ref, uid, int(version))


@dataclass(slots=True)
class Intake:
    """What lies between the watch and the queue.

    `scope` is the namespace that a list or a watch is about, or ALL.
    """

    namespaces: tuple[str, ...]
    """Namespaces that are watched; none means all."""
    registry: Registry
    reconciler: Reconciler
    queue: WorkQueue[View]
    health: Health
    metrics: Metrics
    _settled: set[str] = field(default_factory=set)
    """Scopes that were listed, or that the operator has no right to list."""
    _names: dict[str, set[ObjectRef]] = field(default_factory=dict)
    """Names of a list that is under way, by its scope."""
    _buried: dict[str, set[str]] = field(default_factory=dict)
    """Uids that were gone when the list of a scope began."""
    _early: set[ObjectRef] = field(default_factory=set)
    """Resources whose turn comes once all are listed, because an older one may be about the same job."""
    _reported: dict[ObjectRef | None, str] = field(default_factory=dict)

    # --- the state of the watch ---------------------------------------------------------------------------------

    def alive(self) -> None:
        """Note a sign of life from the watch."""
        self.health.watch_seen()

    def interrupted(self, scope: str, interruption: Interruption | None) -> None:
        """Show why a scope is not watched; None ends that."""
        denied = interruption is not None and interruption.denied
        where = scope or "all namespaces"
        text = None if interruption is None else f"resources in {where} are not watched: {interruption.text}"
        self.health.note(f"watch of {where}", text)
        self.metrics.watch_denied(scope or "*", denied=denied)
        if denied:  # the other namespaces do not wait for it
            self._settle(scope)

    def rewound(self, scope: str) -> None:
        """Drop all versions that were seen: the API server was restored and counts anew from an older one."""
        for record in self._records_in(scope):
            record.version = 0
        self.registry.tombstones.forget(self.registry.tombstones.uids(scope))

    # --- objects ------------------------------------------------------------------------------------------------

    def listed(self, scope: str, page: Sequence[Any], *, begins: bool, ends: bool) -> None:
        """Take a page of a list, those that ask for a reset first.

        A later list tells of deletions that the watch has missed: what it lacks is read to be sure.
        """
        if begins:
            if self.health.synced:
                self._names[scope] = set()
            self._buried[scope] = self.registry.tombstones.uids(scope)
        for body in sorted(page, key=_asks, reverse=True):
            self.observe(body)
        if scope in self._names:
            self._names[scope].update(ref for ref in map(_ref_of, page) if ref is not None)
        if ends:
            self._end_list(scope)

    def _end_list(self, scope: str) -> None:
        names = self._names.pop(scope, None)
        self.registry.tombstones.forget(self._buried.pop(scope))
        if names is not None:
            for record in self._records_in(scope):
                if record.ref not in names:
                    self.queue.add(record.ref, urgent=False)
        self._settle(scope)

    def observe(self, obj: Any) -> None:
        """Take one object from a list or an event: ignore what is no news, queue what needs work."""
        try:
            if not self._knows(obj):
                self._take(identify(obj).ref, obj)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one object must not keep the others waiting
            self._read_later(obj, error)

    def knows(self, obj: Any) -> bool:
        """Return whether this version of an object, or a newer one, was seen or written before, or is being written."""
        try:
            return self._knows(obj)
        except Exception:  # noqa: BLE001 - `observe` reports it
            return False

    def bury(self, identity: Identity) -> None:
        """Note at once that an object is gone: from now on older versions of it are no news."""
        self.registry.tombstones.bury(identity.uid, identity.version, identity.ref.namespace)

    def deleted(self, identity: Identity) -> None:
        """Take a deletion."""
        self.bury(identity)
        record = self.registry.get(identity.ref)
        if record is not None and record.uid == identity.uid:
            self._early.discard(identity.ref)
            self._reported.pop(identity.ref, None)
            self.reconciler.members.forget(identity.ref)
            self.queue.forget(identity.ref)

    def missed(self, identity: Identity) -> None:
        """Queue a read of an object whose event was announced and is not at hand, unless a newer version was seen."""
        if not self._is_old(identity):
            self._queue_read(identity.ref)

    # --- inside -------------------------------------------------------------------------------------------------

    def _knows(self, obj: Any) -> bool:
        identity = identify(obj)
        if self._is_old(identity):
            return True
        record = self.registry.get(identity.ref)
        return record is not None and record.uid == identity.uid and record.is_writing(obj)

    def _is_old(self, identity: Identity) -> bool:
        if self.registry.tombstones.is_gone(identity.uid, identity.version):
            return True
        # An object that had the name before has older versions, too.
        record = self.registry.get(identity.ref)
        return record is not None and identity.version <= record.version

    def _take(self, ref: ObjectRef, body: Mapping[str, Any]) -> None:
        view = view_of(body)
        due = self.reconciler.needs_work(ref, view)
        if due is False:
            return
        if not self.health.synced and not view.adopted:
            self._early.add(ref)
        elif due is True:
            self.queue.add(ref, view, urgent=bool(requested(view)))
        else:
            self.queue.add_at(ref, due)

    def _read_later(self, obj: Any, error: Exception) -> None:
        """Log what is wrong with an object once, and let a worker read it, so that nothing is lost."""
        ref = _ref_of(obj)
        text = printable(f"{type(error).__name__}: {error}"[:_TEXT])
        if self._reported.get(ref) != text:
            if len(self._reported) >= _REPORTED:
                del self._reported[next(iter(self._reported))]
            self._reported[ref] = text
            logger.warning("%s: cannot be taken as the API server delivers it: %s", ref or "an object", text)
        if ref is not None:
            self._queue_read(ref)

    def _queue_read(self, ref: ObjectRef) -> None:
        if self.health.synced:
            self.queue.add(ref, urgent=False)
        else:
            self._early.add(ref)

    def _settle(self, scope: str) -> None:
        """Once all scopes are listed, it is known which resource of a job is the oldest."""
        self._settled.add(scope)
        if self.health.synced or not self._settled.issuperset(self.namespaces or (ALL,)):
            return
        self.health.synced = True
        logger.info("watching %d resources", len(self.registry))
        for ref in self._early:
            self.queue.add(ref, urgent=False)
        self._early.clear()

    def _records_in(self, scope: str) -> list[TrackedResource]:
        return [record for record in self.registry if scope in (ALL, record.ref.namespace)]


def _asks(body: Any) -> bool:
    """Return whether an object asks for a reset: those go first."""
    try:
        asked = asked_tokens(body["metadata"].get("annotations") or {})
        handled = tuple(((body.get("status") or {}).get("handledResets") or {}).items())
        return bool(without(asked, handled))
    except Exception:  # noqa: BLE001 - `observe` reports it
        return False


def _ref_of(obj: Any) -> ObjectRef | None:
    """Return the name of an object, None if it has none."""
    meta = obj.get("metadata") if isinstance(obj, dict) else None
    if not isinstance(meta, dict):
        return None
    namespace, name = meta.get("namespace"), meta.get("name")
    if isinstance(namespace, str) and isinstance(name, str) and namespace and name:
        return ObjectRef(sys.intern(namespace), name)  # one text for all resources of a namespace
    return None
