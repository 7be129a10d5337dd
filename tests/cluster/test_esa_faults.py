"""Whatever ESA answers or does not answer: one reset, the truth in the status, and nothing stuck."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from esa_preload_operator.resources.job import RESET_KEY
from support.api_proxy import ApiProxy
from support.calls import RESET
from support.crashes import PATIENCE
from support.scenarios import (
    ACCESS_KEY_ID,
    ACCESS_KEY_SECRET,
    ACCOUNT,
    AUTHOR,
    LOST,
    REFUSED,
    REJECTED,
    STRANGE,
    Running,
    Scenario,
    credential,
    shown,
    use_telling_credentials,
)
from support.simulator import SimulatorProcess
from support.world import new_world
from support.writes import write_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from control_plane import ControlPlane
    from support.world import Status

SETTINGS = {
    "REQUEST_TIMEOUT": "2s",
    "NETWORK_GRACE": "2s",
    "LEADER_ELECTION": "false",
    "REFRESH_ACTIVE": "1h",  # a list would show as back what ESA denies at single calls only
    "REFRESH_IDLE": "1h",
    "SHARED_LOOKS": "false",
}
HEALTHY = {"Ready": "True", "Reconciling": "False", "Stalled": "False"}
SUCCEEDED = LOST | REFUSED | REJECTED | STRANGE


@pytest.fixture(scope="module")
def running(
    cluster: ControlPlane, simulator: SimulatorProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Let all scenarios go wrong at once, under one operator."""
    with new_world(cluster, simulator, tmp_path_factory.mktemp("faults")) as world:
        use_telling_credentials(world)
        scenarios = Running(world)
        for name, scenario in (SUCCEEDED | AUTHOR).items():
            scenarios.begin(name, scenario)
        world.operator(None, **SETTINGS).wait_to_lead(timeout=PATIENCE)
        yield scenarios


def truths(status: Status) -> dict[str, Any]:
    return {each["type"]: each["status"] for each in status["conditions"] if each["type"] in HEALTHY}


@pytest.mark.parametrize("name", SUCCEEDED)
async def test_one_reset_is_in_effect_and_the_status_says_so(running: Running, name: str) -> None:
    world, number, scenario = running.world, running.numbers[name], SUCCEEDED[name]
    status = await world.handled(number, timeout=PATIENCE)
    assert world.resets(number) == 1
    assert scenario.calls in (None, world.calls(RESET, number))
    assert status["reset"]["phase"] == "Succeeded"
    assert truths(status) == HEALTHY
    end = await running.told(number, scenario.ends_as)
    assert end["type"] == "Normal"
    assert scenario.before is None or running.events(number)[scenario.before]["type"] == "Warning"


@pytest.mark.parametrize("name", LOST)
async def test_the_status_tells_how_a_lost_answer_was_dealt_with(running: Running, name: str) -> None:
    status = await running.world.handled(running.numbers[name], timeout=PATIENCE)
    expected = "confirmed by progress" if LOST[name].ends_as == "ResetConfirmed" else "called again"
    assert expected in status["reset"]["message"]
    assert (status["urlCount"], status["urlSubmitted"]) == (10, 0)


@pytest.mark.parametrize("name", STRANGE)
async def test_what_esa_says_is_stored_in_a_form_that_the_api_server_takes(running: Running, name: str) -> None:
    number = running.numbers[name]
    status = await running.world.handled(number, timeout=PATIENCE)
    texts = [value for value in status.values() if isinstance(value, str)]
    assert max(len(text.encode()) for text in texts) <= 4096
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", "".join(texts))
    assert min(status.get(key, 0) for key in ("urlCount", "urlSubmitted", "taskSubmitted", "siteId")) >= 0
    assert re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)?", status.get("createdAt", ""))
    told = running.world.describe()
    assert "refused the status" not in shown(running.world), told


async def test_the_wait_that_esa_asks_for_is_kept(running: Running) -> None:
    number = running.numbers["throttled for a while"]
    await running.world.handled(number, timeout=PATIENCE)
    first, second = (call["time"] for call in running.world.simulator.calls(RESET, job_id=running.world.esa_id(number)))
    assert second - first >= 3


