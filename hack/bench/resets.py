"""How long one reset takes, and how many fit into a second: bare requests, the operator, and others."""

import asyncio
import contextlib
import functools
import secrets
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from driver import Driver, in_parallel, open_driver
from esa_preload_operator.esa.client import EsaClient
from esa_preload_operator.esa.credentials import Credentials
from esa_preload_operator.esa.throttle import Throttle
from esa_preload_operator.esa.transport import Connections
from esa_preload_operator.resources.job import API_VERSION, KIND
from limits import Values
from proc import cpu_seconds
from progress import Progress
from stage import Stage, other_operator, others, seed, start_operator, status_of
from support.api import jobs_path
from support.world import World

NEVER: Final = "1h"


async def bare_reset(driver: Driver, esa: EsaClient, stored: Any, status: Any) -> Any:
    """Send the five requests of one reset, one after the other, and decide nothing; return the resource."""
    esa_id = stored["spec"]["jobId"]
    await esa.get_job(esa_id)
    for phase in ("InFlight", "Succeeded"):
        if phase == "Succeeded":
            await esa.reset_job(esa_id, lambda: True)
        changed = {**status, "reset": {**status["reset"], "phase": phase, "requestId": secrets.token_hex(8)}}
        stored = await driver.replace_status(stored, changed)
    await driver.request("POST", f"/apis/events.k8s.io/v1/namespaces/{driver.namespace}/events", _event(driver))
    return stored


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


@dataclass(frozen=True, slots=True)
class Race:
    """A namespace for each way to reset, in order: bare requests, the operator, others. Get one from `open_race`."""

    worlds: list[World]
    drivers: list[Driver]
    esa: EsaClient
    """For the bare requests."""
    pids: list[int | None]
    names: list[str]
    """Of the others."""


@contextlib.asynccontextmanager
async def open_race(stage: Stage, jobs: int) -> AsyncIterator[Race]:
    """Make the jobs, start all operators and wait until each has done what new resources need."""
    commands = others()
    async with contextlib.AsyncExitStack() as stack:
        worlds = [stack.enter_context(stage.enter()) for _ in range(2 + len(commands))]
        drivers = [await stack.enter_async_context(open_driver(stage.control_plane, w.namespace)) for w in worlds]
        connections = Connections(stage.simulator.url, request_timeout=10)
        stack.push_async_callback(connections.close)
        key = Credentials(worlds[0].access_key_id, worlds[0].access_key_secret)
        for world, driver in zip(worlds, drivers, strict=True):
            seed(world, range(jobs), urlSubmitted=5, taskSubmitted=5)
            await in_parallel(driver.create(number, world.esa_id(number)) for number in range(jobs))
        ours = start_operator(worlds[1], REFRESH_ACTIVE=NEVER, REFRESH_IDLE=NEVER).wait_to_lead().process
        pids = [None, ours.pid]
        for world, command in zip(worlds[2:], commands.values(), strict=True):
            pids.append(stack.enter_context(other_operator(world, command)).pid)
        await settle(drivers[1])
        yield Race(worlds, drivers, EsaClient(key, connections, Throttle(1e9)), pids, list(commands))


async def latency(stage: Stage, template: str) -> Values:
    """Time single resets, all ways in turn, so that a slow moment of the machine hits all of them."""
    jobs = stage.sizes.latency_jobs
    async with open_race(stage, jobs) as race:
        driver, world = race.drivers[0], race.worlds[0]
        stored = [await driver.request("GET", jobs_path(driver.namespace, f"j{number}")) for number in range(jobs)]
        statuses = [status_of(template, world, number) for number in range(jobs)]

        async def bare(number: int) -> None:
            stored[number] = await bare_reset(driver, race.esa, stored[number], statuses[number])

        times: list[list[float]] = [[] for _ in race.worlds]
        progress = Progress("latency", 1 + stage.sizes.latency_rounds)
        for turn in range(1 + stage.sizes.latency_rounds):
            token = f"latency-{turn}"
            for way, known in enumerate(times):
                work = bare if way == 0 else asking(race.drivers[way], token)
                found = [await timed(number, work) for number in range(jobs)]
                known.extend(found if turn else ())  # the first round warms up
            progress.turn(f"{statistics.median(times[1]) * 1e3:.1f} ms" if turn else "warmed up")
    return _latencies(times[0], times[1], dict(zip(race.names, times[2:], strict=True)), jobs)


