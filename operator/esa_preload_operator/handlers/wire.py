"""kopf's HTTP session: lists, and echoes of what was written, are taken off the wire before kopf sees them."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
from aiohttp.connector import Connection
from pydantic_core import from_json
from yarl import URL

from esa_preload_operator.k8s.lists import ListReader
from esa_preload_operator.k8s.login import ConnectionInfo
from esa_preload_operator.resources.job import PLURAL
from esa_preload_operator.runtime.app import App

_LIST_CHUNK: Final = 32 * 1024
"""Bytes of a list that are taken apart at once, some milliseconds of work."""


class NewsStream:
    """The lines of a watch. What tells nothing new becomes a bookmark, for which kopf starts no worker and no handler.

    Of the three events of a reset two are echoes of the operator's own writes.
    """

    def __init__(self, content: aiohttp.StreamReader, app: App) -> None:
        self._content = content
        self._app = app

    def __getattr__(self, name: str) -> Any:
        """Leave all else to aiohttp."""
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Yield whole lines as they come, and in the end what was cut off."""
        rest = b""
        async for chunk in self._content.iter_chunked(size):
            self._app.alive()
            *lines, rest = (rest + chunk).split(b"\n")
            if lines:
                yield b"".join(self._sifted(line) + b"\n" for line in lines)
        yield rest

    def _sifted(self, line: bytes) -> bytes:
        try:
            event = from_json(line)
            if event["type"] not in {"ADDED", "MODIFIED"} or not self._app.knows(event["object"]):
                return line
            version = event["object"]["metadata"]["resourceVersion"]
        except (ValueError, KeyError, TypeError):
            return line  # kopf complains
        return b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"%s"}}}' % version.encode()


def session_for(login: ConnectionInfo, app: App) -> aiohttp.ClientSession:
    """Return an HTTP session for kopf that tells the app what happens on the wire."""

    class SiftedResponse(aiohttp.ClientResponse):
        """Hands over the objects of a list by itself: kopf takes ten times as long for each as we need for a look."""

        async def start(self, connection: Connection) -> aiohttp.ClientResponse:
            """Sift the stream of a watch."""
            await super().start(connection)
            if _is_watch(self.url):
                self.content = NewsStream(self.content, app)  # type: ignore[assignment]  # it acts like one
            return self

        async def json(self, **options: Any) -> Any:
            """Parse the body, and leave nothing of a list to kopf but its version."""
            if self.status != HTTPStatus.OK or not self.url.path.endswith(f"/{PLURAL}"):
                return await super().json(**options)
            reader, begins = ListReader(), True
            async for chunk in self.content.iter_chunked(_LIST_CHUNK):
                app.listed(self.url.path, reader.feed(chunk), begins=begins, ends=False)
                begins = False
                await asyncio.sleep(0)  # what asks for a reset need not wait for the end of the list
            body = reader.rest()
            app.listed(self.url.path, (), begins=begins, ends=True)
            return body

    headers = {"Authorization": f"{login.scheme or 'Bearer'} {login.token}"} if login.token else {}
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=_tls(login)),
        headers=headers,
        proxy=login.proxy_url,
        trace_configs=[_trace(app)],
        response_class=SiftedResponse,
    )


def _is_watch(url: URL) -> bool:
    return url.path.endswith(f"/{PLURAL}") and url.query.get("watch") == "true"


def _tls(login: ConnectionInfo) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=login.ca_path)
    if login.certificate_path:
        context.load_cert_chain(login.certificate_path, login.private_key_path)
    if login.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _trace(app: App) -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()

    async def begun(_session: aiohttp.ClientSession, _context: SimpleNamespace, event: Any) -> None:
        if _is_watch(event.url):
            app.streaming(event.url.path)

    async def ended(_session: aiohttp.ClientSession, _context: SimpleNamespace, event: Any) -> None:
        if event.url.path.endswith(f"/{PLURAL}") and event.response.status == 200:
            app.alive()

    trace.on_request_start.append(begun)
    trace.on_request_end.append(ended)
    return trace
