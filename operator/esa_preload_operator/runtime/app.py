"""What a running operator consists of."""

import asyncio
from dataclasses import dataclass, field

from esa_preload_operator.domain.steps import CredentialsChanged
from esa_preload_operator.domain.view import View
from esa_preload_operator.esa.accounts import AccountPool
from esa_preload_operator.k8s.config_maps import ConfigMapSources
from esa_preload_operator.k8s.connection import Connection
from esa_preload_operator.k8s.events import EventRecorder
from esa_preload_operator.k8s.lease import Elector, NoElection
from esa_preload_operator.k8s.secrets import SecretCache
from esa_preload_operator.runtime.health import Health
from esa_preload_operator.runtime.intake import Intake
from esa_preload_operator.runtime.metrics import Metrics
from esa_preload_operator.runtime.queue import WorkQueue
from esa_preload_operator.runtime.settings import Settings
from esa_preload_operator.runtime.tracing import NoTraces
from esa_preload_operator.services.reconcile import Reconciler
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
    sources: ConfigMapSources
    events: EventRecorder
    leadership: Elector | NoElection
    queue: WorkQueue[View]
    registry: Registry
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

    def credentials_changed(self, namespace: str, secret: str | None) -> None:
        """Try again at once what failed with the old credentials; "" and None are the operator's own."""
        self.refresher.credentials_changed(namespace, secret)
        for tracked in self.registry:
            if tracked.secret == secret and namespace in ("", tracked.ref.namespace):
                self.reconciler.members.tell(tracked, CredentialsChanged())
