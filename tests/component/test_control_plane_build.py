"""The build of the control plane's programs, with a Go that only pretends."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import build

if TYPE_CHECKING:
    from pathlib import Path

FAKE_GO = """#!/bin/sh
if [ "$1" = env ]; then echo "$FAKE_VERSION"; exit; fi
echo "$@" >> "$FAKE_LOG"
test -z "$FAKE_FAILURE" || { echo "$FAKE_FAILURE"; exit 1; }
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
    monkeypatch.setenv("FAKE_VERSION", "go1.99.1")
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return tmp_path / "log"


def test_it_builds_once(go: Path) -> None:
    folder = build.binaries()
    assert {each.name for each in folder.iterdir()} == {"etcd", "kube-apiserver", "kubectl"}
    assert build.binaries() == folder
    lines = go.read_text().splitlines()
    assert len(lines) == 3
    assert "gitVersion=v1.37.2" in lines[1]


def test_two_at_once_build_once(go: Path) -> None:
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(lambda _: build.binaries(), range(2))
    assert first == second
    assert len(go.read_text().splitlines()) == 3


def test_another_go_builds_anew(go: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build.binaries()
    monkeypatch.setenv("FAKE_VERSION", "go1.99.2")
    assert build.binaries() != first
    assert len(go.read_text().splitlines()) == 6


def test_a_failed_build_leaves_nothing_and_can_be_tried_again(go: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAILURE", "no space left")
    with pytest.raises(build.BuildError, match="no space left"):
        build.binaries()
    assert [each.suffix for each in build.cache_folder().iterdir()] == [".lock"]
    monkeypatch.setenv("FAKE_FAILURE", "")
    assert (build.binaries() / "etcd").is_file()
    assert len(go.read_text().splitlines()) == 4


def test_given_binaries_are_not_built(go: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    with pytest.raises(build.BuildError, match="lacks etcd, kube-apiserver, kubectl"):
        build.binaries()
    for name in build.PROGRAMS:
        (tmp_path / name).touch()
    assert build.binaries() == tmp_path
    assert not go.exists()


def test_without_go_one_line_says_what_to_do(
    go: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    python = tmp_path / "python" / "python"  # it has no Go beside it and can install none
    python.parent.mkdir()
    python.symlink_to("/bin/false")
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("FAKE_VERSION", "go1.20")
    assert build.main() == 1
    output = capfd.readouterr()
    assert output.out == ""
    assert output.err.splitlines()[-1].startswith("control plane: Go 1.26.0 or newer is missing: install it")
    assert not go.exists()
