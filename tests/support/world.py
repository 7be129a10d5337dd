"""One namespace of a real API server, one simulated account, and operators between them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import itertools
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from esa_preload_operator.resources.job import RESET_KEY
from support.api import MERGE_PATCH, Api, job_body, jobs_path
from support.operator_process import OperatorProcess
from support.simulator import job_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from control_plane import ControlPlane
    from support.simulator import SimulatorProcess

ROOT: Final = Path(__file__).parents[2]
BASE: Final = ROOT / "deploy" / "kustomize" / "base"
"""What is shipped; the chart renders the same."""
RBAC: Final = BASE / "rbac.yaml"
SITE: Final = 190007158391808
_numbers = itertools.count(1)

Status = dict[str, Any]


@dataclass
class World:
    """Jobs are named by number: job 7 is `spj` j7 about the ESA job `job_id(...)` of this world."""

    control_plane: ControlPlane
    simulator: SimulatorProcess
    folder: Path
    namespace: str
    access_key_id: str
    access_key_secret: str = "secret"
    user: str = ""
    offset: int = 0
    account: str = ""
    own_credentials: Mapping[str, str] | None = None
    """Variables that say where operators' own credentials come from, instead of the access key above."""
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def api(self) -> Api:
        return Api(self.control_plane)

    # --- ESA ----------------------------------------------------------------------------------------------------

    def esa_id(self, number: int = 1) -> str:
        return job_id(self.offset + number)

    def seed(self, *numbers: int, **fields: Any) -> None:
        """Make jobs in ESA with 10 URLs, 5 of them submitted."""
        defaults = {"siteId": SITE + self.offset, "urlCount": 10, "urlSubmitted": 5, "taskSubmitted": 5}
        self.simulator.seed_jobs(
            [{"id": self.esa_id(n), "name": f"job-{n}", "aliUid": self.account, **defaults, **fields} for n in numbers]
        )

    def resets(self, number: int = 1) -> int:
        """Count the resets that ESA executed, also those whose answers were lost."""
        return self.simulator.resets().get(self.esa_id(number), 0)

    def calls(self, action: str, number: int = 1) -> int:
        """Count the calls about a job that ESA got, answered or not."""
        return len(self.simulator.calls(action, job_id=self.esa_id(number)))

    def fault(self, kind: str, **options: Any) -> int:
        return self.simulator.fault(kind, **options)

    # --- Kubernetes ---------------------------------------------------------------------------------------------

    def create(self, number: int = 1, *, annotations: Mapping[str, str] | None = None, **spec: Any) -> str:
        """Make the resource of a job, with the Secret of this world unless the spec says otherwise."""
        body = job_body(f"j{number}", **{"jobId": self.esa_id(number), **spec})
        body["metadata"]["annotations"] = dict(annotations or {})
        reply = self.api.call("POST", jobs_path(self.namespace), body)
        assert reply.status == 201, reply
        return f"j{number}"

    def annotate(self, number: int = 1, token: str | None = "t1", key: str = RESET_KEY) -> None:
        """Set the annotation; None removes it."""
        self.patch(number, {"metadata": {"annotations": {key: token}}})

    def patch(self, number: int, body: Mapping[str, Any], sub: str = "") -> None:
        path = jobs_path(self.namespace, f"j{number}") + sub
        reply = self.api.call("PATCH", path, body, MERGE_PATCH)
        assert reply.status == 200, reply

    def get(self, number: int = 1) -> dict[str, Any]:
        reply = self.api.call("GET", jobs_path(self.namespace, f"j{number}"))
        assert reply.status == 200, reply
        return reply.body

    def status(self, number: int = 1) -> Status:
        status: Status = self.get(number).get("status", {})
        return status

    def condition(self, number: int = 1, kind: str = "Ready") -> dict[str, Any]:
        conditions = self.status(number).get("conditions", [])
        return next((each for each in conditions if each["type"] == kind), {})

    def events(self, reason: str | None = None) -> list[dict[str, Any]]:
        reply = self.api.call("GET", f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events")
        return [event for event in reply.body["items"] if reason in (None, event["reason"])]

    def make_secret(self, name: str = "esa-credentials", **changes: str | None) -> None:
        """Make or change a Secret."""
        values = {"accessKeyId": self.access_key_id, "accessKeySecret": self.access_key_secret, **changes}
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items() if value is not None}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
        path = f"/api/v1/namespaces/{self.namespace}/secrets"
        if self.api.call("POST", path, body).status == 409:
            assert self.api.call("PUT", f"{path}/{name}", body).status == 200

    # --- waiting ------------------------------------------------------------------------------------------------

    async def until(self, look: Callable[[], Any], timeout: float = 30, every: float = 0.05) -> Any:
        """Wait until something is true, and return it."""
        deadline = time.monotonic() + timeout
        while True:
            found = await asyncio.to_thread(look)
            if found:
                return found
            assert time.monotonic() < deadline, f"not within {timeout} s; {self.describe()}"
            await asyncio.sleep(every)

    async def handled(self, number: int = 1, token: str = "t1", key: str = RESET_KEY, timeout: float = 30) -> Status:
        """Wait until a token counts as handled; return the status."""

        def look() -> Status | None:
            status = self.status(number)
            return status if status.get("handledResets", {}).get(key) == token else None

        found: Status = await self.until(look, timeout)
        return found

    async def reason(self, number: int, reason: str, timeout: float = 30) -> dict[str, Any]:
        """Wait until Ready has a reason; return the condition."""

        def look() -> dict[str, Any] | None:
            found = self.condition(number)
            return found if found.get("reason") == reason else None

        condition: dict[str, Any] = await self.until(look, timeout)
        return condition

    def describe(self) -> str:
        """What to show when a test fails."""
        listed = self.api.call("GET", jobs_path(self.namespace)).body.get("items", [])
        logs = "\n".join(
            path.read_text(errors="replace")[-4000:] for path in sorted(self.folder.glob("operator-*.log"))
        )
        return f"resets {self.simulator.resets()}\n{yaml.safe_dump(listed[:3])}\n{logs}"

    # --- operators ----------------------------------------------------------------------------------------------

    def operator(
        self, kubeconfig: Path | None = None, *, pod: str = "", also: Sequence[str] = (), **settings: str
    ) -> OperatorProcess:
        """Start an operator for this namespace as it is shipped, but with short times; settings lack their prefix.

        `also` are more namespaces.
        """
        values = {
            "ENDPOINT": self.simulator.url,
            "LEASE_NAMESPACE": self.namespace,
            "METRICS_PORT": "0",
            "HEALTH_PORT": "0",
            "REQUEST_TIMEOUT": "2s",
            "NETWORK_GRACE": "1s",
            "LIST_GRACE": "1s",
            "MAX_CALLS_PER_SECOND": "2000",
            "LOG_LEVEL": "debug",
        } | settings
        environment = {**shipped_environment()} | {f"ESA_OPERATOR_{key}": value for key, value in values.items()}
        credentials = self.own_credentials or {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": self.access_key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": self.access_key_secret,
        }
        environment |= {**credentials, "PYTHONPATH": str(ROOT / "operator")} | ({"POD_ID": pod} if pod else {})
        path = kubeconfig or self.control_plane.kubeconfig(self.user)
        flags = tuple(flag for namespace in (self.namespace, *also) for flag in ("--namespace", namespace))
        return self.stack.enter_context(OperatorProcess(self.folder, path, flags, **environment))


