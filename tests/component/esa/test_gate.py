"""What leaves, and that nothing does after a no."""

import asyncio
import select
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import uvloop
from aiohttp import http_writer

from esa_preload_operator.domain.errors import Delivery, ErrorClass, EsaError
from esa_preload_operator.esa.client import EsaClient
from support.raw_server import RawConnection, RawServer
from support.sending import JOB, JOB_ID, answer_all, client_of, create, https, problem_of, yes


async def test_a_request_leaves_signed_with_nothing_but_its_own_headers() -> None:
    async with RawServer(answer_all) as server, client_of(server.url) as client:
        await client.reset_job("a b*c~d+é/=", yes)
        await create(client, yes)
    first, second = server.requests
    lines = first.split("\r\n")
    assert lines[0] == "POST /?Id=a%20b%2Ac~d%2B%C3%A9%2F%3D HTTP/1.1"
    assert {line.partition(":")[0].lower() for line in lines[1:] if line} == {
        "host", "accept", "user-agent", "x-acs-version", "x-acs-action", "x-acs-content-sha256", "x-acs-date",
        "x-acs-signature-nonce", "x-acs-security-token", "authorization", "content-length",
    }  # fmt: skip
    assert f"host: {server.url.removeprefix('http://')}" in lines
    assert "content-type: application/x-www-form-urlencoded" in second


async def test_a_no_sends_not_one_byte() -> None:
    async with RawServer(answer_all) as server, client_of(server.url) as client:
        problem = await problem_of(client, lambda: False)
        with pytest.raises(EsaError, match="NotSent"):
            await create(client, lambda: False)
        assert server.connections == 2
        assert (problem.code, problem.delivery, problem.error_class) == (
            "NotSent",
            Delivery.NEVER_SENT,
            ErrorClass.TRANSIENT,
        )
        assert server.bytes_seen == 0
        await client.reset_job("x", yes)
        assert server.bytes_seen > 0


async def test_a_no_on_a_connection_in_use_sends_not_one_byte() -> None:
    async with RawServer(answer_all) as server, client_of(server.url) as client:
        await client.get_job("x")
        seen = server.bytes_seen
        assert (await problem_of(client, lambda: False)).delivery is Delivery.NEVER_SENT
        assert (server.connections, server.bytes_seen) == (1, seen)


async def test_the_sender_is_asked_once_the_connection_is_open(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """A proxy holds TLS back: the answer must be the one of afterwards."""
    server_tls, client_tls = tls
    asked: list[bool] = []
    release = asyncio.Event()
    async with RawServer(answer_all, server_tls) as server:
        port = int(server.url.rpartition(":")[2])

        async def hold_back(connection: RawConnection) -> None:
            hello = await connection.reader.read(65536)
            held.set()
            await release.wait()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(hello)
                await asyncio.gather(pipe(connection.reader, writer), pipe(reader, connection.writer))
            finally:
                writer.close()
                await writer.wait_closed()

        held = asyncio.Event()
        async with RawServer(hold_back) as proxy:

            def ask() -> bool:
                asked.append(release.is_set())
                return False

            async with client_of(https(proxy.url), tls=client_tls) as client:
                call = asyncio.create_task(problem_of(client, ask))
                await held.wait()
                assert asked == []
                release.set()
                assert (await call).code == "NotSent"
        assert asked == [True]
        assert server.requests == []


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


@pytest.mark.parametrize("call", [lambda client, ask: client.reset_job(JOB_ID, ask), create])
async def test_nothing_runs_between_the_yes_and_the_first_byte(
    call: Callable[[EsaClient, Callable[[], bool]], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    for name in ("_write", "_writelines"):
        original = getattr(http_writer.StreamWriter, name)

        def write(self: object, data: object, original: Callable[..., None] = original) -> None:
            original(self, data)
            order.append("written")

        monkeypatch.setattr(http_writer.StreamWriter, name, write)

    def ask() -> bool:
        order.append("asked")
        asyncio.get_running_loop().call_soon(order.append, "loop turned")
        return True

    async with RawServer(answer_all) as server, client_of(server.url) as client:
        await call(client, ask)
        await call(client, ask)
    assert order == ["asked", "written", "loop turned"] * 2


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("call", [lambda client, ask: client.reset_job(JOB_ID, ask), create])
def test_the_kernel_has_the_first_byte_before_the_loop_turns(
    call: Callable[[EsaClient, Callable[[], bool]], Any], new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """uvloop keeps writes until the end of a turn, asyncio does not."""
    arrived: list[bool] = []

    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as opened:

        def look() -> socket.socket:
            if not opened_sockets:
                opened_sockets.append(opened.enter_context(listener.accept()[0]))
            readable, _, _ = select.select(opened_sockets, [], [], 0)
            arrived.append(bool(readable))
            return opened_sockets[0]

        def answer() -> None:
            look().sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(JOB), JOB))

        def ask() -> bool:
            look()
            asyncio.get_running_loop().call_soon(answer)
            return True

        async def main() -> None:
            async with client_of(f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
                await call(client, ask)

        opened_sockets: list[socket.socket] = []
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())
    assert arrived == [False, True]
