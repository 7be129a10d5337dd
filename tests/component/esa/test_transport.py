"""What leaves, how often, and what an error says about it: against servers that misbehave byte by byte."""

import asyncio
import select
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest
import uvloop
from aiohttp import http_writer

from esa_preload_operator.domain.errors import Delivery, EsaError, Healer, Problem, Reason
from esa_preload_operator.esa.client import EsaClient
from esa_preload_operator.esa.credentials import Credentials
from esa_preload_operator.esa.models import read_job
from esa_preload_operator.esa.throttle import Throttle
from esa_preload_operator.esa.transport import MAX_ANSWER, Connections, GatedTransport
from support.raw_server import Behaviour, RawConnection, RawServer

JOB = b'{"Id":"665d3af3621bccf3fe29e1a4","RequestId":"r"}'


def yes() -> bool:
    return True


@asynccontextmanager
async def client_of(url: str, seconds: float = 5, **options: Any) -> AsyncIterator[EsaClient]:
    connections = Connections(url, request_timeout=seconds, **options)
    try:
        yield EsaClient(Credentials("key-id", "key-secret", "token"), connections, Throttle(1000))
    finally:
        await connections.close()


async def problem_of(client: EsaClient, may_send: Callable[[], bool] = yes) -> Problem:
    with pytest.raises(EsaError) as caught:
        await client.reset_job("665d3af3621bccf3fe29e1a4", may_send)
    problem = caught.value.problem
    for hidden in ("key-id", "key-secret", "token", "Signature"):
        assert hidden not in str(problem)
    return problem


async def answer_all(connection: RawConnection) -> None:
    while True:
        await connection.request()
        await connection.answer(JOB)


async def create(client: EsaClient, may_send: Callable[[], bool]) -> object:
    """A call with a body, which aiohttp writes in another task."""
    return await client._call("CreateSomething", {}, read_job, form={"UrlList": "http://a/b"}, may_send=may_send)


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
        assert (problem.code, problem.delivery, problem.healer) == ("NotSent", Delivery.NEVER_SENT, Healer.TIME)
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


def https(url: str) -> str:
    return url.replace("http://", "https://")


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


@pytest.mark.parametrize("call", [lambda client, ask: client.reset_job("x", ask), create])
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
@pytest.mark.parametrize("call", [lambda client, ask: client.reset_job("x", ask), create])
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


async def close_after_answer(connection: RawConnection) -> None:
    await connection.request()
    await connection.answer(JOB)


async def reset_on_second(connection: RawConnection) -> None:
    await connection.request()
    await connection.answer(JOB)
    await connection.request()
    connection.reset()


async def drop(connection: RawConnection) -> None:
    await connection.request()


async def cut(connection: RawConnection) -> None:
    await connection.request()
    connection.reset()


async def half(connection: RawConnection) -> None:
    await connection.request()
    await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + JOB)


async def half_head(connection: RawConnection) -> None:
    await connection.request()
    await connection.write(b"HTTP/1.1 200 OK\r\nConte")


async def no_http(connection: RawConnection) -> None:
    await connection.request()
    await connection.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")


async def bad_chunk(connection: RawConnection) -> None:
    await connection.request()
    await connection.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n")


async def zipped(connection: RawConnection) -> None:
    await connection.request()
    await connection.answer(b"\x1f\x8b\x08junk", headers="Content-Encoding: gzip\r\n")


async def redirect(connection: RawConnection) -> None:
    head = await connection.request()
    location = "http://" + head.lower().partition("host: ")[2].partition("\r\n")[0]
    await connection.answer(b"", "307 Temporary Redirect", f"Location: {location}/elsewhere\r\n")
    await connection.request()


async def huge_header(connection: RawConnection) -> None:
    await connection.request()
    await connection.write(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n")


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (drop, "AnswerLost"),
        (cut, "AnswerLost"),
        (half, "AnswerLost"),
        (half_head, "AnswerLost"),
        (no_http, "UnreadableAnswer"),
        (bad_chunk, None),
        (zipped, "UnreadableAnswer"),
        (redirect, "UnreadableAnswer"),
        (huge_header, "UnreadableAnswer"),
    ],
)
async def test_what_breaks_after_sending_may_have_been_done(behaviour: Behaviour, code: str | None) -> None:
    async with RawServer(behaviour) as server, client_of(server.url) as client:
        problem = await problem_of(client)
        assert code is None or problem.code == code
        expected = (Delivery.UNKNOWN, Healer.TIME, Reason.SERVICE_UNAVAILABLE)
        assert (problem.delivery, problem.healer, problem.reason) == expected
        assert len(server.requests) == 1
    async with RawServer(behaviour) as server, client_of(server.url) as client:
        with pytest.raises(EsaError):
            await client.get_job("x")
        assert len(server.requests) == 1, "not even a read is sent twice"


async def test_an_endless_answer_is_not_kept() -> None:
    written = 0

    async def endless(connection: RawConnection) -> None:
        nonlocal written
        await connection.request()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n")
        while True:
            await connection.write(b" " * 1_000_000)
            written += 1_000_000

    async with RawServer(endless) as server, client_of(server.url) as client:
        problem = await problem_of(client)
        assert (problem.code, problem.delivery) == ("UnreadableAnswer", Delivery.UNKNOWN)
    assert written < 4 * MAX_ANSWER


@pytest.mark.parametrize("method", ["get", "reset"])
async def test_a_connection_that_dies_under_a_request_is_not_tried_again(method: str) -> None:
    async with RawServer(reset_on_second) as server, client_of(server.url) as client:
        await client.get_job("x")
        with pytest.raises(EsaError) as caught:
            await (client.get_job("x") if method == "get" else client.reset_job("x", yes))
        assert (caught.value.problem.code, caught.value.problem.delivery) == ("AnswerLost", Delivery.UNKNOWN)
        assert len(server.requests) == 2
        assert server.connections == 1 or method == "get", "for a read, the HTTP library connects again in vain"


