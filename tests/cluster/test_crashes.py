"""kill -9 at every request of a reset: whatever the operator was doing, its successor makes it exactly one reset."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from esa_preload_operator.resources.job import RESET_KEY
from support.api_proxy import ApiProxy
from support.crashes import PATIENCE, SETTINGS, Lane, Point
from support.world import new_world
from support.writes import INTENT, write_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from control_plane import ControlPlane
    from support.crashes import Ending
    from support.simulator import SimulatorProcess
    from support.world import World

LANES = 2
GET, RESET = "GetScheduledPreloadJob", "ResetScheduledPreloadJob"
LOST_CALL = Point("ESA", 1, RESET)
LOST_ANSWER = Point("ESA", 1, RESET, after=True)


@pytest.fixture
async def lanes(cluster: ControlPlane, simulator: SimulatorProcess, tmp_path: Path) -> AsyncIterator[list[Lane]]:
    """Several worlds side by side: while one waits for a dead operator's deadline, others go on."""
    async with contextlib.AsyncExitStack() as stack:
        made = []
        for number in range(LANES):
            folder = tmp_path / str(number)
            folder.mkdir()
            world = await asyncio.to_thread(stack.enter_context, new_world(cluster, simulator, folder))
            proxy = await stack.enter_async_context(ApiProxy(cluster, world.user))
            made.append(Lane(world, proxy))
        yield made


async def crash_at_all(lanes: Sequence[Lane], points: Sequence[tuple[Point, ...]], submitted: int) -> list[Ending]:
    """Let each lane take the next point as soon as it is done with one; what went wrong is told for all points."""
    waiting = list(points)
    endings: list[Ending] = []
    wrong: list[str] = []

    async def work(lane: Lane) -> None:
        while waiting:
            crashes = waiting.pop(0)
            name = " and ".join(map(str, crashes))
            try:
                endings.append(await lane.reset(submitted, *crashes))
                wrong.extend(f"{name}: {complaint}" for complaint in complaints(lane, endings[-1], submitted))
            except AssertionError as error:
                wrong.append(f"{name}: {error}")
                lane.start()
        await at_rest(lane)

    await asyncio.gather(*(work(lane) for lane in lanes))
    assert not wrong, "\n\n".join(wrong)
    assert len(endings) == len(points)
    return endings


def complaints(lane: Lane, ending: Ending, submitted: int) -> list[str]:
    """Say what is wrong with how a reset ended."""
    status, world = ending.status, lane.world
    conditions = {each["type"]: each["status"] for each in status["conditions"]}
    extra = ending.resets - 1
    told = ending.undecidable == extra and "called again" in status["reset"].get("message", "")
    checks = {
        f"{ending.resets} resets": ending.resets == 1 if submitted else ending.resets in (1, 2),
        "an extra reset that nobody tells of": extra == 0 or told,
        f"phase {status['reset']['phase']}": status["reset"]["phase"] == "Succeeded",
        f"tokens {status['handledResets']}": status["handledResets"] == {RESET_KEY: "t1"},
        f"about {status['reset'].get('jobId')}": status["reset"]["jobId"] == world.esa_id(ending.number),
        f"conditions {conditions}": conditions
        == {"Ready": "True", "Reconciling": "False", "Stalled": "False", "UrlsAccepted": "True"},
        f"counters {status}": (status["urlCount"], status["urlSubmitted"], status["taskSubmitted"]) == (10, 0, 0),
        "no time": status["lastResetTime"] == status["reset"]["finishedAt"] >= status["reset"]["startedAt"],
    }
    return [text for text, holds in checks.items() if not holds]


async def at_rest(lane: Lane) -> None:
    """An operator that starts after all this has nothing left to do."""
    before, calls = list(range(1, lane.made + 1)), lane.world.simulator.last_call()
    lane.start()
    since = len(lane.proxy.log)
    await lane.reset(5)
    assert [write for number in before for write in lane.writes(number, since)] == []
    assert {each["jobId"] for each in lane.world.simulator.calls(GET, since=calls)} & set(
        map(lane.world.esa_id, before)
    ) == set()


