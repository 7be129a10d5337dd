"""What counts as a request, and that each leads to one reset."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from esa_preload_operator.k8s.connection import connect
from esa_preload_operator.resources.job import RESET_KEY, RESET_KEY_PREFIXED
from support.api import MERGE_PATCH, job_body, jobs_path
from support.calls import RESET, calls, lonely

if TYPE_CHECKING:
    from support.world import World


def tokens_of(world: World, number: int = 1) -> dict[str, str]:
    tokens: dict[str, str] = world.status(number)["reset"]["tokens"]
    return tokens


async def asks_for(world: World, number: int, token: str) -> None:
    await world.until(lambda: tokens_of(world, number) == {RESET_KEY: token})


async def phase(world: World, number: int, wanted: str) -> dict[str, Any]:
    status: dict[str, Any] = await world.until(
        lambda: (found := world.status(number)).get("reset", {}).get("phase") == wanted and found
    )
    return status


async def test_a_token_that_changes_while_its_predecessor_is_in_flight_is_a_request_of_its_own(world: World) -> None:
    world.seed(1, 2)
    world.create(1)
    world.create(2)
    world.fault("delay", action=RESET, jobId=world.esa_id(1), seconds=0.5)
    lonely(world)
    world.annotate(1, "first")
    await world.until(lambda: calls(world, RESET))
    world.annotate(1, "second")
    assert "handledResets" not in world.status(1) or world.status(1)["handledResets"] == {}
    await world.handled(1, "second")
    assert world.resets(1) == 2

    for number in range(20):  # faster than resets are made: some are coalesced, the last one counts
        world.annotate(2, f"burst-{number}")
    await world.handled(2, "burst-19")
    assert 1 <= world.resets(2) <= 20
    assert tokens_of(world, 2) == {RESET_KEY: "burst-19"}


async def test_the_same_token_is_a_new_request_after_its_removal_unless_it_reads_as_a_time(world: World) -> None:
    now = str(int(time.time()))
    world.seed(1, 2)
    world.create(1, annotations={RESET_KEY: "true"})
    world.create(2, annotations={RESET_KEY: now})
    lonely(world)
    await world.handled(1, "true")
    await world.handled(2, now)
    world.annotate(1, None)
    world.annotate(2, None)
    await world.until(lambda: RESET_KEY not in world.status(1).get("handledResets", {}))
    world.annotate(1, "true")
    world.annotate(2, now)
    await world.handled(1, "true")
    assert world.resets(1) == 2
    # What comes after it shows that the time was not asked for again, neither alone nor along with the next request.
    world.annotate(2, "next", RESET_KEY_PREFIXED)
    status = await world.handled(2, "next", RESET_KEY_PREFIXED)
    assert status["reset"]["tokens"] == {RESET_KEY_PREFIXED: "next"}
    assert status["handledResets"] == {RESET_KEY: now, RESET_KEY_PREFIXED: "next"}
    assert world.resets(2) == 2


async def test_both_annotations_at_once_are_one_request(world: World) -> None:
    world.seed(1)
    world.create(1)
    lonely(world)
    both = {RESET_KEY: "a", RESET_KEY_PREFIXED: "b"}
    world.patch(1, {"metadata": {"annotations": both}})
    status = await world.handled(1, "a")
    assert status["handledResets"] == status["reset"]["tokens"] == both
    assert world.resets(1) == 1


NASTY = {
    1: "two\nlines\r\n\tand a tab",
    2: "üñí ☃ 👩‍🚀 \u202e \u2028",
    3: "\x00\x01\x1b[31m\x7f",
    4: "$(rm -rf /) '\"; {{ x }} <b>",
    5: " ",
    6: "x" * 256,
    7: "x" * 257,
    8: "y" * 200_000,
    9: "€" * 86,
}


def shown(token: str) -> str:
    raw = token.encode()
    return token if len(raw) <= 256 else f"sha256:{hashlib.sha256(raw).hexdigest()}"


async def test_any_text_is_a_token(world: World) -> None:
    world.seed(*NASTY, 10, 11)
    for number, token in NASTY.items():
        world.create(number, annotations={RESET_KEY: token})
    world.create(10, annotations={RESET_KEY: ""})
    world.create(11)
    operator = lonely(world)
    for number, token in NASTY.items():
        status = await world.handled(number, shown(token))
        assert status["reset"]["phase"] == "Succeeded"
        assert world.resets(number) == 1
    world.patch(11, {"metadata": {"annotations": {RESET_KEY: ""}}})
    world.annotate(11, "after", RESET_KEY_PREFIXED)
    status = await world.handled(11, "after", RESET_KEY_PREFIXED)
    assert status["handledResets"] == {RESET_KEY_PREFIXED: "after"}
    assert world.resets(10) == 0, "an empty token asks for nothing"
    assert world.condition(10)["status"] == "True"
    assert "\x1b" not in operator.log
    # A long token that differs only behind its first 256 bytes is another one.
    world.annotate(8, "y" * 200_000 + "z")
    await world.handled(8, shown("y" * 200_000 + "z"))
    assert world.resets(8) == 2


async def test_a_token_older_than_its_object_is_handled_without_a_call(world: World) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    recently = str(int(time.time()) - 1800)
    old = {
        1: str(int(yesterday.timestamp())),
        2: str(int(yesterday.timestamp() * 1000)),
        3: yesterday.isoformat(),
        4: yesterday.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    world.seed(*old, 5, 6)
    for number, token in old.items():
        world.create(number, annotations={RESET_KEY: token})
    world.create(5, annotations={RESET_KEY: recently})
    world.create(6, annotations={RESET_KEY: old[1], RESET_KEY_PREFIXED: "now"})
    lonely(world)
    for number, token in old.items():
        status = await world.handled(number, token)
        assert status["reset"]["phase"] == "Withdrawn"
        assert "StaleToken" in status["reset"]["message"]
        assert status.get("lastResetTime") is None
        await world.reason(number, "Ready")
    await world.handled(5, recently)
    status = await world.handled(6, "now", RESET_KEY_PREFIXED)
    assert status["handledResets"] == {RESET_KEY: old[1], RESET_KEY_PREFIXED: "now"}
    await world.until(lambda: len(world.events("StaleToken")) == 5)
    assert {event["type"] for event in world.events("StaleToken")} == {"Warning"}
    assert [world.resets(number) for number in range(1, 7)] == [0, 0, 0, 0, 1, 1]
    world.annotate(1, str(int(time.time())))
    await world.until(lambda: world.resets(1) == 1)


async def test_requests_that_come_too_soon_are_held_and_become_one(world: World) -> None:
    world.seed(1, 2)
    world.create(1, minResetInterval="4s")
    world.create(2, minResetInterval="1h")
    lonely(world)
    for number in (1, 2):
        world.annotate(number, "first")
        await world.handled(number, "first")
    for token in ("second", "third"):
        for number in (1, 2):
            world.annotate(number, token)
            await asks_for(world, number, token)
    for number in (1, 2):
        status = await phase(world, number, "Held") if number == 2 else world.status(number)
        if status["reset"]["phase"] == "Held":
            assert status["nextResetTime"] > status["lastResetTime"]
            assert (world.condition(number)["status"], world.condition(number)["reason"]) == ("True", "Held")
    status = await world.handled(1, "third")
    assert world.resets(1) == 2
    assert status.get("nextResetTime") is None
    assert world.condition(1)["reason"] == "Ready"

    world.annotate(2, None)
    status = await phase(world, 2, "Withdrawn")
    assert status.get("nextResetTime") is None
    assert status.get("handledResets", {}) == {}
    assert world.resets(2) == 1
    assert world.condition(2)["reason"] == "Ready"


async def test_a_shorter_interval_frees_what_is_held_and_the_setting_is_a_floor(world: World) -> None:
    world.seed(1, 2)
    world.create(1, minResetInterval="1h")
    world.create(2)
    lonely(world, MIN_RESET_INTERVAL="3s")
    for number in (1, 2):
        world.annotate(number, "first")
        await world.handled(number, "first")
        world.annotate(number, "second")
        await phase(world, number, "Held")
    world.patch(1, {"spec": {"minResetInterval": "0s"}})
    for number in (1, 2):
        await world.handled(number, "second")
        times = [call["time"] for call in calls(world, RESET) if call["jobId"] == world.esa_id(number)]
        assert len(times) == 2
        assert times[1] - times[0] >= 2, "status times are whole seconds"


async def test_other_changes_of_a_resource_lead_to_no_call(world: World) -> None:
    world.seed(1)
    world.create(1)
    lonely(world)
    world.annotate(1, "first")
    await world.handled(1, "first")
    before = world.simulator.last_call()
    version = world.get(1)["metadata"]["resourceVersion"]
    world.patch(1, {"metadata": {"labels": {"a": "b"}}})
    world.patch(1, {"metadata": {"annotations": {"other": "x", "resetrequested": "y"}}})
    world.patch(1, {"metadata": {"finalizers": ["example.com/keep"]}})
    world.patch(1, {"metadata": {"finalizers": None}})
    world.patch(1, {"status": {"lastResetTime": "2026-01-01T00:00:00Z"}}, "/status")
    assert world.get(1)["metadata"]["resourceVersion"] != version
    world.annotate(1, "second")
    await world.handled(1, "second")
    asked = Counter(call["action"] for call in calls(world, since=before))
    assert asked == {"GetScheduledPreloadJob": 1, RESET: 1}


async def test_a_new_token_after_a_failure_is_tried(world: World) -> None:
    world.create(1, annotations={RESET_KEY: "first"})  # there is no such job in ESA yet
    lonely(world)
    status = await world.handled(1, "first")
    assert status["reset"]["phase"] == "Failed"
    assert (world.condition(1)["reason"], world.condition(1, "Stalled")["status"]) == ("JobNotFound", "True")
    world.seed(1)
    world.annotate(1, "second")
    status = await world.handled(1, "second")
    assert status["reset"]["phase"] == "Succeeded"
    assert world.resets(1) == 1
    assert world.condition(1)["status"] == "True"
    assert world.condition(1, "Stalled")["status"] == "False"


async def test_a_resource_that_is_deleted_in_mid_reset_leaves_nothing_behind(world: World) -> None:
    world.seed(1, 2)
    for number in (1, 2):
        world.create(number)
    world.fault("delay", action=RESET, jobId=world.esa_id(1), seconds=0.5)
    operator = lonely(world)
    world.annotate(1, "first")
    await world.until(lambda: calls(world, RESET))
    assert world.api.call("DELETE", jobs_path(world.namespace, "j1")).status == 200
    assert world.api.call("GET", jobs_path(world.namespace, "j1")).status == 404
    world.annotate(2, "first")
    await world.handled(2, "first")
    # The same name and token on a new object is a new request: the old status, which knew better, is gone.
    world.create(1, annotations={RESET_KEY: "first"})
    await world.handled(1, "first")
    assert world.resets(1) == 2
    assert "Traceback" not in operator.log
    assert {event["regarding"]["uid"] for event in world.events() if event["regarding"]["name"] == "j1"} == {
        world.get(1)["metadata"]["uid"]
    }


async def test_two_thousand_requests_at_once_are_one_reset_each(world: World) -> None:
    count = 2000
    numbers = range(1, count + 1)
    for first in numbers[::500]:
        world.seed(*range(first, first + 500))
    async with await connect(str(world.control_plane.kubeconfig())) as admin:
        room = asyncio.Semaphore(50)

        async def create(number: int) -> None:
            async with room:
                body = job_body(f"j{number}", jobId=world.esa_id(number))
                assert (await admin.request("POST", jobs_path(world.namespace), body)).status == 201

        async def annotate(number: int) -> None:
            async with room:
                patch = {"metadata": {"annotations": {RESET_KEY: "all"}}}
                path = jobs_path(world.namespace, f"j{number}")
                assert (await admin.request("PATCH", path, patch, content_type=MERGE_PATCH)).ok

        await asyncio.gather(*map(create, numbers))
        lonely(world, MAX_CALLS_PER_SECOND="5000")
        await asyncio.gather(*map(annotate, numbers))

    def phases() -> Counter[str]:
        listed = world.api.call("GET", jobs_path(world.namespace)).body["items"]
        return Counter(item.get("status", {}).get("reset", {}).get("phase", "") for item in listed)

    await world.until(lambda: phases() == {"Succeeded": count}, timeout=400, every=5)
    made = world.simulator.resets()
    assert Counter(made.get(world.esa_id(number), 0) for number in numbers) == {1: count}
