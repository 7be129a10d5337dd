"""The one place where everything is put together, and the life of the process."""

import asyncio
import contextlib
import functools
import logging
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final

from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.domain.reset_values import Rules
from esa_preload_operator.domain.tokens import asked_tokens, without
from esa_preload_operator.esa.accounts import AccountPool, Policy
from esa_preload_operator.esa.endpoint import resolve_endpoint
from esa_preload_operator.esa.own import OwnCredentials
from esa_preload_operator.esa.transport import Connections
from esa_preload_operator.k8s.connection import Connection, RequestError, connect
from esa_preload_operator.k8s.events import EventRecorder
from esa_preload_operator.k8s.jobs import JobRepository
from esa_preload_operator.k8s.lease import Elector, NoElection
from esa_preload_operator.k8s.login import ConnectionInfo
from esa_preload_operator.k8s.secrets import SecretCache
from esa_preload_operator.resources.job import GROUP, PLURAL, VERSION
from esa_preload_operator.runtime.health import Health, serve
from esa_preload_operator.runtime.metrics import Metrics
from esa_preload_operator.runtime.queue import Body, WorkQueue
from esa_preload_operator.runtime.settings import Settings, SettingsError
from esa_preload_operator.services.clock import Clock
from esa_preload_operator.services.reconcile import Reconciler, has_adopted, hurry_up
from esa_preload_operator.services.records import Records
from esa_preload_operator.services.refresh import Refresher
from esa_preload_operator.services.reset import LeadershipLostError, Outside

logger = logging.getLogger(__name__)

LEASE_NAME: Final = "esa-preload-operator"
_WORK_SLACK: Final = 120.0
"""Seconds beyond the calls' own timeouts after which a reconcile counts as hung."""
_CRD_EVERY: Final = 2.0
_EXIT_LOST: Final = 1


@dataclass(slots=True)
class App:
    """Everything that a running operator consists of."""

    settings: Settings
    connection: Connection
    identity: str
    lease_namespace: str
    accounts: AccountPool
    secrets: SecretCache
    leadership: Elector | NoElection
    queue: WorkQueue
    records: Records
    refresher: Refresher
    reconciler: Reconciler
    metrics: Metrics
    health: Health
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _listed: int = 0
    _seen: int = 0
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
        """Note that a page of a list has arrived and its objects will be observed.

        A later list tells of deletions that the watch has missed: what it lacks is read to be sure.
        """
        self._listed += len(page)
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
        """Once all that was listed has been observed, it is known which resource of a job is the oldest."""
        complete = len(self._streams) >= max(1, len(self.namespaces)) and self._seen >= self._listed
        if complete and not self.health.synced:
            self.health.synced = True
            logger.info("watching %d resources", len(self.records))
            for ref in self._early:
                self.queue.add(ref, urgent=False)
            self._early.clear()

    def observe(self, kind: str | None, body: Body) -> None:
        """Take one object from the watch: ignore what is older than what was written, queue what needs work."""
        self.health.watch_seen()
        self._seen += kind is None
        meta = body["metadata"]
        ref = ObjectRef(meta["namespace"], meta["name"])
        record = self.records.get(ref)
        if kind == "DELETED":
            if record is not None and record.uid == meta["uid"]:
                self.reconciler.forget(ref)
                self.queue.forget(ref)
        elif record is None or record.uid != meta["uid"] or int(meta["resourceVersion"]) > record.version:
            self._take(ref, body)
        if not self.health.synced:
            self._check_synced()

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
                hurry_up(record)
                self.queue.add(record.ref)

    def own_credentials_healed(self) -> None:
        """Try again at once what failed while the operator had no credentials of its own."""
        self.refresher.credentials_changed("", None)
        for record in self.records:
            if record.secret_name is None:
                hurry_up(record)
                self.queue.add(record.ref)


