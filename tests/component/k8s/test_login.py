from __future__ import annotations

import base64
import json
import tempfile
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from esa_preload_operator.k8s import connection as connection_module
from esa_preload_operator.k8s import login
from esa_preload_operator.k8s.connection import NotSentError, connect
from esa_preload_operator.k8s.kubeconfig import ConfigurationError
from esa_preload_operator.k8s.login import find_login

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "very-secret-token"


def config(**changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
        **changes,
    }


def plugin(command: str, *args: str) -> dict[str, Any]:
    version = "client.authentication.k8s.io/v1"
    return {"apiVersion": version, "command": command, "args": list(args), "interactiveMode": "Never"}


def cluster(**more: str) -> dict[str, Any]:
    return {"name": "c", "cluster": {"server": "https://127.0.0.1:1", **more}}


def written(folder: Path, content: object) -> str:
    path = folder / "config"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "not a kubeconfig"),
        ("a: [", "not YAML"),
        ("- 1", "not a kubeconfig"),
        (config(**{"current-context": ""}), "no current-context"),
        (config(**{"current-context": "b"}), r"no context 'b' \(it has \['a'\]\)"),
        (config(contexts=None), "no context 'a'"),
        (config(contexts=[{"context": {}}]), "an entry has no name"),
        (config(contexts=[3]), "an entry has no name"),
        (config(clusters=[]), "no cluster with a server"),
        (config(clusters=[{"name": "c", "cluster": {}}]), "no cluster with a server"),
        (config(users=[]), "no user"),
        (config(users=[{"name": "u", "user": {"exec": plugin("false")}}]), "plugin gave no credentials"),
        (config(users=[{"name": "u", "user": {"token": TOKEN, "auth-provider": {"name": "oidc"}}}]), "kubeconfig"),
        (config(contexts=[{"name": "a", "context": {"cluster": [1], "user": "u"}}]), "not usable"),
        (config(contexts=5), "an entry has no name"),
        ("[" * 5000, "not usable"),
        (config(clusters=[cluster(**{"certificate-authority": "absent"})]), "not usable"),
        (config(clusters=[cluster(**{"certificate-authority-data": "?"})]), "not usable|can't be used"),
    ],
)
async def test_a_broken_kubeconfig_is_one_clear_line_without_its_secrets(
    tmp_path: Path, content: object, says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        await connect(written(tmp_path, content))
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)


async def test_without_a_folder_for_the_certificates_of_a_kubeconfig_one_line_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    data = base64.b64encode(b"certificate of this test alone").decode()
    content = config(clusters=[cluster(**{"certificate-authority-data": data})])
    with pytest.raises(ConfigurationError, match=r"/absent/\w+: No such file or directory$"):
        await connect(written(tmp_path, content))


async def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="absent: no such file"):
        await connect(str(tmp_path / "absent"))


async def test_the_context_can_be_chosen(tmp_path: Path) -> None:
    content = config(
        contexts=[{"name": name, "context": {"cluster": name, "user": "u"}} for name in "ab"],
        clusters=[{"name": name, "cluster": {"server": f"http://{name}"}} for name in "ab"],
    )
    async with await connect(written(tmp_path, content), "b") as connection:
        assert connection.server == "http://b"


async def test_a_credential_plugin_is_asked(tmp_path: Path) -> None:
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "from-plugin"}
    }  # fmt: skip
    user = {"exec": plugin("echo", json.dumps(answer))}
    async with await connect(written(tmp_path, config(users=[{"name": "u", "user": user}]))) as connection:
        assert await connection._authorization() == "Bearer from-plugin"


async def test_a_pod_logs_in_as_its_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kubernetes.aio.config import incluster_config  # noqa: PLC0415 - slow to import

    for name, text in {"token": TOKEN + "\n", "ca.crt": "x", "namespace": "mine\n"}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(login, "IN_CLUSTER_FOLDER", tmp_path)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    source = find_login()
    assert login.own_namespace(source) == "mine"
    with pytest.raises(ConfigurationError, match="certificate or key can't be used"):
        await connect()


class _NoClient:
    """Stands for the client where no certificate is at hand."""

    rest_client = None

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("fault", ["empty", "gone", "a folder"])
async def test_a_service_account_s_token_that_becomes_unreadable_is_a_request_that_was_never_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    from kubernetes.aio.config import incluster_config  # noqa: PLC0415 - slow to import

    for name, text in {"token": TOKEN, "ca.crt": "x"}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    monkeypatch.setattr(login, "IN_CLUSTER_FOLDER", tmp_path)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setattr(connection_module, "_client", lambda _source, _configuration: _NoClient())
    loader = incluster_config.InClusterConfigLoader
    read = loader._read_token_file

    def read_and_expire(self: Any) -> None:
        read(self)  # type: ignore[no-untyped-call] # the client has no types here
        self.token_expires_at = datetime.min  # noqa: DTZ901 - so that each request reads it

    monkeypatch.setattr(loader, "_read_token_file", read_and_expire)
    async with await connect() as connection:
        (tmp_path / "token").write_text("") if fault == "empty" else (tmp_path / "token").unlink()
        if fault == "a folder":
            (tmp_path / "token").mkdir()
        with pytest.raises(NotSentError, match=r"^the token of the pod's service account can't be read \(") as caught:
            await connection.request("PATCH", "/x", {})
    assert TOKEN not in str(caught.value)


def test_without_any_login_one_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match="KUBECONFIG is not set"):
        find_login()
    monkeypatch.setenv("KUBECONFIG", "/somewhere")
    assert find_login().kubeconfig == "/somewhere"
    assert login.own_namespace(find_login()) is None
