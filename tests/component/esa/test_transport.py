"""How often a request leaves, and what an error says about it: against servers that misbehave byte by byte."""

import asyncio
import itertools
import socket
import ssl

import aiohttp
import pytest

from esa_preload_operator.domain.errors import Delivery, ErrorClass, EsaError, Reason
from esa_preload_operator.esa.client import MAX_LIST_SECONDS, MAX_PAGES, EsaClient
from esa_preload_operator.esa.credentials import Credentials
from esa_preload_operator.esa.throttle import Throttle
from esa_preload_operator.esa.transport import MAX_PAGE, Connections, GatedTransport
from support.raw_server import Behaviour, RawConnection, RawServer
from support.sending import JOB, JOB_ID, answer_all, client_of, https, problem_of, yes


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
        expected = (Delivery.UNKNOWN, ErrorClass.TRANSIENT, Reason.SERVICE_UNAVAILABLE)
        assert (problem.delivery, problem.error_class, problem.reason) == expected
        assert len(server.requests) == 1
    async with RawServer(behaviour) as server, client_of(server.url) as client:
        with pytest.raises(EsaError):
            await client.get_job(JOB_ID)
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
    assert written < 4 * MAX_PAGE  # most of it in the buffers of the connection


@pytest.mark.parametrize("method", ["get", "reset"])
async def test_a_connection_that_dies_under_a_request_is_not_tried_again(method: str) -> None:
    async with RawServer(reset_on_second) as server, client_of(server.url) as client:
        await client.get_job(JOB_ID)
        with pytest.raises(EsaError) as caught:
            await (client.get_job(JOB_ID) if method == "get" else client.reset_job(JOB_ID, yes))
        assert (caught.value.problem.code, caught.value.problem.delivery) == ("AnswerLost", Delivery.UNKNOWN)
        assert len(server.requests) == 2
        assert server.connections == 1 or method == "get", "for a read, the HTTP library connects again in vain"


async def test_a_connection_that_was_closed_while_idle_is_not_used() -> None:
    async with RawServer(close_after_answer) as server, client_of(server.url) as client:
        for _ in range(3):
            await client.get_job(JOB_ID)
            while (connector := sole_connector(client))._conns:
                protocol = next(iter(connector._conns.values()))[0][0]
                if not protocol.is_connected():
                    break
                await asyncio.sleep(0)
        await client.reset_job(JOB_ID, yes)
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
        host = url.removeprefix("http://")
        assert problem.message == f"no connection to {host} (setting ENDPOINT): connection refused"


def unexpected() -> bool:
    raise AssertionError("asked without a connection")


@pytest.mark.parametrize("host", [".", "x..y.com", f"{'a' * 64}.com", "[::1"])
async def test_a_host_name_that_no_library_takes(host: str) -> None:
    async with client_of("https://esa.invalid") as client:
        client._connections._endpoint = f"https://{host}"
        problem = await problem_of(client, unexpected)
        assert (problem.code, problem.delivery) == ("ConnectionFailed", Delivery.NEVER_SENT)
        assert problem.message.endswith(" (setting ENDPOINT): the host name is malformed")


async def test_a_host_without_address() -> None:
    async with client_of("https://esa.invalid") as client:
        problem = await problem_of(client, unexpected)
        assert (problem.code, problem.delivery) == ("ConnectionFailed", Delivery.NEVER_SENT)
        assert "esa.invalid (setting ENDPOINT): the host name esa.invalid could not be resolved" in problem.message


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
        assert problem.message.endswith(" (setting ENDPOINT): the certificate is not trusted")
        assert server.requests == []


async def test_a_server_that_speaks_no_tls() -> None:
    async def greet(connection: RawConnection) -> None:
        await connection.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await connection.reader.read()

    async with RawServer(greet) as server, client_of(https(server.url)) as client:
        assert (await problem_of(client, unexpected)).delivery is Delivery.NEVER_SENT


async def test_who_is_cancelled_stops_at_once_and_leaves_the_client_usable() -> None:
    gone = asyncio.Event()

    async def first_silent(connection: RawConnection) -> None:
        await connection.request()
        if not gone.is_set():
            gone.set()
            await asyncio.Event().wait()
        await connection.answer(JOB)

    async with RawServer(first_silent) as server, client_of(server.url) as client:
        call = asyncio.create_task(client.reset_job(JOB_ID, yes))
        await gone.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await client.get_job(JOB_ID)
        assert len(server.requests) == 2


@pytest.mark.parametrize(("seconds_per_page", "pages"), [(0.0, MAX_PAGES), (MAX_LIST_SECONDS / 4, 5)])
async def test_a_list_that_never_ends_is_given_up_and_named(seconds_per_page: float, pages: int) -> None:
    now = 0.0

    async def endless_list(connection: RawConnection) -> None:
        """Every page brings a job that no other page has."""
        nonlocal now
        for number in itertools.count():
            await connection.request()
            now += seconds_per_page
            await connection.answer(b'{"TotalCount": "999999", "Jobs": [{"Id": "%d"}]}' % number)

    async with RawServer(endless_list) as server:
        connections = Connections(server.url, request_timeout=5)
        client = EsaClient(Credentials("a", "b"), connections, Throttle(1e9, clock=lambda: now))
        with pytest.raises(EsaError, match="the list of site 7 did not end") as caught:
            await client.list_jobs(7, "")
        await connections.close()
    problem = caught.value.problem
    assert (problem.code, problem.error_class, problem.reason) == ("ListTooLong", ErrorClass.BLOCKED, Reason.ESA_ERROR)
    assert len(server.requests) == pages


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
        await client.get_job(JOB_ID)
        with pytest.raises(EsaError):
            await client.reset_job(JOB_ID, yes)
        await connections.close()
    assert heard == [("GetScheduledPreloadJob", "OK"), ("ResetScheduledPreloadJob", "UnreadableAnswer")]


async def test_no_logger_hears_a_credential_or_a_signature(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with RawServer(reset_on_second) as server, client_of(server.url) as client:
        await client.get_job(JOB_ID)
        await problem_of(client)
        authorization = server.requests[0].partition("Signature=")[2].partition("\r\n")[0]
    for hidden in ("key-id", "key-secret", "token", authorization):
        assert hidden
        assert hidden not in caplog.text
