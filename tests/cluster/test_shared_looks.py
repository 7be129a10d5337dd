"""What many resets at once cost where ESA admits few calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.bulk import Bulk
from support.calls import GET, LIST, RESET, calls, lonely

if TYPE_CHECKING:
    from support.world import World

JOBS = range(60)
PATIENCE = 120.0
SLOW = {"MAX_CALLS_PER_SECOND": "8", "REFRESH_ACTIVE": "1h", "REFRESH_IDLE": "1h"}


async def known(world: World) -> Bulk:
    """Make resources whose status tells the site, as after their first look."""
    world.seed(*JOBS, urlSubmitted=5)
    bulk = Bulk(world)
    bulk.create(JOBS)
    operator = lonely(world, REFRESH_ACTIVE="1h", REFRESH_IDLE="1h")
    await world.until(lambda: sum("siteId" in item.get("status", {}) for item in bulk.items()) == len(JOBS), PATIENCE)
    operator.terminate()
    operator.wait()
    return bulk


def ask(world: World, token: str = "t1") -> None:
    for number in JOBS:
        world.annotate(number, token)


async def handled(world: World, bulk: Bulk, token: str = "t1") -> None:
    await world.until(lambda: len(bulk.handled(token)) == len(JOBS), PATIENCE, every=0.5)


async def test_many_resets_of_one_site_take_little_more_than_a_call_each(world: World) -> None:
    bulk = await known(world)
    ask(world)
    since = world.simulator.last_call()
    lonely(world, **SLOW)
    await handled(world, bulk)
    assert [world.resets(number) for number in JOBS] == [1] * len(JOBS)
    made = calls(world, since=since)
    assert sum(call["action"] == LIST for call in made) >= 1
    assert len(made) <= 1.4 * len(JOBS)


async def test_without_shared_looks_each_reset_looks_by_itself(world: World) -> None:
    bulk = await known(world)
    ask(world)
    since = world.simulator.last_call()
    lonely(world, **SLOW | {"MAX_CALLS_PER_SECOND": "20"}, SHARED_LOOKS="false")
    await handled(world, bulk)
    assert calls(world, LIST, since=since) == []
    assert len(calls(world, GET, since=since)) == len(calls(world, RESET, since=since)) == len(JOBS)


@pytest.mark.parametrize("code", ["Forbidden", "ServiceUnavailable"])
async def test_a_list_that_esa_refuses_holds_up_nobody(world: World, code: str) -> None:
    bulk = await known(world)
    ask(world)
    world.fault("refuse", action=LIST, code=code, status=403 if code == "Forbidden" else 503, times=None)
    since = world.simulator.last_call()
    lonely(world, **SLOW | {"MAX_CALLS_PER_SECOND": "20"})
    await handled(world, bulk)
    assert [world.resets(number) for number in JOBS] == [1] * len(JOBS)
    assert 1 <= len(calls(world, LIST, since=since)) <= 2


async def test_a_process_that_dies_among_shared_looks_loses_no_reset(world: World) -> None:
    bulk = await known(world)
    ask(world)
    operator = lonely(world, **SLOW)
    await world.until(lambda: len(bulk.handled("t1")) >= 20, PATIENCE)
    operator.kill()
    lonely(world, **SLOW)
    await handled(world, bulk)
    assert {item["status"]["reset"]["phase"] for item in bulk.items()} == {"Succeeded"}
    attempts = {item["metadata"]["name"]: item["status"]["reset"]["attempts"] for item in bulk.items()}
    for number in JOBS:
        assert 1 <= world.resets(number) <= attempts[f"j{number}"]
    assert sum(attempts.values()) <= len(JOBS) + 16, "only what was in flight is repeated"
