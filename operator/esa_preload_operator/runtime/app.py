"""What a running operator consists of."""

import asyncio
from dataclasses import dataclass, field

from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.esa.accounts import AccountPool
from esa_preload_operator.k8s.connection import Connection
from esa_preload_operator.k8s.lease import Elector, NoElection
from esa_preload_operator.k8s.secrets import SecretCache
from esa_preload_operator.runtime.health import Health
from esa_preload_operator.runtime.intake import Intake
from esa_preload_operator.runtime.metrics import Metrics
from esa_preload_operator.runtime.queue import Body, WorkQueue
from esa_preload_operator.runtime.settings import Settings
from esa_preload_operator.runtime.tracing import NoTraces
from esa_preload_operator.services.reconcile import Reconciler, reset_backoff
from esa_preload_operator.services.refresh import Refresher
from esa_preload_operator.services.registry import Registry


@dataclass(slots=True)
class App:
    """Everything that a running operator consists of."""

    settings: Settings
    connection: Connection
    identity: str
    accounts: AccountPool
    secrets: SecretCache
    leadership: Elector | NoElection
    queue: WorkQueue
    records: Registry
    refresher: Refresher
    reconciler: Reconciler
    intake: Intake
    metrics: Metrics
    health: Health
    traces: NoTraces
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Namespaces that are watched; none means all."""
        return self.settings.namespaces

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
