"""Between what the API server keeps and the values that decisions are made of."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esa_preload_operator.domain.cleaning import format_time
from esa_preload_operator.domain.conditions import Finding, State, find, shows
from esa_preload_operator.domain.errors import Reason
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.signing import Signing
from esa_preload_operator.domain.status import facts, is_kept, is_news, merged, progress, status_after
from esa_preload_operator.domain.steps import Write
from esa_preload_operator.domain.values import Phase, ResetState
from esa_preload_operator.domain.view import View, view_of
from esa_preload_operator.resources.job import RESET_KEYS, Status
from support.statuses import counts, small_counts, statuses, texts

if TYPE_CHECKING:
    from esa_preload_operator.domain.tokens import Tokens

WALL = 1_780_000_000.0
NOW = format_time(WALL)

tokens = st.dictionaries(st.sampled_from(RESET_KEYS), texts, max_size=2).map(lambda made: tuple(sorted(made.items())))
resets = st.builds(
    ResetState,
    phase=st.sampled_from(Phase),
    job_id=texts,
    tokens=tokens,
    trigger=texts,
    generation=small_counts,
    owner=texts,
    started_at=texts,
    finished_at=texts,
    submitted_before=st.none() | counts,
    request_id=texts,
    attempts=small_counts,
    unproven=small_counts,
    reason=texts,
    message=texts,
    signing=st.none() | st.builds(Signing, nonce=texts, date=texts, signer=texts),
)
NUMBERS = ("site_id", "task_submitted", "url_count", "url_submitted")
FACTS = tuple(name for name in EsaJob.__dataclass_fields__ if name not in {"id", "request_id"})
esa_jobs = st.builds(
    EsaJob,
    **{name: st.none() | (counts if name in NUMBERS else texts) for name in FACTS} | {"id": st.just("job1")},
)
findings = st.builds(Finding, st.sampled_from(State), st.sampled_from([str(reason) for reason in Reason]), texts)
_KEYS = [
    "reset",
    "handledResets",
    "handledTimes",
    "conditions",
    "phase",
    "tokens",
    "trigger",
    "jobId",
    "observedGeneration",
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=5), inner),
    max_leaves=12,
)


def body(status: Any, generation: int = 2, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "j",
            "namespace": "n",
            "uid": "u",
            "resourceVersion": "7",
            "generation": generation,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"jobId": "job1", **spec},
        "status": status,
    }


def seen(status: Status) -> View:
    return view_of(body(json.loads(status.model_dump_json(by_alias=True, exclude_none=True))))


def stored(write: Write) -> View:
    """What the API server gives back, through JSON."""
    return view_of(body(json.loads(json.dumps(status_after(write, WALL)))))


def report(view: View, **parts: Any) -> Write:
    """A write that decides nothing."""
    return Write(view, view.reset, view.handled, view.newest, **parts)


@given(statuses, resets, st.tuples(tokens, tokens), st.none() | esa_jobs, st.none() | findings)
def test_a_decision_reads_as_it_was_written(
    before: Status,
    reset: ResetState,
    both: tuple[Tokens, Tokens],
    job: EsaJob | None,
    finding: Finding | None,
) -> None:
    handled, newest = both
    write = Write(seen(before), reset, handled, newest, job=job, finding=finding)
    after = stored(write)
    assert (after.reset, after.handled, after.newest) == (reset, handled, newest)
    assert is_kept(write, after)


@given(statuses, esa_jobs)
def test_facts_of_a_job_read_as_they_were_written(before: Status, job: EsaJob) -> None:
    view = seen(before)
    assert facts(stored(report(view, job=job)).shown.job) == facts(merged(view.shown.job, job, "job1"))


@given(statuses, esa_jobs)
def test_what_an_answer_does_not_tell_stays_as_it_was(before: Status, job: EsaJob) -> None:
    view = seen(before.model_copy(update={"job_id": "job1"}))
    after = stored(report(view, job=job)).shown.job
    for name in FACTS:
        told, known = getattr(job, name), getattr(view.shown.job, name)
        assert (getattr(after, name) or None) == ((known if told is None else told) or None)


@given(statuses, esa_jobs)
def test_an_answer_about_a_new_job_takes_nothing_from_the_old_one(before: Status, job: EsaJob) -> None:
    view = seen(before.model_copy(update={"job_id": "old"}))
    after = status_after(report(view, job=EsaJob("job1", url_submitted=job.url_submitted)), WALL)
    assert after.get("urlSubmitted") == job.url_submitted
    assert {"urlCount", "name", "siteId"}.isdisjoint(after)


@given(statuses, esa_jobs, findings)
def test_a_report_touches_neither_requests_nor_resets(before: Status, job: EsaJob, finding: Finding) -> None:
    view = seen(before)
    after = status_after(report(view, job=job, finding=finding), WALL)
    for field in ("reset", "handledResets", "handledTimes", "lastResetTime", "nextResetTime"):
        assert after.get(field) == view.status.get(field)


@given(statuses, findings)
def test_a_finding_changes_nothing_but_conditions(before: Status, finding: Finding) -> None:
    view = seen(before)
    after = status_after(report(view, finding=finding), WALL)
    changed = {key for key in after.keys() | view.status.keys() if after.get(key) != view.status.get(key)}
    assert changed <= {"conditions", "observedGeneration"}
    assert shows(stored(report(view, finding=finding)).shown.conditions, finding)


@given(statuses, st.none() | esa_jobs, st.none() | findings)
def test_what_was_stored_is_no_news(before: Status, job: EsaJob | None, finding: Finding | None) -> None:
    write = report(seen(before), job=job, finding=finding)
    assert not is_news(replace(write, view=stored(write)))


@given(statuses, resets, st.dictionaries(st.text(min_size=1).map(lambda text: f"x{text}"), json_values, max_size=3))
def test_fields_of_a_newer_version_survive_every_write(
    before: Status, reset: ResetState, unknown: dict[str, Any]
) -> None:
    attempt = replace(reset, started_at="2026-01-01T00:00:00.000000Z")
    raw = json.loads(before.model_dump_json(by_alias=True, exclude_none=True)) | unknown
    raw["reset"] = {"phase": "InFlight", "startedAt": attempt.started_at, "windows": [{"name": "each"}]}
    view = view_of(body(raw))
    after = status_after(Write(view, attempt, (), job=EsaJob("job1", name="n")), WALL)
    assert unknown.items() <= after.items()
    assert after["reset"]["windows"] == [{"name": "each"}]
    begun = status_after(Write(view, replace(attempt, started_at="2026-01-02T00:00:00.000000Z"), ()), WALL)
    assert "windows" not in begun["reset"]


@given(json_values)
def test_a_status_that_cannot_be_read_is_named_and_nothing_of_it_is_lost(raw: Any) -> None:
    view = view_of(body(raw))
    if not view.damaged or not isinstance(raw, dict):
        return
    assert view.damaged.startswith("status")
    after = status_after(report(view, finding=Finding(State.STALLED, "StatusUnreadable", view.damaged)), WALL)
    kept = {key: value for key, value in raw.items() if key not in {"conditions", "observedGeneration"}}
    assert {key: value for key, value in after.items() if key not in {"conditions", "observedGeneration"}} == kept


def test_a_null_where_a_text_must_be_is_a_status_that_cannot_be_read() -> None:
    view = view_of(body({"handledResets": {"resetRequested": "a"}, "reset": {"phase": "Succeeded", "trigger": None}}))
    assert view.damaged == "status.reset.trigger"


def test_only_a_reset_that_was_made_moves_its_time() -> None:
    view = seen(Status())
    for phase, outcome, moved in (
        (Phase.SUCCEEDED, "Succeeded", True),
        (Phase.SUCCEEDED, "", False),
        (Phase.WITHDRAWN, "Withdrawn", False),
        (Phase.FAILED, "Failed", False),
    ):
        reset = ResetState(phase, "job1", finished_at=NOW)
        assert status_after(Write(view, reset, (), outcome=outcome), WALL).get("lastResetTime") == (
            NOW if moved else None
        )


def test_the_time_of_the_next_reset_goes_with_the_hold() -> None:
    held = Write(seen(Status()), ResetState(Phase.HELD, "job1"), (), due=WALL)
    assert status_after(held, WALL)["nextResetTime"] == NOW
    begun = Write(stored(held), ResetState(Phase.IN_FLIGHT), ())
    assert "nextResetTime" not in status_after(begun, WALL)


def test_a_reset_time_that_the_api_server_drops_is_noticed() -> None:
    write = Write(seen(Status()), ResetState(Phase.SUCCEEDED, "job1", finished_at=NOW), (), outcome="Succeeded")
    assert is_kept(write, stored(write))
    assert not is_kept(write, replace(stored(write), last_reset=None))


def test_answers_without_a_request_id_keep_the_last_one() -> None:
    view = seen(Status(job_id="job1", request_id="R1"))
    assert status_after(report(view, job=EsaJob("job1")), WALL)["requestId"] == "R1"
    assert status_after(report(view, job=EsaJob("job1", request_id="R2")), WALL)["requestId"] == "R2"


@given(counts, counts)
def test_progress_is_a_percentage(submitted: int, total: int) -> None:
    percent = progress(EsaJob("job1", url_count=total, url_submitted=submitted))
    assert 0 <= percent <= 100
    assert (percent == 100) == (0 < total <= submitted)


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0.0), ("1h30m", 5400.0), ("nonsense", 0.0)])
def test_an_interval_that_cannot_be_read_holds_nothing(text: str, seconds: float) -> None:
    assert view_of(body({}, minResetInterval=text)).min_interval == seconds


@pytest.mark.parametrize("spec", [{"jobId": 7}, {"minResetInterval": []}, {"credentialsSecretRef": {"name": None}}])
def test_a_spec_that_cannot_be_read_names_the_field(spec: dict[str, Any]) -> None:
    assert view_of(body({}, **spec)).invalid.startswith(f"spec.{next(iter(spec))}")


def test_a_changed_spec_shows_once_the_resource_was_looked_at() -> None:
    assert not view_of(body({}, generation=5)).changed
    assert view_of(body({"observedGeneration": 4}, generation=5)).changed
    assert not view_of(body({"observedGeneration": 5}, generation=5)).changed


def test_conditions_that_cannot_be_read_do_not_hide_the_others() -> None:
    good = {"type": "Ready", "status": "True", "lastTransitionTime": NOW, "reason": "Ready", "message": ""}
    view = view_of(body({"conditions": [good, {"type": 3}]}))
    assert view.damaged
    assert find(view.shown.conditions, "Ready") is not None
