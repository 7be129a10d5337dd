"""What one status write costs the API server: by PUT or by patch, with one owner or with an owner of each field."""

import copy
import secrets
import statistics
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from driver import Driver, in_parallel, open_driver
from esa_preload_operator.resources.crd import custom_resource_definition
from esa_preload_operator.resources.job import GROUP, VERSION
from limits import Values
from proc import cpu_seconds
from stage import Stage, status_of
from support.api import Api, jobs_path

GRANULAR: Final = "granular.example.org"
JSON_PATCH: Final = "application/json-patch+json"


async def store(stage: Stage, template: str) -> Values:
    """Write statuses in three ways in turn; return the CPU ms of the API server for each, and the ratios."""
    jobs, writes = stage.sizes.store_jobs, stage.sizes.store_writes
    found: dict[str, list[float]] = {"ours": [], "JSON Patch": [], "granular": []}
    with stage.enter() as world, Api(stage.control_plane).other_group(granular_crd(), GRANULAR):
        async with open_driver(stage.control_plane, world.namespace, watch=False) as driver:
            status = status_of(template, world, 0)
            ways = {
                "ours": Way(driver, GROUP, status, patched=False),
                "JSON Patch": Way(driver, GROUP, status, patched=True),
                "granular": Way(driver, GRANULAR, status, patched=False),
            }
            for way in ways.values():
                await in_parallel(way.create(number) for number in range(jobs))
            api = stage.control_plane.pids["kube-apiserver"]
            for turn in range(1 + stage.sizes.store_rounds):
                for name, way in ways.items():
                    before = cpu_seconds(api)
                    await in_parallel(way.write_often(number, writes) for number in range(jobs))
                    found[name] += [(cpu_seconds(api) - before) / jobs / writes * 1e3] * bool(turn)
    middle = {name: statistics.median(values) for name, values in found.items()}
    return {
        "status write: CPU ms of the API server": middle["ours"],
        "status write: CPU of the API server, PUT to JSON Patch": middle["ours"] / middle["JSON Patch"],
        "status write: CPU of the API server, one owner to an owner of each field": middle["ours"] / middle["granular"],
    }


def granular_crd() -> dict[str, Any]:
    """Return the CRD with an owner of each field of the status, as is the default."""
    crd = copy.deepcopy(custom_resource_definition())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["properties"]["status"]["x-kubernetes-map-type"]
    return crd


class Way:
    """One way to write the status of a job again and again."""

    def __init__(self, driver: Driver, group: str, status: Mapping[str, Any], *, patched: bool) -> None:
        self._driver = driver
        self._group = group
        self._status = status
        self._write: Callable[[Any, Any], Awaitable[Any]] = self._patch if patched else driver.replace_status
        self._prefix = f"{'patched' if patched else 'put'}-"
        self._stored: dict[int, Any] = {}

    async def create(self, number: int) -> None:
        """Make a job."""
        body = {"apiVersion": f"{self._group}/{VERSION}", "kind": "ScheduledPreloadJob", "spec": {"jobId": "job1"}}
        meta = {"name": f"{self._prefix}{number}", "annotations": {"resetRequested": "t0"}}
        path = jobs_path(self._driver.namespace, group=self._group)
        self._stored[number] = await self._driver.request("POST", path, body | {"metadata": meta})

    async def write_often(self, number: int, times: int) -> None:
        """Write statuses that differ, one after the other."""
        for _ in range(times):
            changed = {**self._status, "requestId": secrets.token_hex(8)}
            self._stored[number] = await self._write(self._stored[number], changed)

    async def _patch(self, stored: Any, status: Any) -> Any:
        steps = [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": stored["metadata"]["resourceVersion"]},
            {"op": "add", "path": "/status", "value": status},
        ]
        path = jobs_path(self._driver.namespace, stored["metadata"]["name"], group=self._group) + "/status"
        return await self._driver.request("PATCH", path, steps, JSON_PATCH)
