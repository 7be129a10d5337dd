"""Between what the API server keeps and the values that decisions are made of."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esa_preload_operator.domain.cleaning import format_time
from esa_preload_operator.domain.conditions import find
from esa_preload_operator.domain.errors import ErrorClass, Problem, Reason
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.reset_values import Phase, ResetState, Write
from esa_preload_operator.domain.signing import Signing
from esa_preload_operator.domain.status import (
    completed,
    composed,
    facts,
    is_healthy,
    progress,
    refreshed,
    stored_facts,
    troubled,
    view_of,
)
from esa_preload_operator.resources.job import RESET_KEYS, ScheduledPreloadJob, Status
from support.statuses import counts, small_counts, statuses, texts

WALL = 1_780_000_000.0
NOW = format_time(WALL)
DENIED = Problem("NoPermission", "no", ErrorClass.BLOCKED, Reason.ACCESS_DENIED)
LOST = Problem("InvalidJob.NotFound", "gone", ErrorClass.TERMINAL, Reason.JOB_NOT_FOUND)

tokens = st.dictionaries(st.sampled_from(RESET_KEYS), texts, max_size=2).map(lambda made: tuple(sorted(made.items())))
records = st.builds(
    ResetState,
    phase=st.sampled_from(Phase),
    job_id=texts,
    tokens=tokens,
    trigger=texts,
    owner=texts,
    started_at=texts,
    finished_at=texts,
    submitted_before=st.none() | counts,
    request_id=texts,
    attempts=small_counts,
    message=texts,
    signing=st.none() | st.builds(Signing, nonce=texts, date=texts, signer=texts),
)
esa_jobs = st.builds(
    EsaJob,
    **{name: texts for name in EsaJob.__dataclass_fields__ if name not in {"id", "site_id"} and "_" in name}
    | dict.fromkeys(("site_id", "task_submitted", "url_count", "url_submitted"), counts)
    | {"id": st.just("job1"), "domains": texts, "name": texts},
)


def resource(status: Status | None = None, generation: int = 2, **spec: str) -> ScheduledPreloadJob:
    body: dict[str, Any] = {
        "metadata": {
            "name": "j",
            "namespace": "n",
            "uid": "u",
            "resourceVersion": "7",
            "generation": generation,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"jobId": "job1", **spec},
    }
    return ScheduledPreloadJob.model_validate(body).model_copy(update={"status": status or Status()})


def stored(job: ScheduledPreloadJob, status: Status) -> ScheduledPreloadJob:
    """What the API server gives back: without what is None, through JSON."""
    kept = json.loads(json.dumps(status.model_dump(by_alias=True, exclude_none=True)))
    return job.model_copy(update={"status": Status.model_validate(kept)})


def ready(status: Status) -> tuple[str, str]:
    condition = find(status.conditions, "Ready")
    return (condition.status, condition.reason) if condition is not None else ("", "")


@given(statuses, records, tokens, st.none() | esa_jobs, st.booleans())
def test_an_intent_reads_as_it_was_written(
    before: Status, record: ResetState, handled: tuple[tuple[str, str], ...], seen: EsaJob | None, troubles: bool
) -> None:
    job = resource(before)
    write = Write(view_of(job), record, handled, job=seen, problem=DENIED if troubles else None)
    view = view_of(stored(job, composed(job, write, WALL)))
    assert view.record == record
    assert view.handled == handled
    assert not view.changed


@given(statuses, esa_jobs)
def test_facts_of_a_job_read_as_they_were_written(before: Status, seen: EsaJob) -> None:
    job = resource(before)
    assert stored_facts(stored(job, refreshed(job, seen, WALL)).status) == facts(seen)


@given(statuses, esa_jobs, st.data())
def test_what_an_answer_does_not_tell_stays_as_it_was(before: Status, seen: EsaJob, data: st.DataObject) -> None:
    told = data.draw(st.sets(st.sampled_from(sorted(EsaJob.__dataclass_fields__.keys() - {"id", "request_id"}))))
    partial = EsaJob("job1", "r", **{name: getattr(seen, name) for name in told})
    job = resource(before.model_copy(update={"job_id": "job1"}))
    after = refreshed(job, partial, WALL)
    for name in EsaJob.__dataclass_fields__.keys() - {"id", "request_id"}:
        expected = getattr(seen, name) if name in told else getattr(before, name)
        assert (getattr(after, name) or None) == (expected or None)
    assert completed(partial, after) == completed(partial, stored(job, after).status)


@given(statuses, esa_jobs)
def test_an_answer_about_a_new_job_takes_nothing_from_the_old_one(before: Status, seen: EsaJob) -> None:
    job = resource(before.model_copy(update={"job_id": "old"}))
    after = refreshed(job, EsaJob("job1", url_submitted=seen.url_submitted), WALL)
    assert (after.url_submitted, after.url_count, after.name, after.site_id) == (seen.url_submitted, None, None, None)


@given(statuses, esa_jobs)
def test_a_refresh_touches_neither_requests_nor_resets(before: Status, seen: EsaJob) -> None:
    after = refreshed(resource(before), seen, WALL)
    for field in ("reset", "handled_resets", "last_reset_time", "next_reset_time"):
        assert getattr(after, field) == getattr(before, field)


@given(statuses)
def test_a_problem_changes_nothing_but_conditions(before: Status) -> None:
    after = troubled(resource(before), DENIED, WALL)
    changed = {name for name in Status.model_fields if getattr(after, name) != getattr(before, name)}
    assert changed <= {"conditions", "observed_generation"}
    assert ready(after) == ("False", "AccessDenied")
    assert not is_healthy(after)


def conditioned(reset: dict[str, Any] | None, problem: Problem | None, generation: int = 2) -> ScheduledPreloadJob:
    """A resource that was looked at: healthy, or with a problem."""
    job = resource(Status.model_validate({"reset": reset} if reset else {}), generation)
    status = refreshed(job, EsaJob("job1"), WALL) if problem is None else troubled(job, problem, WALL)
    return job.model_copy(update={"status": status})


@pytest.mark.parametrize(
    ("phase", "before", "state"),
    [
        (None, None, ("True", "Ready")),
        (None, DENIED, ("True", "Ready")),
        (Phase.SUCCEEDED, DENIED, ("True", "Ready")),
        (Phase.HELD, None, ("True", "Held")),
        (Phase.HELD, DENIED, ("True", "Held")),
        (Phase.FAILED, LOST, ("True", "Ready")),
        (Phase.FAILED, DENIED, ("False", "AccessDenied")),
        (Phase.RETRYING, DENIED, ("False", "AccessDenied")),
        (Phase.IN_FLIGHT, DENIED, ("False", "AccessDenied")),
    ],
)
def test_what_a_look_at_the_job_heals(phase: Phase | None, before: Problem | None, state: tuple[str, str]) -> None:
    job = conditioned({"phase": phase, "jobId": "job1"} if phase else None, before)
    assert ready(refreshed(job, EsaJob("job1"), WALL)) == state


def test_a_changed_spec_takes_back_the_word_of_a_failed_reset() -> None:
    job = conditioned({"phase": Phase.FAILED}, DENIED)
    changed = job.model_copy(update={"metadata": job.metadata.model_copy(update={"generation": 3})})
    assert ready(refreshed(changed, EsaJob("job1"), WALL)) == ("True", "Ready")


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (Phase.IN_FLIGHT, ("True", "Resetting")),
        (Phase.HELD, ("True", "Held")),
        (Phase.SUCCEEDED, ("True", "Ready")),
        (Phase.WITHDRAWN, ("True", "Ready")),
        (Phase.REPLACED, ("True", "Ready")),
    ],
)
def test_a_write_says_ready_only_of_a_job_that_was_seen(phase: Phase, state: tuple[str, str], known: bool) -> None:
    job = resource() if not known else conditioned(None, None)
    write = Write(view_of(job), ResetState(phase, "job1"), ())
    assert ready(composed(job, write, WALL)) == (state if known else ("", ""))


def test_only_a_reset_that_was_made_moves_its_time() -> None:
    job = conditioned(None, None)
    for phase, outcome, moved in (
        (Phase.SUCCEEDED, "Succeeded", True),
        (Phase.SUCCEEDED, "", False),
        (Phase.WITHDRAWN, "Withdrawn", False),
        (Phase.FAILED, "Failed", False),
    ):
        record = ResetState(phase, "job1", finished_at=NOW)
        status = composed(job, Write(view_of(job), record, (), outcome=outcome), WALL)
        assert status.last_reset_time == (NOW if moved else None)


def test_the_time_of_the_next_reset_goes_with_the_hold() -> None:
    job = conditioned(None, None)
    held = composed(job, Write(view_of(job), ResetState(Phase.HELD, "job1"), (), due=WALL), WALL)
    assert held.next_reset_time == NOW
    job = job.model_copy(update={"status": held})
    assert composed(job, Write(view_of(job), ResetState(Phase.IN_FLIGHT), ()), WALL).next_reset_time is None


def test_answers_without_a_request_id_keep_the_last_one() -> None:
    job = resource(Status(request_id="R1"))
    assert refreshed(job, EsaJob("job1"), WALL).request_id == "R1"
    assert refreshed(job, EsaJob("job1", request_id="R2"), WALL).request_id == "R2"


@given(counts, counts)
def test_progress_is_a_percentage(submitted: int, total: int) -> None:
    percent = progress(EsaJob("job1", url_count=total, url_submitted=submitted))
    assert 0 <= percent <= 100
    assert (percent == 100) == (0 < total <= submitted)


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0.0), ("1h30m", 5400.0), ("nonsense", 0.0)])
def test_an_interval_that_cannot_be_read_holds_nothing(text: str, seconds: float) -> None:
    assert view_of(resource(minResetInterval=text)).min_interval == seconds


def test_a_changed_spec_shows_once_the_resource_was_looked_at() -> None:
    assert not view_of(resource(Status(), generation=5)).changed
    assert view_of(resource(Status(observed_generation=4), generation=5)).changed
    assert not view_of(resource(Status(observed_generation=5), generation=5)).changed
