"""Watches the resources with kopf and hands them over; decides nothing."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from http import HTTPStatus
from json import JSONDecodeError
from typing import Any, Final, cast

import aiohttp
import kopf

from esa_preload_operator.handlers.wire import session_for
from esa_preload_operator.resources.job import GROUP, PLURAL, VERSION
from esa_preload_operator.runtime.app import App

logger = logging.getLogger(__name__)

_RENEW_WATCH: Final = 60
"""Seconds after which the API server ends a watch, so that a silent one shows."""


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
