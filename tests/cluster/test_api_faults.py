"""The API server refuses, lags, forgets or is away: each request still leads to one reset, counted by ESA."""

from __future__ import annotations

import asyncio
import http.client
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import pytest

from control_plane import ControlPlane
from support.api import Api
from support.api_proxy import ApiProxy, Match
from support.kubelet import Kubelet
from support.world import World, new_world
from support.writes import INTENT, OUTCOME, write_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from support.operator_process import OperatorProcess
    from support.simulator import SimulatorProcess

RESET: Final = "ResetScheduledPreloadJob"
LOOK: Final = "GetScheduledPreloadJob"
READ: Final = Match("GET", "/j1$")
WATCH: Final = Match(path="/scheduledpreloadjobs$", watch=True)

UNTOUCHED: Final = {"urlSubmitted": 0, "taskSubmitted": 0}
"""A job on which progress proves nothing: what is forgotten leads to a second call."""

FAULTS: Final[dict[str, Callable[[ApiProxy, Match], object]]] = {
    "conflict": lambda proxy, match: proxy.refuse(match, status=409, reason="Conflict"),
    "invalid": lambda proxy, match: proxy.refuse(match, status=422, reason="Invalid"),
    "throttled": lambda proxy, match: proxy.refuse(match, status=429, reason="TooManyRequests", retry_after=1),
    "broken": lambda proxy, match: proxy.refuse(match, status=500, reason="InternalError"),
    "unavailable": lambda proxy, match: proxy.refuse(match, status=503, reason="ServiceUnavailable"),
    "request lost": lambda proxy, match: proxy.lose_request(match),
    "answer lost": lambda proxy, match: proxy.lose_answer(match),
}


@pytest.fixture
async def proxy(world: World) -> AsyncIterator[ApiProxy]:
    async with ApiProxy(world.control_plane, user=world.user) as running:
        yield running


async def start(world: World, proxy: ApiProxy, **settings: str) -> OperatorProcess:
    """Start an operator behind the proxy, without an election: there is no other one."""
    operator = world.operator(kubeconfig=proxy.kubeconfig, LEADER_ELECTION="false", **settings)
    await asyncio.to_thread(operator.wait_to_lead)
    return operator


async def next_reset_is_number(expected: int, world: World, number: int = 1) -> None:
    """Ask once more: whatever was still to come for this resource would have been counted by then."""
    world.annotate(number, "the-last-one")
    await world.handled(number, "the-last-one")
    assert world.resets(number) == expected
    assert world.calls(RESET, number) == expected


@pytest.mark.parametrize("phase", [INTENT, OUTCOME])
async def test_a_status_write_that_fails_once_costs_no_reset_and_doubles_none(
    world: World, proxy: ApiProxy, phase: str
) -> None:
    numbers = dict(enumerate(FAULTS, start=1))
    world.seed(*numbers, **UNTOUCHED)
    for number in numbers:
        world.create(number)
    await start(world, proxy)
    rules = {number: FAULTS[fault](proxy, write_of(phase, number)) for number, fault in numbers.items()}
    for number in numbers:
        world.annotate(number, "t1")
    for number, fault in numbers.items():
        status = await world.handled(number, "t1")
        assert len(rules[number].hits) == 1, fault  # type: ignore[attr-defined]
        assert world.resets(number) == 1, fault
        assert (status["reset"]["phase"], status["reset"]["tokens"]) == ("Succeeded", {"resetRequested": "t1"}), fault
        assert (status["urlSubmitted"], status["reset"]["submittedBefore"]) == (0, 0), fault
    told = {f"j{number}": 1 for number in numbers}
    await world.until(lambda: Counter(event["regarding"]["name"] for event in world.events("ResetSucceeded")) == told)
    for number in numbers:
        await next_reset_is_number(2, world, number)


async def test_an_edit_between_intent_and_outcome_costs_no_second_call(world: World, proxy: ApiProxy) -> None:
    world.seed(1, **UNTOUCHED)
    world.create(1)
    await start(world, proxy)
    rule = proxy.before(write_of(OUTCOME), lambda _: world.patch(1, {"metadata": {"labels": {"edited": "yes"}}}))
    world.annotate(1, "t1")
    await world.handled(1, "t1")
    assert [hit.status for hit in rule.hits] == [409]
    await next_reset_is_number(2, world)


