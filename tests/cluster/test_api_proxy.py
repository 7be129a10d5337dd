from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
from typing import TYPE_CHECKING, Any
from unittest import mock
from uuid import uuid4

import aiohttp
import pytest
import yaml

from control_plane import free_port
from support.api_proxy import ApiProxy, Exchange, Match

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from control_plane import ControlPlane

CONFIG_MAPS = "/configmaps"
DEADLINE = 30.0


class Api:
    """A client that knows nothing but the proxy's kubeconfig."""

    def __init__(self, proxy: ApiProxy) -> None:
        cluster = yaml.safe_load(proxy.kubeconfig.read_text())["clusters"][0]["cluster"]
        self.server: str = cluster["server"]
        self.namespace = f"proxy-{uuid4().hex[:8]}"
        ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cadata=ca))
        self.session = aiohttp.ClientSession(self.server, connector=connector, headers={"User-Agent": "tested/1"})

    @property
    def config_maps(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps"

    async def create(self, name: str) -> tuple[int, dict[str, Any]]:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        async with self.session.post(self.config_maps, json=body) as answer:
            return answer.status, await answer.json()

    async def names(self) -> set[str]:
        async with self.session.get(self.config_maps) as answer:
            return {item["metadata"]["name"] for item in (await answer.json())["items"]}

    def watch(self) -> Any:
        return self.session.get(self.config_maps, params={"watch": "true"}, timeout=aiohttp.ClientTimeout())


async def next_name(stream: aiohttp.ClientResponse) -> str:
    async with asyncio.timeout(DEADLINE):
        line = await stream.content.readline()
    return str(json.loads(line)["object"]["metadata"]["name"])


async def silent(stream: aiohttp.ClientResponse) -> bool:
    try:
        async with asyncio.timeout(0.3):
            return not await stream.content.readline()
    except TimeoutError:
        return True


@pytest.fixture
async def proxy(control_plane: ControlPlane) -> AsyncIterator[ApiProxy]:
    async with ApiProxy(control_plane) as running:
        yield running


@pytest.fixture
async def api(proxy: ApiProxy) -> AsyncIterator[Api]:
    client = Api(proxy)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": client.namespace}}
    async with client.session:
        async with client.session.post("/api/v1/namespaces", json=namespace) as answer:
            assert answer.status == 201
        proxy.log.clear()
        yield client


async def test_without_faults_it_is_not_noticed(control_plane: ControlPlane, proxy: ApiProxy, api: Api) -> None:
    await api.create("plain")
    arguments = [f"--server={api.server}", "--namespace", api.namespace, "get", "configmaps", "-o", "name"]
    assert await asyncio.to_thread(control_plane.kubectl, *arguments) == "configmap/plain\n"
    created = proxy.log[0]
    assert (created.method, created.path, created.status) == ("POST", api.config_maps, 201)
    assert created.body["metadata"]["name"] == "plain"
    assert created.user_agent == "tested/1"
    assert created.answer["metadata"]["uid"]
    assert proxy.requests(Match("GET", CONFIG_MAPS))[0].user_agent.startswith("kubectl/")


async def test_the_api_server_sees_the_user_of_the_proxy(control_plane: ControlPlane) -> None:
    control_plane.add_user("proxied")
    async with ApiProxy(control_plane, "proxied") as proxy:
        api = Api(proxy)
        async with api.session, api.session.get("/api/v1/secrets") as answer:
            assert answer.status == 403
            assert 'User "proxied" cannot list' in (await answer.json())["message"]


async def test_a_refused_request_never_reaches_the_server(proxy: ApiProxy, api: Api) -> None:
    match = Match("POST", CONFIG_MAPS, body=lambda body: body["metadata"]["name"] == "refused")
    rule = proxy.refuse(match, status=429, reason="TooManyRequests", message="later", retry_after=7)
    assert (await api.create("other"))[0] == 201
    status, answer = await api.create("refused")
    assert (status, answer["kind"], answer["reason"], answer["code"]) == (429, "Status", "TooManyRequests", 429)
    assert [hit.status for hit in rule.hits] == [429]
    assert rule.hits[0].upstream_status is None
    assert await api.names() == {"other"}
    assert (await api.create("refused"))[0] == 201  # once only


async def test_a_lost_answer_is_of_a_request_that_was_done(proxy: ApiProxy, api: Api) -> None:
    rule = proxy.lose_answer(Match("POST", CONFIG_MAPS))
    with pytest.raises(aiohttp.ClientConnectionError):
        await api.create("lost")
    assert await api.names() == {"lost"}
    assert (rule.hits[0].upstream_status, rule.hits[0].status) == (201, None)


async def test_a_lost_request_was_not_done(proxy: ApiProxy, api: Api) -> None:
    proxy.lose_request(Match("POST", CONFIG_MAPS))
    with pytest.raises(aiohttp.ClientConnectionError):
        await api.create("lost")
    assert await api.names() == set()


async def test_watch_events_pass_at_once(api: Api) -> None:
    async with api.watch() as stream:
        for name in ("a", "b"):
            await api.create(name)
            assert await next_name(stream) == name


async def test_delayed_events_come_late_and_in_order_and_answers_do_not(proxy: ApiProxy, api: Api) -> None:
    async with api.watch() as stream:
        proxy.delay_watch(0.5)
        started = time.monotonic()
        for name in ("a", "b", "c"):
            await api.create(name)
        assert await api.names() == {"a", "b", "c"}
        assert [await next_name(stream) for _ in range(3)] == ["a", "b", "c"]
        assert time.monotonic() - started >= 0.5


async def test_the_end_of_a_delay_frees_what_waits(proxy: ApiProxy, api: Api) -> None:
    proxy.delay_watch(3600)
    async with api.watch() as stream:
        await api.create("a")
        await api.create("b")
        assert await silent(stream)
        proxy.delay_watch(0)
        assert [await next_name(stream), await next_name(stream)] == ["a", "b"]


@pytest.mark.parametrize("clean", [True, False])
async def test_cut_watches_end(proxy: ApiProxy, api: Api, *, clean: bool) -> None:
    async with api.watch() as stream:
        await api.create("a")
        assert await next_name(stream) == "a"
        assert proxy.cut_watches(clean=clean) == 1
        async with asyncio.timeout(DEADLINE):
            if clean:
                assert await stream.content.read() == b""
            else:
                with pytest.raises(aiohttp.ClientPayloadError):
                    await stream.content.read()
    async with api.watch() as stream:
        assert await next_name(stream) == "a"
        assert proxy.cut_watches() == 1


async def test_a_watch_is_gone_as_an_event_or_as_a_status(proxy: ApiProxy, api: Api) -> None:
    proxy.gone()
    async with api.watch() as stream:
        event = json.loads(await stream.content.read())
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    proxy.gone(as_event=False)
    async with api.watch() as stream:
        assert stream.status == 410
    async with api.watch() as stream:
        assert stream.status == 200


async def test_a_blackhole_swallows_requests_and_silences_watches(proxy: ApiProxy, api: Api) -> None:
    async with api.watch() as stream:
        assert await silent(stream)
        proxy.blackhole(on=True)
        swallowed = asyncio.create_task(api.create("swallowed"))
        await asyncio.to_thread(proxy._control_plane.kubectl, "-n", api.namespace, "create", "configmap", "direct")
        assert await silent(stream)
        assert not swallowed.done()
        proxy.blackhole(on=False)
        assert await next_name(stream) == "direct"
        with pytest.raises(aiohttp.ClientConnectionError):
            await swallowed
    assert await api.names() == {"direct"}


async def test_a_gate_keeps_the_request(proxy: ApiProxy, api: Api) -> None:
    gate = proxy.hold(Match("POST", CONFIG_MAPS))
    kept = asyncio.create_task(api.create("kept"))
    await gate.met.wait()
    assert await api.names() == set()
    assert (await api.create("next"))[0] == 201  # only as many as asked for are kept
    gate.release()
    assert (await kept)[0] == 201


async def test_a_gate_keeps_the_answer(proxy: ApiProxy, api: Api) -> None:
    gate = proxy.hold(Match("POST", CONFIG_MAPS), after=True)
    kept = asyncio.create_task(api.create("kept"))
    await gate.met.wait()
    assert gate.hits[0].upstream_status == 201
    assert await api.names() == {"kept"}
    assert not kept.done()
    gate.release()
    assert (await kept)[0] == 201


async def test_a_kept_request_is_forwarded_though_its_client_is_gone(proxy: ApiProxy, api: Api) -> None:
    gate = proxy.hold(Match("POST", CONFIG_MAPS))
    done = proxy.hold(Match("POST", CONFIG_MAPS), after=True)
    kept = asyncio.create_task(api.create("kept"))
    await gate.met.wait()
    kept.cancel()
    await asyncio.gather(kept, return_exceptions=True)
    gate.release()
    async with asyncio.timeout(DEADLINE):
        await done.met.wait()
    done.release()
    assert await api.names() == {"kept"}


async def test_callbacks_stand_before_and_after_the_server(proxy: ApiProxy, api: Api) -> None:
    seen: list[tuple[str, set[str], int | None]] = []

    async def before(request: Exchange) -> None:
        seen.append(("before", await api.names(), request.upstream_status))

    async def after(request: Exchange) -> None:
        seen.append(("after", await api.names(), request.upstream_status))

    proxy.before(Match("POST", CONFIG_MAPS), before)
    proxy.after(Match("POST", CONFIG_MAPS), after)
    await api.create("one")
    assert seen == [("before", set(), None), ("after", {"one"}, 201)]
    await api.create("two")
    assert len(seen) == 2


async def test_a_callback_runs_to_its_end_though_it_ends_the_client(proxy: ApiProxy, api: Api) -> None:
    ended = asyncio.Event()

    async def end_the_client(_request: Exchange) -> None:
        client.cancel()
        await asyncio.gather(client, return_exceptions=True)
        await api.session.close()
        ended.set()

    proxy.after(Match("POST", CONFIG_MAPS), end_the_client)
    client = asyncio.create_task(api.create("one"))
    async with asyncio.timeout(DEADLINE):
        await ended.wait()


async def test_a_failing_callback_fails_the_test(control_plane: ControlPlane) -> None:
    def fail(_request: Exchange) -> None:
        raise AssertionError("seen by the test")

    proxy = ApiProxy(control_plane)
    await proxy.__aenter__()
    proxy.before(Match(), fail, times=None)  # aiohttp asks a second time
    api = Api(proxy)
    async with api.session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await api.names()
    with pytest.raises(AssertionError, match="seen by the test"):
        await proxy.__aexit__(None, None, None)


async def test_a_client_that_leaves_a_watch_ends_it_upstream(proxy: ApiProxy, api: Api) -> None:
    async with api.watch() as stream:
        assert stream.status == 200
        await proxy.until(lambda: proxy.watches == 1)
    await proxy.until(lambda: proxy.watches == 0)


async def test_a_restart_of_the_server_looks_as_it_does_without_a_proxy(
    control_plane: ControlPlane, proxy: ApiProxy, api: Api
) -> None:
    await api.create("kept")
    async with api.watch() as stream:
        assert await next_name(stream) == "kept"
        await asyncio.to_thread(control_plane.restart)
        with pytest.raises(aiohttp.ClientPayloadError):
            await stream.content.read()
    assert proxy.watches == 0
    assert await api.names() == {"kept"}


async def test_a_server_that_does_not_run_looks_as_it_does_without_a_proxy(control_plane: ControlPlane) -> None:
    with mock.patch.object(type(control_plane), "url", f"https://127.0.0.1:{free_port()}"):
        async with ApiProxy(control_plane) as proxy:
            api = Api(proxy)
            async with api.session:
                with pytest.raises(aiohttp.ClientConnectionError):
                    await api.create("never")
            assert [each.status for each in proxy.log] == [None]
