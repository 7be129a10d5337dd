"""Traces by OpenTelemetry. Without the standard variable for its endpoint, nothing of it is even imported.

A reconcile is a span; the calls to ESA and the reads and writes of the resource are spans within it. Their attributes
are names and codes: no token, no text of an error, no credential, no URL.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from esa_preload_operator.domain.ports import JobStore, ObjectRef
from esa_preload_operator.domain.view import View
from esa_preload_operator.runtime.queue import Work

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

logger = logging.getLogger(__name__)

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_NAME: Final = "esa-preload-operator"
_LAST_EXPORT: Final = 5.0
"""Seconds that the last spans have at the end of the process."""

Observe = Callable[[str, str, float], None]


class NoTraces:
    """Traces nothing and costs nothing: returns what it is given."""

    def observing(self, observe: Observe) -> Observe:
        """Return what observes calls to ESA: it gets action, code and seconds."""
        return observe

    def store(self, store: JobStore) -> JobStore:
        """Return a store whose reads and writes show."""
        return store

    def work(self, work: Work[View]) -> Work[View]:
        """Return a reconcile that shows."""
        return work

    async def close(self) -> None:
        """Export what is left."""


class Traces(NoTraces):
    """Makes spans and exports them from a thread of their own."""

    def __init__(self, provider: "TracerProvider", tracer: "Tracer") -> None:
        self._provider = provider
        self._tracer = tracer

    @contextlib.contextmanager
    def span(self, name: str, attributes: Mapping[str, str]) -> Iterator[None]:
        """Let a span last as long as the block; of an exception it keeps the type alone."""
        with self._tracer.start_as_current_span(
            name, attributes=dict(attributes), record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                raise

    def observing(self, observe: Observe) -> Observe:
        """Make a span of each call once it is over: it is observed in the task, and so in the span, that made it."""

        def called(action: str, code: str, seconds: float) -> None:
            observe(action, code, seconds)
            end = time.time_ns()
            attributes = {"esa.action": action, "esa.code": code} | ({} if code == "OK" else {"error.type": code})
            span = self._tracer.start_span(f"ESA {action}", attributes=attributes, start_time=end - int(seconds * 1e9))
            span.end(end)

        return called

    def store(self, store: JobStore) -> JobStore:
        """Return a store whose reads and writes are spans."""
        return _TracedStore(self, store)

    def work(self, work: Work[View]) -> Work[View]:
        """Return a reconcile that is a span."""

        async def traced(ref: ObjectRef, view: View | None) -> float | None:
            with self.span("reconcile", _attributes(ref)):
                return await work(ref, view)

        return traced

    async def close(self) -> None:
        """Export what is left, if the receiver takes it in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_EXPORT):
                await asyncio.to_thread(self._provider.shutdown)


class _TracedStore:
    def __init__(self, traces: Traces, store: JobStore) -> None:
        self._traces = traces
        self._store = store

    async def read(self, ref: ObjectRef) -> Mapping[str, Any] | None:
        with self._traces.span("read", _attributes(ref)):
            return await self._store.read(ref)

    async def write_status(self, ref: ObjectRef, version: str, status: Mapping[str, Any]) -> Mapping[str, Any]:
        phase = (status.get("reset") or {}).get("phase") or ""
        with self._traces.span("write status", _attributes(ref) | {"esa.reset.phase": phase}):
            return await self._store.write_status(ref, version, status)

    async def write_finalizers(self, ref: ObjectRef, version: str, finalizers: Sequence[str]) -> Mapping[str, Any]:
        with self._traces.span("write finalizers", _attributes(ref)):
            return await self._store.write_finalizers(ref, version, finalizers)


def _attributes(ref: ObjectRef) -> dict[str, str]:
    return {"k8s.namespace.name": ref.namespace, "k8s.resource.name": ref.name}


def open_traces(version: str, environ: Mapping[str, str] = os.environ) -> NoTraces:
    """Return what makes traces if `OTEL_EXPORTER_OTLP_ENDPOINT` is set, and what makes none otherwise.

    The other standard variables count too; they are read by OpenTelemetry itself.
    """
    if not environ.get(ENDPOINT):
        return NoTraces()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - optional
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - the same
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - the same
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - the same
    except ImportError:
        logger.warning("%s is set, but there are no traces without esa-preload-operator[otel]", ENDPOINT)
        return NoTraces()
    resource = Resource.create({"service.name": environ.get("OTEL_SERVICE_NAME") or _NAME, "service.version": version})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Traces(provider, provider.get_tracer(_NAME, version))
