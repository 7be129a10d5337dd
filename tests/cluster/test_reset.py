"""The main job, end to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
