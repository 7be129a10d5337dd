"""The kustomizations say what the chart says."""

from __future__ import annotations

import copy
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from esa_preload_operator.runtime.settings import PREFIX, Settings, read_settings
from esa_simulator.main import _parser
from support.chart import (
    KUSTOMIZE,
    NAME,
    Manifest,
    arguments_of,
    container,
    environment_of,
    key,
    kustomize,
    named,
    overlay,
    render,
)
from support.simulator import SimulatorProcess

if TYPE_CHECKING:
    from pathlib import Path

DEMO = {"config": {"endpoint": "http://esa-simulator:8089", "allowHttpEndpoint": True}}
MANAGED = ("app.kubernetes.io/managed-by", "helm.sh/chart")


def comparable(manifests: list[Manifest]) -> dict[Any, Manifest]:
    """Leave out who manages an object, Helm's hooks and hints, and variables that hold the operator's own defaults."""
    found = {}
    for manifest in copy.deepcopy(manifests):
        metadata = manifest["metadata"]
        if "helm.sh/hook" in metadata.pop("annotations", {}) or manifest["kind"] == "Namespace":
            continue
        for label in MANAGED:
            metadata.get("labels", {}).pop(label, None)
        if manifest["kind"] == "Deployment":
            (operator,) = manifest["spec"]["template"]["spec"]["containers"]
            own = [each for each in operator["env"] if not each["name"].startswith(PREFIX)]
            operator["args"] = arguments_of(operator)
            operator["env"] = [own, read_settings({}, environment_of(operator))]
        found[key(manifest)] = manifest
    return found


@pytest.mark.parametrize(
    ("folder", "values"),
    [("base", {}), ("overlays/namespaced", {"watch": {"clusterWide": False}}), ("overlays/demo", DEMO)],
)
def test_a_kustomization_is_the_charts_render(folder: str, values: dict[str, Any]) -> None:
    ours, charts = comparable_operator(kustomize(KUSTOMIZE / folder)), comparable(render(values))
    assert set(ours) == set(charts)
    for each, manifest in charts.items():
        assert ours[each] == manifest


COMPONENTS = {
    "network-policy": {"networkPolicy": {"enabled": True}},
    "reset-policy": {"resetPolicy": {"enabled": True}},
}


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_is_what_the_charts_value_switches_on(name: str, tmp_path: Path) -> None:
    component = os.path.relpath(KUSTOMIZE / "components" / name, tmp_path)
    ours = comparable(kustomize(overlay(tmp_path, KUSTOMIZE / "base", components=[component])))
    assert ours == comparable(render(COMPONENTS[name]))
    assert set(COMPONENTS) == {path.name for path in (KUSTOMIZE / "components").iterdir()}


def comparable_operator(manifests: list[Manifest]) -> dict[Any, Manifest]:
    """Leave out what the demo has beside the operator."""
    beside = ("esa-simulator", "esa-credentials")
    return comparable([each for each in manifests if not each["metadata"]["name"].startswith(beside)])


def test_the_operator_takes_what_the_base_gives() -> None:
    settings = read_settings({}, environment_of(container(kustomize(KUSTOMIZE / "base"))))
    assert settings == Settings(lease_namespace=NAME, endpoint="china")


@pytest.mark.parametrize("below", ["base", "overlays/namespaced", "overlays/demo"])
def test_one_line_moves_all_of_it_to_another_namespace(below: str, tmp_path: Path) -> None:
    moved = kustomize(overlay(tmp_path, KUSTOMIZE / below, namespace="elsewhere"))
    assert "Namespace" in {each["kind"] for each in moved}
    for each in moved:
        if each["kind"] == "Namespace":
            assert each["metadata"]["name"] == "elsewhere"
        assert each["metadata"].get("namespace", "elsewhere") == "elsewhere"
        assert {subject["namespace"] for subject in each.get("subjects", ())} <= {"elsewhere"}
    found = container(moved)
    assert read_settings({}, environment_of(found, "elsewhere")).lease_namespace == "elsewhere"
    assert NAME not in " ".join(arguments_of(found, "elsewhere"))


def test_the_demos_simulator_takes_its_seed_and_its_credentials() -> None:
    with SimulatorProcess(f"--seed={KUSTOMIZE}/overlays/demo/seed.json") as simulator:
        (job,) = simulator.jobs()
    assert job["id"] in (KUSTOMIZE / "overlays" / "demo" / "job.yaml").read_text()
    secret = next(each for each in kustomize(KUSTOMIZE / "overlays" / "demo") if each["kind"] == "Secret")
    assert set(secret["data"]) == {"accessKeyId", "accessKeySecret"}
    assert json.loads((KUSTOMIZE / "overlays" / "demo" / "seed.json").read_text())["jobs"][0]["aliUid"] == job["aliUid"]


def test_the_demos_simulator_is_started_with_flags_that_it_has_and_finds_its_seed() -> None:
    manifests = kustomize(KUSTOMIZE / "overlays" / "demo")
    spec = named(manifests, "Deployment", "esa-simulator")["spec"]["template"]["spec"]
    (simulator,) = spec["containers"]
    options = _parser().parse_args(simulator["args"])
    (mount,), (volume,), (port,) = simulator["volumeMounts"], spec["volumes"], simulator["ports"]
    assert str(options.seed.parent) == mount["mountPath"]
    assert mount["name"] == volume["name"]
    assert options.seed.name in named(manifests, "ConfigMap", volume["configMap"]["name"])["data"]
    (service,) = named(manifests, "Service", "esa-simulator")["spec"]["ports"]
    assert service["targetPort"] == port["name"]
    assert options.port == port["containerPort"]
    endpoint = environment_of(container(manifests))[f"{PREFIX}ENDPOINT"]
    assert endpoint == f"http://esa-simulator:{service['port']}"
