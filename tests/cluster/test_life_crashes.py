"""kill -9 at every write and every call in the life of a job: the successor makes of it what the spec says, once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from support.api_proxy import ApiProxy
from support.crowd import LONG, PATIENT, Crowd, Member, Scenario
from support.life import FAST, agreed, all_windows, delete, edit, silent, switch

if TYPE_CHECKING:
    from support.world import World

WINDOWS: Final = {"executions": all_windows()}


def _nothing(_world: World, _number: int) -> None:
    pass


SCENARIOS: Final = {
    "create": Scenario(None, _nothing, WINDOWS),
    "replace": Scenario(_nothing, lambda world, number: switch(world, number, "B"), WINDOWS),
    "open": Scenario(_nothing, lambda world, number: edit(world, number, **WINDOWS)),
    "suspend": Scenario(_nothing, lambda world, number: edit(world, number, suspend=True), WINDOWS),
    "resume": Scenario(
        lambda world, number: edit(world, number, suspend=True),
        lambda world, number: edit(world, number, suspend=False),
        WINDOWS,
    ),
    "delete": Scenario(_nothing, delete, WINDOWS),
}


async def test_a_crash_at_any_write_or_call_leads_to_one_job_with_each_window_once(early_world: World) -> None:
    world = early_world
    async with ApiProxy(world.control_plane) as proxy:
        crowd = Crowd(world, proxy)
        operator = await asyncio.to_thread(crowd.operator, **PATIENT)
        await _gather(crowd)
        members = [member for member in crowd.members if member.point is not None]
        calls = world.simulator.last_call()
        for member in members:
            await crowd.hold(member)
        for member in members:
            await asyncio.to_thread(crowd.change, member)
        await asyncio.gather(*(crowd.held(member, calls) for member in members))
        operator.kill()
        crowd.release("done", "lost")
        crowd.let_go()
        await asyncio.to_thread(crowd.operator, **FAST)
        crowd.release("late")
        await _ended(crowd, members)
        alive = [member.number for member in members if member.name != "delete"]
        await silent(world, *alive, spare=len(crowd.members) + 1)


async def _gather(crowd: Crowd) -> None:
    """Let one of each kind go through its change undisturbed, and let one more join for each point of it."""
    pilots = [crowd.join(name, scenario) for name, scenario in SCENARIOS.items()]
    await _prepared(crowd, pilots)
    marks = crowd.world.simulator.last_call(), len(crowd.proxy.log)
    for pilot in pilots:
        crowd.change(pilot)
    await _ended(crowd, pilots)
    points = {pilot.name: crowd.points(pilot, *marks) for pilot in pilots}
    assert min(map(len, points.values())) >= 5, points
    joined = [crowd.join(name, SCENARIOS[name], point) for name, found in points.items() for point in found]
    await _prepared(crowd, joined)


async def _prepared(crowd: Crowd, members: list[Member]) -> None:
    there = [member for member in members if member.scenario.prepare is not None]
    await agreed(crowd.world, *(member.number for member in there), timeout=LONG)
    for member in there:
        crowd.prepare(member)
    await agreed(crowd.world, *(member.number for member in there), timeout=LONG)


async def _ended(crowd: Crowd, members: list[Member]) -> None:
    """Wait until each resource is as its spec says, or gone with its jobs."""
    gone = [member for member in members if member.name == "delete"]
    rest = [member.number for member in members if member not in gone]
    await agreed(crowd.world, *rest, gone=[member.number for member in gone], timeout=LONG)
    assert {str(member): crowd.leftovers(member) for member in gone} == {str(member): [] for member in gone}
