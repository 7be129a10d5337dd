"""Two operators, crashes, pauses and roll-outs: each request leads to one reset, counted by ESA."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final

import pytest

from support.api import MERGE_PATCH
from support.api_proxy import ApiProxy, Gate, Match
from support.bulk import Bulk
from support.writes import INTENT, write_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.operator_process import OperatorProcess
    from support.world import World

RESET: Final = "ResetScheduledPreloadJob"
LEADS: Final = "leading as"
STANDS_BY: Final = "waiting for the lease"


@pytest.fixture
async def proxy(world: World) -> AsyncIterator[ApiProxy]:
    async with ApiProxy(world.control_plane, user=world.user) as running:
        yield running


async def leader(world: World, pod: str, proxy: ApiProxy | None = None, **settings: str) -> OperatorProcess:
    kubeconfig = proxy.kubeconfig if proxy is not None else None
    operator = world.operator(kubeconfig, pod=pod, **settings)
    await asyncio.to_thread(operator.wait_to_lead)
    return operator


async def standby(world: World, pod: str, proxy: ApiProxy | None = None, **settings: str) -> OperatorProcess:
    operator = world.operator(proxy.kubeconfig if proxy is not None else None, pod=pod, **settings)
    await said(operator, STANDS_BY)
    return operator


async def said(operator: OperatorProcess, text: str, timeout: float = 40) -> None:
    await asyncio.to_thread(operator.wait_for, text, timeout)


async def ended(operator: OperatorProcess) -> int:
    return await asyncio.to_thread(operator.wait)


def lease_path(world: World) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{world.namespace}/leases/esa-preload-operator"


def lease(world: World) -> dict[str, Any]:
    spec: dict[str, Any] = world.api.call("GET", lease_path(world)).body["spec"]
    return spec


async def settled(world: World, number: int, expected: int) -> None:
    """Ask once more: whatever was still to come for this resource would have been counted by then."""
    world.annotate(number, "the-last-one")
    await world.handled(number, "the-last-one")
    assert world.resets(number) == expected


async def test_of_two_one_leads_and_each_request_is_one_reset(world: World) -> None:
    numbers = range(1, 21)
    world.seed(*numbers)
    for number in numbers:
        world.create(number)
    both = [world.operator(pod="pod-a"), world.operator(pod="pod-b")]
    await world.until(lambda: any(LEADS in one.log for one in both))
    one, other = sorted(both, key=lambda each: LEADS not in each.log)
    await said(other, STANDS_BY)
    for number in numbers:
        world.annotate(number, "t1")
    for number in numbers:
        await world.handled(number, "t1")
    assert [world.resets(number) for number in numbers] == [1] * len(numbers)
    assert LEADS not in other.log
    holder = lease(world)["holderIdentity"]
    assert re.fullmatch(r"pod-[ab]_[0-9a-f]{8}", holder)
    assert holder in one.log
    assert {world.status(number)["reset"]["owner"] for number in numbers} == {holder}
    # Who stands by goes when he is told to, and takes nothing from the other.
    other.terminate()
    assert await ended(other) == 0
    assert lease(world)["holderIdentity"] == holder
    assert not one.exited


async def interrupted(world: World, proxy: ApiProxy) -> tuple[OperatorProcess, OperatorProcess, Gate]:
    """Return a leader and its successor: ESA has reset job 1 and will answer, and job 2's intent is stored."""
    world.seed(1, 2)
    world.create(1)
    world.create(2)
    one = await leader(world, "one", proxy)
    two = await standby(world, "two")
    world.fault("delay", action=RESET, job_id=world.esa_id(1), seconds=2, when="after")
    gate = proxy.hold(write_of(INTENT, 2), after=True)
    world.annotate(1, "t1")
    world.annotate(2, "t1")
    await gate.met.wait()
    await world.until(lambda: world.resets(1))
    return one, two, gate


async def each_was_reset_once(world: World) -> None:
    confirmed = await world.handled(1, "t1", timeout=40)
    assert confirmed["reset"]["message"].startswith("confirmed by progress")
    claimed = await world.handled(2, "t1", timeout=40)
    assert (claimed["reset"]["attempts"], claimed["reset"]["submittedBefore"]) == (2, 5)
    assert claimed["reset"]["owner"].startswith("two_")
    assert (world.resets(1), world.resets(2)) == (1, 1)
    assert (world.calls(RESET, 1), world.calls(RESET, 2)) == (1, 1)


async def test_a_leader_killed_in_and_before_its_call_leaves_one_reset_each(world: World, proxy: ApiProxy) -> None:
    one, _, _ = await interrupted(world, proxy)
    one.kill()
    await each_was_reset_once(world)
    await settled(world, 1, 2)
    await settled(world, 2, 2)


