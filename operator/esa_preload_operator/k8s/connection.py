"""One connection to the API server: JSON in, JSON out, and an error that tells "never sent" from "maybe done"."""

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit

import aiohttp
from multidict import CIMultiDict
from pydantic_core import from_json

from esa_preload_operator.domain.cleaning import printable
from esa_preload_operator.k8s.kubeconfig import ConfigurationError, Headers
from esa_preload_operator.k8s.login import (
    LoginSource,
    find_login,
    load_login,
    own_namespace,
    some_home,
)

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""Accept of a request or a watch that is to show no more of an object than its metadata."""
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""The same for a list."""

_UNAUTHORIZED: Final = 401
_LONGEST_RETRY_AFTER: Final = 300.0
_CHUNK: Final = 32 * 1024
"""Bytes of a long answer that are taken at once, some milliseconds of work."""
_log = logging.getLogger(__name__)


class RequestError(Exception):
    """A request got no answer; the message names the server and the cause, never a header or a body."""


class NotSentError(RequestError):
    """The connection never opened, so the API server knows nothing of the request."""


class AnswerLostError(RequestError):
    """The request may have been carried out: its answer was lost, late or unreadable."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server answered. `body` is parsed JSON, or None where it was none."""

    status: int
    body: Any = field(default=None, repr=False)
    retry_after: float | None = None
    """Seconds, from the header Retry-After."""

    @property
    def ok(self) -> bool:
        """Whether the request was carried out."""
        return 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Whether the named object does not exist; a path that is not served at all answers 404 without saying so."""
        return self.status == 404 and isinstance(self.body, dict) and self.body.get("reason") == "NotFound"

    @property
    def explanation(self) -> str:
        """Status, reason and message of a refusal, in one line of bounded length."""
        body = self.body if isinstance(self.body, dict) else {}
        reason, message = str(body.get("reason") or "")[:100], str(body.get("message") or "")[:500]
        return " ".join(printable(f"HTTP {self.status} {reason}: {message}".rstrip(": ")).split())


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    limits: aiohttp.ClientTimeout
    body: Any = None
    query: Mapping[str, str] | None = None
    content_type: str = JSON
    accept: str = JSON


class Connection:
    """Requests to one API server, by one identity. Get one from `connect`; close it in the end.

    Reads that are answered 401 are sent once more with the login read anew; a write is never sent twice.
    """

    def __init__(self, source: LoginSource, configuration: Any, client: Any, impersonation: Headers) -> None:
        """Use `connect` instead."""
        self.namespace = own_namespace(source)
        """The namespace of the pod that this process runs in, or None out of a cluster."""
        self._source = source
        self._configuration = configuration
        self._client = client
        self._impersonation = impersonation
        self._login_number = 0
        self._login_lock = asyncio.Lock()
        self._login_problem = ""
        self._certificate = _certificate(configuration)
        self._retired: list[aiohttp.ClientSession] = []

    @property
    def server(self) -> str:
        """Base URL of the API server."""
        return str(self._configuration.host)

    def explain(self, answer: Answer) -> str:
        """Return in one line why the API server refused a request; where it was the login, where that comes from."""
        if answer.status != _UNAUTHORIZED:
            return answer.explanation
        problem = f"; {self._login_problem}" if self._login_problem else ""
        return f"unauthorized (401): {_public(self.server)} does not accept the login from {self._source}{problem}"

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout: float = 30.0,  # noqa: ASYNC109 - the deadline decides between "never sent" and "maybe done"
    ) -> Answer:
        """Send one request and return the answer, whatever its status.

        `timeout` is the seconds for all of it; half of that for opening the connection, so that this shows as such.

        Raises:
            NotSentError: the API server knows nothing of the request.
            AnswerLostError: it may have been carried out.
        """
        limits = aiohttp.ClientTimeout(total=timeout, connect=timeout / 2)
        sent = _Request(method, path, limits, body, query, content_type, accept)
        number = self._login_number
        answer = await self._once(sent)
        if answer.status == _UNAUTHORIZED and await self._renewed_login(number) and method == "GET":
            answer = await self._once(sent)
        return answer

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str], silence: float, *, by_line: bool = True, accept: str = JSON
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch and yield its lines, or a list and yield its bytes as they come; they end with the answer.

        `silence` is the seconds without a byte after which the connection counts as dead.

        Raises:
            StreamRefusedError: the API server refused the watch.
            RequestError: the connection did not open, broke or went silent.
        """
        limits = aiohttp.ClientTimeout(total=None, connect=silence, sock_read=silence)
        number = self._login_number
        with _named_failures(self.server):
            response = await self._send(_Request("GET", path, limits, query=query, accept=accept))
            refusal = None if response.status == 200 else _answer(response, await response.read())
        try:
            if refusal is not None:
                if refusal.status == _UNAUTHORIZED:
                    await self._renewed_login(number)
                raise StreamRefusedError(refusal)
            yield _lines(response, self.server) if by_line else _chunks(response, self.server)
        finally:
            response.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()
        for session in self._retired:
            await session.close()

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        await self.close()

    async def _once(self, request: _Request) -> Answer:
        with _named_failures(self.server):
            async with await self._send(request) as response:
                return _answer(response, await response.read())

    async def _send(self, request: _Request) -> aiohttp.ClientResponse:
        url = f"{self._configuration.host}{request.path}" + (f"?{urlencode(request.query)}" if request.query else "")
        headers = CIMultiDict(self._impersonation)
        headers.update({"Accept": request.accept, "Content-Type": request.content_type})
        headers["User-Agent"] = "esa-preload-operator"
        if authorization := await self._authorization():
            headers["Authorization"] = authorization
        sent = await self._client.rest_client.request(
            request.method, url, headers=headers, body=request.body, _request_timeout=request.limits
        )
        response: aiohttp.ClientResponse = sent.response
        return response

    async def _authorization(self) -> str | None:
        try:
            value = await self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        except Exception as error:  # noqa: BLE001 - the client's own errors share no base class
            why = getattr(error, "strerror", None) or type(error).__name__  # the text may quote the token
            raise NotSentError(f"the token of {self._source} can't be read ({why})") from None
        return str(value).strip() if value else None

    async def _renewed_login(self, number: int) -> bool:
        """Read the login anew and return whether that worked; `explain` names what did not."""
        try:
            await self._renew_login(number)
        except ConfigurationError as error:
            self._login_problem = str(error)
            return False
        self._login_problem = ""
        return True

    async def _renew_login(self, number: int) -> None:
        """Read the login anew, unless somebody did since it had that number."""
        async with self._login_lock:
            if number != self._login_number:
                return
            self._impersonation = await load_login(self._source, self._configuration)
            self._login_number += 1
            certificate = _certificate(self._configuration)
            if certificate != self._certificate:
                self._replace_sessions()
                self._certificate = certificate

    def _replace_sessions(self) -> None:
        # A connection keeps the certificate that it was opened with; requests under way end on the old ones.
        old, self._client = self._client, _client(self._source, self._configuration)
        if old.rest_client.pool_manager is not None:
            self._retired.append(old.rest_client.pool_manager)
        _log.info("the client certificate for the API server has changed")