async def test_a_token_that_changes_while_its_reset_runs_is_one_more_request(world: World, proxy: ApiProxy) -> None:
    world.seed(1, **UNTOUCHED)
    world.create(1)
    await start(world, proxy)
    proxy.before(write_of(OUTCOME), lambda _: world.annotate(1, "t2"))
    world.annotate(1, "t1")
    await world.handled(1, "t2")
    assert world.resets() == 2
    await next_reset_is_number(3, world)


async def test_a_watch_that_lags_repeats_no_reset_and_no_look(world: World, proxy: ApiProxy) -> None:
    world.seed(1)
    world.create(1)
    await start(world, proxy)
    await world.reason(1, "Ready")
    looks = world.calls(LOOK)
    proxy.delay_watch(2)
    tokens = ["t1", "t2", "t3"]
    for token in tokens:
        world.annotate(1, token)
        for edit in range(30):  # these arrive after the outcome is stored, and show the token as if it were open
            world.patch(1, {"metadata": {"labels": {"edit": f"{token}-{edit}"}}})
        await world.handled(1, token)
    proxy.delay_watch(0)
    await next_reset_is_number(len(tokens) + 1, world)
    assert world.calls(LOOK) <= looks + 2 * len(tokens) + 1  # the first look is for nothing when an edit came between


async def test_an_echo_that_overtakes_its_answer_costs_no_read(world: World, proxy: ApiProxy) -> None:
    world.seed(1, 2)
    for number in (1, 2):
        world.create(number)
    await start(world, proxy)
    for number in (1, 2):
        await world.reason(number, "Ready")
    reads, looks = len(proxy.requests(READ)), world.calls(LOOK, 1)
    gate = proxy.hold(write_of(INTENT), after=True)
    world.annotate(1, "t1")
    await gate.met.wait()
    world.annotate(2, "t1")
    await world.handled(2, "t1")  # a later event of the same watch was acted on, so the echo is there
    proxy.delay_watch(1)  # and the next one comes long after its answer
    gate.release()
    await world.handled(1, "t1")
    await next_reset_is_number(2, world)
    assert len(proxy.requests(READ)) == reads
    assert world.calls(LOOK, 1) == looks + 2


async def cut(proxy: ApiProxy) -> None:
    proxy.cut_watches()


async def end(proxy: ApiProxy) -> None:
    proxy.cut_watches(clean=True)


async def expire_in_the_stream(proxy: ApiProxy) -> None:
    proxy.gone(WATCH, as_event=True)
    proxy.cut_watches()


async def expire_by_status(proxy: ApiProxy) -> None:
    proxy.gone(WATCH, as_event=False)
    proxy.cut_watches()


@pytest.mark.parametrize("interrupt", [cut, end, expire_in_the_stream, expire_by_status])
async def test_an_interrupted_watch_repeats_nothing_and_misses_nothing(
    world: World, proxy: ApiProxy, interrupt: Callable[[ApiProxy], Any]
) -> None:
    world.seed(1, 2, 3)
    world.create(1, annotations={"resetRequested": "t1"})
    world.create(2)
    operator = await start(world, proxy)
    await world.handled(1, "t1")
    before = len(proxy.requests(WATCH))
    # What changes while nobody watches must be found as well.
    gate = proxy.hold(WATCH)
    await interrupt(proxy)
    await proxy.until(lambda: len(proxy.requests(WATCH)) > before)
    world.annotate(2, "t1")
    world.create(3, annotations={"resetRequested": "t1"})
    gate.release()
    await world.handled(2, "t1")
    await world.handled(3, "t1")
    for number in (1, 2, 3):
        await next_reset_is_number(2, world, number)
    assert not operator.exited


async def test_an_api_server_that_accepts_and_never_answers_costs_and_doubles_nothing(
    world: World, proxy: ApiProxy
) -> None:
    world.seed(1, 2, 3)
    for number in (1, 2, 3):
        world.create(number)
    operator = await start(world, proxy)
    await world.reason(3, "Ready")
    # Job 1 meets it at its intent and job 2 at its outcome: both are stored, and the answers never come.
    for number, phase in ((1, INTENT), (2, OUTCOME)):
        proxy.after(write_of(phase, number), lambda _: proxy.blackhole(True))
    gate = proxy.hold(write_of(INTENT, 1))  # so that both are there when it begins
    world.annotate(1, "t1")
    await gate.met.wait()
    world.annotate(2, "t1")
    await proxy.until(lambda: bool(proxy.requests(write_of(OUTCOME, 2))))
    gate.release()
    world.annotate(3, "t1")
    await world.until(lambda: operator.log.count("may not have been stored") >= 1)
    assert not operator.exited
    proxy.blackhole(False)
    for number in (1, 2, 3):
        await world.handled(number, "t1", timeout=60)
        assert world.resets(number) == 1
    for number in (1, 2, 3):
        await next_reset_is_number(2, world, number)


