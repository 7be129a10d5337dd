"""A small HTTP server for probes and scrapes that nobody can fill: one request a connection, soon over, few at once."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

PATIENCE: Final = 10.0
"""Seconds that a connection may last, from the first byte of the request to the last one of the answer."""
MAX_CONNECTIONS: Final = 64
"""At once; a further one takes the place of the oldest, so that a probe is answered whoever else holds connections."""
_SHUTDOWN: Final = 2.0

logger = logging.getLogger(__name__)

Answers = Mapping[str, Callable[[], web.Response]]
"""What is answered on which path."""


class _Connection(web.RequestHandler):
    """One connection; it is cut when its time is over, whatever the peer did not send or read by then."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._end = self._loop.call_later(PATIENCE, self.cut)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._end.cancel()
        super().connection_lost(exc)

    def cut(self) -> None:
        """Close at once, without waiting for the peer to read."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no request; whoever sends garbage fills no log."""
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        logger.debug("no request: %s", type(exc).__name__)
        response = web.Response(status=status, text="no request\n")
        response.force_close()
        return response


class _Server(web.Server):
    """Makes connections, and keeps their number."""

    def __init__(self, answers: Answers) -> None:
        async def answer(request: web.BaseRequest) -> web.Response:
            response = _answer(answers, request)
            response.force_close()
            return response

        super().__init__(answer)
        self._open: dict[web.RequestHandler, None] = {}

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, access_log=None, lingering_time=0)  # type: ignore[arg-type] # None is taken

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._open[handler] = None
        if len(self._open) > MAX_CONNECTIONS:
            oldest = next(iter(self._open))
            del self._open[oldest]
            if isinstance(oldest, _Connection):
                oldest.cut()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        self._open.pop(handler, None)
        super().connection_lost(handler, exc)


def _answer(answers: Answers, request: web.BaseRequest) -> web.Response:
    found = answers.get(request.path)
    if found is None:
        return web.Response(status=404, text="not found\n")
    if request.method not in {"GET", "HEAD"}:
        return web.Response(status=405, text="only GET\n", headers={"Allow": "GET, HEAD"})
    return found()


async def listen(port: int, answers: Answers) -> web.ServerRunner:
    """Serve on all addresses; the caller cleans the runner up.

    Raises:
        OSError: the port is taken.
    """
    runner = web.ServerRunner(_Server(answers), shutdown_timeout=_SHUTDOWN)
    await runner.setup()
    try:
        await web.TCPSite(runner, host=None, port=port).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner
