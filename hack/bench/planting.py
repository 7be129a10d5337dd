"""Makes many resources within seconds: they are put into etcd just as the API server keeps them."""

import base64
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import aiohttp

from control_plane import ControlPlane
from driver import Driver, in_parallel
from esa_preload_operator.resources.job import GROUP, PLURAL, RESET_KEY
from resets import settle
from stage import Stage, seed, status_of
from support.api import job_body
from support.world import World

_AT_ONCE: Final = 100
"""Resources of one transaction; etcd takes 128 operations."""


async def plant_idle(stage: Stage, driver: Driver, world: World, template: str, number: int, *, sites: int) -> None:
    """Make jobs that are through, and resources that say so, for which nothing is to be done; wait until all are there.

    They lie on some sites of the world's own; `template` is the status, as `status_of` takes it.
    """
    seed(world, range(number), sites=sites, urlSubmitted=10, taskSubmitted=10)
    known = ((each, world.esa_id(each), status_of(template, world, each, sites=sites)) for each in range(number))
    await _plant(stage.control_plane, world.namespace, known)
    await settle(driver, number)


async def _plant(
    control_plane: ControlPlane, namespace: str, jobs: Iterable[tuple[int, str, Mapping[str, Any]]]
) -> None:
    """Put resources into etcd: the number of each, the id of its job, and the status, as `status_of` returns it."""
    wanted = list(jobs)
    connector = aiohttp.UnixConnector(path=str(control_plane.folder / "client:0"))
    async with aiohttp.ClientSession(connector=connector, raise_for_status=True) as session:

        async def put(part: list[tuple[int, str, Mapping[str, Any]]]) -> None:
            puts = [{"request_put": _entry(namespace, *each)} for each in part]
            async with session.post("http://etcd/v3/kv/txn", json={"success": puts}) as answer:
                await answer.read()

        parts = (wanted[first : first + _AT_ONCE] for first in range(0, len(wanted), _AT_ONCE))
        await in_parallel((put(part) for part in parts), 4)


def _entry(namespace: str, number: int, esa_id: str, status: Mapping[str, Any]) -> dict[str, str]:
    name = f"j{number}"
    body = job_body(name, jobId=esa_id)
    body["metadata"] |= {
        "namespace": namespace,
        "uid": str(uuid4()),
        "annotations": {RESET_KEY: "t0"},
        "generation": 1,
        "creationTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    key = f"/registry/{GROUP}/{PLURAL}/{namespace}/{name}"
    return {"key": _base64(key), "value": _base64(json.dumps(body | {"status": status}))}


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
