"""What people read who start the operator with a wrong setting: one line that names it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

import pytest
import yaml

from support.operator_process import OperatorProcess

ROOT: Final = Path(__file__).parents[2]
# Nobody listens there: a wrong setting must show before anything is asked.
NOWHERE: Final = "https://127.0.0.1:9"


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    path = tmp_path / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": NOWHERE}}],
                "users": [{"name": "u", "user": {"token": "t"}}],
                "contexts": [{"name": "default", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "default",
            }
        )
    )
    return path


def complaint(kubeconfig: Path | str, *flags: str, **settings: str) -> str:
    """Start the operator, which must refuse to run; return its one line."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ESA_", "ALIBABA_", "KUBE"))}
    own = {"METRICS_PORT": "0", "HEALTH_PORT": "0"} | settings
    environment = {
        **kept,
        "PYTHONPATH": str(ROOT / "operator"),
        "KUBECONFIG": str(kubeconfig),
        **{f"ESA_OPERATOR_{key}": value for key, value in own.items()},
    }
    done = subprocess.run(
        [sys.executable, "-m", "esa_preload_operator", "run", *flags],
        env=environment, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("esa-preload-operator: ")
    return line


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ENDPIONT", "https://esa.example.com", "ESA_OPERATOR_ENDPIONT"),
        ("REQUEST_TIMEOUT", "10", "ESA_OPERATOR_REQUEST_TIMEOUT"),
        ("REFRESH_IDLE", "1 hour", "ESA_OPERATOR_REFRESH_IDLE"),
        ("WORKERS", "0", "ESA_OPERATOR_WORKERS"),
        ("LEADER_ELECTION", "perhaps", "ESA_OPERATOR_LEADER_ELECTION"),
        ("HEALTH_PORT", "65536", "ESA_OPERATOR_HEALTH_PORT"),
        ("LOG_FORMAT", "xml", "ESA_OPERATOR_LOG_FORMAT"),
        ("RESET_CONFIRMATION", "hope", "ESA_OPERATOR_RESET_CONFIRMATION"),
        ("NETWORK_GRACE", "0", "ESA_OPERATOR_NETWORK_GRACE"),
        ("NAMESPACES", "team-*", "ESA_OPERATOR_NAMESPACES (--namespace)"),
        ("LEASE_NAMESPACE", "Ops", "ESA_OPERATOR_LEASE_NAMESPACE"),
        ("MAX_CALLS_PER_SECOND", "1e-9", "ESA_OPERATOR_MAX_CALLS_PER_SECOND"),
        ("REFRESH_ACTIVE", "1ns", "at least 1s and at most 24h"),
        ("ENDPOINT", "http://esa.example.com", "ESA_OPERATOR_ENDPOINT"),
        ("ENDPOINT", "esa.example.com", "ESA_OPERATOR_ENDPOINT"),
        ("ENDPOINT", "https://x..y.com", "ESA_OPERATOR_ENDPOINT"),
    ],
)
def test_a_wrong_setting_is_named(kubeconfig: Path, name: str, value: str, told: str) -> None:
    assert told in complaint(kubeconfig, **{name: value})


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("HTTPS_PROXY", "http://user:hidden@proxy:port", "is no URL of a proxy; write it as http://"),
        ("https_proxy", "socks5://user:hidden@proxy:1080", "only http:// and https:// proxies are supported"),
        ("SSL_CERT_FILE", "/hidden/../absent", "/absent: no such file or directory"),
    ],
)
def test_a_wrong_proxy_or_file_of_authorities_is_named(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    line = complaint(kubeconfig)
    assert f"environment variable {name}" in line
    assert told in line
    assert "user" not in line


def test_a_wrong_flag_is_named_as_it_was_given(kubeconfig: Path) -> None:
    assert "--stale-token-after" in complaint(kubeconfig, "--stale-token-after", "soon")


@pytest.mark.parametrize("namespace", ["", "team-*", "!x"])
def test_a_namespace_that_can_be_none_is_named_as_it_was_given(kubeconfig: Path, namespace: str) -> None:
    assert "ESA_OPERATOR_NAMESPACES (--namespace): " in complaint(kubeconfig, "-n", namespace)


@pytest.mark.parametrize("election", ["true", "false"])
def test_an_api_server_that_does_not_answer_is_told_until_the_process_is_stopped(
    kubeconfig: Path, tmp_path: Path, election: str
) -> None:
    own = {"METRICS_PORT": "0", "HEALTH_PORT": "0", "LEADER_ELECTION": election}
    environment = {f"ESA_OPERATOR_{key}": value for key, value in own.items()} | {"PYTHONPATH": str(ROOT / "operator")}
    with OperatorProcess(tmp_path, kubeconfig, (), **environment) as operator:
        cause = f"cannot reach the API server {NOWHERE}: connection refused"
        operator.wait_for(re.escape(cause))
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"http://127.0.0.1:{operator.ports()[0]}/readyz", timeout=30)
        with caught.value as answer:
            assert (answer.code, cause in answer.read().decode()) == (503, True)
        operator.terminate()
        assert operator.wait() == 0
        assert sum("WARNING" in line and line.endswith(cause) for line in operator.log.splitlines()) == 1
        assert "Traceback" not in operator.log


def test_a_kubeconfig_that_does_not_exist_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert str(missing) in complaint(missing)


def test_a_kubeconfig_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text("apiVersion: [")
    assert str(path) in complaint(path)


def test_a_context_that_does_not_exist_is_named(kubeconfig: Path) -> None:
    assert "elsewhere" in complaint(kubeconfig, "--context", "elsewhere")


@pytest.mark.parametrize("name", ["HEALTH_PORT", "METRICS_PORT"])
def test_a_port_that_is_taken_is_named(kubeconfig: Path, name: str) -> None:
    with socket.socket(socket.AF_INET6) as taken:
        taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        taken.bind(("::", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = complaint(kubeconfig, LOG_LEVEL="error", **{name: str(port)})
    assert str(port) in line
    assert f"--{name.lower().replace('_', '-')}" in line
