"""What the chart renders: each value counts, and everything fits the code."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from esa_preload_operator.cli.main import _parser
from esa_preload_operator.esa.endpoint import resolve_endpoint
from esa_preload_operator.resources.durations import parse_duration
from esa_preload_operator.runtime.assembly import LEASE_NAME
from esa_preload_operator.runtime.settings import PREFIX, Settings, read_settings
from support.chart import (
    CHART,
    HELMS,
    MONITORING,
    NAME,
    ROOT,
    VERSION,
    HelmError,
    container,
    environment_of,
    helm,
    key,
    kustomize,
    named,
    render,
    render_text,
    schemas,
)
from support.chart_values import ALERTS, DESCRIBED, FULL, NEEDS, VALUES, merged, nested, other
from tools import tool

if TYPE_CHECKING:
    from pathlib import Path

KUBERNETES = tuple(f"1.{minor}" for minor in range(30, 38))
CLUSTER_SCOPED = {"ClusterRole", "ClusterRoleBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
CRD = "CustomResourceDefinition"


# --- values -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DESCRIBED)
def test_every_value_changes_something(path: str) -> None:
    needs = next((NEEDS[start] for start in sorted(NEEDS, reverse=True) if path.startswith(start)), {})
    if path.endswith(".enabled") and path not in {"credentials.rrsa.enabled", "leaderElection.enabled"}:
        needs = {}
    assert render_text(merged(needs, nested(path, other(path)))) != render_text(needs)


def test_every_value_is_described() -> None:
    def leaves(path: str, value: Any) -> list[str]:
        if path in DESCRIBED:
            return []
        return (
            [leaf for name, each in value.items() for leaf in leaves(f"{path}.{name}".lstrip("."), each)]
            if isinstance(value, dict)
            else [path]
        )

    assert leaves("", VALUES) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"replicas": 2}, "replicas"),
        ({"config": {"requestTimeOut": "3s"}}, "requestTimeOut"),
        ({"config": {"requestTimeout": "3"}}, "requestTimeout"),
        ({"config": {"logLevel": "WARN"}}, "logLevel.*'debug', 'info', 'warning', 'error'"),
        ({"config": {"endpoint": "china-vcp"}}, r"endpoint.*china\|international\|china-vpc\|international-vpc"),
        ({"resetPolicy": {"validationActions": ["Deny", "Audit", "Warn"]}}, "takes Deny or Warn, not both"),
        ({"metrics": {"port": 0}}, "port"),
        ({"image": {"digest": "sha256:1"}}, "digest"),
        ({"watch": {"namespaces": ["shop"]}}, "watch.namespaces counts only with"),
        ({"watch": {"clusterWide": False}, "resetPolicy": {"enabled": True}}, "resetPolicy.enabled needs"),
        ({"leaderElection": {"enabled": False}}, "replicaCount above 1 needs"),
        ({"credentials": {"rrsa": {"enabled": True}}}, "needs credentials.rrsa.roleName"),
        ({"extraEnv": [{"name": "POD_ID", "value": "x"}]}, "extraEnv must not set POD_ID"),
        ({"extraEnv": [{"name": "ESA_OPERATOR_NAMESPACES", "value": "x"}]}, "extraEnv must not set"),
        ({"metrics": {"renderMode": "failIfMissing", "podMonitor": {"enabled": True}}}, "has no PodMonitor"),
        ({"metrics": {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}}}, "count everything twice"),
    ],
)
@pytest.mark.parametrize("program", HELMS)
def test_wrong_values_are_refused(program: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(HelmError, match=message):
        render(values, program=program)


@pytest.mark.parametrize("value", [5, "5", "1 minute", ""])
@pytest.mark.parametrize(
    "path", [path for path, each in DESCRIBED.items() if "duration" in each.schema.get("$ref", "")]
)
def test_a_duration_without_a_unit_gets_a_hint(path: str, value: Any) -> None:
    with pytest.raises(HelmError, match=rf"{path}: {value} is no duration; write it with its unit, such as 30s"):
        render(nested(path, value))


def test_names_and_objects_say_what_to_pull_with_as_other_charts_take_them() -> None:
    manifests = render(
        {"imagePullSecrets": ["own", {"name": "other"}], "global": {"imagePullSecrets": ["all", {"name": "x"}]}}
    )
    for each in ("Deployment", "Pod"):
        (found,) = (manifest for manifest in manifests if manifest["kind"] == each)
        pod = found["spec"]["template"]["spec"] if each == "Deployment" else found["spec"]
        assert pod["imagePullSecrets"] == [{"name": name} for name in ("all", "x", "own", "other")]


def test_what_other_charts_put_in_is_let_through() -> None:
    assert render({"global": {"cattle": {"clusterId": "x"}}, "enabled": True}) == render()


# --- renders ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [{}, FULL], ids=["default", "full"])
def test_both_helms_render_the_same(values: dict[str, Any]) -> None:
    three, four = (sorted(render(values, program=program), key=key) for program in HELMS)
    assert three == four


@pytest.mark.parametrize("values", [{}, FULL], ids=["default", "full"])
@pytest.mark.parametrize("program", HELMS)
def test_lint_has_nothing_to_say(program: str, values: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "values.json").write_text(json.dumps(values))
    assert "0 chart(s) failed" in helm(program, "lint", "--strict", str(CHART), f"--values={tmp_path}/values.json")


@pytest.mark.parametrize("kubernetes", KUBERNETES)
def test_every_supported_kubernetes_knows_every_field(kubernetes: str, tmp_path: Path) -> None:
    manifests = [each for each in render(FULL) if not each["apiVersion"].startswith("monitoring.coreos.com")]
    demo = kustomize(ROOT / "deploy" / "kustomize" / "overlays" / "demo")
    location = schemas(kubernetes, manifests + demo, tmp_path)
    done = subprocess.run(
        [tool("kubeconform"), "-strict", "-summary", "-schema-location", location],
        input=yaml.safe_dump_all(manifests + demo),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert f"Valid: {len(manifests + demo)}," in done.stdout


@pytest.mark.parametrize("suffix", ["v1.30.1-aliyun.1", "v1.37.2"])
def test_versions_of_vendors_are_accepted(suffix: str) -> None:
    assert render({}, f"--kube-version={suffix}")


def test_an_old_kubernetes_is_refused() -> None:
    with pytest.raises(HelmError, match="incompatible"):
        render({}, "--kube-version=v1.29.9")


def test_one_namespace_needs_nothing_cluster_scoped_but_the_crd() -> None:
    values = merged(
        FULL, {"watch": {"clusterWide": False, "namespaces": ["a", "b"]}, "resetPolicy": {"enabled": False}}
    )
    manifests = render(values)
    assert {each["kind"] for each in manifests if "namespace" not in each["metadata"]} == {CRD, "ConfigMap"}
    assert not CLUSTER_SCOPED & {each["kind"] for each in manifests}
    assert container(manifests)["args"] == ["run", "--namespace=a", "--namespace=b"]
    assert {each["metadata"]["namespace"] for each in manifests if each["kind"] == "Role"} == {NAME, "a", "b"}


def test_monitors_are_rendered_where_the_cluster_has_them() -> None:
    values = {"metrics": {"renderMode": "skipIfMissing", "serviceMonitor": {"enabled": True}}}
    assert "ServiceMonitor" not in {each["kind"] for each in render(values)}
    known = render(values, *(f"--api-versions={each}" for each in MONITORING))
    assert "ServiceMonitor" in {each["kind"] for each in known}


def test_a_digest_pins_the_image() -> None:
    digest = "sha256:" + "a" * 64
    image = container(render({"image": {"registry": "r.example.com", "digest": digest}}))["image"]
    assert image == f"r.example.com/esa-preload-operator:{VERSION}@{digest}"


def test_a_ram_role_needs_the_annotation_and_the_label() -> None:
    manifests = render({"credentials": {"rrsa": {"enabled": True, "roleName": "esa"}}})
    annotations = named(manifests, "ServiceAccount")["metadata"]["annotations"]
    assert annotations["pod-identity.alibabacloud.com/role-name"] == "esa"
    pod = named(manifests, "Deployment")["spec"]["template"]["metadata"]
    assert pod["labels"]["pod-identity.alibabacloud.com/injection"] == "on"


def test_rules_can_be_left_out_and_lead_to_other_runbooks() -> None:
    def rules(**config: Any) -> list[dict[str, Any]]:
        manifests = render({"metrics": {"prometheusRule": {"enabled": True, **config}}})
        groups = named(manifests, "PrometheusRule")["spec"]["groups"] or []
        return [rule for group in groups for rule in group["rules"] if "alert" in rule]

    names = [rule["alert"] for rule in rules()]
    assert [rule["alert"] for rule in rules(disabled=names[:1])] == names[1:]
    (first, *_) = rules(runbookUrl="https://example.com/runbooks")
    assert first["annotations"]["runbook_url"] == f"https://example.com/runbooks#{names[0].lower()}"
    assert rules() == [rule for group in ALERTS["groups"] for rule in group["rules"] if "alert" in rule]


# --- the code ---------------------------------------------------------------------------------------------------


def parsed(found: dict[str, Any]) -> Settings:
    """Read the container's flags and environment as the operator does."""
    flags = vars(_parser().parse_args(found["args"]))
    assert flags.pop("command") == "run"
    flags.pop("context")
    if flags.pop("all_namespaces"):
        flags["namespaces"] = ()
    return read_settings(flags, environment_of(found))


