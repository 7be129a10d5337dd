"""The life of the process: wait for the lead, work, drain, let a successor in."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from esa_preload_operator.k8s.connection import Connection, RequestError
from esa_preload_operator.k8s.lease import Elector
from esa_preload_operator.resources.job import GROUP, PLURAL, VERSION
from esa_preload_operator.runtime.app import App
from esa_preload_operator.runtime.health import serve
from esa_preload_operator.runtime.settings import SettingsError
from esa_preload_operator.services.runner import LeadershipLostError

logger = logging.getLogger(__name__)

Watch = Callable[[], Coroutine[Any, Any, None]]

_CRD_EVERY: Final = 2.0
_EXIT_LOST: Final = 1
_LAST_EVENTS: Final = 5.0
"""Seconds for the Events that are not posted yet when the process ends."""


async def run_app(app: App, watch: Watch) -> None:
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
    while not await _serves_jobs(connection):
        if not said:
            logger.warning("waiting for the CRD %s.%s", PLURAL, GROUP)
            said = True
        await asyncio.sleep(_CRD_EVERY)


async def _serves_jobs(connection: Connection) -> bool:
    """Say whether the API server serves the resource; an outage counts as no."""
    try:
        answer = await connection.request("GET", f"/apis/{GROUP}/{VERSION}", timeout=10)
    except RequestError:
        return False
    resources = answer.body.get("resources", ()) if isinstance(answer.body, dict) else ()
    return any(resource.get("name") == PLURAL for resource in resources)


async def _lead(app: App, watch: Watch) -> None:
    workers = app.settings.workers
    app.health.leading = True
    app.health.watch_seen()
    app.metrics.leads(leading=True)
    logger.info("leading as %s", app.identity)
    background = [
        asyncio.create_task(app.secrets.run(), name="secrets"),
        asyncio.create_task(app.events.run(), name="events"),
        asyncio.create_task(app.refresher.run(), name="refresh"),
    ]
    queue = asyncio.create_task(app.queue.run(workers, app.traces.work(app.reconciler.reconcile)), name="queue")
    if isinstance(app.leadership, Elector):
        keeper = asyncio.create_task(app.leadership.keep(), name="lease")
        keeper.add_done_callback(lambda _task: leave(app))
        background.append(keeper)
    background.append(asyncio.create_task(watch(), name="watch"))
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
    await app.events.drain(_LAST_EVENTS)
    await app.traces.close()
    logger.info("stopped")
    exit_now(0)


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
