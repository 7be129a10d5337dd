"""Whether a namespace that asks for thousands of resets makes another one, with its own account, wait."""

import asyncio
import statistics
from typing import Final

from driver import Driver, in_parallel, open_driver
from limits import Values
from resets import NEVER, asking, settle, timed
from stage import Stage, seed
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


async def tenants(stage: Stage, _template: str) -> Values:
    """Time single resets of one namespace, first alone and then while another one has asked for a burst."""
    burst = stage.sizes.burst
    with stage.enter() as crowd, stage.enter() as quiet:
        quiet.make_secret(SECRET)
        seed(crowd, range(burst), urlSubmitted=5, taskSubmitted=5)
        seed(quiet, [0], urlSubmitted=5, taskSubmitted=5)
        async with (
            open_driver(stage.control_plane, crowd.namespace) as many,
            open_driver(stage.control_plane, quiet.namespace) as one,
        ):
            await in_parallel(many.create(number, crowd.esa_id(number)) for number in range(burst))
            await _create(one, quiet)
            crowd.operator(stage.control_plane.kubeconfig(), also=(quiet.namespace,), **_SETTINGS).wait_to_lead()
            await settle(many)
            await settle(one)
            alone = [await timed(0, asking(one, f"alone-{number}")) for number in range(1 + ALONE)][1:]
            beside = await _beside(many, one, burst)
    return {
        "tenants: annotate → outcome p50 alone, ms": statistics.median(alone) * 1e3,
        "tenants: the same while another namespace has asked for 2,000 resets, ms": statistics.median(beside) * 1e3,
        "tenants: p50 beside 2,000 requests, ratio to alone": statistics.median(beside) / statistics.median(alone),
    }


async def _create(driver: Driver, world: World) -> None:
    body = job_body("j0", jobId=world.esa_id(0), credentialsSecretRef={"name": SECRET})
    await driver.request("POST", jobs_path(driver.namespace), body)


async def _beside(many: Driver, one: Driver, burst: int) -> list[float]:
    """Return the times of single resets of one namespace while the other asks for all of its own and gets them."""

    async def crowd() -> None:
        await in_parallel(many.annotate(number, "burst") for number in range(burst))
        await many.outcomes(range(burst), "burst")

    crowding = asyncio.create_task(crowd())
    times: list[float] = []
    while not crowding.done() or not times:
        times.append(await timed(0, asking(one, f"beside-{len(times)}")))
    await crowding
    return times