def test_the_operator_takes_what_the_chart_gives_and_its_defaults_are_the_codes() -> None:
    for values in ({}, FULL):
        settings = parsed(container(render(values)))
        assert resolve_endpoint(settings.endpoint, allow_http=False) == Settings().endpoint
        assert settings == Settings(lease_namespace=NAME, endpoint=settings.endpoint)


def test_every_setting_can_be_reached() -> None:
    namespaces = {"credentials": {"defaultNamespaces": ["shop"]}}
    given = {name.removeprefix(PREFIX).lower() for name in environment_of(container(render(namespaces)))}
    assert given >= set(Settings.model_fields) - {"namespaces"}
    namespaced = parsed(container(render({"watch": {"clusterWide": False}})))
    assert namespaced.namespaces == (NAME,)


@pytest.mark.parametrize("path", [path for path in DESCRIBED if path.startswith("config.")])
def test_a_setting_reaches_the_operator(path: str) -> None:
    name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in path.removeprefix("config."))
    value = other(path)
    expected = parse_duration(value) if "duration" in str(DESCRIBED[path].schema) else value
    assert getattr(parsed(container(render(nested(path, value)))), name) == expected


def test_no_secret_at_all_may_be_allowed() -> None:
    manifests = render({"credentials": {"secretNames": []}})
    assert parsed(container(manifests)).credentials_secret_names == ()
    assert "secrets" not in str(named(manifests, "ClusterRole")["rules"])


