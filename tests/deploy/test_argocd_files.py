"""What is shipped for Argo CD: generated files, applications in their order, and the hook."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaError

from esa_preload_operator.domain.cleaning import parse_time
from esa_preload_operator.k8s.jobs import FIELD_MANAGER
from esa_preload_operator.resources.job import GROUP, KIND, PLURAL, RESET_KEY_PREFIXED
from support.chart import CHART, VERSION, render
from support.chart_values import merged
from support.lua import Sandbox, as_lua_keeps

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "argocd"
PAGE = (ROOT / "docs" / "guides" / "argocd.md").read_text()
SCRIPTS = FOLDER / "resource_customizations" / GROUP / KIND
HEALTH, DISCOVERY = (SCRIPTS / name for name in ("health.lua", "actions/discovery.lua"))

health_script = Sandbox(HEALTH)
discovery_script = Sandbox(DISCOVERY)


def test_generated_files_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "hack" / "argocd.py", "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("path", sorted(SCRIPTS.rglob("*.lua")), ids=lambda path: path.name)
def test_scripts_name_nothing_that_the_sandbox_lacks(path: Path) -> None:
    code = re.sub(r'--.*|"[^"]*"', "", path.read_text())
    assert not re.search(r"\b(string|math|io|coroutine|debug|utf8|python)\b", code)
    assert ":" not in code  # a method of a string works where Lua is tried, and not in Argo CD
    for pattern in re.findall(r'os\.date\("([^"]*)"', path.read_text()):
        assert set(re.findall("%(.)", pattern)) <= set("FHIMSXYdm"), pattern


def cases(name: str, key: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = yaml.safe_load((SCRIPTS / name).read_text())[key]
    assert listed
    return listed


def given_in(folder: Path, name: str) -> dict[str, Any]:
    body: dict[str, Any] = yaml.safe_load((folder / name).read_text())
    return body


@pytest.mark.parametrize("case", cases("health_test.yaml", "tests"), ids=lambda case: case["inputPath"])
def test_health_of_the_test_data(case: dict[str, Any]) -> None:
    assert health_script.run(given_in(SCRIPTS, case["inputPath"])) == case["healthStatus"]


@pytest.mark.parametrize(
    "case", cases("actions/action_test.yaml", "discoveryTests"), ids=lambda case: case["inputPath"]
)
def test_discovery_of_the_test_data(case: dict[str, Any]) -> None:
    found = discovery_script.run(given_in(SCRIPTS / "actions", case["inputPath"]))
    assert {name: each | {"name": name} for name, each in found.items()} == {e["name"]: e for e in case["result"]}


@pytest.mark.parametrize("case", cases("actions/action_test.yaml", "actionTests"), ids=lambda case: case["inputPath"])
def test_actions_on_the_test_data(case: dict[str, Any]) -> None:
    script = Sandbox(
        SCRIPTS / "actions" / case["action"] / "action.lua", clock=lambda: parse_time("2026-01-01T00:00:00Z") or 0
    )
    body = given_in(SCRIPTS / "actions", case["inputPath"])
    if "expectedErrorMessage" in case:
        with pytest.raises(LuaError, match=case["expectedErrorMessage"]):
            script.run(body)
    else:
        assert as_lua_keeps(script.run(body)) == as_lua_keeps(given_in(SCRIPTS / "actions", case["expectedOutputPath"]))


def test_both_forms_carry_the_scripts_as_they_are() -> None:
    installed = yaml.safe_load((FOLDER / "argocd-cm.yaml").read_text())["data"]
    assert yaml.safe_load((FOLDER / "argo-helm-values.yaml").read_text())["configs"]["cm"] == installed
    assert all(isinstance(text, str) for text in installed.values())
    assert installed[f"resource.customizations.health.{GROUP}_{KIND}"] == HEALTH.read_text()
    actions = yaml.safe_load(installed[f"resource.customizations.actions.{GROUP}_{KIND}"])
    assert actions == {
        "discovery.lua": DISCOVERY.read_text(),
        "definitions": [
            {"name": name, "action.lua": (SCRIPTS / "actions" / name / "action.lua").read_text()}
            for name in ("reset", "suspend", "resume")
        ],
    }


# --- applications -------------------------------------------------------------------------------------------------


def application(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return found


ROOT_APP = application("application.yaml")
OPERATOR = application("apps/operator.yaml")
WEBSITE = application("apps/website.yaml")


def test_the_operator_is_synced_first_and_deleted_last() -> None:
    assert ROOT_APP["spec"]["source"]["path"] == "deploy/argocd/apps"
    assert {path.name for path in (FOLDER / "apps").iterdir()} == {"operator.yaml", "website.yaml"}
    waves = [int(each["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]) for each in (OPERATOR, WEBSITE)]
    assert waves[0] < waves[1]
    for each in (ROOT_APP, OPERATOR, WEBSITE):
        assert each["metadata"]["finalizers"] == ["resources-finalizer.argocd.argoproj.io"]
        assert each["metadata"]["namespace"] == ROOT_APP["spec"]["destination"]["namespace"]


NOON, LATER = "2026-01-01T12:00:00Z", "2026-01-01T12:00:05Z"
SYNCED = {"phase": "Succeeded", "finishedAt": NOON}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, "Progressing"),
        ({"health": {"status": "Healthy"}}, "Progressing"),  # never synced
        ({"health": {"status": "Healthy"}, "operationState": {"phase": "Running"}}, "Progressing"),
        ({"health": {"status": "Healthy"}, "operationState": {"phase": "Failed", "message": "why"}}, "Degraded"),
        ({"health": {"status": "Healthy"}, "operationState": {"phase": "Error", "message": "why"}}, "Degraded"),
        ({"health": {"status": "Healthy"}, "operationState": SYNCED}, "Progressing"),  # not looked at since
        ({"health": {"status": "Healthy"}, "operationState": SYNCED | {"finishedAt": LATER}, "reconciledAt": NOON},
         "Progressing"),
        ({"health": {"status": "Healthy"}, "operationState": SYNCED, "reconciledAt": LATER}, "Healthy"),
        ({"health": {"status": "Healthy"}, "operationState": SYNCED, "reconciledAt": NOON}, "Healthy"),
        ({"health": {"status": "Missing"}, "operationState": SYNCED, "reconciledAt": LATER}, "Missing"),
        ({"health": {"status": "Degraded", "message": "why"}, "operationState": SYNCED, "reconciledAt": LATER},
         "Degraded"),
        ({"operationState": SYNCED, "reconciledAt": LATER}, "Progressing"),
    ],
)  # fmt: skip
def test_a_wave_waits_until_the_applications_before_it_are_synced_and_healthy(
    status: dict[str, Any] | None, expected: str, tmp_path: Path
) -> None:
    data = yaml.safe_load((FOLDER / "argocd-cm-applications.yaml").read_text())["data"]
    script = tmp_path / "health.lua"
    script.write_text(data["resource.customizations.health.argoproj.io_Application"])
    found = Sandbox(script).run({} if status is None else {"status": status})
    assert found["status"] == expected
    assert found["message"] == "why" or expected != "Degraded"


def test_the_applications_name_what_there_is() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    source = OPERATOR["spec"]["source"]
    assert (source["chart"], source["targetRevision"]) == (about["name"], VERSION)
    assert (ROOT / WEBSITE["spec"]["source"]["path"]).is_dir()
    for each in (OPERATOR, WEBSITE):
        policy = each["spec"]["syncPolicy"]
        assert {"CreateNamespace=true", "ServerSideApply=true"} <= set(policy["syncOptions"])
        assert (policy["retry"]["limit"], policy["retry"]["refresh"]) == (5, True)
    (ignored,) = WEBSITE["spec"]["ignoreDifferences"]
    assert (ignored["group"], ignored["kind"]) == (GROUP, KIND)
    assert ignored["jsonPointers"] == ["/metadata/annotations/" + RESET_KEY_PREFIXED.replace("/", "~1")]
    assert ignored["managedFieldsManagers"] == [FIELD_MANAGER]
    assert "RespectIgnoreDifferences=true" in WEBSITE["spec"]["syncPolicy"]["syncOptions"]


def test_the_chart_takes_the_applications_values() -> None:
    values = OPERATOR["spec"]["source"]["helm"]["valuesObject"]
    names = {each["name"] for each in values["resetPolicy"]["subjects"]}
    assert names == {"argocd-server", "argocd-application-controller"}
    rendered = render(merged(values, {"resetPolicy": {"enabled": True}}))
    assert "ClusterRoleBinding" in {each["kind"] for each in rendered if each["metadata"]["name"].endswith("-reset")}


def test_the_page_gives_rights_to_what_the_applications_are_and_runs_the_action_on_it() -> None:
    place = f"{WEBSITE['spec']['project']}/{WEBSITE['metadata']['name']}"
    rights = re.findall(r"p, role:editors, applications, (\S+), (\S+), allow", PAGE)
    assert rights == [("get", place), (f"action/{GROUP}/{KIND}/reset", place)]
    job = yaml.safe_load((FOLDER / "example" / "job.yaml").read_text())["metadata"]["name"]
    assert f"argocd app actions run {WEBSITE['metadata']['name']} reset --kind {KIND} --resource-name {job}" in PAGE


# --- the hook -----------------------------------------------------------------------------------------------------


def test_the_hook_and_the_role_are_about_the_job_of_the_example() -> None:
    job = yaml.safe_load((FOLDER / "example" / "job.yaml").read_text())["metadata"]["name"]
    hook, account, role, binding = yaml.safe_load_all((FOLDER / "example" / "reset-after-sync.yaml").read_text())
    assert hook["metadata"]["annotations"]["argocd.argoproj.io/hook"] == "PostSync"
    (rule,) = role["rules"]
    assert (rule["apiGroups"], rule["resources"], rule["resourceNames"]) == ([GROUP], [PLURAL], [job])
    pod = hook["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == account["metadata"]["name"] == binding["subjects"][0]["name"]
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["args"][1] == f"{PLURAL}.{GROUP}/{job}"
    assert f"{RESET_KEY_PREFIXED}=$(TOKEN)" in pod["initContainers"][0]["args"]


def test_a_failed_reset_is_final_and_a_lost_pod_is_not() -> None:
    hook, *_ = yaml.safe_load_all((FOLDER / "example" / "reset-after-sync.yaml").read_text())
    lost, failed = hook["spec"]["podFailurePolicy"]["rules"]
    assert (lost["action"], lost["onPodConditions"]) == ("Ignore", [{"type": "DisruptionTarget"}])
    assert failed["action"] == "FailJob"
    (check,) = hook["spec"]["template"]["spec"]["containers"]
    assert failed["onExitCodes"]["containerName"] == check["name"]
    assert hook["spec"]["template"]["spec"]["restartPolicy"] == "Never"  # without it the policy is refused


def test_every_image_of_the_hook_has_a_digest() -> None:
    hook, *_ = yaml.safe_load_all((FOLDER / "example" / "reset-after-sync.yaml").read_text())
    pod = hook["spec"]["template"]["spec"]
    for container in (*pod["initContainers"], *pod["containers"]):
        assert re.fullmatch(r"registry\.k8s\.io/kubectl:v[\d.]+@sha256:[0-9a-f]{64}", container["image"])


def test_the_hook_waits_less_long_than_its_job_may_take_and_says_how_long() -> None:
    hook, *_ = yaml.safe_load_all((FOLDER / "example" / "reset-after-sync.yaml").read_text())
    wait = hook["spec"]["template"]["spec"]["initContainers"][1]["args"][-1]
    assert wait == "--timeout=25m"
    assert hook["spec"]["activeDeadlineSeconds"] > 25 * 60
    assert "25 minutes" in PAGE
