"""What the tests in a cluster share: the image, brought there, and a namespace with a simulated ESA in it.

KUBECONFIG names the cluster, E2E_LOAD_IMAGE the command that takes an image archive there; E2E_RESTART_API may name
one that restarts its API server, where that is no process on a node that something starts again.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import yaml

import image
from support.chart import KUSTOMIZE, ROOT
from support.cluster import CRD, NAME, TAGS, Cluster, run, until
from support.simulator import ACCESS_KEY_ID, ACCESS_KEY_SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.simulator import SimulatorControl

NAMESPACE: Final = "esa-e2e"


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    if not os.environ.get("KUBECONFIG"):
        pytest.exit("e2e: KUBECONFIG must name a cluster to try things in", returncode=2)
    if not os.environ.get("E2E_LOAD_IMAGE"):
        pytest.exit(
            "e2e: E2E_LOAD_IMAGE must name a command that takes an image archive into the cluster", returncode=2
        )
    return Path(os.environ["KUBECONFIG"])


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory, kubeconfig: Path) -> None:  # noqa: ARG001 - asks for it first
    """Build the image and take it into the cluster."""
    archive = tmp_path_factory.mktemp("image") / "image.tar"
    if not image.missing() and os.geteuid() == 0:
        with image.built(f"{NAME}:{TAGS[0]}") as built:
            for tag in TAGS:
                built.save(archive, f"{NAME}:{tag}")
                run(os.environ["E2E_LOAD_IMAGE"], str(archive))
    elif shutil.which("docker"):
        for tag in TAGS:
            name = f"{NAME}:{tag}"
            subprocess.run(["docker", "build", "--quiet", f"--tag={name}", str(ROOT)], check=True)
            subprocess.run(["docker", "save", f"--output={archive}", name], check=True)
            run(os.environ["E2E_LOAD_IMAGE"], str(archive))
    else:
        pytest.exit(f"e2e: building needs docker, or root and {shlex.join(image.PROGRAMS)}", returncode=2)


@pytest.fixture(scope="session")
def cluster(images: None, kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:  # noqa: ARG001 - asks for them first
    """A namespace as Pod Security *restricted* wants it; afterwards the cluster is as it was."""
    cluster = Cluster(kubeconfig, NAMESPACE)
    for what in (f"crd/{CRD}", f"namespace/{NAMESPACE}"):
        if cluster.kubectl("get", what, "--ignore-not-found", "--output=name"):
            pytest.exit(f"e2e: the cluster has {what} already, which would be deleted in the end", returncode=2)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}])
    try:
        cluster.kubectl("apply", "--filename=-", given=_esa(cluster, tmp_path_factory.mktemp("esa")))
        cluster.kubectl("rollout", "status", "deployment/esa-simulator", "--timeout=180s")
        yield cluster
    finally:
        cluster.kubectl("delete", f"namespace/{NAMESPACE}", "--ignore-not-found", "--timeout=120s")
        cluster.kubectl("delete", f"crd/{CRD}", "--ignore-not-found")


def _esa(cluster: Cluster, folder: Path) -> str:
    """Return the demo's simulator, as an image of the cluster's, and the Secret with its credentials."""
    shutil.copy(KUSTOMIZE / "overlays" / "demo" / "simulator.yaml", folder)
    (folder / "seed.json").write_text("{}")
    secret = [f"accessKeyId={ACCESS_KEY_ID}", f"accessKeySecret={ACCESS_KEY_SECRET}"]
    wanted = {
        "namespace": cluster.namespace,
        "resources": ["simulator.yaml"],
        "images": [{"name": "esa-preload-operator", "newName": NAME, "newTag": TAGS[0]}],
        "configMapGenerator": [{"name": "esa-simulator", "files": ["seed.json"]}],
        "secretGenerator": [
            {"name": "esa-credentials", "literals": secret, "options": {"disableNameSuffixHash": True}}
        ],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(wanted))
    return cluster.kubectl("kustomize", str(folder))


@pytest.fixture(scope="session")
def esa(cluster: Cluster) -> Iterator[SimulatorControl]:
    """The simulated ESA, which counts resets."""
    process, address = cluster.proxy()
    try:
        control = cluster.simulator(address)
        until(control.settings, "the simulator answers")
        yield control
    finally:
        process.terminate()
        process.communicate()