async def test_a_leader_paused_in_and_before_its_call_ends_when_it_wakes(world: World, proxy: ApiProxy) -> None:
    one, two, gate = await interrupted(world, proxy)
    one.freeze()
    gate.release()  # the answer to the intent lies in the process's socket when it wakes
    await each_was_reset_once(world)
    before = [world.status(number)["reset"] for number in (1, 2)]
    one.thaw()
    assert await ended(one) == 1
    assert LEADS in two.log
    await each_was_reset_once(world)
    assert [world.status(number)["reset"] for number in (1, 2)] == before
    await settled(world, 1, 2)
    await settled(world, 2, 2)


async def test_an_intent_whose_time_is_up_is_not_called_on_even_by_a_leader(world: World, proxy: ApiProxy) -> None:
    world.seed(1)
    world.create(1)
    one = await leader(world, "one", proxy, LEADER_ELECTION="false", NETWORK_GRACE="500ms")
    gate = proxy.hold(write_of(INTENT), after=True)
    world.annotate(1, "t1")
    await gate.met.wait()
    await asyncio.sleep(1)  # the time that is up is what this is about
    gate.release()
    status = await world.handled(1, "t1")
    assert "held back when it was about to leave" in one.log
    assert status["reset"]["attempts"] == 2
    assert world.resets() == 1
    await settled(world, 1, 2)


async def test_a_leader_told_to_stop_finishes_its_call_and_lets_the_next_one_in(world: World, proxy: ApiProxy) -> None:
    world.seed(1, 2)
    world.create(1)
    world.create(2)
    one = await leader(world, "one")
    two = await standby(world, "two", proxy)
    world.fault("delay", action=RESET, job_id=world.esa_id(), seconds=1, when="after")
    world.annotate(1, "t1")
    await world.until(world.resets)
    one.terminate()
    world.annotate(2, "t1")
    assert await ended(one) == 0
    status = await world.handled(1, "t1")
    assert status["reset"]["owner"].startswith("one_")
    assert (status["reset"]["attempts"], "message" in status["reset"]) == (1, False)
    await said(two, LEADS)
    await world.handled(2, "t1")
    assert (world.resets(1), world.resets(2)) == (1, 1)
    assert (world.calls(RESET, 1), world.calls(RESET, 2)) == (1, 1)
    await settled(world, 1, 2)
    # The first look at the free lease was followed by its taking.
    looks = proxy.requests(Match(path="/leases/"))
    free = next(place for place, look in enumerate(looks) if not look.answer["spec"].get("holderIdentity"))
    assert [look.method for look in looks[free : free + 2]] == ["GET", "PATCH"]


async def test_a_lone_leader_told_to_stop_leaves_the_lease_free(world: World) -> None:
    one = await leader(world, "one")
    one.terminate()
    assert await ended(one) == 0
    assert not lease(world).get("holderIdentity")


async def test_a_leader_whose_lease_somebody_else_writes_ends_at_once(world: World) -> None:
    one = await leader(world, "one")
    spec = {"holderIdentity": "somebody-else"}
    assert world.api.call("PATCH", lease_path(world), {"spec": spec}, MERGE_PATCH).status == 200
    assert await ended(one) == 1
    assert "another process has taken it" in one.log
    assert lease(world)["holderIdentity"] == "somebody-else"


async def test_a_roll_out_during_500_resets_neither_loses_nor_repeats_one(world: World) -> None:
    numbers = range(1, 501)
    await asyncio.to_thread(world.seed, *numbers)
    bulk = Bulk(world)
    await asyncio.to_thread(bulk.create, numbers[:250], "t1")
    slow = {"MAX_CALLS_PER_SECOND": "100"}
    one = world.operator(None, pod="one", **slow)
    await said(one, LEADS)
    two = await standby(world, "two", None, **slow)
    await world.until(lambda: executed(world) >= 100, every=0.2)
    one.terminate()
    three = world.operator(None, pod="three", **slow)
    assert await ended(one) == 0
    await world.until(lambda: any(LEADS in each.log for each in (two, three)), timeout=60)
    second, third = sorted((two, three), key=lambda each: LEADS not in each.log)
    await said(third, STANDS_BY)
    await asyncio.to_thread(bulk.create, numbers[250:], "t1")  # so that some are left, however slow the machine is
    await world.until(lambda: executed(world) >= 300, every=0.2)
    second.terminate()
    assert await ended(second) == 0
    await said(third, LEADS)
    await world.until(lambda: len(bulk.handled("t1")) == len(numbers), timeout=60, every=0.5)
    assert counts(world) == {world.esa_id(number): 1 for number in numbers}
    assert {owner.partition("_")[0] for owner in bulk.owners()} == {"one", "two", "three"}


def counts(world: World) -> dict[str, int]:
    own = {world.esa_id(number) for number in range(1, 501)}
    return {job: count for job, count in world.simulator.resets().items() if job in own}


def executed(world: World) -> int:
    return sum(counts(world).values())
