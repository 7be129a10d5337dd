"""Carries one request to ESA at most once, and knows exactly whether it left."""

import asyncio
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

import aiohttp
import httpx
from aiohttp.client_reqrep import ClientRequest, ClientResponse
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from esa_preload_operator.domain.errors import Delivery, EsaError
from esa_preload_operator.esa.errors import Answer, lost, unreadable

MAX_ANSWER: Final = 8 * 1024 * 1024
"""Bytes; a page of fifty jobs, each with every text at its longest, has less."""
MAX_CONNECTIONS: Final = 100
KEEP_ALIVE: Final = 15.0
"""Seconds an idle connection is kept: shorter than gateways do, so that a request seldom meets a closed one."""
_GATE: Final = "gate"


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
            # The reader of the answer is the one who waits, so it gets the error.
            if conn.protocol is not None:
                conn.protocol.set_exception(error)
            conn.close()
            return
        await super().write_bytes(writer, conn, content_length)


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Lets aiohttp carry what httpx has prepared: the signed URL byte by byte, the body bounded, nothing unpacked."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, proxy: str | None = None) -> None:
        self._tls = tls
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request through the gate in its extensions, and read the whole answer.

        Raises:
            NotSentError, SentTwiceError: see `Gate`.
            EsaError: the answer is too long.
            aiohttp.ClientError, HttpProcessingError, OSError: no connection, or no answer.
        """
        if self._session is None:
            self._session = self._open()
        token = _gate.set(request.extensions.get(_GATE) or Gate())
        try:
            async with self._session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=request.content or None,
                allow_redirects=False,
                proxy=self._proxy,
            ) as response:
                return httpx.Response(
                    response.status,
                    headers=response.raw_headers,
                    stream=httpx.ByteStream(await _read(response)),
                )
        finally:
            _gate.reset(token)

    async def aclose(self) -> None:
        """Close the session with its connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        """Open the session inside the loop; the total time is bounded by who calls, the answer is not unpacked."""
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


async def _read(response: ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > MAX_ANSWER:
            raise unreadable("the answer is too long", http_status=response.status)
        parts.append(part)
    return b"".join(parts)


class Connections:
    """The connections to one endpoint, shared by all accounts."""

    def __init__(self, endpoint: str, *, request_timeout: float, transport: httpx.AsyncBaseTransport) -> None:
        """`endpoint` comes from `check_endpoint`; `request_timeout` is in seconds and bounds a whole call."""
        self._endpoint = endpoint
        self._timeout = request_timeout
        self._http = httpx.AsyncClient(
            transport=transport,
            timeout=None,  # noqa: S113 - the bound stands in `send`
            trust_env=False,
            follow_redirects=False,
        )
        self._http.headers.clear()

    async def send(
        self,
        method: str,
        query: str,
        *,
        headers: dict[str, str],
        body: bytes,
        auth: httpx.Auth,
        may_send: Callable[[], bool] | None = None,
    ) -> Answer:
        """Make one attempt.

        Raises:
            EsaError: there is no answer; its delivery is NEVER_SENT exactly if no byte of the request left.
        """
        gate = Gate(may_send)
        url = f"{self._endpoint}/?{query}" if query else f"{self._endpoint}/"
        request = self._http.build_request(method, url, headers=headers, content=body, extensions={_GATE: gate})
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._http.send(request, auth=auth)
        except NotSentError:
            message = "the request was held back when it was about to leave"
            raise lost("NotSent", message, Delivery.NEVER_SENT) from None
        except TimeoutError:
            raise _timed_out(gate, self._timeout) from None
        except (aiohttp.ClientResponseError, HttpProcessingError) as error:
            raise _garbled(gate, error) from None
        except (aiohttp.ClientError, SentTwiceError, OSError) as error:
            raise _broken(gate, error) from None
        return Answer(response.status_code, dict(response.headers), response.content)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()


def _timed_out(gate: Gate, seconds: float) -> EsaError:
    if gate.passed:
        return lost("AnswerTimeout", f"no answer within {seconds:g} s", Delivery.UNKNOWN)
    return lost("ConnectTimeout", f"no connection within {seconds:g} s", Delivery.NEVER_SENT)


def _garbled(gate: Gate, error: Exception) -> EsaError:
    if gate.passed:
        return unreadable("the answer is no HTTP", http_status=0)
    return _broken(gate, error)  # A proxy answered instead of opening a tunnel.


def _broken(gate: Gate, error: Exception) -> EsaError:
    if gate.passed:
        return lost("AnswerLost", f"the connection broke before the answer came: {_why(error)}", Delivery.UNKNOWN)
    return lost("ConnectionFailed", f"no connection: {_why(error)}", Delivery.NEVER_SENT)


def _why(error: Exception) -> str:
    """Say what happened without the text of a library's error, which may quote a URL or a proxy's password."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host name could not be resolved"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "the certificate is not trusted"
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return "the proxy did not open a tunnel"
    if isinstance(error, aiohttp.ClientSSLError):
        return "TLS could not be set up"
    if isinstance(error, aiohttp.ServerDisconnectedError | SentTwiceError):
        return "the server closed it"
    if isinstance(error, OSError) and isinstance(error.strerror, str):
        return error.strerror.split(" [", 1)[0][:200]
    return type(error).__name__
