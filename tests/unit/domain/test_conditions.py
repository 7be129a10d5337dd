"""The table that people and tools read, judged by the rules of kstatus."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esa_preload_operator.domain.conditions import (
    READY,
    RECONCILING,
    STALLED,
    TABLE,
    URLS_ACCEPTED,
    Finding,
    State,
    find,
    finding_of,
    judged,
    rejection_reason,
    shows,
    with_urls,
    worst,
)
from esa_preload_operator.domain.errors import ErrorClass, Problem, Reason
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.resources.job import Condition

BEFORE, NOW = "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z"

states = st.sampled_from(State)
reasons = st.sampled_from(Reason)
findings = st.builds(Finding, states, reasons, st.text(max_size=20))


def kstatus(generation: int, status: dict[str, Any]) -> str:
    """What kstatus makes of a custom resource, see its README, "Conditions" and "The Ready Condition"."""
    told = {condition["type"]: condition for condition in status.get("conditions", ())}
    if "observedGeneration" in status and status["observedGeneration"] != generation:
        return "InProgress"
    if told.get("Stalled", {}).get("status") == "True":
        return "Failed"
    if told.get("Reconciling", {}).get("status") == "True":
        return "InProgress"
    if "Ready" in told:
        return "Current" if told["Ready"]["status"] == "True" else "InProgress"
    return "Current"


def dumped(conditions: list[Condition]) -> list[dict[str, Any]]:
    return [condition.model_dump(by_alias=True) for condition in conditions]


@pytest.mark.parametrize("state", State)
def test_each_row_is_what_kstatus_computes(state: State) -> None:
    conditions = judged([], Finding(state, Reason.READY, "m"), 3, NOW)
    assert kstatus(3, {"observedGeneration": 3, "conditions": dumped(conditions)}) == TABLE[state].kstatus


@pytest.mark.parametrize("state", State)
def test_a_spec_that_was_not_looked_at_is_in_progress_whatever_the_conditions_say(state: State) -> None:
    conditions = judged([], Finding(state, Reason.READY, "m"), 3, NOW)
    assert kstatus(4, {"observedGeneration": 3, "conditions": dumped(conditions)}) == "InProgress"


def test_argo_health_goes_with_kstatus() -> None:
    allowed = {"Current": {"Healthy", "Suspended"}, "InProgress": {"Progressing", "Degraded"}, "Failed": {"Degraded"}}
    for state, row in TABLE.items():
        assert row.argo_health in allowed[row.kstatus], state
        assert (row.stalled == "True") <= (row.ready == "False"), state
        assert (row.reconciling == "True") == (row.kstatus == "InProgress"), state
        assert (row.stalled == "True") == (row.kstatus == "Failed"), state


def test_every_state_has_a_row_and_few_of_them_look_alike() -> None:
    assert set(TABLE) == set(State)
    alike = {frozenset((a, b)) for a, b in itertools.combinations(State, 2) if TABLE[a] == TABLE[b]}
    assert alike == {frozenset((State.READY, State.HELD)), frozenset((State.WAITING, State.CREATING))}


@given(st.lists(findings, min_size=1, max_size=5))
def test_a_transition_time_moves_only_when_the_status_does(chain: list[Finding]) -> None:
    conditions: list[Condition] = []
    for number, finding in enumerate(chain):
        before = {condition.type: condition for condition in conditions}
        moment = f"2026-01-01T00:00:{number:02}Z"
        conditions = judged(conditions, finding, number, moment)
        for condition in conditions:
            old = before.get(condition.type)
            kept = old is not None and old.status == condition.status
            assert condition.last_transition_time == (old.last_transition_time if old and kept else moment)
            assert condition.observed_generation == number


@given(findings, findings)
def test_what_was_judged_shows_and_another_state_does_not(told: Finding, other: Finding) -> None:
    conditions = judged([], told, 1, NOW)
    assert shows(conditions, told)
    rows = TABLE[told.state], TABLE[other.state]
    same = (rows[0].ready, rows[0].reconciling, rows[0].stalled) == (
        rows[1].ready,
        rows[1].reconciling,
        rows[1].stalled,
    )
    assert shows(conditions, other) == (same and (told.reason, told.message) == (other.reason, other.message))


def test_the_text_after_an_error_code_is_no_news() -> None:
    denied = finding_of(Problem("NoPermission", "no", ErrorClass.BLOCKED, Reason.ACCESS_DENIED, request_id="R1"))
    conditions = judged([], denied, 1, NOW)
    assert shows(conditions, replace(denied, message="NoPermission: no (request R2)"))
    assert not shows(conditions, replace(denied, message="NoPermission: another cause (request R1)"))


@given(st.lists(findings, min_size=1, max_size=5))
def test_the_worst_finding_decides_and_of_equal_ones_the_first(found: list[Finding]) -> None:
    decided = worst(found)
    assert decided is not None
    order = list(State)
    assert all(order.index(decided.state) >= order.index(finding.state) for finding in found)
    assert decided is next(finding for finding in found if finding.state is decided.state)


@given(findings, findings)
def test_each_type_stands_once_and_foreign_conditions_stay(first: Finding, second: Finding) -> None:
    foreign = Condition(type="Foreign", status="True", last_transition_time=BEFORE, reason="X", message="theirs")
    conditions = judged(judged([foreign], first, 1, BEFORE), second, 1, NOW)
    assert sorted(condition.type for condition in conditions) == ["Foreign", READY, RECONCILING, STALLED]
    assert find(conditions, "Foreign") is foreign


def test_only_what_holds_gives_its_reason() -> None:
    conditions = judged([], Finding(State.STALLED, Reason.JOB_NOT_FOUND, "gone"), 1, NOW)
    told = {condition.type: (condition.reason, condition.message) for condition in conditions}
    assert told[READY] == told[STALLED] == ("JobNotFound", "gone")
    assert told[RECONCILING] == ("Ready", "")


@given(st.text())
def test_no_message_is_refusable(message: str) -> None:
    for condition in judged([], Finding(State.STALLED, Reason.ESA_ERROR, message * 3000), 1, NOW):
        assert len(condition.message.encode()) <= 32768
        assert condition.reason


@pytest.mark.parametrize(
    ("error_class", "reason", "state"),
    [
        (ErrorClass.TRANSIENT, Reason.THROTTLED, State.WAITING),
        (ErrorClass.BLOCKED, Reason.ACCESS_DENIED, State.BLOCKED),
        (ErrorClass.TERMINAL, Reason.JOB_NOT_FOUND, State.STALLED),
        (ErrorClass.BLOCKED, Reason.CRD_OUTDATED, State.STALLED),
    ],
)
def test_the_class_of_an_error_decides_the_state(error_class: ErrorClass, reason: Reason, state: State) -> None:
    finding = finding_of(Problem("Code", "text", error_class, reason, request_id="R1"))
    assert finding == Finding(state, reason, "Code: text (request R1)")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("invalid domain:test.com", Reason.INVALID_DOMAIN),
        ("InvalidDomain", Reason.INVALID_DOMAIN),
        ("InvalidUrl", Reason.INVALID_URL),
        ("invalid url", Reason.INVALID_URL),
        ("QuotaExcess", Reason.QUOTA_EXCESS),
        ("OtherErrors", Reason.OTHER_ERRORS),
        ("something else", Reason.OTHER_ERRORS),
    ],
)
def test_what_esa_objects_to_has_a_name(text: str, reason: Reason) -> None:
    assert rejection_reason(text) is reason


def test_a_job_whose_urls_were_refused_says_where_they_are_listed() -> None:
    job = EsaJob("j", error_info="InvalidUrl", failed_file_oss="https://b.oss.example.com/f?Signature=s")
    condition = find(with_urls([], job, 2, NOW), URLS_ACCEPTED)
    assert condition is not None
    assert (condition.status, condition.reason) == ("False", "InvalidUrl")
    assert "https://b.oss.example.com/f" in condition.message
    assert "Signature" not in condition.message


def test_urls_that_were_accepted_again_say_so_from_then_on() -> None:
    refused = with_urls([], EsaJob("j", error_info="x"), 1, BEFORE)
    healed = with_urls(with_urls(refused, EsaJob("j"), 1, NOW), EsaJob("j"), 1, "2027-01-01T00:00:00Z")
    condition = find(healed, URLS_ACCEPTED)
    assert condition is not None
    assert (condition.status, condition.reason, condition.last_transition_time) == ("True", "UrlsAccepted", NOW)
