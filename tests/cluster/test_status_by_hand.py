"""Statuses, CRDs and tokens that nobody expects: each leads to at most one reset, and nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from esa_preload_operator.resources.crd import crd_yaml
from esa_preload_operator.resources.job import API_VERSION, KIND, RESET_KEY
from support.calls import RESET

if TYPE_CHECKING:
    from support.world import World

ALONE = {"LEADER_ELECTION": "false"}


async def install(world: World, change: Any) -> None:
    """Install a changed CRD and wait until the API server goes by it."""
    crd = yaml.safe_load(crd_yaml())
    properties = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    change(properties)
    world.control_plane.kubectl("apply", "--filename=-", input=yaml.safe_dump(crd))
    wanted = set(properties.get("properties", {}))

    def served() -> bool:
        reply = world.api.call("GET", f"/openapi/v3/apis/{API_VERSION}")
        if reply.status != 200 or not reply.body:  # while the API server makes the document anew
            return False
        schemas = reply.body["components"]["schemas"].values()
        found = [each["properties"]["status"].get("properties", {}) for each in schemas if _is_job(each)]
        return any(set(each) == wanted for each in found)

    await world.until(served)


def _is_job(schema: dict[str, Any]) -> bool:
    kinds = schema.get("x-kubernetes-group-version-kind", ())
    return any(kind["kind"] == KIND for kind in kinds) and "status" in schema.get("properties", {})


@pytest.mark.parametrize("field", ["handledResets", "handledTimes", "lastResetTime"])
async def test_a_crd_that_lacks_what_is_relied_on_leads_to_no_call_until_it_is_replaced(
    own_world: World, field: str
) -> None:
    world = own_world
    await install(world, lambda status: status["properties"].pop(field))
    world.seed(1)
    world.create(1, annotations={RESET_KEY: "t1"})
    world.operator(None, **ALONE).wait_to_lead()
    condition = await world.reason(1, "CRDOutdated")
    assert f"status.{field}" in condition["message"]
    assert world.condition(1, "Stalled")["status"] == "True"
    assert world.calls(RESET, 1) == 0
    world.api.install_crd()
    await world.until(lambda: world.status(1).get("handledResets", {}).get(RESET_KEY) == "t1", timeout=90)
    assert world.calls(RESET, 1) == world.resets(1) == 1
    await world.reason(1, "Ready")


async def test_a_crd_that_forgets_outcomes_while_the_operator_runs_leads_to_one_reset(own_world: World) -> None:
    world = own_world
    world.seed(1)
    world.create(1)
    world.operator(None, **ALONE).wait_to_lead()
    await world.reason(1, "Ready")
    await install(world, lambda status: status["properties"].pop("handledResets"))
    world.annotate(1, "t1")
    await world.reason(1, "CRDOutdated", timeout=90)
    world.annotate(1, "t2")
    await world.until(lambda: world.condition(1, "Stalled").get("status") == "True")
    assert world.calls(RESET, 1) <= 1


async def test_a_status_that_cannot_be_read_is_named_and_nothing_of_it_is_lost(own_world: World) -> None:
    world = own_world
    await install(world, lambda status: (status.pop("properties"), status.update(LOOSE)))
    world.seed(1, 2)
    world.create(1, annotations={RESET_KEY: "t1"})
    world.create(2, annotations={RESET_KEY: "t1"})
    reset = {
        "phase": "Succeeded",
        "jobId": world.esa_id(1),
        "tokens": {RESET_KEY: "t1"},
        "trigger": None,
        "attempts": "x",
    }
    by_hand = {"handledResets": {RESET_KEY: "t1"}, "reset": reset, "fromTheFuture": {"kept": True}}
    world.patch(1, {"status": by_hand}, "/status")
    world.operator(None, **ALONE).wait_to_lead()
    await world.handled(2, "t1")
    condition = await world.reason(1, "StatusUnreadable")
    assert "status.reset.attempts" in condition["message"]
    world.annotate(1, "t2")
    await world.handled(2, "t1")
    status = world.status(1)
    assert {key: status[key] for key in ("handledResets", "fromTheFuture")} == {
        key: by_hand[key] for key in ("handledResets", "fromTheFuture")
    }
    assert status["reset"]["attempts"] == "x"
    assert world.calls(RESET, 1) == 0
    world.patch(1, {"status": {"reset": None}}, "/status")
    assert (await world.handled(1, "t2"))["fromTheFuture"] == {"kept": True}
    assert world.resets(1) == 1


LOOSE = {"x-kubernetes-preserve-unknown-fields": True}


async def test_a_time_far_in_the_future_stops_neither_its_resource_nor_another(own_world: World) -> None:
    world = own_world
    world.seed(1, 2)
    world.create(1, minResetInterval="1h")
    world.create(2)
    world.patch(1, {"status": {"lastResetTime": "9999-12-31T23:59:59Z", "conditions": READY}}, "/status")
    world.annotate(1, "t1")
    operator = world.operator(None, **ALONE).wait_to_lead()
    await world.reason(1, "Held")
    world.annotate(2, "t1")
    await world.handled(2, "t1")
    assert "Traceback" not in operator.log


READY = [
    {"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
]


async def test_a_time_that_comes_again_after_a_newer_one_is_recorded_without_a_reset(world: World) -> None:
    world.seed(1)
    world.create(1)
    world.operator(None, **ALONE).wait_to_lead()
    first, second = "2100-01-01T00:00:00Z", "2100-01-01T00:01:00Z"
    for token, resets in ((first, 1), (second, 2), (first, 2), (second, 2), ("a word", 3), (second, 3)):
        world.annotate(1, token)
        await world.handled(1, token)
        assert world.resets(1) == resets, token


async def test_where_nothing_had_been_submitted_lost_answers_cost_two_calls(world: World) -> None:
    world.seed(1, urlSubmitted=0, taskSubmitted=0)
    world.create(1, annotations={RESET_KEY: "t1"})
    world.fault("drop_after", action=RESET, job_id=world.esa_id(1), times=None)
    world.operator(None, **ALONE).wait_to_lead()
    status = await world.handled(1, "t1", timeout=60)
    assert status["reset"]["phase"] == "Succeeded"
    assert "every URL is submitted after the request" in status["reset"]["message"]
    assert world.calls(RESET, 1) == 2
    await world.until(lambda: world.events("ResetConfirmed"))
    await world.reason(1, "Ready")


async def test_answers_that_prove_nothing_are_told_and_not_followed_by_calls_at_speed(world: World) -> None:
    world.seed(1)
    world.create(1, annotations={RESET_KEY: "t1"})
    world.fault("refuse", action=RESET, job_id=world.esa_id(1), times=None, status=502, code="")
    world.operator(None, **ALONE).wait_to_lead()
    condition = await world.reason(1, "OutcomeUnknown", timeout=60)
    assert condition["status"] == "False"
    assert "502" in condition["message"]
    await world.until(lambda: world.events("OutcomeUnknown"))
    assert world.calls(RESET, 1) == 2
    assert world.status(1)["reset"]["phase"] == "InFlight"
