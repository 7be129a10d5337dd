"""What is released: complete, the same bytes each time, and pushed only when nothing speaks against it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import bill
from control_plane import ControlPlane
from support.chart import KUSTOMIZE, NAME, ROOT, VERSION, container, helm, kustomize, read
from support.release_tree import cloned, git

if TYPE_CHECKING:
    from pathlib import Path

WHEEL = f"esa_preload_operator-{VERSION}-py3-none-any.whl"
SDIST = f"esa_preload_operator-{VERSION}.tar.gz"
CHART = f"{NAME}-{VERSION}.tgz"
PLUGIN = "kubectl-esa_preload.pyz"
ARCHIVE = f"kubectl-esa_preload-{VERSION}.tar.gz"
BOM = f"{NAME}-{VERSION}.cdx.json"
DIGEST = "sha256:" + "c" * 64
_JUDGE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
sys.stdout.write(repr(JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read())))
"""


def release(tree: Path, folder: Path, *options: str, umask: int = 0o022, **environment: str) -> None:
    subprocess.run(
        [sys.executable, tree / "hack" / "release.py", folder, *options],
        cwd=folder.parent,
        env={**os.environ, **environment},
        umask=umask,
        capture_output=True,
        check=True,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the files of a release once."""
    folder = tmp_path_factory.mktemp("release") / "dist"
    release(ROOT, folder)
    return folder


# --- all of it --------------------------------------------------------------------------------------------------


def test_the_same_tree_gives_the_same_bytes_wherever_it_lies(dist: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dist"
    folder.mkdir()
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  of-an-earlier-version.whl\n")
    for name in ("of-an-earlier-version.whl", "of-somebody-else"):
        (folder / name).touch()
    tree = cloned(tmp_path / "clone")
    (tree / "operator" / "esa_simulator" / "unknown_to_git.py").touch()
    release(tree, folder, umask=0o077, TZ="Asia/Shanghai", PYTHONHASHSEED="1")
    assert contents(folder) == {**contents(dist), "of-somebody-else": b""}


def test_the_checksums_are_those_of_all_files(dist: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=dist, check=True)
    named = {line.split()[1] for line in (dist / "SHA256SUMS").read_text().splitlines()}
    assert named == {WHEEL, SDIST, PLUGIN, ARCHIVE, CHART, BOM, "install.yaml"} == set(contents(dist)) - {"SHA256SUMS"}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--tag=v0.0.1", f"the tag is v0.0.1, and the version in pyproject.toml {VERSION}"),
        ("--image=registry.example.com/esa:1", "must look like"),
        ("--digest=sha256:1", "must look like"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, option: str, message: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as failed:
        release(ROOT, tmp_path / "dist", option)
    assert message in failed.value.stderr.decode()
    assert not (tmp_path / "dist").exists()


# --- the parts --------------------------------------------------------------------------------------------------


def test_the_wheel_installs_the_operator_and_the_simulator(dist: Path, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*pip, f"--target={tmp_path}", dist / WHEEL], check=True)
    for program in ("esa-preload-operator", "esa-simulator"):
        done = subprocess.run(
            [tmp_path / "bin" / program, "--help"],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert f"usage: {program}" in done.stdout
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.glob("esa_*/**/*.py")}
    assert found == set(git(ROOT / "operator", "ls-files", "*.py").split())


def test_the_source_distribution_builds_the_same_wheel(dist: Path, tmp_path: Path) -> None:
    with tarfile.open(dist / SDIST) as archive:
        times = {member.mtime for member in archive}
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    known = {"operator", "crds", "README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "PKG-INFO", ".gitignore"}
    assert {path.name for path in source.iterdir()} == known
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target=wheel", "--directory=made"],
        cwd=source,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(int(times.pop()))},
        capture_output=True,
        check=True,
    )
    assert not times
    assert contents(source / "made") == {WHEEL: (dist / WHEEL).read_bytes()}


def test_the_bill_of_materials_is_what_the_image_installs(dist: Path) -> None:
    text = (dist / BOM).read_text()
    judged = subprocess.run([bill.PYTHON, "-c", _JUDGE], input=text, capture_output=True, text=True, check=True)
    assert judged.stdout == "None"
    found = json.loads(text)
    requirements = (ROOT / "requirements.txt").read_text()
    pinned = re.findall(r"(?m)^([\w.-]+)==([^ ;\\]+)", requirements)
    purls = {each["purl"] for each in found["components"]}
    assert purls == {f"pkg:pypi/{name}@{version}" for name, version in pinned}
    hashes = [part["content"] for each in found["components"] for part in hashes_of(each)]
    assert sorted(hashes) == sorted(re.findall(r"--hash=sha256:(\w+)", requirements))
    assert {each["name"] for each in found["components"] if not each.get("licenses")} <= {"protobuf"}  # says none
    root = found["metadata"]["component"]
    assert (root["name"], root["version"], root["licenses"][0]["license"]["id"]) == (NAME, VERSION, "Apache-2.0")


def hashes_of(component: dict[str, Any]) -> list[dict[str, str]]:
    return [part for each in component["externalReferences"] for part in each.get("hashes", ())]


def test_the_graph_of_the_bill_reaches_every_component_from_the_operator(dist: Path) -> None:
    found = json.loads((dist / BOM).read_text())
    graph = {each["ref"]: set(each.get("dependsOn", ())) for each in found["dependencies"]}
    reached, ahead = set(), {NAME}
    while ahead:
        reached |= ahead
        ahead = set().union(*(graph[each] for each in ahead)) - reached
    assert reached == {NAME, *(each["bom-ref"] for each in found["components"])}
    assert any("httpcore" in each for each in graph[next(ref for ref in graph if ref.startswith("httpx=="))])


def test_one_kubectl_line_installs_the_operator(dist: Path) -> None:
    path = dist / "install.yaml"
    assert read(path.read_text()) == kustomize(KUSTOMIZE / "base")
    with ControlPlane() as kubernetes:
        kubernetes.kubectl("apply", f"--filename={path}", "--warnings-as-errors")
        kubernetes.kubectl("diff", f"--filename={path}")


def test_the_chart_is_the_trees(dist: Path, tmp_path: Path) -> None:
    rendered = [helm("helm4", "template", NAME, str(each)) for each in (dist / CHART, ROOT / "deploy" / "helm" / NAME)]
    assert rendered[0] == rendered[1]
    with tarfile.open(dist / CHART) as archive:
        archive.extractall(tmp_path, filter="data")
    tracked = git(ROOT / "deploy" / "helm" / NAME, "ls-files").split()
    assert {str(path.relative_to(tmp_path / NAME)) for path in tmp_path.glob(f"{NAME}/**/*") if path.is_file()} == set(
        tracked
    )


def test_the_chart_and_the_manifests_know_where_they_come_from(tmp_path: Path) -> None:
    folder, home = tmp_path / "dist", "https://forge.example.com/edge/esa"
    release(ROOT, folder, "--image=registry.example.com:5000/edge/esa", f"--digest={DIGEST}", f"--home={home}/")
    image = f"registry.example.com:5000/edge/esa:{VERSION}@{DIGEST}"
    rules = "--set=metrics.prometheusRule.enabled=true"
    rendered = read(helm("helm4", "template", NAME, str(folder / CHART), rules))
    assert container(rendered)["image"] == container(read((folder / "install.yaml").read_text()))["image"] == image
    (rule,) = (each for each in rendered if each["kind"] == "PrometheusRule")
    address = f"{home}/blob/v{VERSION}/docs/runbooks.md#"
    urls = [each["annotations"]["runbook_url"] for group in rule["spec"]["groups"] for each in group["rules"]]
    assert all(url.startswith(address) for url in urls)
    about = yaml.safe_load(helm("helm4", "show", "chart", str(folder / CHART)))
    assert image in about["annotations"]["artifacthub.io/images"]
    assert (about["home"], about["sources"]) == (home, [home])
    assert [each["url"] for each in about["maintainers"]] == [home]
    links = yaml.safe_load(about["annotations"]["artifacthub.io/links"])
    assert {each["url"].removeprefix(home) for each in links} == {
        f"/tree/v{VERSION}/docs",
        "/blob/main/CHANGELOG.md",
        "/issues",
    }
    assert home in (folder / "esa-preload.yaml").read_text()  # krew's manifest
    mirrored = read(
        helm("helm4", "template", NAME, str(folder / CHART), "--set=global.imageRegistry=mirror.example.com")
    )
    assert container(mirrored)["image"] == f"mirror.example.com/edge/esa:{VERSION}@{DIGEST}"
    assert f'| `image.digest` | `"{DIGEST}"` |' in helm("helm4", "show", "readme", str(folder / CHART))
    assert hashlib.sha256((folder / CHART).read_bytes()).hexdigest() in (folder / "SHA256SUMS").read_text()
