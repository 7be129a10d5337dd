"""Bare JSON requests to an API server, for tests that care about what is on the wire; and the CRD, installed."""

import contextlib
import http.client
import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from control_plane import ControlPlane
from esa_preload_operator.resources.crd import crd_yaml
from esa_preload_operator.resources.job import API_VERSION, GROUP, KIND, PLURAL, VERSION

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; `warning` is the header of that name, or empty."""

    status: int
    body: dict[str, Any]
    warning: str


@dataclass(frozen=True, slots=True)
class Api:
    """Sends as an administrator; every request on a connection of its own, so it may be used from any thread."""

    control_plane: ControlPlane

    def call(self, method: str, path: str, body: object = None, content_type: str = JSON) -> Reply:
        """Send one request; errors of HTTP are replies like others."""
        host = urlsplit(self.control_plane.url)
        context = self.control_plane.ssl_context()
        connection = http.client.HTTPSConnection(host.hostname or "", host.port, context=context, timeout=30)
        with contextlib.closing(connection):
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": content_type})
            answer = connection.getresponse()
            return Reply(answer.status, json.loads(answer.read()), answer.getheader("Warning", ""))

    def install_crd(self) -> None:
        """Apply the CRD and wait until its resources are served; any number of times."""
        self.control_plane.kubectl("apply", "--filename=-", "--warnings-as-errors", input=crd_yaml())
        crd = f"crd/{PLURAL}.{GROUP}"
        self.control_plane.kubectl("wait", "--for=condition=Established", crd, "--timeout=60s", timeout=90)


def jobs_path(namespace: str, name: str = "", *, group: str = GROUP) -> str:
    """Path of a namespace's resources, or of one of them."""
    return f"/apis/{group}/{VERSION}/namespaces/{namespace}/{PLURAL}" + (f"/{name}" if name else "")


def job_body(name: str, **spec: object) -> dict[str, Any]:
    """Return the smallest valid resource, with more or other fields of the spec."""
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": {"jobId": "job1", **spec}}
