"""Carries one request to ESA at most once, and knows exactly whether it left."""

import asyncio
import os
import ssl
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import aiohttp
import httpx
from aiohttp.client_reqrep import ClientRequest, ClientResponse
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from esa_preload_operator.domain.errors import Delivery, EsaError
from esa_preload_operator.esa.egress import Proxy
from esa_preload_operator.esa.errors import Answer, lost, unreadable

MAX_ANSWER: Final = 256 * 1024
"""Bytes of an answer about one object; one with every text at its longest has less."""
MAX_PAGE: Final = 2 * 1024 * 1024
"""Bytes of a page of a list."""
MAX_CONNECTIONS: Final = 100
KEEP_ALIVE: Final = 15.0
"""Seconds an idle connection is kept: shorter than gateways do, so that a request seldom meets a closed one."""

_GATE: Final = "gate"
_LIMIT: Final = "limit"
_UNSIGNED: Final = httpx.Auth()


class NotSentError(Exception):
    """The sender decided against the request when it was about to leave."""


class SentTwiceError(Exception):
    """The HTTP library wanted to send a request again by itself."""


@dataclass(slots=True)
class Gate:
    """Stands between an open connection and the first byte: every request passes once or not at all."""

    may_send: Callable[[], bool] | None = None
    passed: bool = False

    def enter(self) -> None:
        """Let the request pass, which is then to be written with no await in between.

        Raises:
            NotSentError: `may_send` said no.
            SentTwiceError: it has passed before.
        """
        if self.passed:
            raise SentTwiceError
        if self.may_send is not None and not self.may_send():
            raise NotSentError
        self.passed = True


_LIBRARY_ERRORS: Final = (aiohttp.ClientError, httpx.InvalidURL, SentTwiceError, OSError, ValueError, RuntimeError)
"""What the libraries below raise; `UnicodeError`, a ValueError, comes from host names that DNS could not carry."""

_gate: ContextVar[Gate] = ContextVar("gate")


class _GatedRequest(ClientRequest):
    """Asks the gate where aiohttp writes: in `send` without a body, with one in the task that writes it."""

    async def send(self, conn: Connection) -> ClientResponse:
        protocol = conn.protocol
        if conn.transport is None or conn.transport.is_closing() or protocol is None or protocol.writing_paused:
            raise aiohttp.ClientConnectionResetError("the connection closed before the request left")
        if not self.body:
            _gate.get().enter()
        return await super().send(conn)

    async def write_bytes(
        self, writer: aiohttp.abc.AbstractStreamWriter, conn: Connection, content_length: int | None = None
    ) -> None:
        try:
            _gate.get().enter()
        except (NotSentError, SentTwiceError) as error:
            # The reader of the answer is the one who waits, so it gets the error, and closes the connection. From
            # Python 3.12 on it comes after this: a connection closed here would take the error from it.
            if conn.protocol is not None:
                conn.protocol.set_exception(error)
            return
        await super().write_bytes(writer, conn, content_length)


class GatedTransport(httpx.AsyncBaseTransport):
    """Lets aiohttp carry what httpx has prepared, through the gate that stands in the request's extensions.

    httpx's own transport awaits between its last hook and the first byte, so it could not keep the gate's promise, and
    takes several times the CPU (`hack/bench/esa_client.py`).
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, proxy: Proxy | None = None) -> None:
        """`tls` replaces the system's trust, for a private authority; `proxy` opens a tunnel for each connection."""
        self._tls = tls
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request once and read the whole answer.

        Raises:
            NotSentError, SentTwiceError: see `Gate`.
            EsaError: the answer is too long.
            aiohttp.ClientError, HttpProcessingError, OSError: no connection, or no answer.
        """
        if self._session is None:
            self._session = self._open()
        proxy = self._proxy
        limit = request.extensions[_LIMIT]
        token = _gate.set(request.extensions[_GATE])
        try:
            async with self._session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=[(name.decode("ascii"), value.decode("latin-1")) for name, value in request.headers.raw],
                data=request.content or None,
                allow_redirects=False,
                proxy=None if proxy is None else proxy.url,
                proxy_headers=None if proxy is None else proxy.headers,
            ) as response:
                # Nothing was offered to be packed, so nothing is unpacked: a small answer must not become a huge one.
                kept = [pair for pair in response.raw_headers if pair[0].lower() != b"content-encoding"]
                headers = httpx.Headers(kept, encoding="latin-1")
                return httpx.Response(response.status, headers=headers, content=await _read(response, limit))
        finally:
            _gate.reset(token)

    def _open(self) -> aiohttp.ClientSession:
        """Open a session that adds nothing to a request and keeps nothing of an answer."""
        connector = aiohttp.TCPConnector(
            ssl=self._tls if self._tls is not None else True, limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_ALIVE
        )
        return aiohttp.ClientSession(
            connector=connector,
            request_class=_GatedRequest,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            skip_auto_headers=("Content-Type", "Accept-Encoding", "User-Agent", "Accept"),
            auto_decompress=False,
        )

    async def aclose(self) -> None:
        """Close all connections; a later request opens new ones."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()


