"""A kubeconfig means what it means to kubectl."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from aiohttp import web
from multidict import CIMultiDict

from certificates import Authority
from esa_preload_operator.k8s.connection import NotSentError, connect
from esa_preload_operator.k8s.kubeconfig import ConfigurationError, read_kubeconfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SOURCES: Final = Path(__file__).parents[3] / "operator"
TOKEN: Final = "very-secret-token"


class ApiServer:
    """Speaks TLS, and notes the headers and server names that it was asked by."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.headers: list[CIMultiDict[str]] = []
        self.names: list[str | None] = []
        self.url = ""
        self._pair = self.authority.server("server", "api.example.test")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[ApiServer]:
        async def handle(request: web.Request) -> web.Response:
            self.headers.append(CIMultiDict(request.headers))
            return web.json_response({})

        def note(_socket: object, name: str | None, _context: ssl.SSLContext) -> None:
            self.names.append(name)

        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(self._pair.certificate, self._pair.key)
        tls.sni_callback = note
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        self.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    folder = tmp_path / "pki"
    folder.mkdir()
    async with ApiServer(folder).running() as running:
        yield running


def config(
    server: ApiServer | None = None, user: dict[str, Any] | None = None, context: Any = None, cluster: Any = None
) -> dict[str, Any]:
    if server is not None:
        trusted = {"server": server.url, "certificate-authority": str(server.authority.certificate)}
        cluster = trusted | (cluster or {})
    return {
        "current-context": "a",
        "contexts": [{"name": "a", "context": context or {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster or {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": TOKEN} if user is None else user}],
    }


def written(path: Path, content: dict[str, Any]) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return str(path)


async def headers_of(server: ApiServer, path: str) -> CIMultiDict[str]:
    """Ask once, and return what the server saw."""
    async with await connect(path) as connection:
        assert (await connection.request("GET", "/x")).ok
    return server.headers[-1]


async def test_the_server_is_asked_and_judged_by_its_tls_server_name(server: ApiServer, tmp_path: Path) -> None:
    await headers_of(server, written(tmp_path / "a", config(server, cluster={"tls-server-name": "api.example.test"})))
    assert server.names == ["api.example.test"]
    other = written(tmp_path / "b", config(server, cluster={"tls-server-name": "other.example.test"}))
    async with await connect(other) as connection:
        with pytest.raises(NotSentError, match="its certificate is not trusted"):
            await connection.request("GET", "/x")


@pytest.mark.parametrize("context", [{"cluster": "c"}, {"cluster": "c", "user": ""}, {"cluster": "c", "user": None}])
async def test_a_context_without_a_user_sends_no_credentials(
    server: ApiServer, tmp_path: Path, context: dict[str, Any]
) -> None:
    content = config(server, context=context)
    assert "Authorization" not in await headers_of(server, written(tmp_path / "a", content))
    content["users"] = None
    assert "Authorization" not in await headers_of(server, written(tmp_path / "a", content))


async def test_a_user_that_is_named_must_exist(tmp_path: Path) -> None:
    path = written(tmp_path / "a", config(context={"cluster": "c", "user": "absent"}))
    with pytest.raises(ConfigurationError, match="the context 'a' leads to no user"):
        await connect(path)


def plugin(folder: Path, token: str) -> None:
    """Write a credential plugin."""
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token}}
    folder.mkdir(parents=True)
    path = folder / "log-in"
    path.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    path.chmod(0o755)


@pytest.mark.parametrize("command", ["./bin/log-in", "bin/log-in", "../one/bin/log-in"])
async def test_a_plugin_with_a_relative_path_lies_beside_its_kubeconfig(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    plugin(tmp_path / "one" / "bin", "right")
    plugin(tmp_path / "bin", "wrong")
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": command}}
    written(tmp_path / "one" / "config", config(server, user))
    monkeypatch.chdir(tmp_path)
    for path in (str(tmp_path / "one" / "config"), "one/config"):
        assert (await headers_of(server, path))["Authorization"] == "Bearer right"


async def test_a_plugin_without_a_path_is_found_in_path(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin(tmp_path / "bin", "found")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "log-in"}}
    headers = await headers_of(server, written(tmp_path / "one" / "config", config(server, user)))
    assert headers["Authorization"] == "Bearer found"


def test_of_several_files_the_first_counts_and_paths_are_relative_to_their_own(tmp_path: Path) -> None:
    first = config(cluster={"server": "https://first", "certificate-authority": "ca.crt"})
    user = {"client-certificate": "me.crt", "client-key": "/me.key", "tokenFile": "t"}
    second = config(user=user, cluster={"server": "https://second"})
    del first["users"], second["contexts"]
    first["current-context"] = ""
    third = {"current-context": "late", "contexts": [{"name": "a", "context": {"cluster": "late"}}]}
    paths = [str(tmp_path / "absent")]
    for name, each in {"one": first, "two": second, "three": third}.items():
        paths.append(written(tmp_path / name / "config", each))
    found = read_kubeconfig(os.pathsep.join(paths), None)
    assert found.cluster == {"server": "https://first", "certificate-authority": str(tmp_path / "one" / "ca.crt")}
    assert found.user == {
        "client-certificate": str(tmp_path / "two" / "me.crt"),
        "client-key": "/me.key",
        "tokenFile": str(tmp_path / "two" / "t"),
    }


async def test_requests_act_as_whom_the_kubeconfig_says(server: ApiServer, tmp_path: Path) -> None:
    user = {
        "token": TOKEN,
        "as": "system:serviceaccount:ops:operator",
        "as-uid": "1234",
        "as-groups": ["one", "two"],
        "as-user-extra": {"example.com/scope%": ["a", "b"], "reason": ["try"]},
    }
    headers = await headers_of(server, written(tmp_path / "a", config(server, user)))
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    seen = sorted((name.lower(), value) for name, value in headers.items() if name.lower().startswith("impersonate"))
    assert seen == [
        ("impersonate-extra-example.com%2fscope%25", "a"),
        ("impersonate-extra-example.com%2fscope%25", "b"),
        ("impersonate-extra-reason", "try"),
        ("impersonate-group", "one"),
        ("impersonate-group", "two"),
        ("impersonate-uid", "1234"),
        ("impersonate-user", "system:serviceaccount:ops:operator"),
    ]


@pytest.mark.parametrize(
    ("user", "says"),
    [
        ({"as": 1}, "hold text only"),
        ({"as": "a\r\nX-Remote-User: b"}, "hold text only"),
        ({"as": "a", "as-groups": [["x"]]}, "hold text only"),
        ({"as": "a", "as-groups": "x"}, "as-groups is no list"),
        ({"as": "a", "as-user-extra": ["x"]}, "as-user-extra is no map"),
        ({"as": "a", "as-user-extra": {"x": "y"}}, "as-user-extra is no map of lists"),
        ({"as-groups": ["system:masters"]}, "without as"),
        ({"as": "", "as-uid": "1"}, "without as"),
    ],
)
async def test_half_an_impersonation_is_refused_in_one_line(tmp_path: Path, user: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        await connect(written(tmp_path / "a", config(user=user | {"token": TOKEN})))
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)


NOBODY: Final = """
import asyncio, os, pwd, sys

def nobody(_):
    raise KeyError

pwd.getpwuid = nobody
"""
CONNECT: Final = """
from esa_preload_operator.k8s.connection import connect

async def main():
    async with await connect() as connection:
        print(connection.server, "HOME" in os.environ)

asyncio.run(main())
"""
RUN: Final = """
from esa_preload_operator.cli.main import main

sys.exit(main(["run"]))
"""


def run_homeless(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script as a user id that nobody knows, with no HOME."""
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", NOBODY + script]
    return subprocess.run(
        command, env={**kept, **environment}, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_user_without_a_home_logs_in_by_a_kubeconfig(tmp_path: Path) -> None:
    done = run_homeless(CONNECT, KUBECONFIG=written(tmp_path / "a", config()))
    assert (done.returncode, done.stdout) == (0, "http://127.0.0.1:1 False\n"), done.stderr


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, "KUBECONFIG is not set, and there is no home folder"),
        ({"KUBECONFIG": "~/config"}, "~/config: no such file"),
    ],
)
def test_a_user_without_a_home_and_a_login_is_told_in_one_line(environment: dict[str, str], says: str) -> None:
    done = run_homeless(RUN, **environment)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    (line,) = done.stderr.splitlines()
    assert says in line
