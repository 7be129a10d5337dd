"""A namespace of its own on the real API server, and a connection to it through the fault-injecting proxy."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import yaml

from esa_preload_operator.k8s.connection import Connection, connect
from esa_preload_operator.resources.job import API_VERSION, KIND, ScheduledPreloadJob
from support.api_proxy import ApiProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from control_plane import ControlPlane

DEADLINE: Final = 30.0
ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class World:
    proxy: ApiProxy
    connection: Connection
    """Goes through the proxy: the code under test."""
    direct: Connection
    """Passes the proxy by: the test's own hands."""
    namespace: str

    @property
    def jobs(self) -> str:
        return f"/apis/{API_VERSION}/namespaces/{self.namespace}/scheduledpreloadjobs"

    async def create_job(self, name: str = "nightly") -> ScheduledPreloadJob:
        body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": {"jobId": "665d3af3621b"}}
        return ScheduledPreloadJob.model_validate(await self.do("POST", self.jobs, body))

    async def do(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        answer = await self.direct.request(method, path, body, content_type=content_type)
        assert answer.ok, answer.explanation
        return answer.body


@contextlib.asynccontextmanager
async def world(control_plane: ControlPlane, user: str = "admin") -> AsyncIterator[World]:
    namespace = f"adapter-{uuid4().hex[:8]}"
    async with ApiProxy(control_plane, user) as proxy, await connect(str(control_plane.kubeconfig())) as direct:
        await _install_crd(direct)
        answer = await direct.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        assert answer.ok, answer.explanation
        async with await connect(str(proxy.kubeconfig)) as connection:
            yield World(proxy, connection, direct, namespace)


async def _install_crd(direct: Connection) -> None:
    crd = yaml.safe_load((ROOT / "crds" / "esa.preload-operator.io_scheduledpreloadjobs.yaml").read_text())
    answer = await direct.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
    assert answer.ok or answer.status == 409, answer.explanation

    async def served() -> bool:
        return (await direct.request("GET", f"/apis/{API_VERSION}/scheduledpreloadjobs")).ok

    while not await served():  # noqa: ASYNC110 - the API server has no event to wait for
        await asyncio.sleep(0.05)


async def eventually(condition: Callable[[], bool], deadline: float = DEADLINE) -> None:
    """Waits until the condition holds; fails at the deadline."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        await asyncio.sleep(0.02)
