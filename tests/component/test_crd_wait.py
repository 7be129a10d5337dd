"""What stands in the way of the first watch, in the log and in /readyz: the cause, and again when it changes."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from aiohttp import web

from certificates import Authority
from esa_preload_operator.k8s.connection import connect
from esa_preload_operator.resources.job import GROUP, PLURAL, VERSION
from esa_preload_operator.runtime import crd
from esa_preload_operator.runtime.crd import wait_for_crd
from esa_preload_operator.runtime.health import Health
from esa_preload_operator.runtime.metrics import Metrics
from esa_preload_operator.runtime.queue import WorkQueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TOKEN: Final = "very-secret-token"
SERVED: Final = (200, {"resources": [{"name": PLURAL}]})
MISSING: Final = (404, {"kind": "Status", "reason": "NotFound", "message": "the server could not find it"})
UNAUTHORIZED: Final = (401, {"kind": "Status", "reason": "Unauthorized", "message": "Unauthorized"})


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crd, "_EVERY", 0.01)


@pytest.fixture
def health() -> Health:
    return Health(WorkQueue(), Metrics("1.2.3"), work_limit=60.0)


def kubeconfig(folder: Path, server: str, token: str | None = TOKEN, **cluster: Any) -> str:
    path = folder / "kubeconfig"
    content = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "u", "user": {"token": token} if token else {}}],
    }
    path.write_text(yaml.safe_dump(content))
    return str(path)


@contextlib.asynccontextmanager
async def waiting(config: str, health: Health) -> AsyncIterator[asyncio.Task[None]]:
    async with await connect(config) as connection:
        task = asyncio.create_task(wait_for_crd(connection, health))
        yield task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def shown(health: Health, text: str) -> str:
    """Wait until /readyz would show a text; return all that it shows."""
    async with asyncio.timeout(30):
        while text not in health.unready():  # noqa: ASYNC110 - nothing tells of a note
            await asyncio.sleep(0.01)
    return health.unready()


class Server:
    """An API server that answers the same to everything; `answer` may change."""

    def __init__(self, status: int, body: object) -> None:
        self.answer = (status, body)
        self.asked = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.asked += 1
        assert request.path == f"/apis/{GROUP}/{VERSION}"
        return web.json_response(self.answer[1], status=self.answer[0])

    async def asked_again(self) -> None:
        before = self.asked
        async with asyncio.timeout(30):
            while self.asked < before + 3:  # noqa: ASYNC110 - nothing tells of a request
                await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        try:
            yield f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]


async def test_a_server_that_does_not_listen_is_named_with_the_cause(
    tmp_path: Path, health: Health, caplog: pytest.LogCaptureFixture
) -> None:
    async with waiting(kubeconfig(tmp_path, "https://127.0.0.1:9"), health):
        text = await shown(health, "cannot reach")
        await asyncio.sleep(0.1)  # several more tries, which say nothing new
    assert text == "cannot reach the API server https://127.0.0.1:9: connection refused"
    assert warnings(caplog) == [text]


async def test_a_host_that_nobody_knows_is_named(tmp_path: Path, health: Health) -> None:
    async with waiting(kubeconfig(tmp_path, "https://user:hidden@api.invalid:6443", token=None), health):
        text = await shown(health, "cannot reach")
    assert text.startswith("cannot reach the API server https://api.invalid:6443: the host name can't be resolved (")


async def test_a_certificate_that_is_not_trusted_is_told(tmp_path: Path, health: Health) -> None:
    for name in ("own", "other"):
        (tmp_path / name).mkdir()
    pair = Authority(tmp_path / "own").server("server")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.certificate, pair.key)
    other = Authority(tmp_path / "other").certificate
    async with Server(*SERVED).running(tls) as url:
        config = kubeconfig(tmp_path, url, **{"certificate-authority": str(other)})
        async with waiting(config, health):
            text = await shown(health, "cannot reach")
    assert text.startswith(f"cannot reach the API server {url}: its certificate is not trusted (")


async def test_a_server_that_talks_no_tls_is_told(tmp_path: Path, health: Health) -> None:
    async with (
        Server(*SERVED).running() as url,
        waiting(kubeconfig(tmp_path, url.replace("http", "https")), health),
    ):
        text = await shown(health, "cannot reach")
    assert "TLS failed (" in text


async def test_each_change_of_the_cause_is_one_line_and_the_end_of_it_another(
    tmp_path: Path, health: Health, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(*UNAUTHORIZED)
    caplog.set_level("INFO")
    async with server.running() as url:
        config = kubeconfig(tmp_path, url)
        async with waiting(config, health) as task:
            await shown(health, f"unauthorized (401): {url} does not accept the login from kubeconfig {config}")
            await server.asked_again()
            server.answer = (403, {"reason": "Forbidden", "message": "not you"})
            await shown(health, "HTTP 403 Forbidden: not you")
            server.answer = MISSING
            text = await shown(health, f"waiting for the CRD {PLURAL}.{GROUP}")
            assert "esa-preload-operator crd | kubectl apply" in text
            await server.asked_again()
            server.answer = SERVED
            async with asyncio.timeout(30):
                await task
    assert health.unready() == "starting"
    assert len(warnings(caplog)) == 3
    assert caplog.records[-1].getMessage() == f"the CRD {PLURAL}.{GROUP} is served"
    assert TOKEN not in caplog.text


async def test_a_login_that_can_not_be_read_any_more_is_told_beside_the_refusal(tmp_path: Path, health: Health) -> None:
    async with Server(*UNAUTHORIZED).running() as url:
        config = kubeconfig(tmp_path, url)
        async with waiting(config, health):
            await shown(health, "unauthorized (401)")
            (tmp_path / "kubeconfig").write_text("users: [")
            text = await shown(health, "not YAML")
    assert text.endswith(f"from kubeconfig {config}; kubeconfig {config}: not YAML")


@pytest.mark.parametrize("body", [None, [], {}, {"resources": None}, {"resources": [None, {"name": 3}]}, "text"])
async def test_a_strange_answer_counts_as_a_missing_crd(tmp_path: Path, health: Health, body: object) -> None:
    async with Server(200, body).running() as url, waiting(kubeconfig(tmp_path, url), health):
        await shown(health, "waiting for the CRD")


async def test_an_api_server_that_answers_without_the_crd_is_a_sign_of_life(tmp_path: Path, health: Health) -> None:
    server = Server(*MISSING)
    async with server.running() as url, waiting(kubeconfig(tmp_path, url), health):
        await server.asked_again()
        before = health.metrics.text()
        await server.asked_again()
        assert health.metrics.text() != before
