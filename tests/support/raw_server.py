"""A server that speaks plain bytes, for what no proper HTTP server would do."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

Behaviour = Callable[["RawConnection"], Awaitable[None]]


class RawConnection:
    """One connection to the server; `received` counts every byte that came."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: "RawServer") -> None:
        self.reader = reader
        self.writer = writer
        self._server = server

    async def request(self) -> str:
        """Read one request with its body, and return its head."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        for line in head.lower().split("\r\n"):
            if line.startswith("content-length:"):
                await self.reader.readexactly(int(line.partition(":")[2]))
        self._server.requests.append(head)
        return head

    async def answer(self, body: bytes, status: str = "200 OK", headers: str = "") -> None:
        """Write a whole answer."""
        head = f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        await self.write(head.encode() + body)

    async def write(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    def reset(self) -> None:
        """Cut the connection with RST."""
        self.writer.transport.abort()


class _CountingReader(asyncio.StreamReader):
    """Counts every byte that comes, also those that nobody reads."""

    def __init__(self, count: Callable[[int], None]) -> None:
        super().__init__()
        self._count = count

    def feed_data(self, data: Any) -> None:
        self._count(len(data))
        super().feed_data(data)


class RawServer:
    """Runs `behaviour` for each connection: `async with RawServer(f) as server: server.url`."""

    def __init__(self, behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self._behaviour = behaviour
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.url = ""
        self.requests: list[str] = []
        self.connections = 0
        self.bytes_seen = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, "127.0.0.1", 0, ssl=self._tls)
        scheme = "https" if self._tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(_CountingReader(self._count), self._serve)

    def _count(self, size: int) -> None:
        self.bytes_seen += size

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._run(RawConnection(reader, writer, self)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, connection: RawConnection) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._behaviour(connection)
        finally:
            connection.writer.close()
