"""What a Prometheus reads: every metric, named as Prometheus' own rules want it."""

from __future__ import annotations

import ast
import inspect
import re
import time
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from esa_preload_operator.runtime import metrics as metrics_module
from esa_preload_operator.runtime.metrics import Metrics
from esa_preload_operator.services.counting import Tally

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

PREFIX = "esa_operator_"
BUILD = PREFIX + "build_info"
# See Prometheus, "Metric and label naming": base units only.
OTHER_UNITS = r"_(milliseconds|ms|minutes|hours|days|percent|kilobytes|megabytes|bits)(_|$)"
TALLIES = [
    Tally(),
    Tally("Creating", unready_since=time.time() - 60),
    Tally("Creating", unready_since=time.time() - 600, windows=("running", "running", "Refused"), retired=2),
    Tally(deleting=True),
]
RESERVED_ENDS = ("_sum", "_count", "_bucket", "_total", "_info")


@pytest.fixture
def live() -> Metrics:
    """Metrics after a life in which everything happened."""
    made = Metrics("1.2.3")
    made.watch_gauges(
        depth=lambda: 1, unfinished=lambda: 2.5, longest=lambda: 1.5, resources=lambda: 7, tallies=lambda: TALLIES
    )
    made.added()
    made.waited(0.1)
    made.worked(0.2, "success")
    made.retried()
    made.called("GetScheduledPreloadJob", "OK", 0.1)
    made.reset_ended("Succeeded", "Annotation")
    made.reset_undecidable("progress proves nothing")
    made.create_ended("Created")
    made.surplus_found(2)
    made.retired_deleted(3)
    made.schedule_skipped(4)
    made.leads(leading=True)
    made.watch_seen(1.0)
    made.watch_denied("team", denied=True)
    return made


def families(metrics: Metrics) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(metrics.text().decode())}


def named_in_the_source() -> set[str]:
    """First arguments of the methods that make metrics."""
    tree = ast.parse(inspect.getsource(metrics_module))
    return {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"_counter", "_gauge", "_histogram"}
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }


def test_every_metric_of_the_source_is_there_with_a_sample(live: Metrics) -> None:
    shown = families(live)
    wanted = {PREFIX + name for name in named_in_the_source()}
    assert len(wanted) >= 15
    for name in wanted:
        assert name in shown, name
        assert shown[name].samples, name
    ours = {name for name in shown if name.startswith(PREFIX)}
    assert ours - {BUILD} - wanted == set()


def test_nothing_but_our_own_and_the_process_itself_is_shown(live: Metrics) -> None:
    for name in families(live):
        assert name.startswith((PREFIX, "process_", "python_")), name


def test_names_follow_the_rules(live: Metrics) -> None:
    for name, family in families(live).items():
        if not name.startswith(PREFIX) or name == BUILD:
            continue
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name), name
        assert not re.search(OTHER_UNITS, name), name
        assert not name.endswith(RESERVED_ENDS), name
        assert family.documentation.endswith("."), name
        for sample in family.samples:
            if family.type == "counter":
                assert sample.name.endswith("_total"), sample.name
            else:
                assert not sample.name.endswith("_total"), sample.name
            assert not {"namespace", "name", "uid", "token", "job_id"} & set(sample.labels), sample.name
        if family.type == "histogram":
            assert name.endswith(("_seconds", "_bytes")), name


def test_values_are_what_happened(live: Metrics) -> None:
    def value(name: str, **labels: str) -> float | None:
        return live.registry.get_sample_value(PREFIX + name, labels)

    assert value("reconcile_total", result="success") == 1
    assert value("reconcile_duration_seconds_count", result="success") == 1
    assert value("workqueue_adds_total") == value("workqueue_retries_total") == value("workqueue_depth") == 1
    assert value("workqueue_queue_duration_seconds_sum") == 0.1
    assert value("workqueue_unfinished_work_seconds") == 2.5
    assert value("workqueue_longest_running_processor_seconds") == 1.5
    assert value("esa_requests_total", action="GetScheduledPreloadJob", code="OK") == 1
    assert value("resets_total", outcome="Succeeded", trigger="Annotation") == 1
    assert value("resets_undecidable_total", why="progress proves nothing") == 1
    assert value("leader") == value("watch_last_seen_timestamp_seconds") == 1
    assert value("resources") == 7
    assert value("creates_total", outcome="Created") == 1
    assert value("surplus_jobs_total") == 2
    assert value("retired_jobs_deleted_total") == 3
    assert value("scheduled_resets_skipped_total") == 4
    live.leads(leading=False)
    assert value("leader") == 0


def test_codes_that_esa_invents_do_not_grow_the_metrics_without_bound(live: Metrics) -> None:
    for number in range(1000):
        live.called("GetScheduledPreloadJob", f"Invented{number}", 0.1)
    codes = {sample.labels["code"] for sample in families(live)[PREFIX + "esa_requests"].samples}
    assert len(codes) == 101
    assert "other" in codes
    for number in range(1000):
        live.called("GetScheduledPreloadJob", f"Invented{number}", 0.1)
    assert {sample.labels["code"] for sample in families(live)[PREFIX + "esa_requests"].samples} == codes


def test_resources_are_counted_when_the_metrics_are_read(live: Metrics) -> None:
    def samples(name: str) -> dict[str, float]:
        shown = families(live)[PREFIX + name].samples
        return {next(iter(each.labels.values()), ""): each.value for each in shown}

    assert samples("jobs") == {"Ready": 2, "Creating": 2}
    assert {state: number for state, number in samples("windows").items() if number} == {"running": 2, "Refused": 1}
    assert samples("windows")["waiting"] == 0  # a state is there before a window is in it
    assert samples("longest_unready_seconds")["Creating"] == pytest.approx(600, abs=300)
    assert samples("retired_jobs") == {"": 2}
    assert samples("resources_deleting") == {"": 1}


def test_a_reason_that_no_resource_has_any_more_is_gone() -> None:
    tallies = [Tally("Creating", unready_since=0.0)]
    metrics = Metrics("1")
    metrics.watch_gauges(
        depth=lambda: 0, unfinished=lambda: 0, longest=lambda: 0, resources=lambda: 1, tallies=lambda: tallies
    )
    assert families(metrics)[PREFIX + "jobs"].samples[0].labels == {"reason": "Creating"}
    tallies[:] = [Tally()]
    assert [each.labels for each in families(metrics)[PREFIX + "jobs"].samples] == [{"reason": "Ready"}]
    (unready,) = families(metrics)[PREFIX + "longest_unready_seconds"].samples
    assert (unready.labels, unready.value) == ({"reason": "Ready"}, 0)
