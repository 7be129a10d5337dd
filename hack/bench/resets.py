"""How long one reset takes, and how many fit into a second: bare requests, the operator, and the naive one."""

import asyncio
import contextlib
import secrets
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from driver import JSON_PATCH, Driver, in_parallel, open_driver
from esa_preload_operator.esa.client import EsaClient
from esa_preload_operator.esa.credentials import Credentials
from esa_preload_operator.esa.throttle import Throttle
from esa_preload_operator.esa.transport import Connections
from esa_preload_operator.resources.job import API_VERSION, KIND
from limits import Values
from proc import cpu_seconds
from stage import Stage, naive_operator, seed, start_operator, status_of
from support.api import jobs_path
from support.world import World

ROUNDS: Final = 5
EACH: Final = 62
BURST: Final = 2000
NEVER: Final = "1h"


async def bare_reset(driver: Driver, esa: EsaClient, number: int, esa_id: str, status: Any) -> None:
    """Send the five requests of one reset, one after the other, and decide nothing."""
    path = jobs_path(driver.namespace, f"j{number}") + "/status"
    await esa.get_job(esa_id)
    for phase in ("InFlight", "Succeeded"):
        if phase == "Succeeded":
            await esa.reset_job(esa_id, lambda: True)
        changed = {**status, "reset": {**status["reset"], "phase": phase, "requestId": secrets.token_hex(8)}}
        await driver.request("PATCH", path, [{"op": "add", "path": "/status", "value": changed}], JSON_PATCH)
    await driver.request("POST", f"/apis/events.k8s.io/v1/namespaces/{driver.namespace}/events", _event(driver))


def _event(driver: Driver) -> Any:
    return {
        "metadata": {"name": f"bare.{secrets.token_hex(8)}", "namespace": driver.namespace},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "bench",
        "reportingInstance": "bench",
        "action": "Reconcile",
        "reason": "ResetSucceeded",
        "type": "Normal",
        "note": "the job was reset",
        "regarding": {"apiVersion": API_VERSION, "kind": KIND, "namespace": driver.namespace, "name": "j1"},
    }


async def timed(number: int, work: Callable[[int], Awaitable[float | None]]) -> float:
    """Return the seconds up to the moment that the work returns, or to its end."""
    begun = time.perf_counter()
    ended = await work(number)
    return (time.perf_counter() if ended is None else ended) - begun


async def latency(stage: Stage, template: str) -> Values:
    """Time single resets, the three ways in turn, so that a slow moment of the machine hits all of them."""
    async with contextlib.AsyncExitStack() as stack:
        worlds = [stack.enter_context(stage.enter()) for _ in range(3)]
        drivers = [await stack.enter_async_context(open_driver(stage.control_plane, w.namespace)) for w in worlds]
        connections = Connections(stage.simulator.url, request_timeout=10)
        stack.push_async_callback(connections.close)
        esa = EsaClient(Credentials(worlds[0].access_key_id, worlds[0].access_key_secret), connections, Throttle(1e9))
        for world, driver in zip(worlds, drivers, strict=True):
            seed(world, range(EACH), urlSubmitted=5, taskSubmitted=5)
            await in_parallel(driver.create(number, world.esa_id(number)) for number in range(EACH))
        start_operator(worlds[1], REFRESH_ACTIVE=NEVER, REFRESH_IDLE=NEVER).wait_to_lead()
        stack.enter_context(naive_operator(worlds[2]))
        statuses = [status_of(template, worlds[0], number) for number in range(EACH)]

        async def bare(number: int) -> None:
            await bare_reset(drivers[0], esa, number, worlds[0].esa_id(number), statuses[number])

        times: list[list[float]] = [[], [], []]
        for turn in range(ROUNDS + 1):
            token = f"latency-{turn}"
            for way, known in enumerate(times):
                work = bare if way == 0 else asking(drivers[way], token)
                found = [await timed(number, work) for number in range(EACH)]
                known.extend(found if turn else ())  # the first round warms up
    return _latencies(*times)


def asking(driver: Driver, token: str) -> Callable[[int], Awaitable[float]]:
    """Return a function that asks for a reset and waits for its outcome."""

    async def ask(number: int) -> float:
        await driver.annotate(number, token)
        return await driver.outcome(number, token)

    return ask


def _latencies(bare: list[float], ours: list[float], naive: list[float]) -> Values:
    middle = statistics.median(bare)
    spread = [statistics.median(bare[first : first + EACH]) for first in range(0, len(bare), EACH)]
    return {
        "five bare requests p50, ms": middle * 1e3,
        "the same, slowest round to fastest": max(spread) / min(spread),
        "annotate → outcome p50, ms": statistics.median(ours) * 1e3,
        "annotate → outcome p95, ms": statistics.quantiles(ours, n=20)[-1] * 1e3,
        "annotate → outcome p50, ratio to its five bare requests": statistics.median(ours) / middle,
        "naive operator: annotate → outcome p50, ms": statistics.median(naive) * 1e3,
        "annotate → outcome p50, ratio to the naive operator": statistics.median(ours) / statistics.median(naive),
    }


