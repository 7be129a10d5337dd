"""Whoever reaches the ports of probes and metrics can neither fill them nor the log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from typing import TYPE_CHECKING

import pytest

from esa_preload_operator.runtime import listener
from esa_preload_operator.runtime.health import Health, serve
from esa_preload_operator.runtime.metrics import Metrics
from esa_preload_operator.runtime.queue import WorkQueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
GARBAGE = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /\x00\x9b HTTP/1.1\r\n\r\n",
    b"GET http://[ HTTP/1.1\r\n\r\n",
    b"GET /%ff%00?%zz HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"A: " + b"b" * 100_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5_000 + b"\r\n",
    b"POST /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n\xff\xff",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    random.Random(7).randbytes(10_000),
)


@contextlib.asynccontextmanager
async def ports(caplog: pytest.LogCaptureFixture) -> AsyncIterator[tuple[int, int]]:
    metrics = Metrics("1.2.3")
    caplog.set_level(logging.INFO)
    close = await serve(Health(WorkQueue(metrics), metrics, work_limit=60), health_port=0, metrics_port=0)
    told = next(record.args for record in caplog.records if record.msg.startswith("health on port"))
    assert isinstance(told, tuple)
    try:
        yield int(str(told[0])), int(str(told[1]))
    finally:
        await close()
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.INFO or record.exc_info] == []


async def sent(port: int, raw: bytes) -> Stream:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    return reader, writer


async def rest_of(stream: Stream) -> bytes:
    """All that comes until the server closes the connection."""
    reader, writer = stream
    try:
        async with asyncio.timeout(60):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def probe(port: int, path: str) -> bytes:
    return await rest_of(await sent(port, f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()))


async def test_half_requests_neither_keep_probes_out_nor_stay(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ports(caplog) as (health, metrics):
        for port, path in ((health, "/healthz"), (metrics, "/metrics")):
            halves = [await sent(port, f"GET {path} HTTP/1.1\r\nHo".encode()) for _ in range(300)]
            assert (await probe(port, path)).startswith(b"HTTP/1.1 200 OK")
            gone = [asyncio.create_task(rest_of(half)) for half in halves[: 300 - listener.MAX_CONNECTIONS]]
            assert set(await asyncio.gather(*gone)) == {b""}
            for _, writer in halves:
                writer.close()
        monkeypatch.setattr(listener, "PATIENCE", 0.2)
        assert await rest_of(await sent(health, b"GET /healthz HTT")) == b""


@pytest.mark.parametrize("path", ["/healthz", "/metrics"])
async def test_a_connection_serves_one_request(caplog: pytest.LogCaptureFixture, path: str) -> None:
    async with ports(caplog) as both:
        port = both[path == "/metrics"]
        request = f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        answer = await rest_of(await sent(port, request * 50))
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b"\r\nConnection: close\r\n" in answer
        assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("number", range(len(GARBAGE)))
async def test_garbage_is_refused_without_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(listener, "PATIENCE", 1.0)
    async with ports(caplog) as (health, metrics):
        for port in (health, metrics):
            answer = await rest_of(await sent(port, GARBAGE[number]))
            assert b"Traceback" not in answer
            assert b" 500 " not in answer[:40]
        assert (await probe(health, "/healthz")).startswith(b"HTTP/1.1 200 OK")
