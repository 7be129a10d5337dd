"""The dashboard and the alerts against a live /metrics."""

from __future__ import annotations

import asyncio
import urllib.request
from typing import TYPE_CHECKING

from support.calls import lonely
from support.queries import exported, unanswerable

if TYPE_CHECKING:
    from support.world import World


def read_metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
        return text


async def test_every_query_is_answered_by_a_running_operator(world: World) -> None:
    world.seed(1)
    world.create(1)
    operator = lonely(world)
    _, port = operator.ports()
    before = await asyncio.to_thread(read_metrics, port)
    # What an alert counts is there from the start, or its first rise would not be seen.
    for sample in (
        "reconcile_total",
        "resets_total",
        "resets_undecidable_total",
        "scheduled_resets_skipped_total",
        "windows",
        "retired_jobs",
        "leader",
    ):
        assert f"esa_operator_{sample}" in exported(before), sample
    assert 'esa_operator_resets_total{outcome="Failed",trigger="Annotation"} 0.0' in before
    world.annotate(1, "t1")
    await world.handled(1, "t1")
    after = await asyncio.to_thread(read_metrics, port)
    assert unanswerable(after) == []
    assert 'esa_operator_resets_total{outcome="Succeeded",trigger="Annotation"} 1.0' in after
    assert 'esa_operator_esa_requests_total{action="ResetScheduledPreloadJob",code="OK"} 1.0' in after