@pytest.mark.parametrize("reason", REJECTED)
async def test_urls_that_esa_rejects_are_told_though_the_reset_succeeds(running: Running, reason: str) -> None:
    world, number = running.world, running.numbers[reason]
    await world.handled(number, timeout=PATIENCE)
    condition = world.condition(number, "UrlsAccepted")
    assert (condition["status"], condition["reason"]) == ("False", reason)
    event = await running.told(number, "UrlsRejected")
    assert event["type"] == "Warning"
    assert world.status(number)["errorInfo"] in event["note"]
    assert event["note"].endswith(" https://b.oss.example.com/list.txt")


async def test_what_the_account_forbids_is_tried_until_it_is_allowed(running: Running) -> None:
    world = running.world
    for name, (_, faults) in ACCOUNT.items():
        running.begin(name, Scenario(faults))
    for name, (reason, _) in ACCOUNT.items():
        number = running.numbers[name]
        condition = await world.reason(number, reason)
        status = world.status(number)
        assert truths(status) == HEALTHY | {"Ready": "False", "Reconciling": "True"}
        assert status["reset"]["phase"] == "Retrying"
        assert RESET_KEY not in status.get("handledResets", {})
        assert re.search(r"\(request [0-9A-F-]{36}\)$", condition["message"])
        await running.told(number, reason)
    told = shown(world)
    assert "SignatureDoesNotMatch: not matched for *** with ***:" in told, "what quotes the signed request is left out"
    for name in ACCOUNT:
        running.heal(name)
    for name in ACCOUNT:
        number = running.numbers[name]
        status = await world.handled(number, timeout=PATIENCE)
        assert (world.resets(number), status["reset"]["phase"], truths(status)) == (1, "Succeeded", HEALTHY)


@pytest.mark.parametrize("name", AUTHOR)
async def test_a_terminal_error_fails_once_and_a_new_token_tries_again(running: Running, name: str) -> None:
    world, number, reason = running.world, running.numbers[name], name.split(maxsplit=1)[0]
    status = await world.handled(number, timeout=PATIENCE)
    assert (world.resets(number), world.calls(RESET, number)) == (0, AUTHOR[name].calls)
    assert status["reset"]["phase"] == "Failed"
    assert truths(status) == {"Ready": "False", "Reconciling": "False", "Stalled": "True"}
    assert world.condition(number)["reason"] == world.condition(number, "Stalled")["reason"] == reason
    assert re.search(r"\(request [0-9A-F-]{36}\)$", status["reset"]["message"])
    await running.told(number, "ResetFailed")
    world.seed(number)
    world.annotate(number, "t2")
    status = await world.handled(number, "t2")
    healed = AUTHOR[name].job_id is None
    assert status["reset"]["phase"] == ("Succeeded" if healed else "Failed")
    assert (world.resets(number), truths(status) == HEALTHY) == ((1, True) if healed else (0, False))


async def test_nothing_that_signs_a_request_is_shown_to_anybody(running: Running) -> None:
    for name in SUCCEEDED | AUTHOR:
        await running.ended(name)
    told = shown(running.world)
    assert "InvalidJob.NotFound: no for ***" in told
    for secret in (ACCESS_KEY_SECRET, ACCESS_KEY_ID, "Signature=", "ACS3-HMAC"):
        assert secret not in told, told[told.index(secret) - 500 : told.index(secret)]
    assert not re.search(r"\b[0-9a-f]{64}\b", told), "the form of a signature"


async def test_a_refused_connection_leaves_no_doubt(cluster: ControlPlane, tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        simulator = stack.enter_context(SimulatorProcess())
        world = stack.enter_context(new_world(cluster, simulator, tmp_path))
        proxy = await stack.enter_async_context(ApiProxy(cluster, world.user))
        gate = proxy.hold(write_of("InFlight", 1))
        world.seed(1)
        world.operator(proxy.kubeconfig, **SETTINGS)
        world.create(1, annotations={RESET_KEY: "t1"})
        await asyncio.wait_for(gate.met.wait(), 30)
        simulator.stop()
        world.create(2, annotations={RESET_KEY: "t1"})
        gate.release()
        for number in (1, 2):
            await world.reason(number, "ServiceUnavailable")
        world.simulator = stack.enter_context(SimulatorProcess(port=urlsplit(simulator.url).port or 0))
        world.simulator.add_credentials([credential(world)])
        world.seed(1, 2)
        for number in (1, 2):
            status = await world.handled(number, timeout=PATIENCE)
            assert (world.resets(number), world.calls(RESET, number)) == (1, 1)
            assert (status["reset"]["phase"], status["reset"].get("message"), truths(status)) == (
                "Succeeded",
                None,
                HEALTHY,
            )
