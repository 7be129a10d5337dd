"""What the watch shows of a write before its answer comes is no news; whatever else it shows is."""

from typing import Any

import pytest

from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.resources.job import Condition, ResetStatus, ScheduledPreloadJob, Status
from esa_preload_operator.services.registry import TrackedResource

READY = Condition(type="Ready", status="True", last_transition_time="2026-01-01T00:00:00Z", reason="Ready", message="")
WRITTEN = Status(
    job_id="job1",
    handled_resets={"resetRequested": "t1"},
    reset=ResetStatus(phase="InFlight", job_id="job1", tokens={"resetRequested": "t2"}, owner="me", attempts=1),
    conditions=[READY],
)
META: dict[str, Any] = {
    "name": "nightly",
    "namespace": "shop",
    "uid": "u1",
    "resourceVersion": "7",
    "generation": 2,
    "annotations": {"resetRequested": "t2"},
}


def seen(meta: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    """Return what the watch shows after the write, or after another one."""
    shown = WRITTEN.model_dump(mode="json", by_alias=True, exclude_none=True) | status
    return {"metadata": META | {"resourceVersion": "8"} | (meta or {}), "spec": {"jobId": "job1"}, "status": shown}


def record() -> TrackedResource:
    """Return the record of a resource whose status is being written."""
    job = ScheduledPreloadJob.model_validate({"metadata": META, "spec": {"jobId": "job1"}})
    return TrackedResource(ObjectRef("shop", "nightly"), "u1", "", "job1", version=7, writing=(job, WRITTEN))


def test_the_echo_of_a_write_under_way_is_no_news() -> None:
    assert record().is_writing(seen())
    assert record().is_writing(seen({"labels": {"team": "web"}, "managedFields": []}))


@pytest.mark.parametrize(
    "news",
    [
        seen({"annotations": {"resetRequested": "t3"}}),
        seen({"annotations": None}),
        seen({"generation": 3}),
        seen({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        seen(handledResets={"resetRequested": "t2"}),
        seen(reset={"phase": "InFlight", "jobId": "job1", "owner": "somebody else"}),
        seen(conditions=[]),
        seen(urlCount=1),
        seen(urlCount="unreadable"),
        {"metadata": META},
    ],
)
def test_whatever_else_the_watch_shows_is_news(news: dict[str, Any]) -> None:
    assert not record().is_writing(news)


def test_without_a_write_everything_is_news() -> None:
    idle = record()
    idle.writing = None
    assert not idle.is_writing(seen())
