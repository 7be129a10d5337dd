"""The one place where everything is put together."""

import contextlib
import functools
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from esa_preload_operator.domain.values import Rules
from esa_preload_operator.domain.view import View
from esa_preload_operator.esa.accounts import AccountPool, Policy, ReadSecret
from esa_preload_operator.esa.client import Observe
from esa_preload_operator.esa.credentials import KEY_ID, KEY_SECRET, TOKEN
from esa_preload_operator.esa.egress import Egress, read_egress
from esa_preload_operator.esa.endpoint import resolve_endpoint
from esa_preload_operator.esa.own import OwnCredentials
from esa_preload_operator.esa.transport import Connections
from esa_preload_operator.k8s.config_maps import ConfigMapSources
from esa_preload_operator.k8s.connection import Connection, connect
from esa_preload_operator.k8s.events import EventRecorder
from esa_preload_operator.k8s.jobs import JobRepository
from esa_preload_operator.k8s.lease import Elector, NoElection
from esa_preload_operator.k8s.secrets import SecretCache
from esa_preload_operator.runtime.app import App
from esa_preload_operator.runtime.health import Health
from esa_preload_operator.runtime.intake import Intake
from esa_preload_operator.runtime.metrics import Metrics
from esa_preload_operator.runtime.queue import WorkQueue
from esa_preload_operator.runtime.settings import Settings, SettingsError
from esa_preload_operator.runtime.shares import Shares
from esa_preload_operator.runtime.tracing import open_traces
from esa_preload_operator.services.caller import Caller
from esa_preload_operator.services.clock import Clock
from esa_preload_operator.services.looks import SharedLooks
from esa_preload_operator.services.members import Members
from esa_preload_operator.services.reconcile import Reconciler
from esa_preload_operator.services.refresh import Refresher
from esa_preload_operator.services.registry import Registry
from esa_preload_operator.services.runner import Runner
from esa_preload_operator.services.writer import Writer

LEASE_NAME: Final = "esa-preload-operator"
_WORK_SLACK: Final = 120.0
"""Seconds beyond the calls' own timeouts after which a reconcile counts as hung."""


@contextlib.asynccontextmanager
async def open_app(settings: Settings, context: str | None) -> AsyncIterator[App]:
    """Put the operator together and close it in the end.

    Raises:
        SettingsError: the endpoint, the way there or the Kubernetes login can't be used; the message is one line.
    """
    try:
        endpoint = resolve_endpoint(settings.endpoint, allow_http=settings.allow_http_endpoint)
    except ValueError as error:
        raise SettingsError(f"ESA_OPERATOR_ENDPOINT (--endpoint): {error}") from None
    try:
        egress = read_egress(os.environ)
        connection = await connect(context=context)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    async with connection:
        app = _assemble(settings, connection, endpoint, egress)
        try:
            yield app
        finally:
            await app.accounts.close()


def _assemble(settings: Settings, connection: Connection, endpoint: str, egress: Egress) -> App:
    pod, identity = _identity()
    metrics = Metrics(version("esa-preload-operator"))
    traces = open_traces(version("esa-preload-operator"))
    shares = Shares(settings.workers)
    queue: WorkQueue[View] = WorkQueue(metrics, shares)
    clock = Clock()
    leadership = _leadership(settings, connection, identity)
    secret_cache, accounts = _credentials(
        settings,
        connection,
        _Esa(endpoint, egress, traces.observing(metrics.called)),
        changed=lambda *whose: app.credentials_changed(*whose),  # noqa: PLW0108 - the app comes later
    )
    events = EventRecorder(connection, pod, on_drop=metrics.event_dropped)
    jobs = traces.store(JobRepository(connection, on_written=shares.written))
    writer = Writer(jobs, events, metrics, clock)
    registry = Registry()
    resume, wake = (functools.partial(queue.add, urgent=urgent) for urgent in (True, False))
    sources = ConfigMapSources(
        connection,
        settings.namespaces or None,
        on_change=lambda namespace, name: members.source_changed(namespace, name),  # noqa: PLW0108 - they come later
    )
    refresher = Refresher(accounts, registry, clock, settings.refresh_active, settings.refresh_idle, wake=wake)
    looks = SharedLooks(clock, refresher.take)
    caller = Caller(accounts, sources, leadership, clock, looks, resume=resume)
    runner = Runner(jobs, caller, leadership, clock, writer, registry)
    members = Members(registry, refresher, clock, wake)
    reconciler = Reconciler(runner, rules_of(settings, identity), members)
    health = _health(settings, queue, metrics, registry)
    app = App(
        settings=settings,
        connection=connection,
        identity=identity,
        accounts=accounts,
        secrets=secret_cache,
        sources=sources,
        events=events,
        leadership=leadership,
        queue=queue,
        registry=registry,
        refresher=refresher,
        reconciler=reconciler,
        intake=Intake(settings.namespaces, registry, reconciler, queue, health, metrics),
        metrics=metrics,
        health=health,
        traces=traces,
    )
    return app


