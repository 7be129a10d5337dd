"""Whoever resets a job without a window is told that nothing will be prefetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.calls import lonely

if TYPE_CHECKING:
    from support.world import World

FAST = {"REFRESH_ACTIVE": "1s", "REFRESH_IDLE": "1s"}


async def test_a_reset_without_a_window_says_so_and_a_window_heals_it(world: World) -> None:
    world.seed(1)
    world.create(1)
    lonely(world, **FAST)
    world.annotate(1)
    await world.handled(1)
    await world.until(lambda: world.condition(1, "Effective").get("reason") == "NoActiveExecution")
    (event,) = await world.until(lambda: world.events("NoActiveExecution"))
    assert event["type"] == "Warning"
    assert world.condition(1)["status"] == "True"  # it can be reset all the same
    world.patch(1, {"spec": {"executions": [{"name": "w", "duration": "1h", "intervalSeconds": 60, "sliceLen": 1}]}})
    await world.until(lambda: world.condition(1, "Effective").get("status") == "True")


async def test_a_window_of_somebody_else_leaves_it_open(world: World) -> None:
    world.seed(1)
    world.create(1)
    world.simulator.seed_executions([{"jobId": world.esa_id(1), "interval": 3600, "sliceLen": 1, "status": "running"}])
    lonely(world, **FAST)
    world.annotate(1)
    await world.handled(1)
    since = world.simulator.last_call()
    await world.until(lambda: len(world.simulator.calls("ListScheduledPreloadJobs", since=since)) > 2)
    assert world.condition(1, "Effective") == {}
    assert world.events("NoActiveExecution") == []
