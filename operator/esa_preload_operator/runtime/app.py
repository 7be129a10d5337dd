"""What a running operator consists of, and what it does with what the watch sees."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.domain.tokens import asked_tokens, without
from esa_preload_operator.esa.accounts import AccountPool
from esa_preload_operator.k8s.connection import Connection
from esa_preload_operator.k8s.events import EventRecorder
from esa_preload_operator.k8s.lease import Elector, NoElection
from esa_preload_operator.k8s.login import ConnectionInfo
from esa_preload_operator.k8s.secrets import SecretCache
from esa_preload_operator.resources.job import PLURAL
from esa_preload_operator.runtime.health import Health
from esa_preload_operator.runtime.metrics import Metrics
from esa_preload_operator.runtime.queue import Body, WorkQueue
from esa_preload_operator.runtime.settings import Settings
from esa_preload_operator.runtime.tracing import NoTraces
from esa_preload_operator.services.reconcile import Reconciler, has_adopted, reset_backoff
from esa_preload_operator.services.refresh import Refresher
from esa_preload_operator.services.registry import Registry

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class App:
    """Everything that a running operator consists of."""

    settings: Settings
    connection: Connection
    identity: str
    accounts: AccountPool
    secrets: SecretCache
    events: EventRecorder
    leadership: Elector | NoElection
    queue: WorkQueue
    records: Registry
    refresher: Refresher
    reconciler: Reconciler
    metrics: Metrics
    health: Health
    traces: NoTraces
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _streams: set[str] = field(default_factory=set)
    _names: dict[str, set[ObjectRef]] = field(default_factory=dict)
    """Names of a list that is under way, by its path."""
    _early: set[ObjectRef] = field(default_factory=set)
    """Resources whose turn comes once all are listed, because an older one may be about the same job."""

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Namespaces that are watched; none means all."""
        return self.settings.namespaces

    async def login(self) -> ConnectionInfo:
        """Read the login to the API server anew."""
        return await self.connection.login()

    def alive(self) -> None:
        """Note a sign of life from the watch."""
        self.health.watch_seen()

    def listed(self, path: str, page: Sequence[Body], *, begins: bool, ends: bool) -> None:
        """Take a page of a list, those that ask for a reset first.

        A later list tells of deletions that the watch has missed: what it lacks is read to be sure.
        """
        for body in sorted(page, key=asks, reverse=True):
            self.observe(None, body)
        if not self.health.synced:
            return
        names = self._names.setdefault(path, set())
        if begins:
            names.clear()
        names.update(ObjectRef(body["metadata"]["namespace"], body["metadata"]["name"]) for body in page)
        if ends:
            del self._names[path]
            for record in self.records:
                own = "/namespaces/" not in path or path.endswith(f"/namespaces/{record.ref.namespace}/{PLURAL}")
                if own and record.ref not in names:
                    self.queue.add(record.ref, urgent=False)

    def streaming(self, path: str) -> None:
        """Note that the list of a path is over."""
        self._streams.add(path)
        self._check_synced()

    def _check_synced(self) -> None:
        """Once all are listed, it is known which resource of a job is the oldest."""
        if len(self._streams) >= max(1, len(self.namespaces)) and not self.health.synced:
            self.health.synced = True
            logger.info("watching %d resources", len(self.records))
            for ref in self._early:
                self.queue.add(ref, urgent=False)
            self._early.clear()

    def observe(self, kind: str | None, body: Body) -> None:
        """Take one object from the watch: ignore what is older than what was written, queue what needs work."""
        self.health.watch_seen()
        meta = body["metadata"]
        ref = ObjectRef(meta["namespace"], meta["name"])
        if kind == "DELETED":
            record = self.records.get(ref)
            if record is not None and record.uid == meta["uid"]:
                self.reconciler.forget(ref)
                self.queue.forget(ref)
        elif not self.knows(body):
            self._take(ref, body)

    def knows(self, body: Body) -> bool:
        """Say whether this version of an object, or a newer one, was seen or written before, or is being written."""
        meta = body["metadata"]
        record = self.records.get(ObjectRef(meta["namespace"], meta["name"]))
        if record is None or record.uid != meta["uid"]:
            return False
        return int(meta["resourceVersion"]) <= record.version or record.is_writing(body)

    def _take(self, ref: ObjectRef, body: Body) -> None:
        if self.reconciler.glance(body):
            return
        if not self.health.synced and not has_adopted(body):
            self._early.add(ref)
            return
        self.queue.add(ref, body, urgent=asks(body))

    async def work(self, ref: ObjectRef, body: Body | None) -> float | None:
        """Reconcile one resource; what the watch delivered counts only while nothing newer was written."""
        record = self.records.get(ref)
        if body is not None and record is not None and int(body["metadata"]["resourceVersion"]) < record.version:
            body = None
        return await self.reconciler.reconcile(ref, body)

    def secret_changed(self, namespace: str, name: str) -> None:
        """Try again at once what failed with the old credentials."""
        self.refresher.credentials_changed(namespace, name)
        for record in self.records:
            if record.ref.namespace == namespace and record.secret_name == name:
                reset_backoff(record)
                self.queue.add(record.ref)

    def own_credentials_healed(self) -> None:
        """Try again at once what failed while the operator had no credentials of its own."""
        self.refresher.credentials_changed("", None)
        for record in self.records:
            if record.secret_name is None:
                reset_backoff(record)
                self.queue.add(record.ref)


def asks(body: Mapping[str, Any]) -> bool:
    """Say whether an object asks for a reset: those go first."""
    asked = asked_tokens(body["metadata"].get("annotations") or {})
    handled = tuple(((body.get("status") or {}).get("handledResets") or {}).items())
    return bool(without(asked, handled))
