"""The build of the tools, with a Go that only pretends."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

import tools

if TYPE_CHECKING:
    from pathlib import Path

FAKE_GO = """#!/bin/sh
if [ "$1" = env ]; then echo go1.99.1; exit; fi
echo "$@" >> "$FAKE_LOG"
while [ "$1" != -o ]; do shift; done
echo program > "$2"
"""


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts the pretending Go on PATH and an empty cache folder in place; returns the log of its builds."""
    program = tmp_path / "bin" / "go"
    program.parent.mkdir()
    program.write_text(FAKE_GO)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    monkeypatch.delenv("PACKAGING_TOOLS", raising=False)
    return tmp_path / "log"


def test_only_what_is_asked_for_is_built_and_only_once(go: Path) -> None:
    path = tools.tool("kubeconform")
    assert path.read_text() == "program\n"
    assert tools.tool("kubeconform") == path
    (line,) = go.read_text().splitlines()
    assert line.endswith("github.com/yannh/kubeconform/cmd/kubeconform")


def test_every_tool_has_a_module_that_pins_it(go: Path) -> None:
    assert tools.main([]) == 0
    assert len(go.read_text().splitlines()) == len(tools.TOOLS)


def test_helm_says_which_version_it_is_and_which_kubernetes_it_assumes(go: Path) -> None:
    tools.tool("helm3")
    assert "internal/version.version=v3.22.0" in go.read_text()
    assert "chartutil.k8sVersionMinor=3" in go.read_text()


def test_given_tools_are_not_built(go: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKAGING_TOOLS", str(tmp_path))
    (tmp_path / "promtool").touch()
    assert tools.tool("promtool") == tmp_path / "promtool"
    assert not go.exists()


def test_an_unknown_tool_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert tools.main(["helm2"]) == 2
    assert "there is no 'helm2'" in capsys.readouterr().err