@pytest.mark.parametrize("timeout", ["10s", "500ms", "1m30s", "1.5m", "0.25h"])
def test_a_pod_has_the_time_to_finish(timeout: str) -> None:
    spec = named(render({"config": {"requestTimeout": timeout}}), "Deployment")["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] >= 2 * parse_duration(timeout) + 15


def test_probes_and_metrics_are_asked_where_the_operator_listens() -> None:
    found = container(render({"health": {"port": 9001}, "metrics": {"port": 9002}}))
    settings = parsed(found)
    ports = {each["name"]: each["containerPort"] for each in found["ports"]}
    assert ports == {"healthz": settings.health_port, "http-metrics": settings.metrics_port}
    assert found["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "healthz"}
    assert found["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "healthz"}


def shipped_rules(kind: str) -> Any:
    shipped = [each for each in yaml.safe_load_all((ROOT / "deploy/kustomize/base/rbac.yaml").read_text()) if each]
    return named(shipped, kind)["rules"]


def test_the_rights_are_the_shipped_ones() -> None:
    assert named(render(), "ClusterRole")["rules"] == shipped_rules("ClusterRole")
    assert named(render(), "Role")["rules"] == shipped_rules("Role")
    namespaced = render({"watch": {"clusterWide": False}})
    assert named(namespaced, "Role", f"{NAME}-jobs")["rules"] == shipped_rules("ClusterRole")
    assert LEASE_NAME in str(named(namespaced, "Role")["rules"])


def test_readers_and_editors_get_no_right_to_the_status() -> None:
    roles = [each for each in render(FULL) if each["kind"] == "ClusterRole" and each["metadata"]["name"] != NAME]
    assert {rule["resources"][0] for role in roles for rule in role["rules"]} == {"scheduledpreloadjobs"}
    assert len(roles) == 3


def test_generated_files_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "hack" / "tools" / "chart.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_versions_agree() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert about["version"] == about["appVersion"] == VERSION
    image = yaml.safe_load(about["annotations"]["artifacthub.io/images"])[0]["image"]
    assert image == container(render())["image"] == f"{NAME}:{VERSION}"
