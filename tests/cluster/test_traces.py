"""The operator as a process that exports traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.otlp import attributes, receiver

if TYPE_CHECKING:
    import pytest

    from support.world import World


async def test_a_reset_can_be_followed_from_the_reconcile_to_the_call(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        world.seed(1)
        world.create(1)
        operator = world.operator(LEADER_ELECTION="false").wait_to_lead()
        await world.reason(1, "Ready")
        world.annotate(1, "token-of-the-request")
        await world.handled(1, "token-of-the-request")
        operator.terminate()
        assert operator.wait() == 0
    (call,) = collector.named("ESA ResetScheduledPreloadJob")
    assert attributes(call)["esa.code"] == "OK"
    trace = [span for span in collector.spans if span.trace_id == call.trace_id]
    parent = next(span for span in trace if span.span_id == call.parent_span_id)
    assert parent.name == "reconcile"
    assert attributes(parent) == {"k8s.namespace.name": world.namespace, "k8s.resource.name": "j1"}
    phases = [attributes(span)["esa.reset.phase"] for span in trace if span.name == "write status"]
    assert phases == ["InFlight", "Succeeded"]
    shown = {value for span in collector.spans for value in attributes(span).values()}
    for secret in (world.access_key_secret, world.access_key_id, "token-of-the-request", world.esa_id(1)):
        assert not any(secret in value for value in shown), secret
    assert not any(b"Signature" in body or b"token-of" in body for body in collector.bodies)