def asking(driver: Driver, token: str) -> Callable[[int], Awaitable[float]]:
    """Return a function that asks for a reset and waits for its outcome."""

    async def ask(number: int) -> float:
        await driver.annotate(number, token)
        return await driver.outcome(number, token)

    return ask


def _latencies(bare: list[float], ours: list[float], rivals: dict[str, list[float]], jobs: int) -> Values:
    middle = statistics.median(bare)
    spread = [statistics.median(bare[first : first + jobs]) for first in range(0, len(bare), jobs)]
    values = {
        "five bare requests p50, ms": middle * 1e3,
        "the same, slowest round to fastest": max(spread) / min(spread),
        "annotate → outcome p50, ms": statistics.median(ours) * 1e3,
        "annotate → outcome p95, ms": statistics.quantiles(ours, n=20)[-1] * 1e3,
        "annotate → outcome p50, ratio to its five bare requests": statistics.median(ours) / middle,
    }
    for name, times in rivals.items():
        values[f"annotate → outcome p50, ms, {name}"] = statistics.median(times) * 1e3
        values[f"annotate → outcome p50, ratio to the {name}"] = statistics.median(ours) / statistics.median(times)
    return values


async def burst(driver: Driver, jobs: int, token: str) -> float:
    """Ask for all resets at once; return resets per second."""
    begun = time.perf_counter()
    await in_parallel(driver.annotate(number, token) for number in range(jobs))
    return jobs / (await driver.outcomes(range(jobs), token) - begun)


async def bare_burst(driver: Driver, esa: EsaClient, status: Any, jobs: int, token: str) -> float:
    """Ask as `burst` does, and answer by bare requests, for as many at once as the operator has workers by default."""
    asked: asyncio.Queue[Any] = asyncio.Queue()

    async def ask(number: int) -> None:
        await asked.put(await driver.annotate(number, token))

    async def answer() -> None:
        await bare_reset(driver, esa, await asked.get(), status)

    begun = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(in_parallel(ask(number) for number in range(jobs)))
        tasks.create_task(in_parallel((answer() for _ in range(jobs)), 16))
    return jobs / (time.perf_counter() - begun)


async def rate(stage: Stage, template: str) -> Values:
    """Ask for 2,000 resets at once, some times: the operator, others, and bare requests in turn."""
    jobs, turns = stage.sizes.compared, 1 + stage.sizes.bursts
    api = stage.control_plane.pids["kube-apiserver"]
    async with open_race(stage, jobs) as race:
        status = status_of(template, race.worlds[0], 0)
        ways = [lambda token: bare_burst(race.drivers[0], race.esa, status, jobs, token)]
        ways += [functools.partial(burst, driver, jobs) for driver in race.drivers[1:]]
        names = ["bare requests", "operator", *race.names]
        found: list[list[_Burst]] = [[] for _ in ways]
        progress = Progress(f"rate, {jobs:,} at once", turns * len(ways))
        for turn in range(turns):
            # To and fro, so that a machine that becomes slower or faster does so for all of them.
            for which in range(len(ways)) if turn % 2 else reversed(range(len(ways))):
                costs = await _costs(ways[which], jobs, f"burst-{turn}", api, race.pids[which])
                # The first turn fills the caches of the API server, and whoever begins pays least for them.
                found[which].extend([costs] if turn else [])
                progress.turn(f"{names[which]} {costs.rate:.0f}/s, {costs.own:.1f} CPU ms")
        counts = executed(stage, race.worlds[1], jobs)
    return _rates(found[0], found[1], dict(zip(race.names, found[2:], strict=True))) | {
        "2,000 at once: duplicate resets": sum(max(0, count - turns) for count in counts),
        "2,000 at once: lost resets": sum(max(0, turns - count) for count in counts),
    }


@dataclass(frozen=True, slots=True)
class _Burst:
    rate: float
    """Resets per second."""
    own: float
    """CPU ms of the operator for each."""
    api: float
    """CPU ms of the API server for each, the annotation and the watches of the measurement included."""