async def burst(driver: Driver, token: str) -> float:
    """Ask for all resets at once; return resets per second."""
    begun = time.perf_counter()
    await in_parallel(driver.annotate(number, token) for number in range(BURST))
    return BURST / (await driver.outcomes(range(BURST), token) - begun)


async def rate(stage: Stage) -> Values:
    """Ask for 2,000 resets at once, twice, from the operator and from the naive one in turn."""
    async with contextlib.AsyncExitStack() as stack:
        worlds = [stack.enter_context(stage.enter()) for _ in range(2)]
        drivers = [await stack.enter_async_context(open_driver(stage.control_plane, w.namespace)) for w in worlds]
        for world, driver in zip(worlds, drivers, strict=True):
            seed(world, range(BURST), urlSubmitted=5, taskSubmitted=5)
            await in_parallel(driver.create(number, world.esa_id(number)) for number in range(BURST))
        ours = start_operator(worlds[0], REFRESH_ACTIVE=NEVER, REFRESH_IDLE=NEVER).wait_to_lead().process.pid
        naive = stack.enter_context(naive_operator(worlds[1])).pid
        await settle(drivers[0])
        rates: list[list[float]] = [[], []]
        busy = [0.0, 0.0]
        for turn in range(2):
            for which, (driver, pid) in enumerate(zip(drivers, (ours, naive), strict=True)):
                before = cpu_seconds(pid)
                rates[which].append(await burst(driver, f"burst-{turn}"))
                await asyncio.sleep(1)  # what comes after the last outcome belongs to the costs
                busy[which] += cpu_seconds(pid) - before
        counts = executed(stage, worlds[0])
    best = [max(found) for found in rates]
    return {
        "2,000 at once: resets/s, first": rates[0][0],
        "2,000 at once: resets/s, second": rates[0][1],
        "2,000 at once: CPU ms per reset": busy[0] / BURST / 2 * 1e3,
        "2,000 at once: naive operator, resets/s": best[1],
        "2,000 at once: naive operator, CPU ms per reset": busy[1] / BURST / 2 * 1e3,
        "2,000 at once: resets/s, ratio to the naive operator": best[0] / best[1],
        "2,000 at once: duplicate resets": sum(max(0, count - 2) for count in counts),
        "2,000 at once: lost resets": sum(max(0, 2 - count) for count in counts),
    }


async def settle(driver: Driver) -> None:
    """Wait until nobody writes to the resources any more."""
    before: dict[str, str] = {}
    while (now := await driver.list_versions()) != before:
        before = now
        await asyncio.sleep(2)


def executed(stage: Stage, world: World) -> list[int]:
    """Return how often ESA has executed a reset of each job."""
    found = stage.simulator.resets()
    return [found.get(world.esa_id(number), 0) for number in range(BURST)]


async def writes(stage: Stage) -> Values:
    """Count the requests that change something, on an API server that keeps an audit log."""
    with stage.enter() as world:
        seed(world, range(EACH), urlSubmitted=5, taskSubmitted=5)
        async with open_driver(stage.control_plane, world.namespace) as driver:
            await in_parallel(driver.create(number, world.esa_id(number)) for number in range(EACH))
            start_operator(world, REFRESH_ACTIVE=NEVER, REFRESH_IDLE=NEVER).wait_to_lead()
            await settle(driver)
            before = len(changes(stage, world))
            await in_parallel(driver.annotate(number, "audit") for number in range(EACH))
            await driver.outcomes(range(EACH), "audit")
            await settle(driver)
            found = changes(stage, world)[before:]
    status = sum(what == ("patch", "scheduledpreloadjobs", "status") for what in found)
    events = sum(what == ("create", "events", "") for what in found)
    return {
        "status writes per reset": status / EACH,
        "Events per reset": events / EACH,
        "other writes per reset": (len(found) - status - events) / EACH,
    }


def changes(stage: Stage, world: World) -> list[tuple[str, str, str]]:
    """Return verb, resource and subresource of each writing request of the operator, but for its lease."""
    found = []
    for event in stage.control_plane.audit_events(world.user):
        about = event.get("objectRef", {})
        if event["verb"] not in ("get", "list", "watch") and about.get("resource") != "leases":
            found.append((event["verb"], about.get("resource", ""), about.get("subresource", "")))
    return found
