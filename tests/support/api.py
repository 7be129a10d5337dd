"""Bare JSON requests to an API server, for tests that care about what is on the wire; and the CRD, installed."""

import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from control_plane import ControlPlane
from esa_preload_operator.resources.crd import custom_resource_definition
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
            return Reply(answer.status, json.loads(answer.read() or b"null"), answer.getheader("Warning", ""))

    def install_crd(self, crd: Mapping[str, Any] | None = None) -> None:
        """Apply the CRD, or a variation of it, and wait until its resources are served; any number of times."""
        crd = crd or custom_resource_definition()
        self.control_plane.kubectl("apply", "--filename=-", "--warnings-as-errors", input=json.dumps(crd))
        name = f"crd/{crd['metadata']['name']}"
        self.control_plane.kubectl("wait", "--for=condition=Established", name, "--timeout=60s", timeout=90)

    def wait_until_served(self) -> None:
        """Wait for the resources of the CRD, if there is one.

        What is deleted before that, the API server fails to clean up ("storage is (re)initializing"), and it may try
        again only after minutes.
        """
        name = f"crd/{PLURAL}.{GROUP}"
        if not self.control_plane.kubectl("get", name, "--ignore-not-found", "--output=name"):
            return
        self.control_plane.kubectl("wait", "--for=condition=Established", name, "--timeout=30s")
        eventually(lambda: self.call("GET", f"/apis/{API_VERSION}/{PLURAL}"), HTTPStatus.OK)

    @contextlib.contextmanager
    def other_group(self, crd: dict[str, Any], group: str) -> Iterator[str]:
        """Have a CRD under another group, so that trying it disturbs nobody; changes `crd`."""
        crd["metadata"]["name"] = f"{PLURAL}.{group}"
        crd["spec"]["group"] = group
        crd["spec"]["names"] |= {"shortNames": [], "categories": []}
        self.install_crd(crd)
        try:
            yield group
        finally:
            self.control_plane.kubectl("delete", "crd", crd["metadata"]["name"])


def eventually(call: Callable[[], Reply], status: int) -> Reply:
    """Ask until that is the answer: a CRD is served, and its change takes effect, a moment after it was stored."""
    deadline = time.monotonic() + 30
    while (reply := call()).status != status:
        assert time.monotonic() < deadline, reply
        time.sleep(0.05)  # the API server tells nobody
    return reply


def jobs_path(namespace: str, name: str = "", *, group: str = GROUP) -> str:
    """Path of a namespace's resources, or of one of them."""
    return f"/apis/{group}/{VERSION}/namespaces/{namespace}/{PLURAL}" + (f"/{name}" if name else "")


def job_body(name: str, **spec: object) -> dict[str, Any]:
    """Return the smallest valid resource, with more or other fields of the spec."""
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": {"jobId": "job1", **spec}}
