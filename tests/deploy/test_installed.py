"""The operator with what the chart or a kustomization gave it on a real API server."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest
import yaml

from control_plane import ControlPlane, free_port
from support.chart import KUSTOMIZE, NAME, overlay
from support.release import CRD, Release, start
from support.world import World

if TYPE_CHECKING:
    from pathlib import Path

    from support.simulator import SimulatorProcess

_numbers = itertools.count(1)


# --- the chart ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cluster_wide", [True, False], ids=["cluster-wide", "one-namespace"])
async def test_the_installed_operator_resets_once(
    kubernetes: ControlPlane, simulator: SimulatorProcess, tmp_path: Path, *, cluster_wide: bool
) -> None:
    release = Release(kubernetes, "helm4")
    release.install(
        config__endpoint=simulator.url,
        watch__clusterWide=cluster_wide,
        health__port=free_port(),
        metrics__port=free_port(),
        credentials__existingSecret="esa-credentials",
    )
    release.kubectl("wait", "--for=condition=Established", CRD, "--timeout=30s")
    offset = 90_000_000 + 1_000 * os.getpid() % 1_000_000 + 10 * next(_numbers)  # each has two jobs
    world = World(kubernetes, simulator, tmp_path, release.namespace, f"AK-{release.namespace}", offset=offset)
    world.account = str(2 * 10**15 + offset)
    credential = {
        "accessKeyId": world.access_key_id,
        "accessKeySecret": world.access_key_secret,
        "aliUid": world.account,
    }
    simulator.add_credentials([credential])
    world.make_secret()
    world.seed(1, 2)
    world.create(1)  # by the operator's own credentials
    world.create(2, credentialsSecretRef={"name": "esa-credentials"})
    with start(release, tmp_path) as operator:
        operator.wait_to_lead()
        for number in (1, 2):
            world.annotate(number, "deploy-4711")
            await world.handled(number, "deploy-4711")
            assert world.resets(number) == 1
        await world.until(lambda: len(world.events("ResetSucceeded")) == 2)
        lease = release.get(f"lease/{NAME}")
    assert lease["spec"]["holderIdentity"].startswith(f"{NAME}-0_")
    assert "orbidden" not in operator.log


# --- without Helm -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["base", "overlays/namespaced", "overlays/demo"])
def test_the_api_server_takes_the_kustomizations(kubernetes: ControlPlane, folder: str) -> None:
    kubernetes.kubectl("apply", "--kustomize", str(KUSTOMIZE / folder), "--warnings-as-errors")
    assert kubernetes.kubectl("diff", "--kustomize", str(KUSTOMIZE / folder)) == ""


def test_a_kustomization_in_another_namespace_leads_there(
    kubernetes: ControlPlane, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    release = Release(kubernetes, "")
    folder = tmp_path / "overlay"
    folder.mkdir()
    ports = {f"ESA_OPERATOR_{name}": str(free_port()) for name in ("HEALTH_PORT", "METRICS_PORT")}
    settings = [
        {"name": name, "value": value} for name, value in {**ports, "ESA_OPERATOR_ENDPOINT": simulator.url}.items()
    ]
    pod = {"spec": {"containers": [{"name": "operator", "env": settings}]}}
    patch = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME}, "spec": {"template": pod}}
    overlay(folder, KUSTOMIZE / "base", namespace=release.namespace, patches=[{"patch": yaml.safe_dump(patch)}])
    kubernetes.kubectl("apply", "--kustomize", str(folder))
    release.kubectl("wait", "--for=condition=Established", CRD, "--timeout=30s")
    with start(release, tmp_path) as operator:
        operator.wait_to_lead()
        assert release.exists(f"lease/{NAME}")
