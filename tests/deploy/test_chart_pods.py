"""The pods that the chart and the kustomizations make: what can be set, and what always holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.chart import KUSTOMIZE, kustomize, render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.chart import Manifest


def pods(manifests: list[Manifest]) -> Iterator[dict[str, Any]]:
    """Return the specification of each pod."""
    for each in manifests:
        if each["kind"] in {"Deployment", "Pod"}:
            yield each["spec"]["template"]["spec"] if each["kind"] == "Deployment" else each["spec"]


@pytest.mark.parametrize("source", ["chart", "base", "overlays/namespaced", "overlays/demo"])
def test_no_pod_gets_variables_for_the_services_of_its_namespace(source: str) -> None:
    found = list(pods(render() if source == "chart" else kustomize(KUSTOMIZE / source)))
    assert found
    assert all(pod["enableServiceLinks"] is False for pod in found)
