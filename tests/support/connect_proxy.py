"""An HTTP proxy that opens tunnels to who knows its password, and a server that takes TLS off."""

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from urllib.parse import quote, urlsplit

from support.raw_server import Behaviour, RawConnection, RawServer

USER = "egress@example.com"
PASSWORD = "pass/word:naïve%"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
SECRETS = (PASSWORD, quote(PASSWORD, safe=""), BASIC)
"""What must show nowhere."""


def with_password(url: str, password: str = PASSWORD) -> str:
    """Return a proxy's URL with user and password."""
    return url.replace("://", f"://{quote(USER, safe='')}:{quote(password, safe='')}@")


async def nothing() -> None:
    """Hold nothing up."""


def connect_proxy(
    routes: Mapping[str, str], tls: ssl.SSLContext | None = None, before_tunnel: Callable[[], Awaitable[None]] = nothing
) -> RawServer:
    """Return a proxy whose tunnels lead from these hosts to the URLs of servers on this machine."""

    async def serve(connection: RawConnection) -> None:
        method, target, _ = (head := await connection.request()).split(" ", 2)
        if f"proxy-authorization: basic {BASIC}".lower() not in head.lower():
            await connection.answer(b"", "407 Proxy Authentication Required", 'Proxy-Authenticate: Basic realm="x"\r\n')
            return
        if method != "CONNECT" or target not in routes:
            await connection.answer(b"", "403 Forbidden")
            return
        await before_tunnel()
        upstream = tunnel(routes[target], b"HTTP/1.1 200 Connection established\r\n\r\n")
        await upstream(connection)

    return RawServer(serve, tls)


def tunnel(url: str, greeting: bytes = b"") -> Behaviour:
    """Return what passes all bytes on to a server, and its own back."""

    async def serve(connection: RawConnection) -> None:
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            if greeting:
                await connection.write(greeting)
            await asyncio.gather(pipe(connection.reader, writer), pipe(reader, connection.writer))
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    return serve


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until there are no more."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