def asks(body: Mapping[str, Any]) -> bool:
    """Say whether an object asks for a reset: those go first."""
    asked = asked_tokens(body["metadata"].get("annotations") or {})
    handled = tuple(((body.get("status") or {}).get("handledResets") or {}).items())
    return bool(without(asked, handled))


@contextlib.asynccontextmanager
async def open_app(settings: Settings, context: str | None) -> AsyncIterator[App]:
    """Put the operator together and close it in the end.

    Raises:
        SettingsError: the endpoint or the Kubernetes login can't be used; the message is one line.
    """
    try:
        endpoint = resolve_endpoint(settings.endpoint, allow_http=settings.allow_http_endpoint)
    except ValueError as error:
        raise SettingsError(f"ESA_OPERATOR_ENDPOINT (--endpoint): {error}") from None
    try:
        connection = await connect(context=context)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    async with connection:
        app = _assemble(settings, connection, endpoint)
        try:
            yield app
        finally:
            await app.accounts.close()


def _assemble(settings: Settings, connection: Connection, endpoint: str) -> App:
    pod = os.environ.get("POD_ID") or socket.gethostname()
    identity = f"{pod}_{secrets.token_hex(4)}"
    lease_namespace = settings.lease_namespace or connection.namespace or "default"
    metrics = Metrics(version("esa-preload-operator"))
    queue = WorkQueue(metrics)
    clock = Clock()
    leadership = (
        Elector(connection, namespace=lease_namespace, name=LEASE_NAME, identity=identity)
        if settings.leader_election
        else NoElection()
    )
    secret_cache = SecretCache(
        connection,
        settings.credentials_secret_names,
        settings.namespaces or None,
        on_change=lambda namespace, name: app.secret_changed(namespace, name),  # noqa: PLW0108 - the app comes later
    )
    accounts = AccountPool(
        Policy(
            connection.namespace or lease_namespace,
            settings.credentials_secret_names,
            settings.default_credentials_namespaces,
        ),
        Connections(endpoint, request_timeout=settings.request_timeout),
        read_secret=secret_cache.read,
        own=OwnCredentials(
            os.environ,
            request_timeout=settings.request_timeout,
            allow_http=settings.allow_http_endpoint,
            ecs_ram_role=settings.ecs_ram_role,
            observe=metrics.called,
            on_healed=lambda: app.own_credentials_healed(),  # noqa: PLW0108 - the app comes later
        ),
        max_calls_per_second=settings.max_calls_per_second,
        observe=metrics.called,
    )
    records = Records()
    wake = functools.partial(queue.add, urgent=False)
    refresher = Refresher(accounts, records, clock, settings.refresh_active, settings.refresh_idle, wake=wake)
    outside = Outside(
        store=JobRepository(connection),
        accounts=accounts,
        events=EventRecorder(connection, pod),
        leadership=leadership,
        observer=metrics,
        clock=clock,
    )
    reconciler = Reconciler(outside, rules_of(settings, identity), records, refresher)
    health = Health(queue, metrics, work_limit=settings.request_timeout * 3 + _WORK_SLACK)
    metrics.watch_gauges(
        depth=queue.depth,
        unfinished=queue.unfinished_work,
        longest=queue.longest_work,
        resources=lambda: len(records),
    )
    app = App(
        settings=settings,
        connection=connection,
        identity=identity,
        lease_namespace=lease_namespace,
        accounts=accounts,
        secrets=secret_cache,
        leadership=leadership,
        queue=queue,
        records=records,
        refresher=refresher,
        reconciler=reconciler,
        metrics=metrics,
        health=health,
    )
    return app


def rules_of(settings: Settings, identity: str) -> Rules:
    """Return the protocol's settings."""
    return Rules(
        owner=identity,
        request_timeout=settings.request_timeout,
        network_grace=settings.network_grace,
        stale_token_after=settings.stale_token_after,
        min_interval=settings.min_reset_interval,
        confirm_by_progress=settings.reset_confirmation == "progress",
    )


