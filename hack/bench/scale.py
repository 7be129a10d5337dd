"""How the operator grows: 1,000, 10,000 and 50,000 resources at rest, on a site for each hundred of them."""

import asyncio
import math
import time
from dataclasses import dataclass
from typing import Final

from driver import Driver, open_driver
from esa_preload_operator.esa.client import PAGE_SIZE
from limits import Values
from planting import plant_idle
from proc import cpu_seconds, peak_mib, resident_mib
from progress import Progress
from resting import LIST, cold_start
from stage import Stage, start_operator
from support.operator_process import OperatorProcess
from support.world import World

JOBS_OF_A_SITE: Final = 100
_QUIET: Final = 20.0
"""Seconds between the lists of a site: long enough for a few rounds, short enough to wait for one."""
_DEADLINE: Final = 180.0


@dataclass(frozen=True, slots=True)
class Size:
    """What was measured with so many resources; times in seconds, memory in MiB."""

    resources: int
    first_outcome: float
    cpu: float
    """CPU seconds up to the end of the first round of lists."""
    resident: float
    peak: float
    calls_per_page: float
    """Of one round of lists, over the pages that the sites have."""
    single_calls: int
    """Calls about single jobs, beyond the two of the reset."""
    written: int
    """Resources that were written to, beyond the one that was reset."""
    handover: float
    """From SIGTERM of the leader to the first outcome by the process that waited."""

    def row(self) -> str:
        """Return a line of the table."""
        return (
            f"{self.resources:>9,} {self.first_outcome:>9.2f} {self.cpu:>7.1f} {self.resident:>8.1f} {self.peak:>8.1f}"
            f" {self.calls_per_page:>11.2f} {self.single_calls:>12} {self.written:>7} {self.handover:>9.2f}"
        )


_HEAD: Final = "  resources  first, s  CPU, s  MiB now  MiB top  calls/page  single calls  writes  handover"


async def scale(stage: Stage, template: str) -> Values:
    """Start with ever more resources, and hand over from one process to another."""
    sizes, progress = list[Size](), Progress("scale", len(stage.sizes.scales))
    for resources in stage.sizes.scales:
        sizes.append(await _measure(stage, template, resources))
        progress.turn(f"{resources:,} resources")
    print(_HEAD, *(size.row() for size in sizes), sep="\n  ", flush=True)
    return _values(sizes)


async def _measure(stage: Stage, template: str, resources: int) -> Size:
    sites = max(1, resources // JOBS_OF_A_SITE)
    with stage.enter() as world:
        async with open_driver(stage.control_plane, world.namespace) as driver:
            await plant_idle(stage, driver, world, template, resources, sites=sites)
            before = await driver.list_versions()
            since = stage.simulator.last_call()
            took, operator = await cold_start(driver, world, resources // 2, idle=_QUIET)
            pages = await _one_round(stage, since, resources)
            single = sum(call["action"] != LIST for call in stage.simulator.calls(since=since))
            pid = operator.process.pid
            cpu, resident, peak = cpu_seconds(pid), resident_mib(pid), peak_mib(pid)
            after = await driver.list_versions()
            written = sum(version != before[name] for name, version in after.items())
            handover = await _hand_over(world, driver, operator, resources // 3)
    return Size(resources, took, cpu, resident, peak, pages, single - 2, written - 1, handover)


async def _one_round(stage: Stage, since: int, resources: int) -> float:
    """Wait until each site was listed once; return the calls of that, over the pages of all sites."""
    pages = math.ceil(JOBS_OF_A_SITE / PAGE_SIZE) * max(1, resources // JOBS_OF_A_SITE)
    end = time.monotonic() + _DEADLINE
    while True:
        calls: list[dict[str, str]] = [call["params"] for call in stage.simulator.calls(LIST, since=since)]
        listed = {call["SiteId"] for call in calls}
        rounds = sum(call["PageNumber"] == "1" for call in calls) / max(1, len(listed))
        if len(calls) >= pages or time.monotonic() > end:
            return len(calls) / pages / max(1.0, rounds)
        await asyncio.sleep(1)


async def _hand_over(world: World, driver: Driver, leader: OperatorProcess, asks: int) -> float:
    """Have another process wait for the Lease, end the leader while a request arrives; return the seconds."""
    standby = start_operator(world, REFRESH_IDLE=f"{_QUIET:g}s")
    await asyncio.to_thread(standby.ports)
    begun = time.perf_counter()
    leader.terminate()
    await driver.annotate(asks, "handover")
    return await driver.outcome(asks, "handover") - begun


def _values(sizes: list[Size]) -> Values:
    first, last = sizes[0], sizes[-1]
    middle = sizes[-2] if len(sizes) > 1 else first
    grown = (last.resident - first.resident) * 2**20 / max(1, last.resources - first.resources)
    return {
        "50,000: bytes resident per idle resource, from 1,000 on": grown,
        "50,000: MiB resident": last.resident,
        "50,000: MiB resident, peak": last.peak,
        "50,000: seconds to the first outcome": last.first_outcome,
        "50,000: seconds to the first outcome, ratio to 10,000": last.first_outcome / middle.first_outcome,
        "50,000: resources written to without need": sum(size.written for size in sizes),
        "50,000: ESA calls for single jobs without need": sum(size.single_calls for size in sizes),
        "50,000: list calls per page of their sites": last.calls_per_page,
        "50,000: seconds from SIGTERM of the leader to the next outcome": last.handover,
    }
