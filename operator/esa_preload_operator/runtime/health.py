"""/healthz, /readyz and /metrics: probes that really fail."""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from esa_preload_operator.domain.view import View
from esa_preload_operator.runtime.listener import listen
from esa_preload_operator.runtime.metrics import Metrics
from esa_preload_operator.runtime.queue import WorkQueue

logger = logging.getLogger(__name__)

WATCH_SILENCE: Final = 300.0
"""Seconds without any sign of life from the watch after which the process is sick; the watch is renewed each minute."""


@dataclass(frozen=True, slots=True)
class _Note:
    text: str
    blocking: bool


@dataclass(slots=True)
class Health:
    """Judges the process by what its parts did last."""

    queue: WorkQueue[View]
    metrics: Metrics
    work_limit: float
    """Seconds after which a single reconcile counts as hung."""
    watch_limit: float = WATCH_SILENCE
    leading: bool = False
    synced: bool = False
    started: bool = False
    """Whether the API server has answered in a way that lets this process lead, now or later."""
    _seen: float = field(default_factory=time.monotonic)
    _notes: dict[str, _Note] = field(default_factory=dict)

    def watch_seen(self) -> None:
        """Note a sign of life from the watch: an event, or an answered list or watch request."""
        self._seen = time.monotonic()
        self.metrics.watch_seen(time.time())

    def note(self, key: str, text: str | None, *, blocking: bool = False) -> bool:
        """Keep what is wrong with one part of the process, None for nothing; return whether that is news.

        /readyz shows the text. While a blocking one lasts, the process is not ready.
        """
        before = self._notes.pop(key, None)
        if text is not None:
            self._notes[key] = _Note(text, blocking)
        return before != self._notes.get(key)

    def notes(self) -> list[str]:
        """Return what is wrong with parts of a process that serves all the same."""
        return [note.text for note in self._notes.values() if not note.blocking]

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
        """Return why the process does not serve, or nothing. A standby is ready if it can take over at once."""
        blocking = [note.text for note in self._notes.values() if note.blocking]
        if blocking:
            return "\n".join(blocking)
        if not self.started:
            return "starting"
        if self.leading and not self.synced:
            return "the resources have not been listed yet"
        return self.complaint()


def _answer(complaint: str, notes: Sequence[str] = ()) -> web.Response:
    text = "".join(f"{line}\n" for line in (complaint or "ok", *notes))
    return web.Response(status=503 if complaint else 200, text=text)


async def serve(health: Health, *, health_port: int, metrics_port: int) -> Callable[[], Awaitable[None]]:
    """Serve the probes and the metrics, each on its port; return what closes them.

    Raises:
        OSError: a port is taken.
    """

    def metrics() -> web.Response:
        return web.Response(body=health.metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"})

    probes = {
        "/healthz": lambda: _answer(health.complaint()),
        "/readyz": lambda: _answer(health.unready(), health.notes()),
    }
    runners = [await listen(health_port, probes)]
    try:
        runners.append(await listen(metrics_port, {"/metrics": metrics}))
    except OSError:
        await runners[0].cleanup()
        raise
    # Port 0 gives IPv4 and IPv6 different ports; the address with fewer parts is the one of IPv4.
    ports = [min(runner.addresses, key=len)[1] for runner in runners]
    logger.info("health on port %d, metrics on port %d", *ports)

    async def close() -> None:
        for runner in runners:
            await runner.cleanup()

    return close
