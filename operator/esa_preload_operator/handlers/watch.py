"""Watches the resources with kopf and hands them over; decides nothing."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import kopf

from esa_preload_operator.handlers.wire import SERVER, Wire
from esa_preload_operator.k8s.feed import Backoff
from esa_preload_operator.resources.job import GROUP, PLURAL, VERSION
from esa_preload_operator.runtime.app import App

if TYPE_CHECKING:
    import aiohttp

logger = logging.getLogger(__name__)


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
    settings.queueing.idle_timeout = 0.05
    settings.queueing.exit_timeout = 0.5
    settings.persistence.consistency_timeout = 0
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.watching.chunk_size = None
    settings.watching.reconnect_backoff = 0  # the wire waits as long as it should
    settings.watching.inactivity_timeout = 3600  # the wire sees silence sooner
    settings.process.ultimate_exiting_timeout = None  # else kopf kills the process 10 min after a run has ended
    return settings


class _Everything:
    """All tasks of the event loop: kopf would cancel those that it takes for its own, running calls among them."""

    def __contains__(self, _: object) -> bool:
        """Contain each task."""
        return True


async def watch(app: App, install_signals: Callable[[], None]) -> None:
    """Watch until cancelled. kopf takes the signals of the process; `install_signals` takes them back."""
    wire = Wire(app.connection, app.intake)
    registry = kopf.OperatorRegistry()

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def see(event: kopf.RawEvent, **_: Any) -> None:
        wire.take(event)

    @kopf.on.login(registry=registry)
    async def log_in(**_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=SERVER, aiohttp_session=cast("aiohttp.ClientSession", wire))

    settings, backoff = watch_settings(), Backoff()
    while True:
        begun = time.monotonic()
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
            await kopf.run_tasks(tasks, ignored=cast("Any", _Everything()))
        except Exception:  # the wire raises nothing to kopf, so this is a bug; the running calls should not suffer
            logger.exception("the watch has ended and is started anew")
        backoff.lasted(time.monotonic() - begun)
        await asyncio.sleep(backoff.wait())
