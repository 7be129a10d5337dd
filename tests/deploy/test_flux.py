"""What Flux makes of a resource, by Flux's own library: by kstatus alone, and by the expressions that are shipped."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from esa_preload_operator.domain.conditions import TABLE, Finding, State, judged
from esa_preload_operator.domain.errors import Reason
from esa_preload_operator.domain.tokens import normalise
from esa_preload_operator.resources.job import API_VERSION, GROUP, KIND, RESET_KEY, RESET_KEYS, Status
from support.chart import CHART, VERSION, render
from support.chart_values import merged
from tools import tool

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "deploy" / "flux"
SCRIPTS: Final = ROOT / "deploy" / "argocd" / "resource_customizations" / GROUP / KIND
OPERATOR, WEBSITE = yaml.safe_load_all((FOLDER / "kustomizations.yaml").read_text())
REPOSITORY, RELEASE = yaml.safe_load_all((FOLDER / "operator" / "helmrelease.yaml").read_text())
(CHECK,) = WEBSITE["spec"]["healthCheckExprs"]
DEAF: Final = (Reason.JOB_CLAIMED, Reason.INVALID_SPEC, Reason.CRD_OUTDATED, Reason.STATUS_UNREADABLE)
STALLED: Final = (Reason.JOB_NOT_FOUND, Reason.INVALID_JOB_ID, *DEAF)
ARGO: Final = {"Healthy": "Current", "Progressing": "InProgress", "Suspended": "Current"}


def judge(*objects: dict[str, Any]) -> list[dict[str, str]]:
    """Return for each object what kstatus says, and what the expressions say."""
    exprs = {name: CHECK[name] for name in ("inProgress", "failed", "current")}
    question = json.dumps({"exprs": exprs, "objects": objects})
    done = subprocess.run([tool("flux-status")], input=question, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: list[dict[str, str]] = json.loads(done.stdout)
    return answer


def resource(state: State, reason: Reason = Reason.READY, asked: str = "", **status: Any) -> dict[str, Any]:
    conditions = judged([], Finding(state, reason, "text"), 1, "2026-01-01T00:00:00Z")
    found = Status(observed_generation=1, conditions=conditions).model_dump(by_alias=True, exclude_none=True)
    metadata: dict[str, Any] = {"name": "nightly", "namespace": "website", "generation": 1}
    if asked:
        metadata["annotations"] = {RESET_KEY: asked}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": {}, "status": found | status}


def test_kstatus_is_what_the_table_of_states_says() -> None:
    found = judge(*(resource(state) for state in State))
    assert [each["kstatus"] for each in found] == [TABLE[state].kstatus for state in State]
    assert [each["expressions"] for each in found] == [TABLE[state].kstatus for state in State]


def test_a_spec_that_was_not_looked_at_yet_is_in_progress() -> None:
    changed = resource(State.READY)
    changed["metadata"]["generation"] = 2
    assert judge(changed) == [{"kstatus": "InProgress", "expressions": "InProgress"}]


def test_the_expressions_agree_with_the_health_in_argo_cd() -> None:
    cases = yaml.safe_load((SCRIPTS / "health_test.yaml").read_text())["tests"]
    objects = [yaml.safe_load((SCRIPTS / case["inputPath"]).read_text()) for case in cases]
    for case, found, body in zip(cases, judge(*objects), objects, strict=True):
        stalled = any(each["type"] == "Stalled" and each["status"] == "True" for each in body["status"]["conditions"])
        # What the account's owner has to act on stays in progress here until the Kustomization's timeout.
        expected = ARGO.get(case["healthStatus"]["status"], "Failed" if stalled else "InProgress")
        assert found["expressions"] == expected, case["inputPath"]


@pytest.mark.parametrize("key", RESET_KEYS)
def test_a_request_is_in_progress_until_it_is_handled_which_kstatus_alone_does_not_see(key: str) -> None:
    asked = resource(State.READY)
    asked["metadata"]["annotations"] = {key: "t1"}
    handled = merged(asked, {"status": {"handledResets": {key: "t1"}}})
    other = merged(asked, {"status": {"handledResets": {next(each for each in RESET_KEYS if each != key): "t1"}}})
    found = judge(asked, handled, other)
    assert [each["expressions"] for each in found] == ["InProgress", "Current", "InProgress"]
    assert [each["kstatus"] for each in found] == ["Current"] * 3


def test_a_held_request_is_current_and_a_newer_one_beside_it_is_not() -> None:
    reset = {"phase": "Held", "tokens": {RESET_KEY: "t1"}}
    found = judge(resource(State.HELD, asked="t1", reset=reset), resource(State.HELD, asked="t2", reset=reset))
    assert [each["expressions"] for each in found] == ["Current", "InProgress"]


def test_a_long_token_counts_as_handled_and_a_short_one_of_many_bytes_is_compared() -> None:
    for token in ("x" * 257, "ü" * 129):
        handled = {RESET_KEY: normalise(token)}
        assert judge(resource(State.READY, asked=token, handledResets=handled))[0]["expressions"] == "Current"
    assert judge(resource(State.READY, asked="ü" * 128))[0]["expressions"] == "InProgress"


@pytest.mark.parametrize("reason", STALLED)
def test_a_request_on_a_stalled_resource_is_in_progress_unless_nobody_will_look_at_it(reason: Reason) -> None:
    deaf = reason in DEAF
    found = judge(resource(State.STALLED, reason, asked="t1"))
    assert found[0]["expressions"] == ("Failed" if deaf else "InProgress")


def test_an_object_as_the_api_server_makes_it_is_in_progress() -> None:
    crd = next(each for each in render() if each["kind"] == "CustomResourceDefinition")
    (version,) = crd["spec"]["versions"]
    status = version["schema"]["openAPIV3Schema"]["properties"]["status"]
    conditions = status["properties"]["conditions"]["default"]
    new = {**resource(State.PENDING), "status": {"conditions": conditions}}
    assert judge(new) == [{"kstatus": "InProgress", "expressions": "InProgress"}]


# --- the files ----------------------------------------------------------------------------------------------------


def test_the_website_waits_for_the_operator_and_both_for_what_they_apply() -> None:
    assert (ROOT / OPERATOR["spec"]["path"]).is_dir()
    assert OPERATOR["spec"]["wait"] is WEBSITE["spec"]["wait"] is True
    assert [each["name"] for each in WEBSITE["spec"]["dependsOn"]] == [OPERATOR["metadata"]["name"]]
    assert (CHECK["apiVersion"], CHECK["kind"]) == (API_VERSION, KIND)


def test_the_release_takes_the_chart_of_this_version_with_values_that_it_has() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert REPOSITORY["spec"]["url"].endswith(f"/{about['name']}")
    assert REPOSITORY["spec"]["ref"] == {"tag": VERSION}
    assert RELEASE["spec"]["chartRef"] == {"kind": REPOSITORY["kind"], "name": REPOSITORY["metadata"]["name"]}
    assert render(merged(RELEASE["spec"]["values"], {"resetPolicy": {"enabled": True}}))


def test_the_page_shows_the_expressions_as_they_are_shipped() -> None:
    page = (ROOT / "docs" / "guides" / "flux.md").read_text()
    (shown,) = (each for each in re.findall(r"(?ms)^```text\n(.*?)```", page) if "healthCheckExprs" in each)
    assert shown.strip() in (FOLDER / "kustomizations.yaml").read_text()