async def test_a_connection_that_was_closed_while_idle_is_not_used() -> None:
    async with RawServer(close_after_answer) as server, client_of(server.url) as client:
        for _ in range(3):
            await client.get_job("x")
            while (connector := sole_connector(client))._conns:
                protocol = next(iter(connector._conns.values()))[0][0]
                if not protocol.is_connected():
                    break
                await asyncio.sleep(0)
        await client.reset_job("x", yes)
        assert (len(server.requests), server.connections) == (4, 4)


def sole_connector(client: EsaClient) -> aiohttp.BaseConnector:
    assert isinstance(client._connections.transport, GatedTransport)
    session = client._connections.transport._session
    assert session is not None
    assert session.connector is not None
    return session.connector


async def test_no_answer_in_time_may_have_been_done() -> None:
    async def silence(connection: RawConnection) -> None:
        await connection.request()
        await asyncio.Event().wait()

    async with RawServer(silence) as server, client_of(server.url, seconds=0.2) as client:
        problem = await problem_of(client)
        assert (problem.code, problem.delivery) == ("AnswerTimeout", Delivery.UNKNOWN)
        assert len(server.requests) == 1


async def test_an_answer_that_trickles_is_bounded_as_a_whole() -> None:
    async def trickle(connection: RawConnection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        while True:
            await connection.write(b" ")
            await asyncio.sleep(0.01)

    async with RawServer(trickle) as server, client_of(server.url, seconds=0.3) as client:
        assert (await problem_of(client)).code == "AnswerTimeout"


async def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    async with client_of(url) as client:
        problem = await problem_of(client, unexpected)
        assert (problem.code, problem.delivery) == ("ConnectionFailed", Delivery.NEVER_SENT)
        assert "refused" in problem.message


def unexpected() -> bool:
    raise AssertionError("asked without a connection")


async def test_a_host_without_address() -> None:
    async with client_of("https://esa.invalid") as client:
        problem = await problem_of(client, unexpected)
        assert (problem.code, problem.delivery) == ("ConnectionFailed", Delivery.NEVER_SENT)


async def test_a_connection_that_never_opens() -> None:
    """The server never answers the TLS greeting."""

    async def silence(_connection: RawConnection) -> None:
        await asyncio.Event().wait()

    async with RawServer(silence) as server, client_of(https(server.url), seconds=0.2) as client:
        problem = await problem_of(client, unexpected)
        assert (problem.code, problem.delivery) == ("ConnectTimeout", Delivery.NEVER_SENT)


async def test_a_certificate_that_nobody_vouches_for(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with RawServer(answer_all, tls[0]) as server, client_of(server.url) as client:
        problem = await problem_of(client, unexpected)
        assert (problem.code, problem.delivery) == ("ConnectionFailed", Delivery.NEVER_SENT)
        assert "certificate is not trusted" in problem.message
        assert server.requests == []


async def test_a_server_that_speaks_no_tls() -> None:
    async def greet(connection: RawConnection) -> None:
        await connection.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await connection.reader.read()

    async with RawServer(greet) as server, client_of(https(server.url)) as client:
        assert (await problem_of(client, unexpected)).delivery is Delivery.NEVER_SENT


async def test_a_proxy_that_refuses_the_tunnel() -> None:
    async def refuse(connection: RawConnection) -> None:
        await connection.request()
        await connection.answer(b"", "407 Proxy Authentication Required")

    async with RawServer(refuse) as proxy, client_of("https://esa.invalid", proxy=proxy.url) as client:
        problem = await problem_of(client, unexpected)
        assert (problem.code, problem.delivery) == ("ConnectionFailed", Delivery.NEVER_SENT)
        assert "Authorization" not in "".join(proxy.requests)


async def test_who_is_cancelled_stops_at_once_and_leaves_the_client_usable() -> None:
    gone = asyncio.Event()

    async def first_silent(connection: RawConnection) -> None:
        await connection.request()
        if not gone.is_set():
            gone.set()
            await asyncio.Event().wait()
        await connection.answer(JOB)

    async with RawServer(first_silent) as server, client_of(server.url) as client:
        call = asyncio.create_task(client.reset_job("x", yes))
        await gone.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await client.get_job("x")
        assert len(server.requests) == 2


async def test_the_observer_hears_every_call() -> None:
    heard: list[tuple[str, str]] = []

    def observe(action: str, code: str, seconds: float) -> None:
        assert seconds >= 0
        heard.append((action, code))

    async def both(connection: RawConnection) -> None:
        await connection.request()
        await connection.answer(JOB)
        await connection.request()
        await connection.answer(b"{}")

    async with RawServer(both) as server:
        connections = Connections(server.url, request_timeout=5)
        client = EsaClient(Credentials("a", "b"), connections, Throttle(1000), observe=observe)
        await client.get_job("x")
        with pytest.raises(EsaError):
            await client.reset_job("x", yes)
        await connections.close()
    assert heard == [("GetScheduledPreloadJob", "OK"), ("ResetScheduledPreloadJob", "UnreadableAnswer")]


async def test_no_logger_hears_a_credential_or_a_signature(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with RawServer(reset_on_second) as server, client_of(server.url) as client:
        await client.get_job("x")
        await problem_of(client)
        authorization = server.requests[0].partition("Signature=")[2].partition("\r\n")[0]
    for hidden in ("key-id", "key-secret", "token", authorization):
        assert hidden
        assert hidden not in caplog.text
