"""As many resets as ESA allows: 2,000 at once on four sites, with ESA's calls per second as the only bound."""

import time
from typing import Final

from driver import in_parallel, open_driver
from limits import Values
from resets import executed, settle
from resting import LIST
from stage import Stage, seed, start_operator

SITES: Final = 4
PER_SECOND: Final = 50
"""Calls that one account may make."""


async def shared(stage: Stage, _template: str) -> Values:
    """Ask for all resets at once; count the calls to ESA, its lists included, and the seconds to the last outcome."""
    jobs = stage.sizes.burst
    with stage.enter() as world:
        seed(world, range(jobs), sites=SITES, urlSubmitted=5, taskSubmitted=5)
        async with open_driver(stage.control_plane, world.namespace) as driver:
            await in_parallel(driver.create(number, world.esa_id(number)) for number in range(jobs))
            # The looks at the new resources are not what is measured.
            first = start_operator(world).wait_to_lead()
            await settle(driver)
            first.terminate()
            first.wait()
            start_operator(world, MAX_CALLS_PER_SECOND=str(PER_SECOND)).wait_to_lead()
            since, begun = stage.simulator.last_call(), time.perf_counter()
            await in_parallel(driver.annotate(number, "shared") for number in range(jobs))
            took = await driver.outcomes(range(jobs), "shared") - begun
            calls = [call["action"] for call in stage.simulator.calls(since=since)]
        counts = executed(stage, world, jobs)
    return {
        "50 calls/s: ESA calls per reset": len(calls) / jobs,
        "50 calls/s: of these, lists": calls.count(LIST) / jobs,
        "50 calls/s: of these, looks at single jobs": calls.count("GetScheduledPreloadJob") / jobs,
        "50 calls/s: seconds to the last outcome, ratio to the limit of the rate": took * PER_SECOND / jobs,
        "50 calls/s: duplicate resets": sum(max(0, count - 1) for count in counts),
        "50 calls/s: lost resets": sum(max(0, 1 - count) for count in counts),
    }
