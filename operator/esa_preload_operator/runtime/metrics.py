"""What /metrics tells. Names are part of the interface; label values are bounded."""

import platform
import time
from collections import Counter as Bag
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from esa_preload_operator.domain.errors import Reason
from esa_preload_operator.domain.reset_writes import SCHEDULED, TRIGGER
from esa_preload_operator.domain.values import Phase
from esa_preload_operator.runtime.queue import QueueMetrics
from esa_preload_operator.services.counting import CREATE_REFUSED, CREATED, REPLACED, WINDOW_STATES, Tally
from esa_preload_operator.services.writer import UNPROVEN

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
RESULTS: Final = ("success", "retry", "error")
OUTCOMES: Final = (Phase.SUCCEEDED, "Confirmed", Phase.FAILED, Phase.WITHDRAWN, Phase.REPLACED, Reason.STALE_TOKEN)
CREATES: Final = (CREATED, REPLACED, CREATE_REFUSED)
_KNOWN_CODES: Final = 100
"""Different error codes that get a label of their own; ESA may invent more, they count as `other`."""


class Metrics(QueueMetrics):
    """All metrics of the process, in a registry of their own."""

    def __init__(self, version: str) -> None:
        # They would double the series of each counter and tell nothing.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # published without this type
        self.registry: Final = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        info = Info("esa_operator_build", "Version of the operator and of Python.", registry=self.registry)
        info.info({"version": version, "python": platform.python_version()})
        self._codes: set[str] = set()
        self._reconciles = self._counter("reconcile", "Reconciles by result.", "result")
        self._reconcile_seconds = self._histogram("reconcile_duration_seconds", "Seconds of one reconcile.", "result")
        self._adds = self._counter("workqueue_adds", "Resources that were put into the queue.")
        self._wait_seconds = self._histogram("workqueue_queue_duration_seconds", "Seconds that a resource waited.")
        self._retries = self._counter("workqueue_retries", "Resources that came back after a failure.")
        self._requests = self._counter(
            "esa_requests", "Calls to ESA, and for credentials of a role, by action and code.", "action", "code"
        )
        self._request_seconds = self._histogram("esa_request_duration_seconds", "Seconds of one call to ESA.", "action")
        self._resets = self._counter("resets", "Resets that ended, by outcome and trigger.", "outcome", "trigger")
        self._undecidable = self._counter(
            "resets_undecidable", "Calls that were repeated because nothing proved the first one.", "why"
        )
        self._creates = self._counter("creates", "Creates of ESA jobs that ended, by outcome.", "outcome")
        self._surplus = self._counter("surplus_jobs", "ESA jobs that a list showed beyond the recorded one.")
        self._retired_deleted = self._counter("retired_jobs_deleted", "ESA jobs that were deleted for another one.")
        self._skipped = self._counter("scheduled_resets_skipped", "Scheduled resets that were not made.")
        self._events_dropped = self._counter("events_dropped", "Events that were not posted, beyond the limits.")
        self._leader = self._gauge("leader", "1 while this process leads.")
        self._watch = self._gauge("watch_last_seen_timestamp_seconds", "When the watch showed life last.")
        self._denied = self._gauge(
            "watch_denied", "1 while the operator may not watch a namespace; * is all.", "watched_namespace"
        )
        self._jobs = self._gauge("jobs", "Resources by the reason of their condition Ready.", "reason")
        self._unready = self._gauge(
            "longest_unready_seconds", "Seconds since when a resource is not ready; of several the longest.", "reason"
        )
        self._windows = self._gauge("windows", "Windows by state.", "state")
        self._retired = self._gauge("retired_jobs", "ESA jobs that are to be deleted.")
        self._deleting = self._gauge("resources_deleting", "Deleted resources whose ESA jobs are not deleted yet.")
        self._tallies: Callable[[], Iterable[Tally]] = tuple
        self._start_at_zero()

    def _start_at_zero(self) -> None:
        """Show what alerts wait for before it happens: to Prometheus a series that appears has not risen."""
        for result in RESULTS:
            self._reconciles.labels(result)
        for outcome in OUTCOMES:
            for trigger in (TRIGGER, SCHEDULED):
                self._resets.labels(outcome, trigger)
        for outcome in CREATES:
            self._creates.labels(outcome)
        self._undecidable.labels(UNPROVEN)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"esa_operator_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"esa_operator_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"esa_operator_{name}", text, labels, buckets=_SECONDS, registry=self.registry)

    def watch_gauges(
        self,
        *,
        depth: Callable[[], float],
        unfinished: Callable[[], float],
        longest: Callable[[], float],
        resources: Callable[[], float],
        tallies: Callable[[], Iterable[Tally]],
    ) -> None:
        """Let /metrics ask the queue and the records when it is read."""
        self._gauge("workqueue_depth", "Resources that wait for a worker.").set_function(depth)
        self._gauge("workqueue_unfinished_work_seconds", "Seconds of all running reconciles.").set_function(unfinished)
        self._gauge("workqueue_longest_running_processor_seconds", "Seconds of the slowest one.").set_function(longest)
        self._gauge("resources", "Resources that are known.").set_function(resources)
        self._tallies = tallies

    def _count_resources(self) -> None:
        """Set what is counted over all resources; a reason that none has any more is gone."""
        now = time.time()
        reasons, states, unready = Bag[str](), Bag(dict.fromkeys(WINDOW_STATES, 0)), dict[str, float]()
        retired = deleting = 0
        for tally in self._tallies():
            reasons[tally.reason] += 1
            states.update(tally.windows)
            retired += tally.retired
            deleting += tally.deleting
            since = now if tally.unready_since is None else tally.unready_since
            unready[tally.reason] = max(unready.get(tally.reason, 0.0), now - since)
        for gauge, values in ((self._jobs, reasons), (self._windows, states), (self._unready, unready)):
            gauge.clear()
            for label, value in values.items():
                gauge.labels(label).set(value)
        self._retired.set(retired)
        self._deleting.set(deleting)

    def added(self) -> None:
        """Count a resource that was put into the queue."""
        self._adds.inc()

    def waited(self, seconds: float) -> None:
        """Observe a wait in the queue."""
        self._wait_seconds.observe(seconds)

    def worked(self, seconds: float, result: str) -> None:
        """Count and observe a reconcile."""
        self._reconciles.labels(result).inc()
        self._reconcile_seconds.labels(result).observe(seconds)

    def retried(self) -> None:
        """Count a resource that is tried again after a failure."""
        self._retries.inc()

    def called(self, action: str, code: str, seconds: float) -> None:
        """Count a call to ESA; `code` is OK or ESA's error code."""
        if code not in self._codes and len(self._codes) >= _KNOWN_CODES:
            code = "other"
        self._codes.add(code)
        self._requests.labels(action, code).inc()
        self._request_seconds.labels(action).observe(seconds)

    def reset_ended(self, outcome: str, trigger: str) -> None:
        """Count a reset that ended."""
        self._resets.labels(outcome, trigger).inc()

    def reset_undecidable(self, why: str) -> None:
        """Count a call that might be a second reset."""
        self._undecidable.labels(why).inc()

    def create_ended(self, outcome: str) -> None:
        """Count a create that ended: Created, Replaced or Refused."""
        self._creates.labels(outcome).inc()

    def surplus_found(self, number: int) -> None:
        """Count jobs that a list showed beyond the recorded one."""
        self._surplus.inc(number)

    def retired_deleted(self, number: int) -> None:
        """Count jobs that were deleted because another one has taken their place."""
        self._retired_deleted.inc(number)

    def schedule_skipped(self, number: int) -> None:
        """Count scheduled resets that were not made."""
        self._skipped.inc(number)

    def event_dropped(self) -> None:
        """Count an Event that was not posted, because there were too many."""
        self._events_dropped.inc()

    def leads(self, *, leading: bool) -> None:
        """Tell whether this process leads."""
        self._leader.set(1 if leading else 0)

    def watch_seen(self, epoch: float) -> None:
        """Tell when the watch showed life last."""
        self._watch.set(epoch)

    def watch_denied(self, namespace: str, *, denied: bool) -> None:
        """Tell whether the operator may not watch a namespace that it was told to watch."""
        self._denied.labels(namespace).set(1 if denied else 0)

    def text(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        self._count_resources()
        return generate_latest(self.registry)
