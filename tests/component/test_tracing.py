"""Traces leave over OTLP when the standard variable says so; otherwise nothing of it is there."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from esa_preload_operator.domain.errors import VersionConflictError
from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.domain.view import View
from esa_preload_operator.runtime.tracing import ENDPOINT, NoTraces, Traces, open_traces
from support.otlp import attributes, receiver

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from support.otlp import Receiver

REF = ObjectRef("web", "nightly")
SEEN = View(uid="u", version=7, job_id="665d")


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiver() as made:
        monkeypatch.setenv(ENDPOINT, made.url)
        yield made


class Refusing:
    """A store that refuses all writes."""

    async def read(self, ref: ObjectRef) -> Mapping[str, object] | None:
        assert ref == REF
        return None

    async def write_status(self, ref: ObjectRef, version: str, status: Mapping[str, object]) -> Mapping[str, object]:
        raise VersionConflictError(f"{ref}: secret {version} {status}")

    async def write_finalizers(self, ref: ObjectRef, version: str, finalizers: Sequence[str]) -> Mapping[str, object]:
        raise VersionConflictError(f"{ref}: secret {version} {finalizers}")


async def test_calls_reads_and_writes_are_spans_within_their_reconcile(collector: Receiver) -> None:
    traces = open_traces("1.2.3")
    seen: list[tuple[str, str, float]] = []
    observe = traces.observing(lambda action, code, seconds: seen.append((action, code, seconds)))
    store = traces.store(Refusing())

    async def work(ref: ObjectRef, view: View | None) -> float | None:
        assert view is SEEN
        assert await store.read(ref) is None
        observe("GetScheduledPreloadJob", "OK", 0.5)
        observe("ResetScheduledPreloadJob", "Throttling.User", 0.1)
        return 4.5

    assert await traces.work(work)(REF, SEEN) == 4.5
    assert [call[:2] for call in seen] == [
        ("GetScheduledPreloadJob", "OK"),
        ("ResetScheduledPreloadJob", "Throttling.User"),
    ]
    await traces.close()
    (reconcile,) = collector.named("reconcile")
    assert attributes(reconcile) == {"k8s.namespace.name": "web", "k8s.resource.name": "nightly"}
    inner = {span.name: span for span in collector.spans if span.name != "reconcile"}
    assert set(inner) == {"read", "ESA GetScheduledPreloadJob", "ESA ResetScheduledPreloadJob"}
    for span in inner.values():
        assert span.parent_span_id == reconcile.span_id
        assert span.trace_id == reconcile.trace_id
    call = inner["ESA GetScheduledPreloadJob"]
    assert attributes(call) == {"esa.action": "GetScheduledPreloadJob", "esa.code": "OK"}
    assert call.end_time_unix_nano - call.start_time_unix_nano == 500_000_000
    assert attributes(inner["ESA ResetScheduledPreloadJob"])["error.type"] == "Throttling.User"
    (service,) = {
        pair.value.string_value
        for request in collector.requests
        for each in request.resource_spans
        for pair in each.resource.attributes
        if pair.key == "service.name"
    }
    assert service == "esa-preload-operator"


async def test_of_an_error_the_type_leaves_and_never_the_text(collector: Receiver) -> None:
    traces = open_traces("1.2.3")

    async def work(ref: ObjectRef, view: View | None) -> float | None:
        del ref, view
        raise VersionConflictError("a secret text")

    with pytest.raises(VersionConflictError, match="a secret text"):
        await traces.work(work)(REF, None)
    await traces.close()
    (reconcile,) = collector.named("reconcile")
    assert attributes(reconcile)["error.type"] == "VersionConflictError"
    assert not reconcile.events
    assert not any(b"secret" in body for body in collector.bodies)


async def test_a_receiver_that_is_away_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    traces = open_traces("1")

    async def work(ref: ObjectRef, view: View | None) -> float | None:
        del ref, view
        return None

    assert await traces.work(work)(REF, None) is None
    await traces.close()


def test_without_the_variable_there_is_nothing_in_the_way() -> None:
    traces = open_traces("1", {})
    observe, store, work = (lambda *_: None), Refusing(), NoTraces.close
    assert not isinstance(traces, Traces)
    assert traces.observing(observe) is observe
    assert traces.store(store) is store
    assert traces.work(work) is work  # type: ignore[arg-type, comparison-overlap]


def test_without_the_variable_nothing_of_it_is_imported() -> None:
    code = (
        "import sys; import esa_preload_operator.handlers.watch; from esa_preload_operator.runtime.tracing import *; "
        "open_traces('1', {}); print(sorted(name for name in sys.modules if name.startswith('opentelemetry')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_without_the_extra_a_warning_says_so(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    traces = open_traces("1", {ENDPOINT: "http://collector:4318"})
    assert type(traces) is NoTraces
    assert "esa-preload-operator[otel]" in caplog.text
    assert "collector" not in caplog.text
