"""What all measurements share: an API server, a simulated ESA, and namespaces with operators in them."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest import mock

from control_plane import ControlPlane
from driver import open_driver
from gobuild import GoModule, user_cache
from sizes import Sizes
from support.api import Api
from support.operator_process import OperatorProcess
from support.simulator import SimulatorProcess
from support.world import SITE, World, new_world

FOLDER: Final = Path(__file__).parent
FIELDS: Final = {"name": "job", "fileId": "file", "createdAt": "2026-01-01T00:00:00Z", "urlCount": 10}
"""Fields of the ESA jobs that are the same for all, so that the status of one can stand for the others."""
_AT_ONCE: Final = 1000


@dataclass
class Stage:
    """One API server and one simulator; `enter` gives a namespace with nobody in it."""

    control_plane: ControlPlane
    simulator: SimulatorProcess
    folder: Path
    sizes: Sizes

    @contextlib.contextmanager
    def enter(self) -> Iterator[World]:
        """Make a namespace, an account, and a user with the rights that are shipped."""
        with new_world(self.control_plane, self.simulator, self.folder) as world:
            yield world


@contextlib.contextmanager
def open_stage(folder: Path, sizes: Sizes, *, audit: bool = False) -> Iterator[Stage]:
    """Start what is needed; all of it ends with this process."""
    with ControlPlane(audit=audit) as control_plane, SimulatorProcess() as simulator:
        Api(control_plane).install_crd()
        yield Stage(control_plane, simulator, folder, sizes)


SHIPPED: Final = (sys.executable, str(FOLDER / "shipped_operator.py"))


def start_operator(
    world: World, kubeconfig: Path | None = None, *, program: tuple[str, ...] = SHIPPED, **settings: str
) -> OperatorProcess:
    """Start the operator as it is shipped, but for the rate that protects ESA, which would be all that is measured."""
    values = {"LOG_LEVEL": "info", "MAX_CALLS_PER_SECOND": "100000", "REQUEST_TIMEOUT": "10s", "NETWORK_GRACE": "5s"}
    with mock.patch.object(OperatorProcess, "program", program):
        return world.operator(kubeconfig, **values | settings)


def seed(world: World, numbers: Iterable[int], *, sites: int = 1, **fields: Any) -> None:
    """Make jobs in ESA, spread over some sites of the world's own."""
    for site in range(sites):
        mine = [number for number in numbers if number % sites == site]
        for first in range(0, len(mine), _AT_ONCE):
            values = {**FIELDS, "siteId": SITE + world.offset + site, **fields}
            world.seed(*mine[first : first + _AT_ONCE], **values)


async def handled_status(stage: Stage) -> str:
    """Let an operator reset one job and see it run to its end; return the status as a template for others."""
    with stage.enter() as world:
        seed(world, [1], urlSubmitted=0, taskSubmitted=0)
        operator = start_operator(world, REFRESH_ACTIVE="1s", REFRESH_IDLE="1s")
        async with open_driver(stage.control_plane, world.namespace) as driver:
            await driver.create(1, world.esa_id(1), "t0")
            await driver.outcome(1, "t0")
            stage.simulator.change_job(world.esa_id(1), urlSubmitted=10, taskSubmitted=10)
            status = await driver.seen(1, lambda status: status.get("progress") == 100)
        operator.kill()
        text = json.dumps(status)
        for name, value in values_of(world, 1).items():
            text = text.replace(value, name)
    return text


def values_of(world: World, number: int, *, sites: int = 1) -> dict[str, str]:
    """Return what differs between the statuses of two jobs."""
    site = SITE + world.offset + number % sites
    return {"<job>": world.esa_id(number), '"<site>"': str(site), "<account>": world.account}


def status_of(template: str, world: World, number: int, *, sites: int = 1) -> Any:
    """Return the status of a job that `seed` has made and that needs nothing."""
    for name, value in values_of(world, number, sites=sites).items():
        template = template.replace(name, value)
    return json.loads(template)


def others() -> dict[str, list[str]]:
    """Return the operators to compare with and their commands; builds the one in Go.

    Raises:
        BuildError: there is no Go, or it does not compile.
    """
    kopf = [sys.executable, "-m", "kopf", "run", "--standalone", "--quiet"]
    peer = GoModule("peer", FOLDER / "peer", {"peer": "."}, {}).binaries(user_cache() / "peer") / "peer"
    return {
        "naive operator": [*kopf, str(FOLDER / "naive_operator.py")],
        "prototype": [*kopf, str(FOLDER / "prototype_operator.py")],
        "Go peer": [str(peer)],
    }


def _rival(world: World) -> Path:
    """Return the kubeconfig of a service account that may do all: an administrator passes by RBAC and all queues."""
    name = f"system:serviceaccount:{world.namespace}:rival"
    rights = (
        "create",
        "clusterrolebinding",
        f"{world.namespace}-rival",
        "--clusterrole=cluster-admin",
        f"--user={name}",
    )
    world.control_plane.kubectl(*rights)
    return world.control_plane.add_service_account(world.namespace, "rival")


@contextlib.contextmanager
def other_operator(world: World, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start an operator to compare with."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ESA_", "ALIBABA_", "KUBE"))}
    environment |= {
        "KUBECONFIG": str(_rival(world)),
        "KOPF_RUN_NAMESPACES": world.namespace,
        "BENCH_NAMESPACE": world.namespace,
        "BENCH_ENDPOINT": world.simulator.url,
        "BENCH_KEY_ID": world.access_key_id,
        "BENCH_KEY_SECRET": world.access_key_secret,
    }
    process = subprocess.Popen(command, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
