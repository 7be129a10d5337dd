"""The life of the process: wait for the lead, work, drain, let a successor in."""

import asyncio
import functools
import logging
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from esa_preload_operator.k8s.lease import Elector
from esa_preload_operator.runtime.app import App
from esa_preload_operator.runtime.crd import compare_fields, follow_fields, wait_for_crd
from esa_preload_operator.runtime.health import serve
from esa_preload_operator.runtime.settings import SettingsError
from esa_preload_operator.services.runner import LeadershipLostError

logger = logging.getLogger(__name__)

Watch = Callable[[], Coroutine[Any, Any, None]]

_STOPPED: Final = 0
_FAILED: Final = 1
_LAST_EVENTS: Final = 5.0
"""Seconds for the Events that are not posted yet when the process ends."""
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0


async def run_app(app: App, watch: Watch) -> None:
    """Wait for the lead, work until told to stop or until a part fails, and drain.

    Returns only if the process was told to stop before it led; otherwise the process ends here: with 0 when told to
    stop, else with 1. Losing the Lease ends it at once, without any step that could act on the world; whatever else
    ends it lets running resets finish and the successor in.
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
        if await _takes_the_lead(app):
            await _lead(app, watch)
    finally:
        await close()


async def _takes_the_lead(app: App) -> bool:
    """Wait for the lead; return False if told to stop before, with nothing held."""
    if not isinstance(app.leadership, Elector):
        app.health.started = True
        return not app.stopping.is_set()

    def report(problem: str | None) -> None:
        app.health.note("lease", problem, blocking=True)
        app.health.started = app.health.started or problem is None

    await app.leadership.acquire(app.stopping, report)
    if app.stopping.is_set():
        await app.leadership.release()
        return False
    return True


async def _lead(app: App, watch: Watch) -> None:
    """Work until told to stop or until a part fails, then drain and end the process."""
    app.health.leading = True
    app.reconciler.leads()
    app.health.watch_seen()
    logger.info("leading as %s", app.identity)
    keeper = None
    if isinstance(app.leadership, Elector):
        keeper = asyncio.create_task(app.leadership.keep(), name="lease")
        keeper.add_done_callback(_leave)
    follow = functools.partial(follow_fields, app.connection, app.reconciler.crd_changed, app.registry.crd_incomplete)
    background = {
        asyncio.create_task(_restarting("events", app.events.run)),
        asyncio.create_task(_restarting("refresh", app.refresher.run)),
        asyncio.create_task(_restarting("CRD", follow)),
    }
    queue = asyncio.create_task(
        app.queue.run(app.settings.workers, app.traces.work(app.reconciler.reconcile)), name="queue"
    )
    watching = asyncio.create_task(_watch_what_is_served(app, watch, background), name="watch")
    stop = asyncio.create_task(app.stopping.wait(), name="stop")
    done, _ = await asyncio.wait([queue, watching, stop], return_when=asyncio.FIRST_COMPLETED)
    for task in done - {stop}:
        _explain(task)
    await _drain(app, queue)
    for task in background:
        task.cancel()
    if keeper is not None and isinstance(app.leadership, Elector):
        keeper.remove_done_callback(_leave)  # `keep` ends with the release
        await app.leadership.release()
    await app.events.drain(_LAST_EVENTS)
    await app.traces.close()
    logger.info("stopped")
    exit_now(_STOPPED if stop in done else _FAILED)


async def _watch_what_is_served(app: App, watch: Watch, background: set[asyncio.Task[None]]) -> None:
    await wait_for_crd(app.connection, app.health)
    app.reconciler.crd_changed(await compare_fields(app.connection) or "")
    app.metrics.leads(leading=True)  # only now: an alert tells when nobody works
    background.add(asyncio.create_task(_restarting("secrets", app.secrets.run)))
    background.add(asyncio.create_task(_restarting("ConfigMaps", app.sources.run)))
    await watch()


async def _restarting(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run a task that the others can do without until it returns; after an error start it anew, ever more slowly."""
    pause = _FIRST_PAUSE
    while True:
        began = time.monotonic()
        try:
            return await work()
        except Exception as error:  # a bug there must not stop the resets
            if time.monotonic() - began > _LONGEST_PAUSE:
                pause = _FIRST_PAUSE
            logger.exception("%s has failed and starts anew in %.0f s", name, pause, exc_info=_first(error))
        await asyncio.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 2)


async def _drain(app: App, queue: asyncio.Task[None]) -> None:
    """Take no new work and wait for what workers have in hand; at a lost lead end the process instead."""
    logger.info("stopping: finishing what is in flight")
    app.queue.close(app.settings.workers)
    _, unfinished = await asyncio.wait([queue], timeout=app.settings.request_timeout * 2 + 10)
    if unfinished:
        logger.warning("not everything in flight has ended in time; a successor finishes it")
    elif isinstance(_error_of(queue), LeadershipLostError):
        exit_now(_FAILED)


def _leave(keeper: asyncio.Task[None]) -> None:
    """End the process at once: another one may lead now. That the lease ran out or was taken is in the log already."""
    error = _error_of(keeper)
    if error is not None:
        logger.error("the lease can't be kept: %s: %s", type(error).__name__, " ".join(str(error).split())[:500])
    exit_now(_FAILED)


def exit_now(code: int) -> None:
    """End the process without any further step; buffered log lines are written."""
    logging.shutdown()
    os._exit(code)


def _explain(task: asyncio.Task[Any]) -> None:
    error = _error_of(task)
    if isinstance(error, LeadershipLostError):
        logger.error("another process may lead now")
    else:
        logger.error("%s has ended", task.get_name(), exc_info=error)


def _error_of(task: asyncio.Task[Any]) -> BaseException | None:
    error = None if task.cancelled() else task.exception()
    return None if error is None else _first(error)


def _first(error: BaseException) -> BaseException:
    """Return the first error of a group, which is the cause of the others."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return error
