"""The forge's workflows do nothing of their own, and hold no more rights than they need."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from support.chart import ROOT
from tools import tool

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = ROOT / ".github" / "workflows"
PATHS = sorted(FOLDER.iterdir())
TARGETS = set(re.findall(r"(?m)^([a-z-]+):.*## ", (ROOT / "Makefile").read_text()))
EACH = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def workflow(path: Path) -> dict[str, Any]:
    """Read every scalar as text: YAML 1.1 takes the key `on` for a boolean."""
    found: dict[str, Any] = yaml.load(path.read_text(), yaml.BaseLoader)  # noqa: S506 - a safe loader of text alone
    return found


def jobs(path: Path) -> list[dict[str, Any]]:
    return list(workflow(path)["jobs"].values())


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in jobs(path):
        yield from job["steps"]


@EACH
def test_every_step_is_a_make_target_or_a_pinned_action(path: Path) -> None:
    for step in steps(path):
        assert len({"run", "uses"} & set(step)) == 1
        if "run" in step:
            command, *targets = step["run"].split()
            assert command == "make"
            assert targets
            assert set(targets) <= TARGETS
    for line in re.findall(r"uses: (.*)", path.read_text()):
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v[0-9.]+", line)


def test_an_action_has_one_version_everywhere() -> None:
    pins = {line for path in PATHS for line in re.findall(r"uses: (.*)", path.read_text())}
    assert len({pin.split("@")[0] for pin in pins}) == len(pins)


@EACH
def test_rights_are_the_least(path: Path) -> None:
    assert workflow(path)["permissions"] == {"contents": "read"}
    given = {name: set(job["permissions"]) for name, job in workflow(path)["jobs"].items() if "permissions" in job}
    publish = {"contents", "packages", "id-token", "attestations"}
    assert given == ({"publish": publish} if path.stem == "release" else {})
    assert not {"pull_request_target", "workflow_run"} & set(workflow(path)["on"])
    assert "secrets." not in path.read_text()
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] == "false"
    for name, job in workflow(path)["jobs"].items():
        assert ("github.token" in str(job)) == (name == "publish")


@EACH
def test_jobs_end_and_run_on_a_named_system(path: Path) -> None:
    for job in jobs(path):
        assert int(job["timeout-minutes"]) <= 90
        assert not job["runs-on"].endswith("latest")


def test_a_release_starts_by_a_tag_alone_and_takes_nothing_from_a_cache() -> None:
    path = FOLDER / "release.yaml"
    assert workflow(path)["on"] == {"push": {"tags": ["v*"]}}
    for step in steps(path):
        assert "actions/cache@" not in step.get("uses", "")
        assert step.get("with", {}).get("cache", "false") == "false"


@pytest.mark.parametrize(
    ("target", "script", "more"), [("release-build", "build-release", set()), ("publish", "publish", {"GH_TOKEN"})]
)
def test_a_step_of_the_release_gets_all_that_it_asks_for(target: str, script: str, more: set[str]) -> None:
    (given,) = (step["env"] for step in steps(FOLDER / "release.yaml") if step.get("run") == f"make {target}")
    wanted = set(re.findall(r"\$\{([A-Z]+):[?-]", (ROOT / "hack" / f"{script}.sh").read_text()))
    assert set(given) == wanted | more  # gh reads GH_TOKEN


def test_what_publishes_waits_for_tests_and_runs_nothing_of_the_project() -> None:
    found = workflow(FOLDER / "release.yaml")["jobs"]
    assert set(found) == {"test", "build", "publish"}
    assert set(found["publish"]["needs"]) == {"test", "build"}
    assert [step["run"] for step in found["publish"]["steps"] if "run" in step] == ["make publish"]
    assert not any("setup-" in step.get("uses", "") for step in found["publish"]["steps"])
    rule = re.search(r"(?m)^publish:(.*)## .*\n(.*)\n", (ROOT / "Makefile").read_text())
    assert rule is not None
    assert (rule[1].strip(), rule[2].strip()) == ("", "@hack/publish.sh")
    assert not re.search(r"(?i)python|\bpip\b|\bgo\b|hack/", "\n".join(code_of(ROOT / "hack" / "publish.sh")))
    uploaded, downloaded = (
        step["with"] for step in steps(FOLDER / "release.yaml") if "load-artifact@" in step.get("uses", "")
    )
    assert uploaded["name"] == downloaded["name"]
    assert Path(uploaded["path"]) == Path(downloaded["path"])


def code_of(script: Path) -> list[str]:
    return [line for line in script.read_text().splitlines() if not line.lstrip().startswith("#")]


def test_the_image_is_built_anew_and_scanned_each_week() -> None:
    path = FOLDER / "scan.yaml"
    assert len(workflow(path)["on"]["schedule"]) == 1
    build, scan = list(steps(path))[-2:]
    assert build["run"] == "make image"
    assert scan["with"]["image"] == f"esa-preload-operator:{build['env']['IMAGE_TAG']}"
    assert scan["with"]["fail-build"] == "true"
    assert "--pull" in (ROOT / "Makefile").read_text().split("\nimage:")[1].split("\n\n")[0]


def test_the_workflows_are_what_the_forge_understands() -> None:
    """No forge is here to run them: their syntax, expressions and references are checked."""
    command = [str(tool("actionlint")), "-no-color", "-shellcheck=", "-pyflakes=", *map(str, PATHS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_every_module_of_go_is_kept_up_to_date() -> None:
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    (patterns,) = (each["directories"] for each in updates if each["package-ecosystem"] == "gomod")
    found = {path for pattern in patterns for path in ROOT.glob(f"{pattern[1:]}/go.mod")}
    assert found == set(ROOT.glob("hack/**/go.mod"))
