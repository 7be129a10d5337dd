from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aiohttp import web

from esa_preload_operator.k8s.connection import (
    AnswerLostError,
    Connection,
    NotSentError,
    StreamRefusedError,
    connect,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

TOKEN = "very-secret-token"


class Stub:
    """An API server of one handler; `requests` are (method, path, authorization)."""

    def __init__(self, folder: Path) -> None:
        self.requests: list[tuple[str, str, str]] = []
        self.handle: Callable[[web.Request], Awaitable[web.StreamResponse]] = self.well
        self.path = folder / "kubeconfig"
        self.port = 0

    async def well(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"a": 1})

    async def cut(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def write(self, token: str) -> str:
        config: dict[str, Any] = {
            "current-context": "a",
            "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "u", "user": {"token": token}}],
        }
        self.path.write_text(yaml.safe_dump(config))
        return str(self.path)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Connection]:
        async def handler(request: web.Request) -> web.StreamResponse:
            self.requests.append((request.method, request.path_qs, request.headers.get("Authorization", "")))
            return await self.handle(request)

        application = web.Application()
        application.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        self.port = runner.addresses[0][1]
        try:
            async with await connect(self.write(TOKEN)) as connection:
                yield connection
        finally:
            await runner.cleanup()


@pytest.fixture
def stub(tmp_path: Path) -> Stub:
    return Stub(tmp_path)


async def test_json_goes_out_and_comes_back(stub: Stub) -> None:
    async with stub.running() as connection:
        answer = await connection.request("GET", "/x", query={"fieldSelector": "metadata.name=a b"})
        assert (answer.ok, answer.body) == (True, {"a": 1})
    assert stub.requests == [("GET", "/x?fieldSelector=metadata.name%3Da+b", f"Bearer {TOKEN}")]


async def test_a_connection_that_never_opens_was_never_sent(stub: Stub) -> None:
    async with stub.running() as connection:
        pass
    async with await connect(str(stub.path)) as connection:
        with pytest.raises(NotSentError):
            await connection.request("PUT", "/x", {}, timeout=5)


@pytest.mark.parametrize("method", ["GET", "PATCH", "POST", "PUT"])
async def test_a_cut_connection_loses_the_answer_and_writes_are_not_repeated(stub: Stub, method: str) -> None:
    async with stub.running() as connection:
        await connection.request("GET", "/first")
        stub.handle = stub.cut
        with pytest.raises(AnswerLostError):
            await connection.request(method, "/x", {} if method != "GET" else None)
    assert method == "GET" or len(stub.requests) == 2


async def test_a_silent_server_loses_the_answer(stub: Stub) -> None:
    async def silent(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    stub.handle = silent
    async with stub.running() as connection:
        with pytest.raises(AnswerLostError):
            await connection.request("PATCH", "/x", [], timeout=0.2)


async def test_a_success_that_is_no_json_is_a_lost_answer_but_a_refusal_stays_one(stub: Stub) -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>", status=int(request.path[1:]), headers={"Retry-After": "Wed, 21 Oct"})

    stub.handle = broken
    async with stub.running() as connection:
        with pytest.raises(AnswerLostError):
            await connection.request("GET", "/200")
        answer = await connection.request("GET", "/404")
        assert (answer.status, answer.gone, answer.retry_after) == (404, False, None)
        assert answer.explanation == "HTTP 404"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("86400", 300.0),
        ("9" * 500, 300.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_the_servers_wish_for_a_pause_is_passed_on_and_bounded(
    stub: Stub, method: str, header: str, seconds: float | None
) -> None:
    async def busy(_request: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=429, headers={"Retry-After": header})

    stub.handle = busy
    async with stub.running() as connection:
        assert (await connection.request(method, "/x")).retry_after == seconds


async def test_a_rotated_token_is_read_again_and_a_read_repeated_but_no_write(stub: Stub) -> None:
    async def strict(request: web.Request) -> web.StreamResponse:
        known = request.headers.get("Authorization") == "Bearer new"
        return web.json_response({"ok": known}, status=200 if known else 401)

    stub.handle = strict
    async with stub.running() as connection:
        stub.write("new")
        assert (await connection.request("PATCH", "/x", [])).status == 401
        assert (await connection.request("PATCH", "/x", [])).ok
        stub.write("newer")
        await connection._renew_login(connection._login_number)
        stub.write("new")
        many = await asyncio.gather(*[connection.request("GET", "/x") for _ in range(5)])
        assert all(answer.ok for answer in many)


async def test_no_error_shows_the_token(stub: Stub) -> None:
    stub.handle = stub.cut
    async with stub.running() as connection:
        with pytest.raises(AnswerLostError) as caught:
            await connection.request("PATCH", "/x", [])
    assert TOKEN not in repr(caught.value)
    assert caught.value.__cause__ is None


async def test_a_stream_gives_whole_lines_and_its_refusals_and_silence_are_told_apart(stub: Stub) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in (b'{"a"', b":1}\n{", b"}\n", b""):
            await response.write(part) if part else None
            await asyncio.sleep(0.02)
        if "silent" in request.path:
            await asyncio.sleep(60)
        return response

    async def refuse(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"reason": "Forbidden"}, status=403)

    stub.handle = drip
    async with stub.running() as connection:
        async with connection.stream("/x", {"watch": "true"}, 5) as lines:
            assert [line async for line in lines] == [b'{"a":1}', b"{}"]
        with pytest.raises(AnswerLostError):
            async with connection.stream("/silent", {"watch": "true"}, 0.3) as lines:
                assert len([line async for line in lines]) == 2
        stub.handle = refuse
        with pytest.raises(StreamRefusedError, match="403 Forbidden"):
            async with connection.stream("/x", {"watch": "true"}, 5):
                pass