async def test_unrelated_changes_cause_no_call(world: World, proxy: ApiProxy) -> None:
    world.seed(1)
    world.create(1)
    await start(world, proxy)
    world.annotate(1, "t1")
    await world.handled(1, "t1")
    version = world.get()["metadata"]["resourceVersion"]
    last = world.simulator.last_call()
    world.patch(1, {"metadata": {"labels": {"team": "cdn"}}})
    world.patch(1, {"metadata": {"annotations": {"note": "by hand"}}})
    world.patch(1, {"status": {"reset": {"message": "by hand"}}}, "/status")
    world.patch(1, {"spec": {"minResetInterval": "1ms"}})
    await world.until(lambda: world.status()["observedGeneration"] == world.get()["metadata"]["generation"])
    assert int(world.get()["metadata"]["resourceVersion"]) > int(version)
    calls = [call for call in world.simulator.calls(since=last) if call["jobId"] == world.esa_id()]
    assert calls == []
    await next_reset_is_number(2, world)


async def test_a_status_wiped_while_the_call_runs_is_written_again(world: World, proxy: ApiProxy) -> None:
    world.seed(1, **UNTOUCHED)
    world.create(1)
    await start(world, proxy)
    proxy.before(write_of(OUTCOME), lambda _: world.patch(1, {"status": None}, "/status"))
    world.annotate(1, "t1")
    status = await world.handled(1, "t1")
    assert (status["reset"]["phase"], status["reset"]["submittedBefore"]) == ("Succeeded", 0)
    assert world.resets() == 1
    await next_reset_is_number(2, world)


async def test_a_status_wiped_afterwards_is_a_new_request(world: World, proxy: ApiProxy) -> None:
    world.seed(1)
    world.create(1)
    await start(world, proxy)
    world.annotate(1, "t1")
    await world.handled(1, "t1")
    world.patch(1, {"status": None}, "/status")
    await world.handled(1, "t1")
    assert world.resets() == 2  # nothing tells that t1 was handled; the docs list it as undecidable
    await next_reset_is_number(3, world)


def readiness(operator: OperatorProcess) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", operator.ports()[0], timeout=5)
    connection.request("GET", "/readyz")
    status = connection.getresponse().status
    connection.close()
    return status


async def test_without_the_crd_it_waits_and_says_so(simulator: SimulatorProcess, tmp_path: Path) -> None:
    with ControlPlane() as bare, new_world(bare, simulator, tmp_path) as world:
        operator = world.operator()
        operator.wait_for("waiting for the CRD scheduledpreloadjobs.esa.preload-operator.io")
        assert readiness(operator) == 503
        world.seed(1)
        Api(bare).install_crd()
        world.create(1, annotations={"resetRequested": "t1"})
        await world.handled(1, "t1")
        assert world.resets() == 1
        await world.until(lambda: readiness(operator) == 200)
        assert not operator.exited


OUTAGE: Final = 90.0


async def test_ninety_seconds_without_an_api_server_cost_and_double_nothing(
    simulator: SimulatorProcess, tmp_path: Path
) -> None:
    with ControlPlane() as own, new_world(own, simulator, tmp_path) as world:
        Api(own).install_crd()
        world.seed(1, 2, 3)
        for number in (1, 2, 3):
            world.create(number)
        async with Kubelet(world, REQUEST_TIMEOUT="20s") as kubelet:
            first = kubelet.running
            await asyncio.to_thread(first.wait_to_lead)
            world.annotate(3, "t1")
            await world.handled(3, "t1")
            # Job 1 is executed by ESA when the API server goes, job 2 is not even seen.
            world.fault("delay", action=RESET, job_id=world.esa_id(1), seconds=15, when="after")
            world.annotate(1, "t1")
            await world.until(lambda: world.resets(1) == 1)
            first.freeze()
            world.annotate(2, "t1")
            own.freeze()
            first.thaw()
            await kubelet.live_through(OUTAGE)
            own.thaw()
            for number in (1, 2, 3):
                await world.handled(number, "t1", timeout=90)
                assert world.resets(number) == 1
            assert first.exited, "without its lease it must not stay"
            assert world.status(1)["reset"]["message"].startswith("confirmed by progress")
            for number in (1, 2, 3):
                await next_reset_is_number(2, world, number)
