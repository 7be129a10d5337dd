"""RESET_CONFIRMATION=nonce, where progress proves nothing: the same signed request tells what became of the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.calls import RESET
from support.crashes import PATIENCE, SETTINGS, metric

if TYPE_CHECKING:
    from support.world import Status, World

NONCE = SETTINGS | {"RESET_CONFIRMATION": "nonce"}
UNDECIDABLE = "esa_operator_resets_undecidable_total"


def resets(world: World) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = world.simulator.calls(RESET, job_id=world.esa_id())
    return calls


async def test_a_lost_answer_is_confirmed_by_nonce_and_the_job_is_reset_once(world: World) -> None:
    world.seed(1, urlSubmitted=0)
    world.fault("drop_after", action=RESET, job_id=world.esa_id())
    world.create()
    operator = world.operator(None, **NONCE).wait_to_lead()
    world.annotate()
    status = await world.handled(timeout=PATIENCE)

    assert world.resets() == 1
    assert [call["outcome"] for call in resets(world)] == ["ConnectionCut", "SignatureNonceUsed"]
    assert (status["reset"]["phase"], status["reset"]["attempts"]) == ("Succeeded", 2)
    assert status["reset"]["message"].startswith("confirmed by nonce")
    assert "signing" not in status["reset"]
    assert status["lastResetTime"]
    assert world.condition()["status"] == "True"
    event = (await world.until(lambda: world.events("ResetConfirmed")))[0]
    assert "confirmed by nonce" in event["note"]
    assert metric(operator, UNDECIDABLE) == 0


async def test_a_call_that_did_not_arrive_is_made_by_the_same_request(world: World) -> None:
    world.seed(1, urlSubmitted=0)
    world.fault("drop_before", action=RESET, job_id=world.esa_id())
    world.create()
    operator = world.operator(None, **NONCE).wait_to_lead()
    world.annotate()
    status = await world.handled(timeout=PATIENCE)

    assert world.resets() == 1
    first, second = resets(world)
    assert first["nonce"] == second["nonce"]
    assert status["reset"]["phase"] == "Succeeded"
    assert metric(operator, UNDECIDABLE) == 0


async def in_flight(world: World, **settings: str) -> Status:
    """Kill an operator whose call was executed before it got the answer; return what it had written."""
    rule = world.fault("hang", action=RESET, job_id=world.esa_id(), when="after")
    operator = world.operator(None, **settings).wait_to_lead()
    world.annotate()
    await world.until(world.resets, PATIENCE)
    status = world.status()
    operator.kill()
    world.simulator.clear_faults(rule, abandon=True)
    return status


async def test_a_successor_sends_the_request_that_the_status_names(world: World) -> None:
    world.seed(1, urlSubmitted=0)
    world.create()
    named = (await in_flight(world, **NONCE))["reset"]["signing"]
    operator = world.operator(None, **NONCE)
    status = await world.handled(timeout=PATIENCE)

    assert world.resets() == 1
    assert [call["nonce"] for call in resets(world)] == [named["nonce"]] * 2
    assert status["reset"]["message"].startswith("confirmed by nonce")
    assert metric(operator, UNDECIDABLE) == 0
    assert world.access_key_id not in str(named)
    assert set(named) == {"nonce", "date", "signer"}


async def test_with_another_key_the_call_is_made_anew_and_the_status_says_so(world: World) -> None:
    world.seed(1, urlSubmitted=0)
    world.create()
    await in_flight(world, **NONCE)
    world.access_key_id += "b"
    new = {"accessKeyId": world.access_key_id, "accessKeySecret": world.access_key_secret, "aliUid": world.account}
    world.simulator.add_credentials([new])
    operator = world.operator(None, **NONCE)
    status = await world.handled(timeout=PATIENCE)

    assert world.resets() == 2
    assert len({call["nonce"] for call in resets(world)}) == 2
    assert "called again" in status["reset"]["message"]
    assert metric(operator, UNDECIDABLE) == 1


@pytest.mark.parametrize("confirmation", ["progress", "none"])
async def test_without_the_setting_no_intent_names_a_nonce(world: World, confirmation: str) -> None:
    world.seed(1)
    world.create()
    status = await in_flight(world, **SETTINGS, RESET_CONFIRMATION=confirmation)
    assert status["reset"]["phase"] == "InFlight"
    assert "signing" not in status["reset"]
