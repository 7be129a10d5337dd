"""/healthz, /readyz and /metrics: probes that really fail."""

import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from esa_preload_operator.runtime.metrics import Metrics
from esa_preload_operator.runtime.queue import WorkQueue

logger = logging.getLogger(__name__)

WATCH_SILENCE: Final = 300.0
"""Seconds without any sign of life from the watch after which the process is sick; the watch is renewed each minute."""


@dataclass(slots=True)
class Health:
    """Judges the process by what its parts did last."""

    queue: WorkQueue
    metrics: Metrics
    work_limit: float
    """Seconds after which a single reconcile counts as hung."""
    watch_limit: float = WATCH_SILENCE
    leading: bool = False
    synced: bool = False
    started: bool = False
    notes: dict[str, str] = field(default_factory=dict)
    """What does not work and keeps nothing else from working, by a key of its cause."""
    _seen: float = field(default_factory=time.monotonic)

    def watch_seen(self) -> None:
        """Note a sign of life from the watch: an event, or an answered list or watch request."""
        self._seen = time.monotonic()
        self.metrics.watch_seen(time.time())

    def note(self, key: str, text: str | None) -> None:
        """Show a line in the text of /readyz; None ends that."""
        if text is None:
            self.notes.pop(key, None)
        else:
            self.notes[key] = text

    def complaint(self) -> str:
        """Return what is wrong, or nothing. A standby watches nothing and is healthy."""
        silent = time.monotonic() - self._seen
        if self.leading and silent > self.watch_limit:
            return f"the watch has been silent for {silent:.0f} s"
        hung = self.queue.longest_work()
        if hung > self.work_limit:
            return f"a worker has been busy with one resource for {hung:.0f} s"
        return ""

    def unready(self) -> str:
        """Return why the process does not serve yet, or nothing. A standby is ready: it can take over at once."""
        if not self.started:
            return "starting"
        if self.leading and not self.synced:
            return "the resources have not been listed yet"
        return self.complaint()


def _answer(complaint: str, notes: Iterable[str] = ()) -> web.Response:
    lines = [complaint or "ok", *notes]
    return web.Response(status=503 if complaint else 200, text="".join(f"{line}\n" for line in lines))


async def serve(health: Health, *, health_port: int, metrics_port: int) -> Callable[[], Awaitable[None]]:
    """Serve the probes and the metrics, each on its port; return what closes them.

    Raises:
        OSError: a port is taken.
    """

    async def healthz(_request: web.Request) -> web.Response:
        return _answer(health.complaint())

    async def readyz(_request: web.Request) -> web.Response:
        return _answer(health.unready(), health.notes.values())

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=health.metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"})

    runners = []
    for port, routes in (
        (health_port, [web.get("/healthz", healthz), web.get("/readyz", readyz)]),
        (metrics_port, [web.get("/metrics", metrics)]),
    ):
        app = web.Application()
        app.add_routes(routes)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, host=None, port=port).start()
        runners.append(runner)
    # Port 0 gives IPv4 and IPv6 different ports; the address with fewer parts is the one of IPv4.
    ports = [min(runner.addresses, key=len)[1] for runner in runners]
    logger.info("health on port %d, metrics on port %d", *ports)

    async def close() -> None:
        for runner in runners:
            await runner.cleanup()

    return close
