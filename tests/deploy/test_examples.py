"""Every manifest that people are shown is accepted by a real API server, as it stands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from esa_preload_operator.domain.source import Content
from esa_preload_operator.domain.source import content_of as content_of_source
from esa_preload_operator.domain.spec import ConfigMapSource
from esa_preload_operator.domain.view import view_of
from esa_preload_operator.resources.job import KIND
from support.chart import CHART, ROOT, render
from support.manifests import EXAMPLES, PAGES, shown_in
from support.release import CRD

if TYPE_CHECKING:
    from pathlib import Path

    from control_plane import ControlPlane

OTHERS = (ROOT / "deploy/argocd/example/job.yaml", ROOT / "deploy/kustomize/overlays/demo/job.yaml")
KINDS = {KIND, "ConfigMap", "Secret", "Namespace"}


def of_the_chart() -> list[dict[str, Any]]:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    found: list[dict[str, Any]] = yaml.safe_load(about["artifacthub.io/crdsExamples"])
    return found


@pytest.fixture
def installed(kubernetes: ControlPlane) -> ControlPlane:
    (crd,) = (each for each in render() if each["kind"] == "CustomResourceDefinition")
    kubernetes.kubectl("apply", "--filename=-", input=yaml.safe_dump(crd))
    kubernetes.kubectl("wait", "--for=condition=Established", CRD, "--timeout=30s")
    return kubernetes


def test_every_manifest_is_accepted(installed: ControlPlane) -> None:
    shown = [each for path in (*PAGES, *OTHERS, *EXAMPLES) for each in shown_in(path)] + of_the_chart()
    assert len(shown) > 15
    for each in shown:
        assert each["kind"] in KINDS
        if each["kind"] != "Namespace":
            each["metadata"]["namespace"] = "default"
        text = json.dumps(each)
        installed.kubectl("create", "--dry-run=server", "--validate=strict", "--filename=-", input=text)
        if each["kind"] == KIND:
            assert problems_of(each) == "", each["metadata"]["name"]


def problems_of(manifest: dict[str, Any]) -> str:
    """Return what the operator would object to."""
    meta = manifest["metadata"] | {"uid": "u", "resourceVersion": "1"}
    view = view_of(manifest | {"metadata": meta})
    return (
        view.invalid or str(view.problem or "") or ("" if view.source is None else getattr(view.source, "message", ""))
    )


def test_the_crd_that_the_chart_tells_of_is_the_one_that_it_brings() -> None:
    (crd,) = (each for each in render() if each["kind"] == "CustomResourceDefinition")
    (known,) = yaml.safe_load(yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]["artifacthub.io/crds"])
    assert (known["kind"], known["name"]) == (crd["spec"]["names"]["kind"], crd["metadata"]["name"])
    assert known["version"] in {each["name"] for each in crd["spec"]["versions"]}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_list_in_a_config_map_beside_its_resource_can_be_sent(path: Path) -> None:
    objects = shown_in(path)
    maps = {each["metadata"]["name"]: each.get("data", {}) for each in objects if each["kind"] == "ConfigMap"}
    for each in objects:
        if each["kind"] != KIND:
            continue
        view = view_of(each | {"metadata": each["metadata"] | {"namespace": "n", "uid": "u", "resourceVersion": "1"}})
        source = view.owned.source if view.owned is not None else None
        if isinstance(source, ConfigMapSource):
            assert isinstance(content_of_source(source, maps[source.name][source.key]), Content)