def _identity() -> tuple[str, str]:
    """Return the name of the pod, and that of this process: a restarted container is another one."""
    pod = os.environ.get("POD_ID") or socket.gethostname()
    return pod, f"{pod}_{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class _Esa:
    """Where ESA is, the way there, and who counts the calls."""

    endpoint: str
    egress: Egress
    observe: Observe


def _credentials(
    settings: Settings, connection: Connection, esa: _Esa, *, changed: Callable[[str, str | None], None]
) -> tuple[SecretCache, AccountPool]:
    """Return the Secrets and the accounts that they open; `changed` is told whose credentials are others now."""
    names, namespaces = settings.credentials_secret_names, settings.namespaces or None
    secret_cache = SecretCache(connection, names, namespaces, keys=(KEY_ID, KEY_SECRET, TOKEN), on_change=changed)
    own_namespace = connection.namespace or _lease_namespace(settings, connection)
    policy = Policy(own_namespace, names, settings.default_credentials_namespaces)
    return secret_cache, _account_pool(
        settings, policy, esa, read_secret=secret_cache.read, on_healed=lambda: changed("", None)
    )


def _leadership(settings: Settings, connection: Connection, identity: str) -> Elector | NoElection:
    if not settings.leader_election:
        return NoElection()
    return Elector(
        connection,
        namespace=_lease_namespace(settings, connection),
        name=LEASE_NAME,
        identity=identity,
        lease_duration=settings.lease_duration,
        renew_deadline=settings.lease_renew_deadline,
        retry_period=settings.lease_retry_period,
    )


def _lease_namespace(settings: Settings, connection: Connection) -> str:
    return settings.lease_namespace or connection.namespace or "default"


def _health(settings: Settings, queue: WorkQueue[View], metrics: Metrics, registry: Registry) -> Health:
    metrics.watch_gauges(
        depth=queue.depth,
        unfinished=queue.unfinished_work,
        longest=queue.longest_work,
        resources=lambda: len(registry),
        tallies=lambda: (tracked.tally for tracked in registry),
    )
    return Health(queue, metrics, work_limit=settings.request_timeout * 3 + _WORK_SLACK)


def _account_pool(
    settings: Settings, policy: Policy, esa: _Esa, *, read_secret: ReadSecret, on_healed: Callable[[], None]
) -> AccountPool:
    egress = esa.egress
    return AccountPool(
        policy,
        Connections(
            esa.endpoint, request_timeout=settings.request_timeout, tls=egress.tls, proxy=egress.proxy_for(esa.endpoint)
        ),
        read_secret=read_secret,
        own=OwnCredentials(
            os.environ,
            request_timeout=settings.request_timeout,
            allow_http=settings.allow_http_endpoint,
            ecs_ram_role=settings.ecs_ram_role,
            egress=egress,
            observe=esa.observe,
            on_healed=on_healed,
        ),
        max_calls_per_second=settings.max_calls_per_second,
        observe=esa.observe,
    )


def rules_of(settings: Settings, identity: str) -> Rules:
    """Return the protocol's settings."""
    return Rules(
        owner=identity,
        request_timeout=settings.request_timeout,
        network_grace=settings.network_grace,
        list_grace=settings.list_grace,
        shared_looks=settings.shared_looks,
        stale_token_after=settings.stale_token_after,
        min_interval=settings.min_reset_interval,
        confirm_by_progress=settings.reset_confirmation != "none",
        confirm_by_nonce=settings.reset_confirmation == "nonce",
    )
