"""A proxy between one client and the API server that does to requests what a test asks for.

The client talks TLS to the proxy and shows no identity; the proxy shows the user's client certificate to the API
server. Each fault but `delay_watch`, `cut_watches` and `blackhole` is for the next `times` requests that match
(None: for all), in the order in which the faults were set.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
import ssl
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from aiohttp import web
from yarl import URL

from support.api_faults import Exchange, Gate, Hook, Match, Refusal, Rule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from control_plane import ControlPlane

__all__ = ["ApiProxy", "Exchange", "Gate", "Match", "Rule"]

HOST = "127.0.0.1"
LARGEST_BODY = 64 * 1024 * 1024
# Headers that belong to one connection, and those that the proxy's own connections set anew.
NOT_PASSED = frozenset({
    "connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host", "content-length",
    "accept-encoding", "authorization", "date",
})  # fmt: skip
_numbers = itertools.count(1)


class _Cut(Exception):  # noqa: N818 - not an error, the order to end a connection without an answer
    pass


class _Stream:
    """The events of one watch on their way to the client: (time of arrival, line)."""

    def __init__(self) -> None:
        self.lines: deque[tuple[float, bytes]] = deque()
        self.changed = asyncio.Event()
        self.ended = False
        self.broken = False

    async def read(self, upstream: aiohttp.ClientResponse) -> None:
        """Takes lines from the API server until it ends the stream."""
        rest = b""
        try:
            async for chunk in upstream.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                self.lines.extend((time.monotonic(), line + b"\n") for line in lines)
                self.changed.set()
        except aiohttp.ClientError:
            self.broken = True
        finally:
            self.end()

    def end(self) -> None:
        """Lets the stream end after the lines that are queued."""
        self.ended = True
        self.changed.set()


class ApiProxy:
    """The proxy; an async context manager that runs in the test's own event loop."""

    def __init__(self, control_plane: ControlPlane, user: str = "admin") -> None:
        """Prepares a proxy for `user` of `control_plane`; nothing runs before it is entered."""
        self.log: list[Exchange] = []
        self.kubeconfig: Path
        self._control_plane = control_plane
        self._user = user
        self._rules: list[Rule] = []
        self._watch_delay = 0.0
        self._reachable = asyncio.Event()
        self._reachable.set()
        self._streams: dict[_Stream, web.Request] = {}
        self._tasks: set[asyncio.Task[web.StreamResponse]] = set()
        self._failures: list[Exception] = []
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Starts to listen and writes `kubeconfig`."""
        connector = aiohttp.TCPConnector(ssl=self._control_plane.ssl_context(self._user), limit=0)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout())
        self._session._retry_connection = False  # or aiohttp would repeat a PUT on its own account
        application = web.Application(client_max_size=LARGEST_BODY)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            application, handler_cancellation=True, access_log=None, shutdown_timeout=0.1, keepalive_timeout=3600
        )
        await self._runner.setup()
        name = f"api-proxy-{next(_numbers)}"
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self._control_plane.authority.server(name))
        await web.TCPSite(self._runner, HOST, 0, ssl_context=context).start()
        path = self._control_plane.folder / f"{name}.kubeconfig"
        url = f"https://{HOST}:{self._runner.addresses[0][1]}"
        # kubectl asks for a user name where there is no credential at all; this one is not passed on.
        self.kubeconfig = self._control_plane.write_kubeconfig(path, url, {"token": "set-by-the-proxy"})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cuts all connections; raises what a callback or a predicate of the test has raised."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.cut_watches()
        await self._runner.cleanup()
        await self._session.close()
        if self._failures and error is None:
            raise self._failures[0]

    # --- faults -------------------------------------------------------------------------------------------------

    def refuse(
        self, match: Match, *, status: int, reason: str, message: str = "refused by the test",
        retry_after: int | None = None, as_event: bool = False, times: int | None = 1,
    ) -> Rule:  # fmt: skip
        """Answers a metav1.Status without forwarding, as HTTP status or ERROR event; `retry_after` is in seconds."""
        return self._add(Refusal(match, times, status=status, reason=reason, message=message,
                                 retry_after=retry_after, as_event=as_event))  # fmt: skip

    def gone(self, match: Match | None = None, *, as_event: bool = True, times: int | None = 1) -> Rule:
        """Answers a watch 410 Expired: as an ERROR event in the stream, or else as the HTTP status."""
        rule = Refusal(match or Match(watch=True), times, status=410, reason="Expired",
                       message="too old resource version: 1 (2)", as_event=as_event)  # fmt: skip
        return self._add(rule)

    def lose_answer(self, match: Match, *, times: int | None = 1) -> Rule:
        """Forwards the request, then cuts the connection in place of the answer."""

        def cut(_request: Exchange) -> None:
            raise _Cut

        return self.after(match, cut, times=times)

    def lose_request(self, match: Match, *, times: int | None = 1) -> Rule:
        """Cuts the connection without forwarding the request."""

        def cut(_request: Exchange) -> None:
            raise _Cut

        return self.before(match, cut, times=times)

    def hold(self, match: Match, *, after: bool = False, times: int | None = 1) -> Gate:
        """Keeps the request before it is forwarded, or its answer, until `Gate.release`.

        A kept request is forwarded after the release even if its client is gone, as a message on the wire would be.
        """
        gate = Gate(match, times, after=after)
        self._add(gate)
        return gate

    def before(
        self, match: Match, callback: Callable[[Exchange], Awaitable[object] | None], *, times: int | None = 1
    ) -> Rule:
        """Runs `callback` before the request is forwarded."""
        return self._add(Hook(match, times, callback=callback))

    def after(
        self, match: Match, callback: Callable[[Exchange], Awaitable[object] | None], *, times: int | None = 1
    ) -> Rule:
        """Runs `callback` when the API server has answered and the client does not know it yet."""
        return self._add(Hook(match, times, callback=callback, after=True))

    def delay_watch(self, seconds: float) -> None:
        """Passes events of all watches on so much later, in their order; 0 also frees those that wait."""
        self._watch_delay = seconds
        self._wake_streams()

    def cut_watches(self, *, clean: bool = False) -> int:
        """Ends the running watches, by a cut or (clean) as their timeout does; returns how many."""
        for stream, request in self._streams.items():
            if clean:
                stream.lines.clear()
                stream.end()
            elif request.transport is not None:
                request.transport.abort()
        return len(self._streams)

    def blackhole(self, on: bool) -> None:
        """Accepts connections and answers nothing; running watches go silent.

        Requests that came in meanwhile never reach the API server; their connections are cut when it ends.
        """
        if on:
            self._reachable.clear()
        else:
            self._reachable.set()
            self._wake_streams()

    def requests(self, match: Match) -> list[Exchange]:
        """Returns the requests in the log that match."""
        return [each for each in self.log if match.fits(each)]

    @property
    def watches(self) -> int:
        """How many watches run."""
        return len(self._streams)

    async def until(self, state: Callable[[], bool], *, deadline: float = 30) -> None:
        """Returns when `state` holds; looks after each request, answer, and begin or end of a watch.

        Raises:
            TimeoutError: it did not come to hold within `deadline` seconds.
        """
        async with asyncio.timeout(deadline):
            while not state():
                self._changed.clear()
                await self._changed.wait()

    # --- inside -------------------------------------------------------------------------------------------------

    def _add(self, rule: Rule) -> Rule:
        self._rules.append(rule)
        return rule

    def _wake_streams(self) -> None:
        for stream in self._streams:
            stream.changed.set()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        exchange = Exchange(
            time=time.monotonic(), method=request.method, path=request.path, query=dict(request.query),
            body=_json(body), user_agent=request.headers.get("User-Agent", ""),
            accept=request.headers.get("Accept", ""),
        )  # fmt: skip
        self.log.append(exchange)
        self._changed.set()
        if exchange.watch:
            return await self._cut_or(request, lambda: self._watch(request, exchange))
        # The end of the client must not undo what the API server is asked, nor the test's own callbacks.
        task = asyncio.create_task(self._cut_or(request, lambda: self._ordinary(request, exchange, body)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _cut_or(
        self, request: web.Request, answer: Callable[[], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        # The answer begins in here: a task that is cancelled before its first step would leave it never awaited.
        try:
            return await answer()
        except (_Cut, aiohttp.ClientError, ConnectionError):
            pass  # where the API server breaks a connection, so does the proxy
        except Exception as failure:  # noqa: BLE001 - of a test's callback or predicate; raised at the end
            self._failures.append(failure)
        finally:
            self._changed.set()
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _ordinary(self, request: web.Request, exchange: Exchange, body: bytes) -> web.StreamResponse:
        if refusal := await self._before(exchange):
            return _refusal(exchange, refusal)
        async with self._forward(request, body) as upstream:
            content = await upstream.read()
        exchange.upstream_status, exchange.answer = upstream.status, _json(content)
        await self._after(exchange)
        exchange.status = upstream.status
        return web.Response(status=upstream.status, headers=_passed(upstream.headers), body=content)

    async def _watch(self, request: web.Request, exchange: Exchange) -> web.StreamResponse:
        if refusal := await self._before(exchange):
            return _refusal(exchange, refusal)
        async with self._forward(request, b"") as upstream:
            exchange.upstream_status = upstream.status
            await self._after(exchange)
            exchange.status = upstream.status
            response = web.StreamResponse(status=upstream.status, headers=_passed(upstream.headers))
            await response.prepare(request)
            stream = _Stream()
            self._streams[stream] = request
            self._changed.set()
            reader = asyncio.create_task(stream.read(upstream))
            try:
                await self._write(stream, response)
            finally:
                del self._streams[stream]
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)
                if upstream.connection is not None and upstream.connection.transport is not None:
                    upstream.connection.transport.abort()  # an orderly end of TLS would outlive the test
        if stream.broken:
            raise _Cut
        await response.write_eof()
        return response

    async def _write(self, stream: _Stream, response: web.StreamResponse) -> None:
        while stream.lines or not stream.ended:
            stream.changed.clear()
            wait = self._seconds_until_due(stream)
            if wait <= 0:
                await response.write(stream.lines.popleft()[1])
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if wait == math.inf else wait):
                    await stream.changed.wait()

    def _seconds_until_due(self, stream: _Stream) -> float:
        if not stream.lines or not self._reachable.is_set():
            return math.inf
        return stream.lines[0][0] + self._watch_delay - time.monotonic()

    def _forward(self, request: web.Request, body: bytes) -> aiohttp.client._RequestContextManager:
        url = URL(self._control_plane.url + request.raw_path, encoded=True)
        headers = {**_passed(request.headers), "Accept-Encoding": "identity"}
        return self._session.request(request.method, url, headers=headers, data=body or None, allow_redirects=False)

    async def _before(self, exchange: Exchange) -> Refusal | None:
        await self._pass_blackhole()
        await self._run_hooks(exchange, after=False)
        refusals = (rule for rule in self._rules if isinstance(rule, Refusal))
        return next((rule for rule in refusals if rule.takes(exchange)), None)

    async def _after(self, exchange: Exchange) -> None:
        await self._run_hooks(exchange, after=True)
        await self._pass_blackhole()

    async def _run_hooks(self, exchange: Exchange, *, after: bool) -> None:
        for rule in list(self._rules):
            if isinstance(rule, Hook) and rule.after is after and rule.takes(exchange):
                await rule.run(exchange)

    async def _pass_blackhole(self) -> None:
        if not self._reachable.is_set():
            await self._reachable.wait()
            raise _Cut


def _passed(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in NOT_PASSED}


def _json(body: bytes) -> Any:
    with contextlib.suppress(ValueError):
        return json.loads(body)
    return None


def _refusal(exchange: Exchange, rule: Refusal) -> web.Response:
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": rule.message,
              "reason": rule.reason, "code": rule.status}  # fmt: skip
    if rule.as_event:
        exchange.status = 200
        line = json.dumps({"type": "ERROR", "object": status}) + "\n"
        return web.Response(body=line.encode(), content_type="application/json")
    exchange.status = rule.status
    headers = {} if rule.retry_after is None else {"Retry-After": str(rule.retry_after)}
    return web.json_response(status, status=rule.status, headers=headers)