async def _costs(way: Callable[[str], Awaitable[float]], jobs: int, token: str, api: int, pid: int | None) -> _Burst:
    pids = [api] if pid is None else [api, pid]
    before = [cpu_seconds(each) for each in pids]
    found = await way(token)
    await asyncio.sleep(1)  # what comes after the last outcome belongs to the costs
    spent = [(cpu_seconds(each) - then) / jobs * 1e3 for each, then in zip(pids, before, strict=True)]
    return _Burst(found, sum(spent[1:]), spent[0])


def _rates(bare: list[_Burst], ours: list[_Burst], rivals: dict[str, list[_Burst]]) -> Values:
    named = {"": ours, ", bare requests": bare} | {f", {name}": found for name, found in rivals.items()}
    rates = {name: statistics.harmonic_mean([each.rate for each in found]) for name, found in named.items()}
    values = {f"2,000 at once: resets/s{name}": rate for name, rate in rates.items()}
    values |= {f"2,000 at once: resets/s, ratio to the{name[1:]}": rates[""] / rates[name] for name in list(rates)[1:]}
    own = {name: statistics.mean(each.own for each in found) for name, found in named.items() if found is not bare}
    values |= {f"2,000 at once: CPU ms per reset{name}": spent for name, spent in own.items()}
    values["2,000 at once: CPU ms per reset, ratio to the Go peer"] = own[""] / own[", Go peer"]
    for name, found in named.items():
        values[f"2,000 at once: CPU ms of the API server per reset{name}"] = statistics.mean(each.api for each in found)
    return values


async def settle(driver: Driver, resources: int = 0) -> None:
    """Wait until so many resources are there, and nobody writes to them any more."""
    before: dict[str, str] = {}
    while (now := await driver.list_versions()) != before or len(now) < resources:
        before = now
        await asyncio.sleep(2)


def executed(stage: Stage, world: World, jobs: int) -> list[int]:
    """Return how often ESA has executed a reset of each job."""
    found = stage.simulator.resets()
    return [found.get(world.esa_id(number), 0) for number in range(jobs)]


async def five_requests(stage: Stage, template: str) -> float:
    """Return the milliseconds that five bare requests take here, in the middle of some."""
    with stage.enter() as world:
        seed(world, [1], urlSubmitted=5, taskSubmitted=5)
        connections = Connections(stage.simulator.url, request_timeout=10)
        esa = EsaClient(Credentials(world.access_key_id, world.access_key_secret), connections, Throttle(1e9))
        async with open_driver(stage.control_plane, world.namespace, watch=False) as driver:
            stored, times = await driver.create(1, world.esa_id(1)), list[float]()
            for _ in range(_PROBES):
                begun = time.perf_counter()
                stored = await bare_reset(driver, esa, stored, status_of(template, world, 1))
                times.append(time.perf_counter() - begun)
        await connections.close()
    return statistics.median(times) * 1e3


_PROBES: Final = 40


async def writes(stage: Stage) -> Values:
    """Count the requests that change something, on an API server that keeps an audit log."""
    jobs = stage.sizes.latency_jobs
    with stage.enter() as world:
        seed(world, range(jobs), urlSubmitted=5, taskSubmitted=5)
        async with open_driver(stage.control_plane, world.namespace) as driver:
            await in_parallel(driver.create(number, world.esa_id(number)) for number in range(jobs))
            start_operator(world, REFRESH_ACTIVE=NEVER, REFRESH_IDLE=NEVER).wait_to_lead()
            await settle(driver)
            before = len(changes(stage, world))
            await in_parallel(driver.annotate(number, "audit") for number in range(jobs))
            await driver.outcomes(range(jobs), "audit")
            await settle(driver)
            found = changes(stage, world)[before:]
    status = sum(what == ("update", "scheduledpreloadjobs", "status") for what in found)
    events = sum(what == ("create", "events", "") for what in found)
    return {
        "status writes per reset": status / jobs,
        "Events per reset": events / jobs,
        "other writes per reset": (len(found) - status - events) / jobs,
    }


def changes(stage: Stage, world: World) -> list[tuple[str, str, str]]:
    """Return verb, resource and subresource of each writing request of the operator, but for its lease."""
    found = []
    for event in stage.control_plane.audit_events(world.user):
        about = event.get("objectRef", {})
        if event["verb"] not in ("get", "list", "watch") and about.get("resource") != "leases":
            found.append((event["verb"], about.get("resource", ""), about.get("subresource", "")))
    return found
