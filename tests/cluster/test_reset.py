"""The main job, end to end."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from support.api_proxy import ApiProxy, Match

if TYPE_CHECKING:
    from support.world import World


async def test_an_annotation_leads_to_one_reset_and_the_answer_stands_in_the_status(world: World) -> None:
    world.seed(1, errorInfo="invalid domain:test.com", failedFileOss="https://b.oss.example.com/f?Signature=secret")
    world.create(1)
    world.operator().wait_to_lead()
    world.annotate(1, "deploy-4711")
    status = await world.handled(1, "deploy-4711")
    assert world.resets() == 1
    assert status["reset"]["phase"] == "Succeeded"
    assert status["reset"]["submittedBefore"] == 5
    assert (status["urlCount"], status["urlSubmitted"], status["taskSubmitted"]) == (10, 0, 0)
    assert status["errorInfo"] == "invalid domain:test.com"
    assert status["failedFileOss"] == "https://b.oss.example.com/f"
    assert world.condition(1, "UrlsAccepted")["reason"] == "InvalidDomain"
    assert world.condition(1, "Ready")["status"] == "True"
    await world.until(lambda: len(world.events("ResetSucceeded")) == 1)


async def test_an_event_that_is_not_posted_yet_delays_no_reset_and_is_posted_before_the_process_ends(
    world: World,
) -> None:
    world.seed(1, 2)
    world.create(1)
    world.create(2)
    async with ApiProxy(world.control_plane, user=world.user) as proxy:
        gate = proxy.hold(Match("POST", "/events$"))
        operator = world.operator(proxy.kubeconfig, WORKERS="1")
        await asyncio.to_thread(operator.wait_to_lead)
        world.annotate(1, "first")
        await gate.met.wait()
        world.annotate(2, "second")
        await world.handled(2, "second")
        operator.terminate()
        await proxy.until(lambda: any(_releases(each.body) for each in proxy.requests(Match("PATCH", "/leases/"))))
        gate.release()
        assert await asyncio.to_thread(operator.wait) == 0
    assert (world.resets(1), world.resets(2)) == (1, 1)
    assert len(world.events("ResetSucceeded")) == 2


def _releases(lease: Any) -> bool:
    """Whether a write to the lease lets a successor in, which is the last thing but the Events that a process does."""
    return '"holderIdentity": ""' in json.dumps(lease)
