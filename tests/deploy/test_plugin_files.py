"""The kubectl plugin as it is handed out: one file, an archive and a manifest for krew, and keys for k9s."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import pyz
from build import binaries
from esa_preload_operator.cli.plugin.arguments import parser
from esa_preload_operator.cli.plugin.flags import take_apart
from esa_preload_operator.resources.names import PLURAL
from support.chart import ROOT, VERSION

if TYPE_CHECKING:
    from pathlib import Path

EPOCH = 1_790_000_000
HOME = "https://forge.example.com/edge/esa"
BARE = (sys.executable, "-I", "-S")
"""Python without anything that is installed."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pyz.make(ROOT, tmp_path_factory.mktemp("plugin"), VERSION, EPOCH)


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=60)


def test_the_one_file_runs_without_anything_that_is_installed(program: Path) -> None:
    assert run(*BARE, program, "--version").stdout == f"{VERSION}\n"
    assert "ask for resets" in run(*BARE, program, "--help").stdout
    refused = run(*BARE, program, "reset")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_kubectl_finds_the_one_file_as_its_plugin(program: Path, tmp_path: Path) -> None:
    plugin = tmp_path / "kubectl-esa_preload"
    plugin.symlink_to(program)
    done = run(binaries() / "kubectl", "esa-preload", "--version", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert done.stdout == f"{VERSION}\n"


def test_the_live_picture_and_yaml_need_nothing_beside_the_one_file(program: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(program)!r}); import rich.live, rich.console, rich.text, yaml"
    code += "; print(rich.__file__)"
    assert run(*BARE, "-c", code).stdout.startswith(str(program))


def test_adopt_says_what_it_needs_where_that_is_missing(program: Path) -> None:
    done = run(*BARE, program, "adopt", "--site=1")
    assert done.returncode == 2
    assert "pip install 'esa-preload-operator[cli]'" in done.stderr


def test_the_same_source_gives_the_same_bytes(program: Path, tmp_path: Path) -> None:
    again = pyz.make(ROOT, tmp_path, VERSION, EPOCH)
    assert again.read_bytes() == program.read_bytes()
    archives = [
        pyz.make_archive(each, ROOT / "LICENSE", tmp_path, VERSION, EPOCH).read_bytes() for each in (program, again)
    ]
    assert archives[0] == archives[1]


def test_licences_go_with_what_is_packed(program: Path) -> None:
    with zipfile.ZipFile(program) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    for name in ("rich", "pyyaml", "esa_preload_operator"):
        assert any(each.lower().startswith(name) and "LICENSE" in each for each in names), name
    assert not [each for each in names if each.endswith((".so", ".pyc"))]


def test_krew_gets_a_program_that_may_be_run_and_its_checksum(program: Path, tmp_path: Path) -> None:
    archive = pyz.make_archive(program, ROOT / "LICENSE", tmp_path, VERSION, EPOCH)
    made = yaml.safe_load(pyz.manifest((ROOT / pyz.KREW).read_text(), archive, VERSION, HOME))
    assert made["metadata"]["name"] == pyz.KREW.stem == "esa-preload"
    assert made["spec"]["version"] == f"v{VERSION}"
    (platform,) = made["spec"]["platforms"]
    assert platform["uri"] == f"{HOME}/releases/download/v{VERSION}/{archive.name}"
    assert platform["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    with tarfile.open(archive) as packed:
        members = {each.name: each.mode for each in packed}
    assert {each["from"] for each in platform["files"]} == set(members)
    assert members[platform["bin"]] & stat.S_IXUSR
    assert len(made["spec"]["shortDescription"]) < 50


def k9s() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "k9s" / "plugins.yaml").read_text())["plugins"]
    return found


def test_keys_of_k9s_stand_for_commands_that_the_plugin_knows() -> None:
    keys = k9s()
    assert {name.removeprefix("esa-preload-") for name in keys} == {"reset", "status", "suspend", "resume"}
    assert len({each["shortCut"] for each in keys.values()}) == len(keys)
    for name, each in keys.items():
        assert each["scopes"] == [PLURAL]
        words = each["args"]
        if each["command"] == "sh":
            line = words[1].partition(" | ")[0]
            for at, value in enumerate(words[2:]):
                line = line.replace(f'"${at}"', value)
            words = line.split()[1:]
        assert words[0] == "esa-preload"
        given = take_apart(words[1:])
        assert given.kubectl == ("--namespace=$NAMESPACE", "--context=$CONTEXT")
        options = parser().parse_args(given.rest)
        assert options.command == name.removeprefix("esa-preload-")
        assert "$NAME" in given.rest


def test_what_costs_something_is_confirmed() -> None:
    assert {name for name, each in k9s().items() if each.get("confirm")} == {"esa-preload-reset", "esa-preload-suspend"}
