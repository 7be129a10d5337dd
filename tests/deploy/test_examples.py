"""Every manifest that people are shown is accepted by a real API server, as it stands."""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from esa_preload_operator.domain.source import Content
from esa_preload_operator.domain.source import content_of as content_of_source
from esa_preload_operator.domain.spec import ConfigMapSource
from esa_preload_operator.domain.view import view_of
from esa_preload_operator.resources.job import KIND, RESET_KEY
from support.chart import CHART, ROOT, render
from support.manifests import EXAMPLES, PAGES, shown_in
from support.release import CRD

if TYPE_CHECKING:
    from pathlib import Path

    from control_plane import ControlPlane

OTHERS = (ROOT / "deploy/argocd/example/job.yaml", ROOT / "deploy/kustomize/overlays/demo/job.yaml")
FOLDER = ROOT / "deploy" / "examples"
URL_LIST = tuple(sorted((FOLDER / "url-list").glob("*.yaml")))
KINDS = {KIND, "ConfigMap", "Secret", "Namespace", "Deployment", "ServiceAccount", "Role", "RoleBinding"}
OF_OTHERS = {"argoproj.io/v1alpha1": "Application", "kustomize.toolkit.fluxcd.io/v1": "Kustomization"}
"""Resources whose CRDs other projects bring; what is said in them is checked below."""


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
    files = (*PAGES, *OTHERS, *EXAMPLES, *URL_LIST)
    shown = [each for path in files for each in shown_in(path)] + of_the_chart()
    assert len(shown) > 30
    for each in shown:
        if OF_OTHERS.get(each["apiVersion"]) == each["kind"]:
            continue
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


BUILT = {"argocd/website", "flux/website", "flux/preload"}
"""Folders that a tool applies, as the file above them tells it to."""


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.*")), ids=lambda path: path.name)
def test_every_example_says_on_top_what_it_is_for_and_how_to_apply_it(path: Path) -> None:
    lines = path.read_text().removeprefix("#!/bin/sh\n").splitlines()
    comment = "\n".join(itertools.takewhile(lambda line: line.startswith("#"), lines))
    if str(path.parent.relative_to(FOLDER)) in BUILT:
        assert comment
    else:
        assert re.search(rf"(kubectl apply .*-f |sh ){re.escape(path.name)}", comment)


# --- a reset after a deploy ---------------------------------------------------------------------------------------


def image_of(objects: list[dict[str, Any]]) -> str:
    (deployment,) = (each for each in objects if each["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return str(container["image"])


def test_with_argo_cd_each_image_is_a_token_that_is_set_once_its_pods_are_ready(installed: ControlPlane) -> None:
    (application,) = shown_in(FOLDER / "argocd" / "application.yaml")
    folder = ROOT / application["spec"]["source"]["path"]
    built = list(yaml.safe_load_all(installed.kubectl("kustomize", str(folder))))
    (job,) = (each for each in built if each["kind"] == KIND)
    annotations = job["metadata"]["annotations"]
    assert annotations == {RESET_KEY: image_of(built), "argocd.argoproj.io/sync-wave": "1"}
    assert annotations[RESET_KEY] == "registry.example.com/website:v42"
    installed.kubectl("apply", "--dry-run=server", "--filename=-", input=yaml.safe_dump_all(built))


def test_with_flux_the_job_comes_after_the_website_and_its_token_has_the_same_version(installed: ControlPlane) -> None:
    website, preload = shown_in(FOLDER / "flux" / "kustomizations.yaml")
    assert website["spec"]["wait"] is True
    assert preload["spec"]["dependsOn"] == [{"name": website["metadata"]["name"]}]
    built = [each for one in (website, preload) for each in as_flux_builds(one["spec"])]
    (job,) = (each for each in built if each["kind"] == KIND)
    assert job["metadata"]["annotations"] == {RESET_KEY: "deploy-v42"}
    assert image_of(built) == "registry.example.com/website:v42"
    installed.kubectl("apply", "--dry-run=server", "--filename=-", input=yaml.safe_dump_all(built))


def as_flux_builds(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the objects of a Kustomization's folder with its variables put in."""
    texts = [path.read_text() for path in sorted((ROOT / spec["path"]).glob("*.yaml"))]
    assert texts
    variables = spec["postBuild"]["substitute"]
    filled = [re.sub(r"\$\{(\w+)\}", lambda found: str(variables[found[1]]), text) for text in texts]
    return [each for text in filled for each in yaml.safe_load_all(text)]
