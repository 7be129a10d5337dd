"""Watches the resources with kopf and hands them over; decides nothing."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterator
from http import HTTPStatus
from json import JSONDecodeError
from types import SimpleNamespace
from typing import Any, Final, cast

import aiohttp
import kopf

from esa_preload_operator.k8s.lists import ListReader
from esa_preload_operator.k8s.login import ConnectionInfo
from esa_preload_operator.resources.job import GROUP, PLURAL, VERSION
from esa_preload_operator.runtime.app import App

logger = logging.getLogger(__name__)

_RENEW_WATCH: Final = 60
"""Seconds after which the API server ends a watch, so that a silent one shows."""

_LIST_CHUNK: Final = 32 * 1024
"""Bytes of a list that are taken apart at once, some milliseconds of work."""


class EndlessBackoff:
    """Seconds between tries while the API server is away: never give up."""

    def __iter__(self) -> Iterator[float]:
        """Begin anew for each request."""
        yield from (0.2, 0.5, 1, 2, 3)
        while True:
            yield 5


class NoDiffBase(kopf.DiffBaseStorage):
    """Keeps kopf from copying every object for handlers of changes, which there are none of."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Find nothing that could have changed."""
        return cast("kopf.BodyEssence", {})

    def fetch(self, **_: Any) -> None:
        """Remember nothing."""

    def store(self, **_: Any) -> None:
        """Keep nothing."""


def watch_settings() -> kopf.OperatorSettings:
    """Return kopf's settings: it only watches, and keeps no state on the objects."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.networking.error_backoffs = EndlessBackoff()
    settings.networking.request_timeout = 120  # a list of 10,000 takes an API server under load half a minute
    settings.networking.connect_timeout = 10
    settings.queueing.idle_timeout = 0.05
    settings.queueing.exit_timeout = 0.5
    settings.persistence.consistency_timeout = 0
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.watching.chunk_size = None
    settings.watching.server_timeout = _RENEW_WATCH
    settings.watching.reconnect_backoff = 0.1
    return settings


def session_for(login: ConnectionInfo, app: App) -> aiohttp.ClientSession:
    """Return an HTTP session for kopf that tells the app what happens on the wire."""

    class ListedResponse(aiohttp.ClientResponse):
        """Hands over the objects of a list by itself: kopf takes ten times as long for each as we need for a look."""

        async def json(self, **options: Any) -> Any:
            """Parse the body, and leave nothing of a list to kopf but its version."""
            if self.status != HTTPStatus.OK or not self.url.path.endswith(f"/{PLURAL}"):
                return await super().json(**options)
            reader, begins = ListReader(), True
            async for chunk in self.content.iter_chunked(_LIST_CHUNK):
                app.listed(self.url.path, reader.feed(chunk), begins=begins, ends=False)
                begins = False
                await asyncio.sleep(0)  # what asks for a reset need not wait for the end of the list
            body = reader.rest()
            app.listed(self.url.path, (), begins=begins, ends=True)
            return body

    headers = {"Authorization": f"{login.scheme or 'Bearer'} {login.token}"} if login.token else {}
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=_tls(login)),
        headers=headers,
        proxy=login.proxy_url,
        trace_configs=[_trace(app)],
        response_class=ListedResponse,
    )


def _tls(login: ConnectionInfo) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=login.ca_path)
    if login.certificate_path:
        context.load_cert_chain(login.certificate_path, login.private_key_path)
    if login.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _trace(app: App) -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()

    async def begun(_session: aiohttp.ClientSession, _context: SimpleNamespace, event: Any) -> None:
        if event.url.path.endswith(f"/{PLURAL}") and event.url.query.get("watch") == "true":
            app.streaming(event.url.path)

    async def ended(_session: aiohttp.ClientSession, _context: SimpleNamespace, event: Any) -> None:
        if event.url.path.endswith(f"/{PLURAL}") and event.response.status == 200:
            app.alive()

    trace.on_request_start.append(begun)
    trace.on_request_end.append(ended)
    return trace


async def watch(app: App, install_signals: Callable[[], None]) -> None:
    """Watch until cancelled. kopf takes the signals of the process; `install_signals` takes them back."""
    registry = kopf.OperatorRegistry()

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def see(event: kopf.RawEvent, **_: Any) -> None:
        app.observe(event["type"], event["object"])

    @kopf.on.login(registry=registry)
    async def log_in(**_: Any) -> kopf.AiohttpSession:
        login = await app.login()
        return kopf.AiohttpSession(server=login.server, aiohttp_session=session_for(login, app))

    settings = watch_settings()
    while True:
        tasks = await kopf.spawn_tasks(
            registry=registry,
            settings=settings,
            clusterwide=not app.namespaces,
            namespaces=app.namespaces,
            identity=cast("Any", "esa-preload-operator"),  # else kopf asks for a user name; an arbitrary UID has none
            stop_flag=asyncio.Event(),
        )
        install_signals()
        try:
            return await kopf.run_tasks(tasks, ignored=asyncio.all_tasks() - set(tasks))
        except Exception as error:
            # kopf lists anew after a 410 in the stream, but ends after one as the status, and when a list breaks off.
            expired = getattr(error, "status", None) == HTTPStatus.GONE
            if not expired and not isinstance(error, aiohttp.ClientPayloadError | TimeoutError | JSONDecodeError):
                raise
            logger.info("%s; listing anew", "the watch has expired" if expired else "a list broke off")
            await asyncio.sleep(settings.watching.reconnect_backoff)