async def run_app(app: App, watch: Callable[[], Awaitable[None]]) -> None:
    """Wait for the lead, work until told to stop, finish what is in flight, and let a successor in.

    Losing the lead ends the process at once, without any clean-up that could act on the world.
    """
    settings = app.settings
    try:
        close = await serve(app.health, health_port=settings.health_port, metrics_port=settings.metrics_port)
    except OSError as error:
        message = (
            f"cannot listen on port {settings.health_port} (--health-port) or {settings.metrics_port} (--metrics-port)"
        )
        raise SettingsError(f"{message}: {error.strerror}") from None
    try:
        if await _first_of(app.stopping.wait(), _take_the_lead(app)) == 0:
            return
        await _lead(app, watch)
    finally:
        await close()


async def _take_the_lead(app: App) -> None:
    await wait_for_crd(app.connection)
    app.health.started = True
    if isinstance(app.leadership, Elector):
        await app.leadership.acquire()


async def wait_for_crd(connection: Connection) -> None:
    """Wait until the API server serves the resource: kopf would end the process without it."""
    said = False
    while not await connection_serves(connection):
        if not said:
            logger.warning("waiting for the CRD %s.%s", PLURAL, GROUP)
            said = True
        await asyncio.sleep(_CRD_EVERY)


async def connection_serves(connection: Connection) -> bool:
    """Say whether the API server serves the resource; an outage counts as no."""
    try:
        answer = await connection.request("GET", f"/apis/{GROUP}/{VERSION}", timeout=10)
    except RequestError:
        return False
    resources = answer.body.get("resources", ()) if isinstance(answer.body, dict) else ()
    return any(resource.get("name") == PLURAL for resource in resources)


async def _lead(app: App, watch: Callable[[], Awaitable[None]]) -> None:
    workers = app.settings.workers
    app.health.leading = True
    app.health.watch_seen()
    app.metrics.leads(leading=True)
    logger.info("leading as %s", app.identity)
    background = [
        asyncio.create_task(app.secrets.run(), name="secrets"),
        asyncio.create_task(app.refresher.run(), name="refresh"),
    ]
    queue = asyncio.create_task(app.queue.run(workers, app.work), name="queue")
    if isinstance(app.leadership, Elector):
        keeper = asyncio.create_task(app.leadership.keep(), name="lease")
        keeper.add_done_callback(lambda _task: leave(app))
        background.append(keeper)
    background.append(asyncio.create_task(_watch(watch), name="watch"))
    stop = asyncio.create_task(app.stopping.wait(), name="stop")
    done, _ = await asyncio.wait([*background, queue, stop], return_when=asyncio.FIRST_COMPLETED)
    if stop not in done:
        for task in done:
            _explain(task)
        exit_now(_EXIT_LOST)
    logger.info("stopping: finishing what is in flight")
    app.queue.close(workers)
    await asyncio.wait([queue], timeout=app.settings.request_timeout * 2 + 10)
    if isinstance(app.leadership, Elector):
        await app.leadership.release()
    logger.info("stopped")
    exit_now(0)


async def _watch(watch: Callable[[], Awaitable[None]]) -> None:
    await watch()


def leave(app: App) -> None:
    """End the process at once: somebody else may lead now."""
    if not app.stopping.is_set():
        exit_now(_EXIT_LOST)


def exit_now(code: int) -> None:
    """End the process without any further step; buffered log lines are written."""
    logging.shutdown()
    os._exit(code)


def _explain(task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    while isinstance(error, ExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    if isinstance(error, LeadershipLostError):
        logger.error("another process may lead now")
    else:
        logger.error("%s has ended", task.get_name(), exc_info=error)


async def _first_of(*works: Awaitable[Any]) -> int:
    """Run some works until the first ends; return its number.

    Raises:
        Exception: what the first one raised.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    first = next(number for number, task in enumerate(tasks) if task in done)
    tasks[first].result()
    return first
