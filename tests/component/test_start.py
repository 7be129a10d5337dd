"""What people read who start the operator with a wrong setting: one line that names it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import yaml

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
        ("ENDPOINT", "http://esa.example.com", "ESA_OPERATOR_ENDPOINT"),
        ("ENDPOINT", "esa.example.com", "ESA_OPERATOR_ENDPOINT"),
        ("ENDPOINT", "https://x..y.com", "ESA_OPERATOR_ENDPOINT"),
    ],
)
def test_a_wrong_setting_is_named(kubeconfig: Path, name: str, value: str, told: str) -> None:
    assert told in complaint(kubeconfig, **{name: value})


def test_a_wrong_flag_is_named_as_it_was_given(kubeconfig: Path) -> None:
    assert "--stale-token-after" in complaint(kubeconfig, "--stale-token-after", "soon")


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