async def test_a_crash_at_any_request_leads_to_one_reset(lanes: list[Lane]) -> None:
    points = await lanes[0].points(5)
    assert [point.what for point in points if point.side == "ESA" and point.after] == [GET, RESET]
    assert len(points) == 2 * (2 + 3), "a look and a call; intent, outcome and Event"
    await crash_at_all(lanes, [(point,) for point in points], 5)


async def test_without_progress_only_a_lost_answer_leads_to_another_reset_and_is_told(lanes: list[Lane]) -> None:
    points = [point for point in await lanes[0].points(0) if point.after]
    endings = await crash_at_all(lanes, [(point,) for point in points], 0)
    assert sorted(ending.resets for ending in endings) == [1, 1, 1, 1, 2]


@pytest.mark.parametrize(("first", "requests"), [(LOST_CALL, 5), (LOST_ANSWER, 3)], ids=str)
async def test_a_crash_after_any_request_of_the_recovery_leads_to_one_reset(
    lanes: list[Lane], first: Point, requests: int
) -> None:
    points = [point for point in await lanes[0].points(5, first) if point.after]
    assert len(points) == requests, points
    await crash_at_all(lanes, [(first, point) for point in points], 5)


async def test_a_call_that_outlives_its_caller_is_waited_for(world: World) -> None:
    world.seed(1, 2)
    rule = world.fault("hang", action=RESET, job_id=world.esa_id())
    dead = world.operator(None, **SETTINGS)
    world.create(annotations={RESET_KEY: "t1"})
    await world.until(lambda: world.calls(RESET) == 1, PATIENCE)
    dead.kill()
    world.operator(None, **SETTINGS | {"NETWORK_GRACE": "12s"})
    world.create(2, annotations={RESET_KEY: "t1"})
    await world.handled(2, timeout=PATIENCE)  # so much time that a look, and another call, would have happened
    world.simulator.clear_faults(rule)
    status = await world.handled(timeout=PATIENCE)
    assert (world.resets(), world.calls(RESET)) == (1, 1)
    assert status["reset"]["message"].startswith("confirmed by progress")


async def test_an_intent_that_arrives_after_the_death_of_its_writer_changes_nothing(
    world: World, cluster: ControlPlane
) -> None:
    world.seed(1)
    world.create(annotations={RESET_KEY: "t1"})
    async with ApiProxy(cluster, world.user) as proxy:
        gate = proxy.hold(write_of(INTENT))
        dead = world.operator(proxy.kubeconfig, **SETTINGS)
        await asyncio.wait_for(gate.met.wait(), PATIENCE)
        dead.kill()
        world.operator(None, **SETTINGS)
        before = await world.handled(timeout=PATIENCE)
        gate.release()
        await proxy.until(lambda: gate.hits[0].upstream_status is not None)
        assert gate.hits[0].upstream_status == 409
    assert world.status() == before
    assert (world.resets(), world.calls(RESET)) == (1, 1)


async def test_a_standby_takes_over_from_a_leader_that_dies_in_its_call(world: World) -> None:
    world.seed(1)
    rule = world.fault("hang", action=RESET, job_id=world.esa_id(), when="after")
    leader = world.operator(pod="leader", REQUEST_TIMEOUT="1s")
    await asyncio.to_thread(leader.wait_to_lead)
    standby = world.operator(pod="standby", REQUEST_TIMEOUT="1s")
    world.create(annotations={RESET_KEY: "t1"})
    await world.until(lambda: world.resets() == 1, PATIENCE)
    leader.kill()
    world.simulator.clear_faults(rule, abandon=True)
    status = await world.handled(timeout=PATIENCE)
    assert (world.resets(), world.calls(RESET)) == (1, 1)
    assert status["reset"]["owner"].startswith("leader"), "a confirmed reset stays the one who called's"
    assert not standby.exited
