"""One job, one resource; and what the operator makes of a CRD or an object that is not as it should be."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from esa_preload_operator.resources.crd import crd_yaml
from esa_preload_operator.resources.job import API_VERSION, KIND, RESET_KEY
from support.api import jobs_path
from support.api_proxy import ApiProxy, Match
from support.calls import RESET, calls, lonely

if TYPE_CHECKING:
    from support.world import World

ARCHIVE = Match("GET", "/scheduledpreloadjobs$", watch=True)


def claim(world: World, number: int, about: int, token: str | None = None) -> None:
    """Make resource `number` about the job of another one."""
    world.create(number, jobId=world.esa_id(about), annotations={RESET_KEY: token} if token else {})


def delete(world: World, number: int) -> None:
    assert world.api.call("DELETE", jobs_path(world.namespace, f"j{number}")).status == 200


async def next_second(world: World, number: int) -> None:
    """Wait until a new resource would be younger than an existing one: ages are whole seconds."""
    made = world.get(number)["metadata"]["creationTimestamp"]

    def look() -> bool:
        probe = world.api.call("POST", jobs_path(world.namespace) + "?dryRun=All", probe_body)
        return bool(probe.body["metadata"]["creationTimestamp"] > made)

    probe_body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "probe"}, "spec": {"jobId": "x"}}
    await world.until(look)


async def test_the_older_resource_acts_and_the_younger_ones_take_over_by_age(world: World) -> None:
    world.seed(1)
    operator = lonely(world)
    world.create(1)
    for number in (2, 3):
        await next_second(world, number - 1)
        claim(world, number, about=1, token="mine")
    for number in (2, 3):
        condition = await world.reason(number, "JobClaimed")
        assert "belongs to an older resource" in condition["message"]
        assert world.namespace not in condition["message"]
        assert world.condition(number, "Stalled")["status"] == "True"
    world.annotate(1, "first")
    await world.handled(1, "first")
    assert world.resets(1) == 1
    assert len(world.events("JobClaimed")) == 2
    delete(world, 1)
    await world.handled(2, "mine")
    assert world.resets(1) == 2
    assert world.condition(3)["reason"] == "JobClaimed"
    assert world.status(3).get("handledResets", {}) == {}
    delete(world, 2)
    await world.handled(3, "mine")
    assert world.resets(1) == 3
    assert "Traceback" not in operator.log


@pytest.mark.parametrize("older", [1, 2])
async def test_who_is_older_counts_and_not_who_is_listed_first(world: World, older: int) -> None:
    younger = 3 - older
    world.seed(1)
    claim(world, older, about=1, token="older")
    await next_second(world, older)
    claim(world, younger, about=1, token="younger")
    lonely(world)
    await world.handled(older, "older")
    await world.reason(younger, "JobClaimed")
    assert world.resets(1) == 1
    assert world.status(younger).get("handledResets", {}) == {}


async def test_a_deletion_that_the_watch_has_missed_hands_the_job_over(world: World) -> None:
    world.seed(1)
    world.create(1)
    await next_second(world, 1)
    claim(world, 2, about=1, token="mine")
    async with ApiProxy(world.control_plane, user=world.user) as proxy:
        world.operator(proxy.kubeconfig, LEADER_ELECTION="false")
        await world.reason(1, "Ready")
        await world.reason(2, "JobClaimed")
        proxy.blackhole(True)
        delete(world, 1)
        proxy.gone(ARCHIVE)
        proxy.cut_watches()
        proxy.blackhole(False)
        await world.handled(2, "mine")
    assert world.resets(1) == 1


async def test_before_the_operator_acts_the_status_says_pending_and_kubectl_can_wait_for_it(world: World) -> None:
    world.seed(1)
    world.create(1)
    assert (world.condition(1)["status"], world.condition(1)["reason"]) == ("Unknown", "Pending")
    assert world.condition(1, "Reconciling")["status"] == "True"

    def wait_for(what: str) -> str:
        arguments = ("wait", f"--for={what}", "spj/j1", f"--namespace={world.namespace}", "--timeout=30s")
        return world.control_plane.kubectl(*arguments)

    waiting = asyncio.create_task(asyncio.to_thread(wait_for, "condition=Ready"))
    lonely(world)
    assert "condition met" in await waiting
    token = "deploy-4711"
    asking = asyncio.create_task(
        asyncio.to_thread(wait_for, f"jsonpath={{.status.handledResets.resetRequested}}={token}")
    )
    world.annotate(1, token)
    assert "condition met" in await asking
    assert world.status(1)["reset"]["phase"] == "Succeeded"
    assert world.resets(1) == 1


def shipped() -> Any:
    return yaml.safe_load(crd_yaml())


def parts(crd: Any) -> Any:
    return crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]


async def install(world: World, crd: Any, accepted: dict[str, Any], *, keeps: bool) -> None:
    """Apply a CRD and wait until the API server goes by it: until it keeps or drops what is in `accepted`."""
    world.control_plane.kubectl("apply", "--filename=-", input=yaml.safe_dump(crd))

    def look() -> bool:
        body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "probe"}, "spec": {"jobId": "x"}}
        reply = world.api.call("POST", jobs_path(world.namespace) + "?dryRun=All", body | accepted)
        return (reply.status == 201) == keeps

    await world.until(look)


async def test_a_crd_that_drops_the_intent_stops_all_calls_until_the_right_one_is_there(own_world: World) -> None:
    world = own_world
    old = shipped()
    reset = parts(old)["status"]["properties"]["reset"]["properties"]
    del reset["owner"]
    world.seed(1)
    world.create(1)
    world.control_plane.kubectl("apply", "--filename=-", input=yaml.safe_dump(old))

    def drops() -> bool:
        world.patch(1, {"status": {"reset": {"owner": "probe"}}}, "/status")
        return "owner" not in world.status(1).get("reset", {})

    await world.until(drops)
    world.patch(1, {"status": {"reset": None}}, "/status")
    lonely(world)
    world.annotate(1, "first")
    condition = await world.reason(1, "CRDOutdated")
    assert "install the CRD" in condition["message"]
    assert world.condition(1, "Stalled")["status"] == "True"
    assert calls(world, RESET) == []
    world.api.install_crd()
    await world.handled(1, "first", timeout=60)
    assert len(calls(world, RESET)) == world.resets(1) == 1
    assert world.condition(1)["reason"] == "Ready"
    assert world.condition(1, "Stalled")["status"] == "False"


async def test_an_object_that_cannot_be_read_is_stalled_and_the_others_go_on(own_world: World) -> None:
    world = own_world
    loose = shipped()
    parts(loose)["spec"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    await install(world, loose, {"spec": {"jobId": 7}}, keeps=True)
    bad: dict[int, tuple[dict[str, Any], str]] = {
        2: ({}, "spec.jobId"),
        3: ({"jobId": 7}, "spec.jobId"),
        4: ({"jobId": world.esa_id(1), "credentialsSecretRef": {}}, "spec.credentialsSecretRef.name"),
        5: ({"jobId": world.esa_id(1), "minResetInterval": 5}, "spec.minResetInterval"),
    }
    world.seed(1)
    for number, (spec, _) in bad.items():
        body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": f"j{number}"}, "spec": spec}
        body["metadata"] = {"name": f"j{number}", "annotations": {RESET_KEY: "bad"}}
        assert world.api.call("POST", jobs_path(world.namespace), body).status == 201
    world.create(1, annotations={RESET_KEY: "good"})
    operator = lonely(world)
    await world.handled(1, "good")
    for number, (_, field) in bad.items():
        condition = await world.reason(number, "InvalidSpec")
        assert field in condition["message"]
        assert world.condition(number, "Stalled")["status"] == "True"
    assert world.resets(1) == 1
    assert "Traceback" not in operator.log
    delete(world, 1)
    world.patch(4, {"spec": {"credentialsSecretRef": None}})
    await world.handled(4, "bad")
    assert world.resets(1) == 2
