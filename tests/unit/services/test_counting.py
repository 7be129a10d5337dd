"""What is counted of resources: by what their newest versions show, and by what was stored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from esa_preload_operator.domain.errors import Reason
from esa_preload_operator.domain.recorded import NOTHING_RECORDED, Creating, Recorded
from esa_preload_operator.domain.steps import Write
from esa_preload_operator.domain.values import Notice
from esa_preload_operator.domain.view import View, view_of
from esa_preload_operator.resources.job import FINALIZER
from esa_preload_operator.services.counting import AT_REST, Tally, count_work, tally_of
from support.counting import FakeObserver

INTENT = Creating("name", "sha256:1")
BEFORE = Recorded(job_id="old", source="sha256:0", creating=INTENT, retired=("r1",))
OUTCOME = Notice(Reason.JOB_CREATED, "text")


def view(status: dict[str, Any], **meta: Any) -> View:
    metadata = {"name": "j", "namespace": "n", "uid": "u", "resourceVersion": "7", **meta}
    return view_of({"metadata": metadata, "spec": {"jobId": "job1"}, "status": status})


def ready(status: str, reason: str) -> dict[str, Any]:
    return {"type": "Ready", "status": status, "reason": reason, "lastTransitionTime": "2026-01-01T00:00:00Z"}


def test_resources_at_rest_share_one_object() -> None:
    assert tally_of(view({"conditions": [ready("True", "Ready") | {"message": ""}]})) is AT_REST


def test_what_a_version_shows_is_counted() -> None:
    shown = view(
        {
            "conditions": [ready("False", "Creating") | {"message": ""}],
            "executions": [{"name": "a", "state": "running"}, {"name": "b", "state": "invented"}],
            "retiredJobs": ["r1", "r2"],
        },
        deletionTimestamp="2026-01-01T00:00:00Z",
        finalizers=[FINALIZER],
    )
    wanted = Tally("Creating", unready_since=1767225600.0, windows=("running", "other"), retired=2, deleting=True)
    assert tally_of(shown) == wanted


def test_a_reason_of_another_version_gets_no_label_of_its_own() -> None:
    assert tally_of(view({"conditions": [ready("True", "Invented") | {"message": ""}]})).reason == "other"
    assert tally_of(view({})).reason == "Pending"


def counted(after: Recorded, before: Recorded = BEFORE, notice: Notice | None = OUTCOME) -> FakeObserver:
    observer = FakeObserver()
    base = replace(view({}), recorded=before)
    count_work(observer, Write(base, None, (), recorded=after, notice=notice))
    return observer


@pytest.mark.parametrize(
    ("before", "after", "notice", "outcome"),
    [
        (Recorded(creating=INTENT), Recorded(job_id="new"), OUTCOME, "Created"),
        (NOTHING_RECORDED, Recorded(job_id="new"), OUTCOME, "Created"),  # the status was wiped meanwhile
        (BEFORE, Recorded(job_id="new", retired=("r1", "old")), OUTCOME, "Replaced"),
        (BEFORE, replace(BEFORE, creating=None), OUTCOME, "Refused"),
        (BEFORE, replace(BEFORE, creating=None), None, None),  # nothing was sent, or it is not needed any more
        (replace(BEFORE, creating=None), BEFORE, None, None),
        (BEFORE, replace(BEFORE, job_id=""), OUTCOME, None),  # it is gone
    ],
)
def test_creates_are_counted_by_outcome(
    before: Recorded, after: Recorded, notice: Notice | None, outcome: str | None
) -> None:
    assert counted(after, before, notice).creates == ({outcome: 1} if outcome else {})


def test_jobs_that_a_list_showed_are_surplus_and_the_one_that_was_replaced_is_not() -> None:
    assert counted(replace(BEFORE, retired=("r1", "s1", "s2")), notice=None).surplus == 2
    assert counted(Recorded(job_id="new", retired=("r1", "old"))).surplus == 0


def test_retired_jobs_that_were_deleted_are_counted() -> None:
    assert counted(replace(BEFORE, retired=()), notice=None).retired == 1
    assert counted(BEFORE).retired == 0


def test_a_write_that_records_nothing_counts_nothing() -> None:
    observer = FakeObserver()
    count_work(observer, Write(view({}), None, ()))
    assert (observer.creates, observer.surplus, observer.retired) == ({}, 0, 0)
