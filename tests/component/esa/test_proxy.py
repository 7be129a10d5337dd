"""ESA and STS behind a proxy that wants a password: what it sees, when a request leaves, and what errors show."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from certificates import Authority
from esa_preload_operator.domain.errors import Delivery
from esa_preload_operator.esa.client import EsaClient
from esa_preload_operator.esa.egress import Egress, Proxy, read_egress
from support.cloud import Cloud
from support.connect_proxy import BASIC, SECRETS, connect_proxy, tunnel, with_password
from support.own_keys import Bench
from support.raw_server import Behaviour, RawConnection, RawServer
from support.sending import JOB, JOB_ID, answer_all, client_of, create, problem_of, yes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from esa_preload_operator.domain.errors import Problem

Call = Callable[[EsaClient, Callable[[], bool]], Coroutine[Any, Any, object]]

HOST = "esa.example.test"
STS = "sts.example.test"
ESA = f"https://{HOST}"


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts of servers of these names and of a client that trusts them."""
    authority = Authority(tmp_path)
    pair = authority.server("server", HOST, STS)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(pair.certificate, pair.key)
    client = read_egress({"SSL_CERT_FILE": str(authority.certificate)}).tls
    assert client is not None
    return server, client


@pytest.fixture(autouse=True)
def no_password_shows(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    for hidden in SECRETS:
        assert hidden not in caplog.text


def proxy_at(url: str) -> Proxy:
    proxy = read_egress({"HTTPS_PROXY": with_password(url)}).proxy
    assert proxy is not None
    return proxy


async def failed(client: EsaClient, may_send: Callable[[], bool] = yes) -> Problem:
    problem = await problem_of(client, may_send)
    for hidden in SECRETS:
        assert hidden not in str(problem)
    return problem


@asynccontextmanager
async def behind(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
    behaviour: Behaviour = answer_all,
    *,
    proxy_tls: ssl.SSLContext | None = None,
    **options: Any,
) -> AsyncIterator[tuple[EsaClient, RawServer, RawServer]]:
    """Yield a client whose way to ESA leads through a proxy, ESA, and the proxy."""
    async with (
        RawServer(behaviour, tls[0]) as esa,
        connect_proxy({f"{HOST}:443": esa.url}, proxy_tls, **options) as proxy,
        client_of(ESA, proxy=proxy_at(proxy.url), tls=tls[1]) as client,
    ):
        yield client, esa, proxy


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("secure", [False, True])
def test_requests_go_through_one_tunnel_and_the_password_to_the_proxy_alone(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], new_loop: Callable[[], asyncio.AbstractEventLoop], *, secure: bool
) -> None:
    async def main() -> None:
        async with behind(tls, proxy_tls=tls[0] if secure else None) as (client, esa, proxy):
            await client.get_job(JOB_ID)
            await client.reset_job(JOB_ID, yes)
            await create(client, yes)
        (asked,) = proxy.requests
        assert asked.startswith(f"CONNECT {HOST}:443 HTTP/1.1\r\n")
        assert f"Proxy-Authorization: Basic {BASIC}\r\n" in asked
        assert "x-acs-" not in asked.lower()
        assert [request.partition(" ")[0] for request in esa.requests] == ["GET", "POST", "POST"]
        for request in esa.requests:
            assert f"\r\nhost: {HOST}\r\n" in request
            assert "proxy" not in request.lower()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


@pytest.mark.parametrize("call", [lambda client, ask: client.reset_job(JOB_ID, ask), create])
async def test_the_sender_is_asked_once_the_tunnel_is_open_and_a_no_sends_nothing(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
    call: Call,
) -> None:
    asked: list[bool] = []
    held, release = asyncio.Event(), asyncio.Event()

    async def hold_back() -> None:
        held.set()
        await release.wait()

    def ask() -> bool:
        asked.append(release.is_set())
        return False

    async with behind(tls, before_tunnel=hold_back) as (client, esa, _):
        sending = asyncio.create_task(call(client, ask))
        await held.wait()
        assert asked == []
        release.set()
        with pytest.raises(Exception, match="NotSent"):
            await sending
        assert (asked, esa.requests) == ([True], [])
        await client.reset_job(JOB_ID, yes)
        assert len(esa.requests) == 1


@pytest.mark.parametrize("method", ["get", "reset"])
async def test_a_tunnel_that_breaks_under_a_request_is_not_tried_again(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], method: str
) -> None:
    async def reset_on_second(connection: RawConnection) -> None:
        await connection.request()
        await connection.answer(JOB)
        await connection.request()
        connection.reset()

    async with behind(tls, reset_on_second) as (client, esa, _):
        await client.get_job(JOB_ID)
        with pytest.raises(Exception, match="AnswerLost"):
            await (client.get_job(JOB_ID) if method == "get" else client.reset_job(JOB_ID, yes))
        assert len(esa.requests) == 2


