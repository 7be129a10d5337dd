"""The forge's workflows do nothing of their own, and hold no more rights than they need."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from support.chart import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
    given = {right for job in jobs(path) for right in job.get("permissions", {}).items()}
    assert given == ({("contents", "write"), ("packages", "write")} if path.stem == "release" else set())
    assert not {"pull_request_target", "workflow_run"} & set(workflow(path)["on"])
    assert "secrets." not in path.read_text()
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] == "false"
        if "github.token" in str(step):
            assert path.stem == "release"


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


def test_publishing_gets_all_that_it_asks_for() -> None:
    (given,) = (step["env"] for step in steps(FOLDER / "release.yaml") if step.get("run") == "make publish")
    wanted = set(re.findall(r"\$\{([A-Z]+):[?-]", (ROOT / "hack" / "publish.sh").read_text()))
    assert set(given) == wanted | {"GH_TOKEN"}  # which gh reads


def test_every_module_of_go_is_kept_up_to_date() -> None:
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    (patterns,) = (each["directories"] for each in updates if each["package-ecosystem"] == "gomod")
    found = {path for pattern in patterns for path in ROOT.glob(f"{pattern[1:]}/go.mod")}
    assert found == set(ROOT.glob("hack/**/go.mod"))
