"""Logs about one resource, jobs to adopt, and completion: what is chosen from what others say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from esa_preload_operator.cli.plugin.adopt import choose, managed_ids, manifests, resource_name
from esa_preload_operator.cli.plugin.completion import SCRIPTS, candidates, takes_names
from esa_preload_operator.cli.plugin.context import FAILED, INTERRUPTED, OK, TIMED_OUT, USAGE
from esa_preload_operator.cli.plugin.jobs import Ref
from esa_preload_operator.cli.plugin.logs import lines_about
from esa_preload_operator.domain.esa import EsaJob
from support.plugin_jobs import job


def test_only_lines_about_the_resource_are_shown_with_the_exceptions_below_them() -> None:
    lines = [
        "[pod/op-1/operator] 2026 INFO    web/nightly: reset Succeeded\n",
        "[pod/op-1/operator] 2026 INFO    web/nightly-2: reset Succeeded\n",
        "[pod/op-1/operator] 2026 INFO    other-web/nightly: reset Succeeded\n",
        "[pod/op-2/operator] 2026 ERROR   web/nightly: reconcile failed\n",
        "[pod/op-2/operator]   Traceback\n",
        "[pod/op-2/operator] 2026 INFO    watching 2 resources\n",
        "[pod/op-2/operator]   not ours\n",
        '{"message": "web/nightly: \\u2026", "object": {"name": "nightly"}}\n',
    ]
    assert list(lines_about(lines, Ref("web", "nightly"))) == [
        "op-1 2026 INFO    web/nightly: reset Succeeded",
        "op-2 2026 ERROR   web/nightly: reconcile failed",
        "op-2   Traceback",
        '{"message": "web/nightly: \\u2026", "object": {"name": "nightly"}}',
    ]


def test_a_name_with_dots_is_no_pattern_and_no_longer_name_is_taken_for_it() -> None:
    assert not list(lines_about(["web/aXb: x\n", "web/a.b.c: x\n"], Ref("web", "a.b")))
    assert list(lines_about(["reset of web/a.b.\n"], Ref("web", "a.b")))


def test_jobs_of_resources_are_not_adopted_again() -> None:
    managed = managed_ids([job("a", spec={"jobId": "1"}), job("b", spec={"jobId": None}, jobId="2", retiredJobs=["3"])])
    listed = [EsaJob(each) for each in "1234"]
    assert [each.id for each in choose(listed, managed, ())[0]] == ["4"]
    free, missing = choose(listed, managed, ("4", "1", "9"))
    assert [each.id for each in free] == ["4"]
    assert missing == ["job 9 is not in the site", "job 1 belongs to web/a already"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Nightly Preload (EU)", "nightly-preload-eu"),
        ("夜间", "job-665dabcdef0123456789"),
        ("x" * 90, "x" * 63),
        ("taken", "taken-ef0123456789"),
        ("--..--", "job-665dabcdef0123456789"),
    ],
)
def test_resources_get_names_that_kubernetes_takes(name: str, expected: str) -> None:
    assert resource_name(EsaJob("665dABCDEF0123456789", name=name), {"taken"}) == expected


def test_manifests_name_the_secret_and_the_namespace() -> None:
    (made,) = manifests([EsaJob("1", name="a")], secret="esa-credentials", namespace="web")
    assert made["metadata"] == {"name": "a", "namespace": "web"}
    assert made["spec"] == {"jobId": "1", "credentialsSecretRef": {"name": "esa-credentials"}}


@pytest.mark.parametrize(
    ("before", "current", "expected"),
    [
        ([], "re", ["reset", "resume"]),
        (["reset"], "--to", ["--token"]),
        (["list", "-o"], "", ["json", "name", "yaml"]),
        (["list", "--output"], "y", ["yaml"]),
        (["completion"], "", ["bash", "fish", "kubectl", "zsh"]),
        (["nosuch"], "", []),
    ],
)
def test_words_are_completed(before: list[str], current: str, expected: list[str]) -> None:
    assert candidates(before, current) == expected


def test_names_stand_where_a_command_takes_them() -> None:
    assert takes_names(["reset"], "")
    assert not takes_names(["reset"], "-")
    assert not takes_names(["adopt"], "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "kubectl"])
def test_each_script_asks_the_plugin(shell: str) -> None:
    assert "__complete" in SCRIPTS[shell]


def test_the_page_about_the_plugin_names_every_command_and_exit_code() -> None:
    page = (Path(__file__).parents[3] / "docs" / "plugin.md").read_text()
    assert [each for each in candidates([], "") if f"`{each}" not in page] == []
    codes = {OK, FAILED, USAGE, TIMED_OUT, INTERRUPTED}
    assert {int(each) for each in re.findall(r"(?m)^\| (\d+) \|", page)} == codes
