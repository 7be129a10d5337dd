"""A release of the chart on a real API server, and the operator started as its Deployment says."""

from __future__ import annotations

import base64
import itertools
import json
from typing import TYPE_CHECKING, Any, Final

from esa_preload_operator.resources.job import GROUP, PLURAL
from support.api import job_body
from support.chart import CHART, NAME, ROOT, arguments_of, container, environment_of, helm
from support.operator_process import OperatorProcess

if TYPE_CHECKING:
    from pathlib import Path

    from control_plane import ControlPlane

CRD: Final = f"crd/{PLURAL}.{GROUP}"
_numbers = itertools.count(1)


class Release:
    """One release in a namespace of its own."""

    def __init__(self, kubernetes: ControlPlane, program: str) -> None:
        self.kubernetes = kubernetes
        self.program = program
        self.namespace = f"helm-{next(_numbers)}"

    def helm(self, command: str, *arguments: str | Path, **values: Any) -> str:
        given = [f"--set-json={name.replace('__', '.')}={json.dumps(value)}" for name, value in values.items()]
        words = [command, *map(str, arguments), f"--namespace={self.namespace}", *given]
        return helm(self.program, *words, kubeconfig=self.kubernetes.kubeconfig())

    def install(self, chart: Path = CHART, *arguments: str, **values: Any) -> str:
        return self.helm("install", NAME, chart, "--create-namespace", *arguments, **values)

    def upgrade(self, *arguments: str, **values: Any) -> str:
        return self.helm("upgrade", NAME, CHART, *arguments, **values)

    def kubectl(self, *arguments: str, **options: Any) -> str:
        return self.kubernetes.kubectl(f"--namespace={self.namespace}", *arguments, **options)

    def get(self, what: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", what, "--output=json"))
        return found

    def image(self) -> str:
        return str(container([self.get(f"deployment/{NAME}")])["image"])

    def make_job(self) -> None:
        self.kubectl("wait", "--for=condition=Established", CRD, "--timeout=30s")
        self.kubectl("create", "--filename=-", input=json.dumps(job_body("nightly")))

    def exists(self, what: str) -> bool:
        return bool(self.kubectl("get", what, "--ignore-not-found", "--output=name").strip())


def start(release: Release, folder: Path) -> OperatorProcess:
    """Run the installed Deployment's container as a process of this machine, as its service account."""
    deployment = release.get(f"deployment/{NAME}")
    pod = deployment["spec"]["template"]["spec"]
    (found,) = pod["containers"]
    environment = {"PYTHONPATH": str(ROOT / "operator"), **environment_of(found, release.namespace)}
    for each in found["env"]:
        source = each.get("valueFrom", {})
        if "secretKeyRef" in source:
            data = release.get(f"secret/{source['secretKeyRef']['name']}")["data"]
            if source["secretKeyRef"]["key"] in data:
                environment[each["name"]] = base64.b64decode(data[source["secretKeyRef"]["key"]]).decode()
    kubeconfig = release.kubernetes.add_service_account(release.namespace, pod["serviceAccountName"])
    command, *flags = arguments_of(found, release.namespace)
    assert command == "run"
    return OperatorProcess(folder, kubeconfig, tuple(flags), **environment)
