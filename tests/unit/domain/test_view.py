"""What one version of the resource says about the life of its job."""

from datetime import UTC, datetime
from typing import Any

import pytest

from esa_preload_operator.domain.esa import NewExecution
from esa_preload_operator.domain.recorded import Creating, Recorded, WindowState
from esa_preload_operator.domain.spec import ScheduleSpec, SpecProblem
from esa_preload_operator.domain.view import view_of

META = {"name": "nightly", "namespace": "shop", "uid": "6f5a1a2e", "resourceVersion": "7"}


def body(spec: Any = None, status: Any = None) -> dict[str, Any]:
    return {"metadata": META, "spec": {"jobId": "job1"} if spec is None else spec, "status": status or {}}


def test_a_resource_that_only_resets_says_nothing_of_a_life() -> None:
    view = view_of(body())
    assert (view.job_id, view.invalid, view.problem, view.damaged) == ("job1", "", None, "")
    assert (view.owned, view.windows, view.schedule, view.suspended) == (None, (), None, False)
    assert view.source is None
    assert view.recorded == Recorded()


def test_the_spec_is_read_once() -> None:
    executions = [{"name": "now", "duration": "2h", "intervalSeconds": 60, "sliceLen": 10}]
    source = {"urls": ["https://www.example.com/a.js"]}
    view = view_of(
        body(
            {"siteId": 4711, "source": source, "executions": executions, "suspend": True}
            | {"resetSchedule": {"cron": "0 2 * * *"}}
        )
    )
    assert view.owned is not None
    assert (view.owned.site_id, view.owned.name_prefix, view.job_id) == (4711, "shop-nightly", "")
    assert [window.name for window in view.windows] == ["now"]
    assert view.schedule == ScheduleSpec("0 2 * * *")
    assert view.suspended
    assert view.problem is None


def test_a_problem_of_the_spec_is_found() -> None:
    view = view_of(body({"jobId": "job1", "resetSchedule": {"cron": "0 2 * * *", "timeZone": "Mars/Olympus"}}))
    assert isinstance(view.problem, SpecProblem)
    assert view.problem.field == "spec.resetSchedule.timeZone"
    assert view.invalid == ""


@pytest.mark.parametrize(
    ("spec", "invalid"),
    [
        ({"jobId": 4711}, "spec.jobId"),
        ({"jobId": "job1", "executions": [{"name": "now"}]}, "spec.executions.0.intervalSeconds"),
        ({"jobId": "job1", "suspend": "perhaps"}, "spec.suspend"),
        ({"jobId": "job1", "deletionPolicy": "Archive"}, "spec.deletionPolicy"),
        ("nonsense", "spec"),
    ],
)
def test_a_spec_that_can_not_be_read_has_no_other_problem(spec: Any, invalid: str) -> None:
    view = view_of(body(spec))
    assert view.invalid.startswith(invalid)
    assert view.problem is None


def test_the_status_keeps_what_is_open() -> None:
    view = view_of(
        body(
            status={
                "source": "sha256:1",
                "creating": {"name": "n-1", "source": "sha256:2", "tokens": {"b": "2", "a": "1"}, "since": "S"},
                "retiredJobs": ["job2", "job3"],
                "scheduleSeen": "UTC 0 2 * * *",
                "executions": [
                    {"name": "now"},
                    {"name": "launch", "id": "e1", "state": "running", "startTime": "2026-12-01T16:00:00Z"}
                    | {"endTime": "2026-12-01T22:00:00.5+00:00", "intervalSeconds": 60, "sliceLen": 10}
                    | {"stopped": True, "message": "M"},
                ],
            }
        )
    )
    assert view.recorded.source == "sha256:1"
    assert view.recorded.creating == Creating("n-1", "sha256:2", (("a", "1"), ("b", "2")), "S")
    assert view.recorded.retired == ("job2", "job3")
    assert view.recorded.schedule_seen == "UTC 0 2 * * *"
    start, end = (int(datetime(2026, 12, 1, hour, tzinfo=UTC).timestamp()) for hour in (16, 22))
    assert view.recorded.windows == (
        WindowState("now", state=""),
        WindowState("launch", NewExecution(start, end, 60, 10), "e1", "running", stopped=True, message="M"),
    )
    assert view.damaged == ""


@pytest.mark.parametrize(
    ("status", "damaged"),
    [
        ({"creating": "n-1"}, "status.creating"),
        ({"retiredJobs": [4711]}, "status.retiredJobs.0"),
        ({"executions": [{"id": "e1"}]}, "status.executions.0.name"),
        ({"executions": [{"name": "now", "startTime": "soon"}]}, "status.executions.0.startTime"),
    ],
)
def test_a_status_that_can_not_be_read_is_damaged(status: Any, damaged: str) -> None:
    assert view_of(body(status=status)).damaged == damaged