class StreamRefusedError(Exception):
    """The API server refused a watch; `answer` says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.explanation)
        self.answer = answer


async def connect(kubeconfig: str | None = None, context: str | None = None) -> Connection:
    """Open a connection with the pod's service account or a kubeconfig (argument, KUBECONFIG, ~/.kube/config).

    Nothing is sent yet.

    Raises:
        ConfigurationError: there is no usable login; its text is one line for people.
    """
    source = find_login(kubeconfig, context)
    with some_home():
        from kubernetes.aio.client import Configuration  # noqa: PLC0415 - costs 20 MiB, see `load_login`

    # The client would read netrc in a thread for every request, and send cluster traffic through the egress proxy.
    # Each watch holds a connection for good, so their number has no limit.
    configuration = Configuration(
        client_session_kwargs={"trust_env": False, "middlewares": (_never_twice,)}, connection_pool_maxsize=0
    )
    impersonation = await load_login(source, configuration)
    return Connection(source, configuration, _client(source, configuration), impersonation)


def _client(source: LoginSource, configuration: Any) -> Any:
    from kubernetes.aio.client import ApiClient  # noqa: PLC0415 - costs 20 MiB, see `load_login`

    try:
        return ApiClient(configuration)
    except OSError as error:  # includes ssl.SSLError
        raise ConfigurationError(f"{source}: a certificate or key can't be used ({type(error).__name__})") from None


def _certificate(configuration: Any) -> tuple[bytes, ...]:
    paths = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    contents = []
    for path in paths:
        try:
            with open(path, "rb") as file:  # noqa: PTH123
                contents.append(file.read())
        except (OSError, TypeError):
            contents.append(b"")
    return tuple(contents)


async def _never_twice(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from repeating a PUT on its own: the repetition's 409 would deny a write that was stored."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise  # never sent, and never repeated
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if request.method != "PUT":
            raise
        raise AnswerLostError(f"no answer from the API server: {_cause(error)}") from None


@contextlib.contextmanager
def _named_failures(server: str) -> Iterator[None]:
    """Sort what aiohttp raises by whether the request may have been carried out."""
    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
        raise NotSentError(f"cannot reach the API server {_public(server)}: {_cause(error)}") from None
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        # Without the error's own text, which may know headers.
        raise AnswerLostError(f"no answer from the API server {_public(server)}: {_cause(error)}") from None


def _public(server: str) -> str:
    """Return a URL without the user and password that may stand in it."""
    parts = urlsplit(server)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if "@" in parts.netloc else server


def _cause(error: BaseException) -> str:
    """Return in a few words why a connection did not open or broke."""
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({inner.verify_message})"
    if isinstance(inner, ssl.SSLError):
        return f"TLS failed ({inner.reason})"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the host name can't be resolved ({error.strerror})"
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return type(error).__name__


def _answer(response: aiohttp.ClientResponse, content: bytes) -> Answer:
    try:
        body = from_json(content) if content else None
    except ValueError:
        if response.status < 300:
            raise  # carried out, but what was stored is unknown
        body = None
    return Answer(response.status, body, _retry_after(response.headers.get("Retry-After", "")))


def _retry_after(text: str) -> float | None:
    """Return the seconds of a Retry-After, at most five minutes; its other form, a date, depends on clocks: None."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdecimal()):
        return None
    return min(float(digits[:16]), _LONGEST_RETRY_AFTER)


async def _lines(response: aiohttp.ClientResponse, server: str) -> AsyncIterator[bytes]:
    rest: list[bytes] = []
    with _named_failures(server):
        async for chunk in response.content.iter_any():
            *lines, tail = chunk.split(b"\n")
            for line in lines:
                yield b"".join([*rest, line])
                rest = []
            rest.append(tail)


async def _chunks(response: aiohttp.ClientResponse, server: str) -> AsyncIterator[bytes]:
    with _named_failures(server):
        async for chunk in response.content.iter_chunked(_CHUNK):
            yield chunk
