"""How a tag becomes a release: built without rights, then pushed and signed as it was built."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from support.chart import NAME, VERSION, container, read
from support.release_tree import cloned, git
from tools import tool

if TYPE_CHECKING:
    from pathlib import Path

CHART = f"{NAME}-{VERSION}.tgz"
DIGEST = "sha256:" + "c" * 64
CHART_DIGEST = "sha256:" + "d" * 64
# Programs that write down how they were called, and answer as the real ones do.
DOCKER = """#!/bin/sh
echo docker "$@" >> "$LOG"
case "$*" in
  *imagetools*) echo '{"mediaType": "x", "digest": "sha256:%s"}'; exit ;;
esac
while [ "$1" != --output ]; do shift; done
echo image > "${2#*dest=}"
while [ "$1" != --metadata-file ]; do shift; done
echo '{"containerimage.digest": "%s"}' > "$2"
"""
GH = """#!/bin/sh
echo gh "$@" >> "$LOG"
while [ "$1" != --notes-file ]; do shift; done
cat "$2" >> "$LOG"
"""
HELM = """#!/bin/sh
[ "$1" = push ] || exec %s "$@"
echo helm "$@" >> "$LOG"
printf 'Pushed: x\\nDigest: %s\\n' >&2
"""
SKOPEO = """#!/bin/sh
echo skopeo "$@" >> "$LOG"
"""
COSIGN = """#!/bin/sh
echo cosign "$@" >> "$LOG"
while [ $# -gt 1 ]; do [ "$1" != --bundle ] || echo bundle > "$2"; shift; done
"""


class Publisher:
    """A clone with a tag, and programs that only pretend."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        self.programs = folder / "bin"
        self.programs.mkdir()
        helm4 = tool("helm4")
        bodies = {
            "docker": DOCKER % ("b" * 64, DIGEST),
            "gh": GH,
            "helm": HELM % (helm4, CHART_DIGEST),
            "skopeo": SKOPEO,
            "cosign": COSIGN,
        }
        for name, body in bodies.items():
            (self.programs / name).write_text(body)
            (self.programs / name).chmod(0o755)
        self.tree = cloned(folder / "clone")
        changes = (self.tree / "CHANGELOG.md").read_text()
        self.commit(changes.replace("## [Unreleased]", f"## [Unreleased]\n\n## [{VERSION}] - 2026-01-01"))

    def commit(self, changes: str) -> None:
        (self.tree / "CHANGELOG.md").write_text(changes)
        git(self.tree, "commit", "--quiet", "--all", "--message=release")
        git(self.tree, "tag", "--force", f"v{VERSION}")

    def run(self, script: str) -> str:
        """Run one of the scripts; return what was complained about."""
        environment = {
            "TAG": f"v{VERSION}",
            "IMAGE": "registry.example.com/Edge/esa",
            "CHARTS": "oci://registry.example.com/Edge/charts",
            "SOURCE": "https://forge.example.com/Edge/esa",
            **({"PYTHON": sys.executable} if script == "build-release" else {}),
        }
        path = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            [self.tree / "hack" / f"{script}.sh"],
            env={**os.environ, **environment, "PATH": path, "LOG": str(self.log)},
            capture_output=True,
            text=True,
            check=False,
        )
        complaint = "" if done.returncode == 0 else done.stderr
        assert bool(done.returncode) == bool(complaint)
        return complaint

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()


def test_a_tag_becomes_an_image_a_chart_and_a_release(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path)
    assert publisher.run("build-release") == ""
    inspect, build = publisher.lines()
    assert inspect.startswith("docker buildx imagetools inspect docker.io/library/debian:13-slim ")
    for words in (
        "--platform linux/amd64,linux/arm64",
        "--provenance mode=max",
        f"--build-arg BASE=docker.io/library/debian:13-slim@sha256:{'b' * 64}",
        f"--build-arg VERSION={VERSION}",
        "--output type=oci,dest=",
    ):
        assert words in build
    assert "--push" not in build
    dist = publisher.tree / "dist"
    image = f"registry.example.com/edge/esa:{VERSION}"
    assert container(read((dist / "install.yaml").read_text()))["image"] == f"{image}@{DIGEST}"

    publisher.log.unlink()
    assert publisher.run("publish") == ""
    copy, image_signed, push, chart_signed, sums_signed, made, *notes = publisher.lines()
    assert copy == f"skopeo copy --all --preserve-digests oci-archive:dist/image.tar docker://{image}"
    assert image_signed == f"cosign sign --yes registry.example.com/edge/esa@{DIGEST}"
    assert push == f"helm push dist/{CHART} oci://registry.example.com/edge/charts"
    assert chart_signed == f"cosign sign --yes registry.example.com/edge/charts/{NAME}@{CHART_DIGEST}"
    assert sums_signed == "cosign sign-blob --yes --bundle dist/SHA256SUMS.sigstore.json dist/SHA256SUMS"
    assert made.startswith(f"gh release create v{VERSION} --verify-tag ")
    inside = {"image.tar", "image.digest", "notes.md"}  # these only go from job to job
    assert {each.removeprefix("dist/") for each in made.split() if each.startswith("dist/")} == {
        path.name for path in dist.iterdir()
    } - inside | {"notes.md"}
    assert "### Added" in notes
    assert not any(line.startswith("## ") for line in notes)


def test_nothing_is_built_when_something_speaks_against_it(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path)
    changes = (publisher.tree / "CHANGELOG.md").read_text()
    (publisher.tree / "LICENSE").write_text("none")
    assert "not committed" in publisher.run("build-release")
    git(publisher.tree, "commit", "--quiet", "--all", "--message=one more")
    assert "is not what is checked out" in publisher.run("build-release")
    publisher.commit(changes.replace(f"## [{VERSION}]", "## [9.9.9]"))
    assert f"CHANGELOG.md has nothing on {VERSION}" in publisher.run("build-release")
    project = publisher.tree / "pyproject.toml"
    project.write_text(project.read_text().replace(f'version = "{VERSION}"', 'version = "9.9.9"'))
    publisher.commit(changes)
    assert "the version in pyproject.toml 9.9.9" in publisher.run("build-release")
    assert not publisher.log.exists()


def test_nothing_is_pushed_but_what_was_built(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path)
    assert f"lacks the image or the chart of {VERSION}" in publisher.run("publish")
    assert publisher.run("build-release") == ""
    publisher.log.unlink()
    dist = publisher.tree / "dist"
    manifests = (dist / "install.yaml").read_text()
    (dist / "install.yaml").write_text(manifests.replace("replicas: 2", "replicas: 1"))
    assert "are not those of SHA256SUMS" in publisher.run("publish")
    (dist / "install.yaml").write_text(manifests)
    (dist / "image.digest").write_text("sha256:" + "0" * 64)
    assert "names another image" in publisher.run("publish")
    assert not publisher.log.exists()