class Connections:
    """The connections to one endpoint, shared by all accounts; opened with the first request, inside its loop.

    httpx's client is left out: cookies, redirects and its log of URLs have no place here and took half of the CPU.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        request_timeout: float,
        setting: str = "ENDPOINT",
        tls: ssl.SSLContext | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        """`endpoint` comes from `check_endpoint`; `request_timeout` is in seconds and bounds a whole call.

        `setting` is where people give the endpoint, and stands in messages; empty if they can't.
        """
        self._endpoint = endpoint
        self._setting = setting
        self._timeout = request_timeout
        self._proxy = proxy
        self.transport: httpx.AsyncBaseTransport = GatedTransport(tls=tls, proxy=proxy)
        self.host = URL(endpoint).host_port_subcomponent or ""
        """What requests carry as their host, as it is signed: with a port that is not the scheme's own."""

    @property
    def _peer(self) -> str:
        """Name the host to people, where it comes from, and the proxy on the way there."""
        host = f"{self.host} (setting {self._setting})" if self._setting else self.host
        return host if self._proxy is None else f"{host} through the proxy {self._proxy.host}"

    async def send(
        self,
        method: str,
        query: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        auth: httpx.Auth = _UNSIGNED,
        path: str = "/",
        may_send: Callable[[], bool] | None = None,
        limit: int = MAX_ANSWER,
    ) -> Answer:
        """Make one attempt with these headers, signed by `auth`, and this path and query, which are encoded already.

        `limit` is in bytes; a longer answer is none.

        Raises:
            EsaError: there is no answer; its delivery is NEVER_SENT exactly if no byte of the request left.
        """
        gate = Gate(may_send)
        try:
            url = _parsed(f"{self._endpoint}{path}?{query}" if query else f"{self._endpoint}{path}")
            request = httpx.Request(
                method, url, headers=headers, content=body or None, extensions={_GATE: gate, _LIMIT: limit}
            )
            signed = next(auth.auth_flow(request))
            async with asyncio.timeout(self._timeout):
                response = await self.transport.handle_async_request(signed)
                await response.aread()
        except NotSentError:
            message = "the request was held back when it was about to leave"
            raise lost("NotSent", message, Delivery.NEVER_SENT) from None
        except TimeoutError:
            raise _timed_out(gate, self._peer, self._timeout) from None
        except (aiohttp.ClientResponseError, HttpProcessingError) as error:
            raise _garbled(gate, self._peer, error) from None
        except _LIBRARY_ERRORS as error:
            raise _broken(gate, self._peer, error) from None
        return Answer(response.status_code, response.headers, response.content, _signature_of(signed))

    async def close(self) -> None:
        """Close all connections; a later request opens new ones."""
        await self.transport.aclose()


@lru_cache(maxsize=1024)
def _parsed(url: str) -> httpx.URL:
    """Parse a URL once for the look and the call that follows it."""
    return httpx.URL(url)


def _signature_of(request: httpx.Request) -> tuple[str, ...]:
    """Return what an answer that echoes its request must not show besides the credentials."""
    signature = request.headers.get("authorization", "").rpartition("=")[2]
    return (signature,) if signature else ()


async def _read(response: ClientResponse, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > limit:
            raise unreadable(f"the answer is longer than {limit // 1024} kB", http_status=response.status)
        parts.append(part)
    return b"".join(parts)


def _timed_out(gate: Gate, peer: str, seconds: float) -> EsaError:
    if gate.passed:
        return lost("AnswerTimeout", f"no answer within {seconds:g} s", Delivery.UNKNOWN)
    return lost("ConnectTimeout", f"no connection to {peer} within {seconds:g} s", Delivery.NEVER_SENT)


def _garbled(gate: Gate, peer: str, error: Exception) -> EsaError:
    if gate.passed:
        return unreadable("the answer is no HTTP", http_status=0)
    return _broken(gate, peer, error)  # A proxy answered instead of opening a tunnel.


def _broken(gate: Gate, peer: str, error: Exception) -> EsaError:
    if gate.passed:
        return lost("AnswerLost", f"the connection broke before the answer came: {_why(error)}", Delivery.UNKNOWN)
    return lost("ConnectionFailed", f"no connection to {peer}: {_why(error)}", Delivery.NEVER_SENT)


def _why(error: Exception) -> str:
    """Say what happened without the text of a library's error, which may quote a URL or a proxy's password."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the host name {error.host} could not be resolved"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "the certificate is not trusted"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy did not open a tunnel (HTTP {error.status})"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return "the proxy can't be reached"
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        return "the proxy's answer is no HTTP"
    if isinstance(error, aiohttp.ClientSSLError):
        return "TLS could not be set up"
    if isinstance(error, aiohttp.ServerDisconnectedError | SentTwiceError):
        return "the server closed it"
    if isinstance(error, ValueError | httpx.InvalidURL):
        return "the host name is malformed"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return type(error).__name__