@contextlib.contextmanager
def new_world(control_plane: ControlPlane, simulator: SimulatorProcess, folder: Path) -> Iterator[World]:
    """Make a namespace, an account, and a user with exactly the rights that are shipped."""
    number = next(_numbers)
    namespace = f"world-{number}-{os.getpid()}"
    world = World(control_plane, simulator, folder, namespace, access_key_id=f"AK{number}", offset=number * 100_000)
    world.account = str(10**15 + number)
    simulator.add_credentials(
        [{"accessKeyId": world.access_key_id, "accessKeySecret": world.access_key_secret, "aliUid": world.account}]
    )
    control_plane.kubectl("create", "namespace", namespace)
    world.user = f"system:serviceaccount:{namespace}:esa-preload-operator"
    control_plane.add_service_account(namespace, "esa-preload-operator")
    control_plane.kubectl("apply", "--filename=-", input=yaml.safe_dump_all(rights_in(namespace)))
    with world.stack:
        yield world


@functools.cache
def shipped_environment() -> Mapping[str, str]:
    """Return the variables that the shipped Deployment sets to values of its own."""
    (container,) = yaml.safe_load((BASE / "deployment.yaml").read_text())["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}


def rights_in(namespace: str) -> list[dict[str, Any]]:
    """Return the shipped roles, bound to this namespace's service account."""
    shipped = [each for each in yaml.safe_load_all(RBAC.read_text()) if each]
    for each in shipped:
        if each["kind"] == "ClusterRoleBinding":
            each["metadata"]["name"] = namespace
        if "namespace" in each["metadata"]:
            each["metadata"]["namespace"] = namespace
        for subject in each.get("subjects", ()):
            subject["namespace"] = namespace
    return shipped
