"""Whether the operator stays as small as it began, over thousands of resets, Secrets, objects and cut watches."""

import asyncio
import base64
import json
import os
import secrets
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from driver import Driver, in_parallel, open_driver
from limits import Values
from proc import open_sockets, resident_mib
from progress import Progress
from resets import executed, settle
from sizes import Sizes
from stage import FOLDER, Stage, seed, start_operator
from support.api import job_body, jobs_path
from support.api_proxy import ApiProxy
from support.operator_process import OperatorProcess
from support.world import World

TENTHS: Final = 10
WATCHES: Final = 2
"""Of resources and of Secrets."""
TENANT: Final = "tenant"
_PADDING: Final = 16 * 1024
"""Bytes in a Secret that nobody needs."""
_DEADLINE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Census:
    """What the operator consists of at one moment."""

    mib: float
    sockets: int
    tasks: int
    timers: int


@dataclass(frozen=True, slots=True)
class Soak:
    """What one tenth of the work needs."""

    sizes: Sizes
    world: World
    driver: Driver
    proxy: ApiProxy

    async def tenth(self, number: int) -> None:
        """Do a tenth of all work, all kinds at the same time."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._reset(number))
            tasks.create_task(self._change_secret())
            tasks.create_task(self._create_and_delete(number))
            tasks.create_task(self._cut())
        self.proxy.log.clear()

    async def _reset(self, number: int) -> None:
        jobs = self.sizes.soak_jobs
        for turn in range(bursts(self.sizes)):
            token = f"soak-{number}-{turn}"
            await in_parallel(self.driver.annotate(job, token) for job in range(jobs))
            await self.driver.outcomes(range(jobs), token)

    async def _change_secret(self) -> None:
        for _ in range(self.sizes.soak_secrets // TENTHS):
            await self.driver.request("PUT", f"{_secrets(self.world)}/esa-credentials", secret_of(self.world))

    async def _create_and_delete(self, number: int) -> None:
        numbers = strangers(self.sizes, number)
        token = f"stranger-{number}"
        await in_parallel(self.driver.create(each, self.world.esa_id(each), token) for each in numbers)
        await self.driver.outcomes(numbers, token)
        await in_parallel(
            self.driver.request("DELETE", jobs_path(self.world.namespace, f"j{each}")) for each in numbers
        )

    async def _cut(self) -> None:
        for _ in range(self.sizes.soak_cuts // TENTHS):
            await self.proxy.until(lambda: self.proxy.watches >= WATCHES, deadline=_DEADLINE)
            self.proxy.cut_watches()
        await self.proxy.until(lambda: self.proxy.watches >= WATCHES, deadline=_DEADLINE)


def bursts(sizes: Sizes) -> int:
    """Return how often all jobs are reset in a tenth of the soak."""
    return sizes.soak_resets // sizes.soak_jobs // TENTHS


def strangers(sizes: Sizes, tenth: int) -> range:
    """Return the numbers of the resources that come and go in one tenth."""
    each = sizes.soak_objects // TENTHS
    first = sizes.soak_jobs + 1 + tenth * each
    return range(first, first + each)


def _secrets(world: World) -> str:
    return f"/api/v1/namespaces/{world.namespace}/secrets"


def secret_of(world: World) -> Any:
    """Return a Secret with another wrong key each time, and with much that nobody asked for."""
    values = {"accessKeyId": world.access_key_id, "accessKeySecret": secrets.token_hex(16), "other": "x" * _PADDING}
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "esa-credentials"}, "data": data}


def census(operator: OperatorProcess, file: Path) -> Census:
    """Count what the operator consists of."""
    pid = operator.process.pid
    mib, sockets = resident_mib(pid), open_sockets(pid)
    file.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR1)
    end = time.monotonic() + _DEADLINE
    while not file.exists():
        if time.monotonic() > end:
            message = f"no counts within {_DEADLINE:g} s"
            raise TimeoutError(message)
        time.sleep(0.1)
    return Census(mib, sockets, **json.loads(file.read_text()))


async def prepare(soak: Soak) -> None:
    """Make the jobs in ESA, resources about some of them, and one with a Secret that is always wrong."""
    world, sizes = soak.world, soak.sizes
    tenant = sizes.soak_jobs
    numbers = range(strangers(sizes, TENTHS).start)
    seed(world, numbers, urlSubmitted=5, taskSubmitted=5)
    await in_parallel(soak.driver.create(number, world.esa_id(number)) for number in range(sizes.soak_jobs))
    await soak.driver.request("POST", _secrets(world), secret_of(world))
    body = job_body(TENANT, jobId=world.esa_id(tenant), credentialsSecretRef={"name": "esa-credentials"})
    body["metadata"]["annotations"] = {"resetRequested": "never"}
    await soak.driver.request("POST", jobs_path(world.namespace), body)


async def soak(stage: Stage, _template: str) -> Values:
    """Do ten tenths of the work; compare the operator after the last one with the operator after the first."""
    sizes, found = stage.sizes, list[Census]()
    with stage.enter() as world:
        async with (
            open_driver(stage.control_plane, world.namespace) as driver,
            ApiProxy(stage.control_plane, world.user) as proxy,
        ):
            work = Soak(sizes, world, driver, proxy)
            await prepare(work)
            file = stage.folder / f"{world.namespace}.json"
            program = (sys.executable, str(FOLDER / "probed_operator.py"), str(file))
            operator = start_operator(world, proxy.kubeconfig, program=program)
            await asyncio.to_thread(operator.wait_to_lead)
            await settle(driver)
            await asyncio.to_thread(census, operator, file)  # the first one takes memory itself
            progress = Progress("soak", TENTHS)
            for number in range(TENTHS):
                await work.tenth(number)
                progress.turn(f"{resident_mib(operator.process.pid):.1f} MiB")
                if number in {0, TENTHS - 1}:
                    await settle(driver)
                    found.append(await asyncio.to_thread(census, operator, file))
            counts = executed(stage, world, sizes.soak_jobs)
            operator.kill()
    return compared(found[0], found[1]) | faults(counts, bursts(sizes) * TENTHS)


def compared(first: Census, last: Census) -> Values:
    """Return how much the operator has grown."""
    return {
        "soak: MiB resident after the first tenth": first.mib,
        "soak: MiB resident at the end, ratio to the first tenth": last.mib / first.mib,
        "soak: connections at the end, more than after the first tenth": last.sockets - first.sockets,
        "soak: tasks at the end, more than after the first tenth": last.tasks - first.tasks,
        "soak: timers at the end, more than after the first tenth": last.timers - first.timers,
    }


def faults(counts: list[int], wanted: int) -> Values:
    """Return the resets that were made too often or never."""
    return {
        "soak: duplicate resets": sum(max(0, count - wanted) for count in counts),
        "soak: lost resets": sum(max(0, wanted - count) for count in counts),
    }