async def refuse(connection: RawConnection) -> None:
    await connection.request()
    await connection.answer(b"", "407 Proxy Authentication Required")


async def hang_up(connection: RawConnection) -> None:
    await connection.request()


async def speak_otherwise(connection: RawConnection) -> None:
    await connection.request()
    await connection.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")


async def promise(connection: RawConnection) -> None:
    """Say that the tunnel is open, and close it."""
    await connection.request()
    await connection.write(b"HTTP/1.1 200 OK\r\n\r\n")


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (refuse, "the proxy did not open a tunnel (HTTP 407)"),
        (hang_up, "the server closed it"),
        (speak_otherwise, "the proxy's answer is no HTTP"),
        (promise, ""),
    ],
)
async def test_without_a_tunnel_nothing_is_sent_and_the_proxy_is_named(behaviour: Behaviour, why: str) -> None:
    async with RawServer(behaviour) as proxy, client_of(ESA, proxy=proxy_at(proxy.url)) as client:
        problem = await failed(client, unexpected)
        assert (problem.code, problem.delivery) == ("ConnectionFailed", Delivery.NEVER_SENT)
        named = f"no connection to {HOST} (setting ENDPOINT) through the proxy {proxy.url.removeprefix('http://')}: "
        assert problem.message.startswith(named + why)
        assert "Signature" not in "".join(proxy.requests)


def unexpected() -> bool:
    raise AssertionError("asked without a tunnel")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:9", "the proxy can't be reached"),
        ("http://proxy.invalid:3128", "the host name proxy.invalid could not be resolved"),
    ],
)
async def test_a_proxy_that_is_not_there_is_named(url: str, why: str) -> None:
    async with client_of(ESA, proxy=proxy_at(url)) as client:
        problem = await failed(client, unexpected)
        assert (problem.code, problem.delivery) == ("ConnectionFailed", Delivery.NEVER_SENT)
        assert problem.message.endswith(f" through the proxy {url.removeprefix('http://')}: {why}")


async def test_a_proxy_that_never_answers_is_named() -> None:
    async def silence(connection: RawConnection) -> None:
        await connection.request()
        await asyncio.Event().wait()

    async with RawServer(silence) as proxy, client_of(ESA, proxy=proxy_at(proxy.url), seconds=0.2) as client:
        problem = await failed(client, unexpected)
        assert (problem.code, problem.delivery) == ("ConnectTimeout", Delivery.NEVER_SENT)
        assert f"through the proxy {proxy.url.removeprefix('http://')}" in problem.message


async def test_behind_a_proxy_the_certificate_is_still_esa_s_own(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with RawServer(answer_all, tls[0]) as other, connect_proxy({"esa.other.test:443": other.url}) as proxy:
        async with client_of("https://esa.other.test", proxy=proxy_at(proxy.url), tls=tls[1]) as client:
            problem = await failed(client, unexpected)
            assert problem.delivery is Delivery.NEVER_SENT
            assert problem.message.endswith(": the certificate is not trusted")
        assert other.requests == []


async def test_sts_is_asked_through_the_proxy_and_by_the_same_trust(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], tmp_path: Path
) -> None:
    async with Cloud() as cloud, RawServer(tunnel(cloud.url), tls[0]) as sts:
        async with connect_proxy({f"{STS}:443": sts.url}) as proxy:
            bench = Bench(cloud, tmp_path)
            bench.environment["ALIBABA_CLOUD_STS_ENDPOINT"] = STS
            own = bench.open(egress=Egress(proxy_at(proxy.url), tls=tls[1]))
            assert (await own.find()).credentials.access_key_id == "STS.key-id-1"
            await own.close()
            await bench.own.close()
        assert [head.split("\r\n")[0] for head in proxy.requests] == [f"CONNECT {STS}:443 HTTP/1.1"]
        assert len(cloud.forms) == 1


async def test_the_instance_s_metadata_are_never_asked_through_the_proxy(tmp_path: Path) -> None:
    async with Cloud() as cloud, connect_proxy({}) as proxy:
        bench = Bench(cloud, tmp_path)
        bench.environment.clear()
        own = bench.open(egress=Egress(proxy_at(proxy.url)), ecs_ram_role=True)
        assert (await own.find()).credentials.access_key_id == "STS.key-id-1"
        await own.close()
        await bench.own.close()
        assert proxy.requests == []
