"""Whether a namespace that asks for thousands of resets makes another one, with its own account, wait."""

import asyncio
import contextlib
import statistics
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

from driver import Driver, in_parallel, open_driver
from esa_preload_operator.esa.client import EsaClient
from esa_preload_operator.esa.credentials import Credentials
from esa_preload_operator.esa.throttle import Throttle
from esa_preload_operator.esa.transport import Connections
from limits import Values
from resets import NEVER, asking, bare_reset, settle, timed
from stage import Stage, seed, status_of
from support.api import job_body, jobs_path
from support.world import World

SECRET: Final = "esa-credentials"  # noqa: S105 - a name
ALONE: Final = 20
"""Resets of the quiet namespace before the crowd comes."""
_SETTINGS: Final = {
    "MAX_CALLS_PER_SECOND": "100000",
    "REQUEST_TIMEOUT": "10s",
    "NETWORK_GRACE": "5s",
    "LOG_LEVEL": "info",
    "REFRESH_ACTIVE": NEVER,
    "REFRESH_IDLE": NEVER,
}


@dataclass
class Bare:
    """A job that is reset by bare requests: what the machine lets a tenant have whose operator costs nothing."""

    driver: Driver
    esa: EsaClient
    status: Any
    stored: Any

    async def reset(self, _number: int) -> None:
        """Send the five requests of a reset."""
        self.stored = await bare_reset(self.driver, self.esa, self.stored, self.status)


@contextlib.asynccontextmanager
async def open_bare(stage: Stage, template: str) -> AsyncIterator[Bare]:
    """Make a namespace in which no operator is, with an account of its own."""
    with stage.enter() as world:
        seed(world, [0], urlSubmitted=5, taskSubmitted=5)
        connections = Connections(stage.simulator.url, request_timeout=10)
        esa = EsaClient(Credentials(world.access_key_id, world.access_key_secret), connections, Throttle(1e9))
        try:
            async with open_driver(stage.control_plane, world.namespace, watch=False) as driver:
                await driver.create(0, world.esa_id(0))
                stored = await driver.request("GET", jobs_path(driver.namespace, "j0"))
                yield Bare(driver, esa, status_of(template, world, 0), stored)
        finally:
            await connections.close()


@dataclass
class _Times:
    asked: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)


async def tenants(stage: Stage, template: str) -> Values:
    """Time single resets of one namespace, first alone and then while another one has asked for a burst."""
    burst = stage.sizes.burst
    with stage.enter() as crowd, stage.enter() as quiet:
        quiet.make_secret(SECRET)
        seed(crowd, range(burst), urlSubmitted=5, taskSubmitted=5)
        seed(quiet, [0], urlSubmitted=5, taskSubmitted=5)
        async with (
            open_driver(stage.control_plane, crowd.namespace) as many,
            open_driver(stage.control_plane, quiet.namespace) as one,
            open_bare(stage, template) as bare,
        ):
            await in_parallel(many.create(number, crowd.esa_id(number)) for number in range(burst))
            await _create(one, quiet)
            crowd.operator(stage.control_plane.kubeconfig(), also=(quiet.namespace,), **_SETTINGS).wait_to_lead()
            await settle(many)
            await settle(one)
            alone, beside = _Times(), _Times()
            await _ask(one, bare, "warm-up", _Times())
            for number in range(ALONE):
                await _ask(one, bare, f"alone-{number}", alone)
            await _beside(many, one, bare, burst, beside)
    return _values(alone, beside)


def _values(alone: _Times, beside: _Times) -> Values:
    asked = statistics.median(alone.asked), statistics.median(beside.asked)
    bare = statistics.median(alone.bare), statistics.median(beside.bare)
    return {
        "tenants: annotate → outcome p50 alone, ms": asked[0] * 1e3,
        "tenants: the same while another namespace has asked for 2,000 resets, ms": asked[1] * 1e3,
        "tenants: p50 beside 2,000 requests, ratio to alone": asked[1] / asked[0],
        "tenants: five bare requests p50 alone, ms": bare[0] * 1e3,
        "tenants: five bare requests beside 2,000 requests, ratio to alone": bare[1] / bare[0],
    }


async def _create(driver: Driver, world: World) -> None:
    body = job_body("j0", jobId=world.esa_id(0), credentialsSecretRef={"name": SECRET})
    await driver.request("POST", jobs_path(driver.namespace), body)


async def _ask(one: Driver, bare: Bare, token: str, times: _Times) -> None:
    """Have one reset made by the operator, and one by bare requests."""
    times.asked.append(await timed(0, asking(one, token)))
    times.bare.append(await timed(0, bare.reset))


async def _beside(many: Driver, one: Driver, bare: Bare, burst: int, times: _Times) -> None:
    """Time single resets of one namespace while the other asks for all of its own and gets them."""

    async def crowd() -> None:
        await in_parallel(many.annotate(number, "burst") for number in range(burst))
        await many.outcomes(range(burst), "burst")

    crowding = asyncio.create_task(crowd())
    while not crowding.done() or not times.asked:
        await _ask(one, bare, f"beside-{len(times.asked)}", times)
    await crowding
