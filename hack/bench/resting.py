"""What the operator costs while nobody asks for anything, and how soon it works after a start."""

import asyncio
import math
import statistics
import time
from collections.abc import Mapping
from typing import Final

from driver import Driver, open_driver
from esa_preload_operator.esa.client import PAGE_SIZE
from limits import Values
from planting import plant_idle
from proc import cpu_seconds, peak_mib, resident_mib
from stage import Stage, start_operator
from support.operator_process import OperatorProcess
from support.world import SITE, World

SITES: Final = 4
LIST: Final = "ListScheduledPreloadJobs"
ROUND: Final = 3
"""Seconds between the refreshes of a site at rest."""


def lists(stage: Stage, world: World, since: int) -> Mapping[int, list[int]]:
    """Return the page numbers that were asked for, by site."""
    found: dict[int, list[int]] = {SITE + world.offset + site: [] for site in range(SITES)}
    for call in stage.simulator.calls(LIST, since=since):
        site = int(call["params"]["SiteId"])
        if site in found:
            found[site].append(int(call["params"]["PageNumber"]))
    return found


def rounds(pages: Mapping[int, list[int]]) -> int:
    """Return how often every site was listed to its end."""
    return min(sum(number == 1 for number in numbers) for numbers in pages.values())


def other_calls(stage: Stage, since: int) -> int:
    """Count the calls that are no lists."""
    return sum(call["action"] != LIST for call in stage.simulator.calls(since=since))


async def listed(stage: Stage, world: World, since: int, times: int, deadline: float) -> Mapping[int, list[int]]:
    """Wait until all sites were listed so often, and the lists have been compared."""
    end = time.monotonic() + deadline
    while True:
        await asyncio.sleep(2)
        pages = lists(stage, world, since)
        if rounds(pages) >= times or time.monotonic() > end:
            return pages


def calls_per_page(pages: Mapping[int, list[int]], resources: int) -> float:
    """Return the calls per page that a site has and round that was begun."""
    needed = math.ceil(resources / SITES / PAGE_SIZE)
    return max(len(numbers) / (numbers.count(1) * needed) for numbers in pages.values())


async def start(stage: Stage, template: str) -> Values:
    """Start with 10,000 resources of which one asks for a reset, some times; then let each site be listed once."""
    sizes = stage.sizes
    with stage.enter() as world:
        async with open_driver(stage.control_plane, world.namespace) as driver:
            await plant_idle(stage, driver, world, template, sizes.many, sites=SITES)
            seconds = []
            for turn in range(sizes.starts - 1):
                took, operator = await cold_start(driver, world, sizes.many // 2 + turn, idle=sizes.refresh_idle)
                seconds.append(took)
                operator.terminate()
                await asyncio.to_thread(operator.wait)
            before, since = await driver.list_versions(), stage.simulator.last_call()
            took, operator = await cold_start(driver, world, sizes.many // 2 + sizes.starts, idle=sizes.refresh_idle)
            seconds.append(took)
            pid = operator.process.pid
            busy = cpu_seconds(pid)
            pages = await listed(stage, world, since, 1, 120)
            after = await driver.list_versions()
            asked = {f"j{sizes.many // 2 + turn}" for turn in range(sizes.starts + 1)}
            written = sum(version != before[name] for name, version in after.items() if name not in asked)
            resident, peak = resident_mib(pid), peak_mib(pid)
    return {
        "start with 10,000: seconds to the first outcome": statistics.median(seconds),
        "start with 10,000: seconds to the first outcome, worst": max(seconds),
        "start with 10,000: CPU seconds": busy,
        "start with 10,000: resources written to without need": written,
        "start with 10,000: ESA calls for single jobs without need": other_calls(stage, since) - 2,
        "start with 10,000: list calls per page of their sites": calls_per_page(pages, sizes.many),
        "start with 10,000: MiB resident": resident,
        "start with 10,000: MiB resident, peak": peak,
    }


async def cold_start(driver: Driver, world: World, asks: int, *, idle: float) -> tuple[float, OperatorProcess]:
    """Ask one of the resources for a reset, start the operator, and return the seconds to the outcome.

    `idle` are the seconds between two lists of a site.
    """
    token = f"start-{asks}"
    await driver.annotate(asks, token)
    begun = time.perf_counter()
    operator = start_operator(world, REFRESH_IDLE=f"{idle:g}s")
    seconds = await driver.outcome(asks, token) - begun
    await asyncio.to_thread(operator.wait_to_lead)
    return seconds, operator


async def rest(stage: Stage, template: str) -> Values:
    """Count the calls to ESA while 1,000 resources are refreshed again and again."""
    some = stage.sizes.some
    with stage.enter() as world:
        async with open_driver(stage.control_plane, world.namespace, watch=False) as driver:
            await plant_idle(stage, driver, world, template, some, sites=SITES)
            since = stage.simulator.last_call()
            operator = start_operator(world, REFRESH_IDLE=f"{ROUND}s").wait_to_lead()
            await listed(stage, world, since, 1, 60)
            since, busy = stage.simulator.last_call(), cpu_seconds(operator.process.pid)
            begun = time.perf_counter()
            pages = await listed(stage, world, since, stage.sizes.refreshes, 60)
            took, busy = time.perf_counter() - begun, cpu_seconds(operator.process.pid) - busy
    calls = sum(map(len, pages.values()))
    begun_rounds = sum(numbers.count(1) for numbers in pages.values()) / SITES
    return {
        "at rest: list calls per page and round": calls_per_page(pages, some),
        "at rest: ESA calls for single jobs": other_calls(stage, since),
        "at rest: resources per call": some * begun_rounds / calls,
        "at rest: seconds between rounds, ratio to the setting": took / begun_rounds / ROUND,
        "at rest: CPU ms per round of 1,000": busy / begun_rounds * 1e3,
    }
