"""The image, built without a daemon, and what is in it run as a hardened pod runs it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest

import image
from support.operator_process import OperatorProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.world import World

ROOT: Final = Path(__file__).parents[2]
DOCKERFILE: Final = (ROOT / "Dockerfile").read_text()
ARBITRARY_UID: Final = 1_234_567
ACCOUNT: Final = "secrets/kubernetes.io/serviceaccount"
"""Where a pod finds its service account, below /run."""
READ_ONLY: Final = """
set -eu
root=$1 folder=$2
shift 2
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount --bind /proc "$root/proc"
mount --bind -o ro "$folder" "$root/run"
mount -o remount,bind,ro "$root"
exec chroot "$root" "$@"
"""


@dataclass(frozen=True)
class Contents:
    """The image's files, and the configuration that says how to run them."""

    files: Path
    config: dict[str, Any]

    def command(self, folder: Path, entrypoint: list[str] | None = None, **environment: str) -> tuple[str, ...]:
        """Return what runs it on a read-only root, as an unknown user without any capability."""
        inside = ("unshare", "--mount", "sh", "-c", READ_ONLY, "sh", str(self.files), str(folder))
        user = (f"--reuid={ARBITRARY_UID}", "--regid=0", "--clear-groups")
        powerless = ("--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
        variables = [*self.config["Env"], *(f"{key}={value}" for key, value in environment.items())]
        program = entrypoint or self.config["Entrypoint"]
        return (*inside, "setpriv", *user, *powerless, "env", "-i", *variables, *program)

    def run(self, folder: Path, *program: str) -> str:
        return subprocess.run(
            self.command(folder, list(program)), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
        ).stdout


@pytest.fixture(scope="module")
def contents() -> Iterator[Contents]:
    if lacking := image.missing():
        pytest.skip(f"no image without {' and '.join(lacking)}; Debian has packages of these names")
    if os.geteuid() != 0:
        pytest.skip("no image without root: its files belong to root, and a read-only root is a mount")
    try:
        image.prepare_base()
    except image.ImageError as error:
        pytest.skip(f"no image without a base made of Debian's packages, and none can be made here: {error}")
    with image.built(VERSION=version("esa-preload-operator"), REVISION="0123abc") as made:
        yield Contents(made.files(), made.config())


def test_the_image_says_what_it_is_and_starts_as_a_numbered_user(contents: Contents) -> None:
    config = contents.config
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["esa-preload-operator"]
    assert "Healthcheck" not in config
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert labels["version"] == version("esa-preload-operator")
    assert labels["revision"] == "0123abc"
    assert labels["licenses"] == "Apache-2.0"
    assert re.search(r"^\w+:x:65532:65532:", (contents.files / "etc/passwd").read_text(), re.MULTILINE)


def test_the_image_holds_the_installed_wheel_with_its_bytecode_and_neither_sources_nor_pip(contents: Contents) -> None:
    packages = contents.files / "opt/venv/lib/python3.13/site-packages"
    for package in ("esa_preload_operator", "esa_simulator", "kopf", "kubernetes"):
        for source in (packages / package).rglob("*.py"):
            assert (source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc").is_file(), source
    assert not (packages / "pip").exists()
    assert not (contents.files / "source").exists()
    assert not any((contents.files / "mnt").iterdir())
    used = {each: int(_output("du", "-sm", str(contents.files / each)).split()[0]) for each in ("", "opt/venv")}
    print(f"image: {used['']} MB of files, {used['opt/venv']} MB of them the virtualenv")  # noqa: T201 - the size is a result


def test_its_commands_run_on_a_read_only_root_as_an_unknown_user(contents: Contents, tmp_path: Path) -> None:
    assert contents.run(tmp_path, "esa-preload-operator", "version").strip() == version("esa-preload-operator")
    assert "--port" in contents.run(tmp_path, "esa-simulator", "--help")
    found = contents.run(tmp_path, "python3", "-c", "import sys, json; print(json.dumps([sys.prefix, sys.version]))")
    prefix, python = json.loads(found)
    assert prefix == "/opt/venv"
    assert python.startswith("3.13.")


def test_traces_need_nothing_that_the_image_lacks(contents: Contents, tmp_path: Path) -> None:
    code = """
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
OTLPSpanExporter(endpoint="http://127.0.0.1:9/v1/traces")
print("exports")
"""
    assert contents.run(tmp_path, "python3", "-c", code).strip() == "exports"


async def test_its_operator_resets_without_rights_a_writable_root_or_a_name(
    contents: Contents, world: World, tmp_path: Path
) -> None:
    give_account(world, tmp_path / ACCOUNT)

    class Packaged(OperatorProcess):
        program = contents.command(
            tmp_path,
            KUBERNETES_SERVICE_HOST="127.0.0.1",
            KUBERNETES_SERVICE_PORT=str(urlsplit(world.control_plane.url).port),
            ESA_OPERATOR_ENDPOINT=world.simulator.url,
            ESA_OPERATOR_METRICS_PORT="0",
            ESA_OPERATOR_HEALTH_PORT="0",
            ALIBABA_CLOUD_ACCESS_KEY_ID=world.access_key_id,
            ALIBABA_CLOUD_ACCESS_KEY_SECRET=world.access_key_secret,
        )

    world.seed(1)
    world.create(1)
    with Packaged(world.folder, tmp_path, ("--namespace", world.namespace)) as operator:
        operator.wait_to_lead()
        process = Path(f"/proc/{operator.process.pid}")
        state = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
        assert state["Uid"].split() == [str(ARBITRARY_UID)] * 4
        assert {int(state[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
        assert state["NoNewPrivs"] == "1"
        roots = [line.split() for line in (process / "mountinfo").read_text().splitlines() if line.split()[4] == "/"]
        assert "ro" in roots[-1][5].split(",")
        world.annotate(1)
        await world.handled(1)
        operator.terminate()
        assert operator.wait() == 0
    assert world.resets(1) == 1


def give_account(world: World, folder: Path) -> None:
    """Make a service account, and put into a folder what a pod of it gets."""
    name = world.user.rpartition(":")[2]
    there = f"--namespace={world.namespace}"
    world.control_plane.kubectl("create", "serviceaccount", name, there)
    files = {
        "token": world.control_plane.kubectl("create", "token", name, there),
        "ca.crt": world.control_plane.authority.certificate.read_text(),
        "namespace": world.namespace,
    }
    folder.mkdir(parents=True)
    for file, text in files.items():
        (folder / file).write_text(text)
    folder.parents[2].chmod(0o755)  # for a user that is not the owner


# --- what holds without a build -------------------------------------------------------------------------------------


def test_a_build_sees_only_what_the_wheel_is_made_of() -> None:
    allowed = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert allowed - {"wheels"} <= {path.name for path in ROOT.iterdir()}
    assert {"operator", "pyproject.toml", "requirements.txt", "requirements-build.txt"} <= allowed


def test_the_dockerfile_takes_its_base_as_an_argument_and_installs_nothing_without_a_hash() -> None:
    instructions = [line for line in DOCKERFILE.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    assert instructions[0].startswith("ARG BASE=")
    assert instructions[1] == "FROM ${BASE} AS python"
    stages = [line.split()[1] for line in instructions if line.startswith("FROM ")]
    assert stages == ["${BASE}", "python", "python"]
    installs = [part for line in instructions for part in line.split("&&") if "pip" in part and " install " in part]
    packages = [part for part in installs if "apt-get" not in part and "/wheel/" not in part]
    assert len(packages) == len(image.REQUIREMENTS)
    for part in packages:
        assert "--require-hashes" in shlex.split(part)
    assert not any(line.startswith("HEALTHCHECK") for line in instructions)


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
