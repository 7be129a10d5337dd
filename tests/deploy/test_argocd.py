"""Argo CD's health and actions: the scripts in a sandbox like Argo CD's, for every status that the operator writes."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from datetime import UTC, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lupa.lua51 import LuaError

from esa_preload_operator.domain import errors
from esa_preload_operator.domain.cleaning import format_time, parse_time
from esa_preload_operator.domain.conditions import (
    BLOCKING,
    DEGRADED_AFTER,
    TABLE,
    Finding,
    State,
    finding_for,
    finding_of,
    judged,
)
from esa_preload_operator.domain.errors import ErrorClass, Problem, Reason
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.local import LocalState, Seen
from esa_preload_operator.domain.plan import assess
from esa_preload_operator.domain.status import status_after
from esa_preload_operator.domain.steps import Write
from esa_preload_operator.domain.tokens import normalise
from esa_preload_operator.domain.values import Phase, ResetState, Rules
from esa_preload_operator.domain.view import View, view_of
from esa_preload_operator.esa import codes
from esa_preload_operator.esa.accounts import Policy
from esa_preload_operator.resources.job import (
    GROUP,
    KIND,
    RESET_KEY,
    RESET_KEY_PREFIXED,
    RESET_KEYS,
    ScheduledPreloadJob,
    Status,
)
from support.lua import Sandbox, as_lua_keeps
from support.statuses import statuses

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "argocd"
SCRIPTS = FOLDER / "resource_customizations" / GROUP / KIND
HEALTH, DISCOVERY, RESET = (
    SCRIPTS / name for name in ("health.lua", "actions/discovery.lua", "actions/reset/action.lua")
)
WALL = 1_780_000_000.0
ZONES = [UTC, timezone(timedelta(hours=8)), timezone(timedelta(hours=-9, minutes=-30))]

health_script = Sandbox(HEALTH, clock=lambda: WALL)
discovery_script = Sandbox(DISCOVERY)
reset_script = Sandbox(RESET, clock=lambda: WALL)
suspend_script, resume_script = (Sandbox(SCRIPTS / "actions" / name / "action.lua") for name in ("suspend", "resume"))

PROBLEMS = [
    Problem("Code", "text", error_class, reason)
    for error_class, reason in [
        (ErrorClass.TRANSIENT, Reason.THROTTLED),
        (ErrorClass.TRANSIENT, Reason.SERVICE_UNAVAILABLE),
        *((ErrorClass.BLOCKED, reason) for reason in sorted(BLOCKING)),
        (ErrorClass.BLOCKED, Reason.CRD_OUTDATED),
        (ErrorClass.TERMINAL, Reason.STATUS_UNREADABLE),
        (ErrorClass.TERMINAL, Reason.JOB_NOT_FOUND),
        (ErrorClass.TERMINAL, Reason.JOB_CLAIMED),
        (ErrorClass.TERMINAL, Reason.INVALID_JOB_ID),
        (ErrorClass.TERMINAL, Reason.INVALID_SPEC),
    ]
]
DEAF = {Reason.JOB_CLAIMED, Reason.CRD_OUTDATED, Reason.INVALID_SPEC, Reason.STATUS_UNREADABLE}
"""Reasons of resources whose requests the operator does not look at."""
OWN = {Reason.JOB_CLAIMED, Reason.CRD_OUTDATED, Reason.STATUS_UNREADABLE}
"""Reasons that are no answers of ESA."""
readable = statuses.map(lambda status: status.model_copy(update={"executions": []}))
"""Windows whose times can't be read make a status that is never replaced."""
RULES = Rules("me")
TOLD = Seen("job1", job=EsaJob("job1"), works=True)
"""What is known after ESA has told about the job."""

problems = st.sampled_from(PROBLEMS)
answers = st.sampled_from([problem for problem in PROBLEMS if problem.reason not in OWN])
tokens = st.sampled_from(["t1", "t2", "2026-01-01T00:00:00Z", "x" * 256, "sha256:abc"])
asked_maps = st.dictionaries(st.sampled_from(RESET_KEYS), tokens, max_size=2)


def resource(status: Status | None = None, asked: dict[str, str] | None = None, **meta: Any) -> ScheduledPreloadJob:
    body: dict[str, Any] = {
        "metadata": {
            "name": "j",
            "namespace": "n",
            "uid": "u",
            "resourceVersion": "7",
            "generation": 2,
            "annotations": asked or {},
            **meta,
        },
        "spec": {"jobId": "job1"},
    }
    return ScheduledPreloadJob.model_validate(body).model_copy(update={"status": status or Status()})


def live(job: ScheduledPreloadJob, status: dict[str, Any] | None = None) -> dict[str, Any]:
    """The object as Argo CD reads it."""
    body: dict[str, Any] = job.model_dump(by_alias=True, exclude_none=True)
    return body if status is None else body | {"status": status}


def report(view: View, finding: Finding | None = None, job: EsaJob | None = None) -> Write:
    """A write that changes nothing of the reset."""
    return Write(view, view.reset, view.handled, view.newest, finding=finding, job=job)


def health(obj: dict[str, Any]) -> str:
    answer = health_script.run(obj)
    assert set(answer) == {"status", "message"}
    assert isinstance(answer["message"], str)
    return str(answer["status"])


def disabled(obj: dict[str, Any], action: str = "reset") -> bool:
    return bool(discovery_script.run(obj)[action]["disabled"])


# --- the table ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", State)
def test_each_state_has_the_health_of_its_row(state: State) -> None:
    reasons = BLOCKING if state is State.BLOCKED else {Reason.READY, Reason.JOB_NOT_FOUND, Reason.THROTTLED}
    if state is State.SUSPENDED:
        reasons = {Reason.SUSPENDED}
    for reason in reasons:
        conditions = judged([], Finding(state, reason, "text"), 2, format_time(WALL - DEGRADED_AFTER))
        obj = live(resource(Status(observed_generation=2, conditions=conditions)))
        obj["spec"]["suspend"] = state is State.SUSPENDED
        assert health(obj) == TABLE[state].argo_health, reason


@given(readable, problems, st.integers(0, 10**9))
@settings(deadline=None)
def test_a_problem_shows_as_the_table_says_once_it_has_lasted(before: Status, problem: Problem, age: int) -> None:
    job = resource(before)
    finding = finding_of(problem)
    status = status_after(report(view_of(live(job)), finding), WALL - age)
    since = next(each["lastTransitionTime"] for each in status["conditions"] if each["type"] == "Ready")
    expected = TABLE[finding.state].argo_health
    if finding.state is State.BLOCKED and since > format_time(WALL - DEGRADED_AFTER):
        expected = "Progressing"
    assert health(live(job, status)) == expected


@given(readable)
@settings(deadline=None)
def test_a_job_that_esa_tells_about_is_healthy_unless_a_reset_has_a_word_in_it(before: Status) -> None:
    job = resource(before.model_copy(update={"reset": None}))
    write = report(view_of(live(job)), job=EsaJob("job1"))
    finding = assess(write, LocalState("u", seen=TOLD), RULES)
    assert health(live(job, status_after(replace(write, finding=finding), WALL))) == "Healthy"


def expected_finding(reset: ResetState, problem: Problem | None, *, seen: bool) -> Finding:
    """What a resource without conditions is in: of the look and the reset the worse one, and good only if ESA told."""
    found = [Finding(State.PENDING, Reason.PENDING, "")]
    if seen:
        found = [Finding(State.READY, Reason.READY, "")]
    elif problem is not None:
        found = [finding_of(problem)]
    if reset.phase == Phase.HELD:
        found.append(Finding(State.HELD, Reason.HELD, ""))
    elif reset.phase == Phase.IN_FLIGHT and not reset.reason:
        found.append(Finding(State.RESETTING, Reason.RESETTING, ""))
    elif reset.phase in {Phase.IN_FLIGHT, Phase.RETRYING} or (
        reset.phase == Phase.FAILED and (not seen or reset.reason == Reason.INVALID_SPEC)
    ):
        found.append(finding_for(reset.reason, ""))
    return max(found, key=lambda finding: list(State).index(finding.state))


@pytest.mark.parametrize("phase", Phase)
@given(data=st.data(), problem=st.none() | answers, answer=st.none() | answers, seen=st.booleans())
@settings(deadline=None)
def test_whatever_the_reset_protocol_writes_shows_as_the_table_and_the_open_request_say(
    data: st.DataObject, phase: Phase, problem: Problem | None, answer: Problem | None, seen: bool
) -> None:
    before = data.draw(readable)
    asked, taken, handled = (data.draw(asked_maps) for _ in range(3))
    job = resource(before.model_copy(update={"conditions": []}), asked)
    if phase in {Phase.RETRYING, Phase.FAILED} and answer is None:
        answer = PROBLEMS[0]
    reset = ResetState(phase, "job1", tokens=tuple(sorted(taken.items())), generation=2, message="m")
    if answer is not None and phase in {Phase.IN_FLIGHT, Phase.RETRYING, Phase.FAILED}:
        reset = replace(reset, reason=str(answer.reason))
    write = Write(view_of(live(job)), reset, tuple(sorted(handled.items())), job=EsaJob("job1") if seen else None)
    finding = assess(write, LocalState("u", seen=TOLD if seen else Seen("job1", problem=problem)), RULES)
    status = status_after(replace(write, finding=finding), WALL - DEGRADED_AFTER)
    under_way = phase in {Phase.IN_FLIGHT, Phase.RETRYING, Phase.HELD}
    unheard = {
        key for key, token in asked.items() if token not in {handled.get(key), taken.get(key) if under_way else ""}
    }
    expected = expected_finding(reset, problem, seen=seen)
    deaf = expected.reason in DEAF
    assert health(live(job, status)) == ("Progressing" if unheard and not deaf else TABLE[expected.state].argo_health)


@pytest.mark.parametrize("reason", sorted({problem.reason for problem in PROBLEMS} - OWN))
def test_a_job_that_is_there_again_after_a_failed_request_is_healthy_unless_the_spec_was_refused(
    reason: Reason,
) -> None:
    job = resource(Status(), {RESET_KEY: "t1"})
    failed = ResetState(Phase.FAILED, "job1", tokens=((RESET_KEY, "t1"),), generation=2, reason=reason, message="m")
    write = Write(view_of(live(job)), failed, failed.tokens, job=EsaJob("job1"))
    finding = assess(write, LocalState("u", seen=TOLD), RULES)
    expected = "Degraded" if reason is Reason.INVALID_SPEC else "Healthy"
    assert health(live(job, status_after(replace(write, finding=finding), WALL))) == expected


OBSTACLES: dict[Reason, tuple[dict[str, Any], LocalState, Rules]] = {
    Reason.JOB_CLAIMED: ({}, LocalState("u", claimed=True), RULES),
    Reason.CRD_OUTDATED: ({}, LocalState("u"), replace(RULES, crd_lacks="status.handledTimes")),
    Reason.INVALID_SPEC: ({"spec": {"jobId": 7}}, LocalState("u"), RULES),
    Reason.STATUS_UNREADABLE: ({"status": {"reset": {"trigger": None}}}, LocalState("u"), RULES),
}


@pytest.mark.parametrize("reason", OBSTACLES)
@given(before=readable, asked=asked_maps)
@settings(deadline=None)
def test_what_keeps_the_operator_from_looking_at_requests_is_degraded_whatever_is_asked_for(
    reason: Reason, before: Status, asked: dict[str, str]
) -> None:
    parts, local, rules = OBSTACLES[reason]
    obj = live(resource(before, asked)) | parts
    write = report(view_of(obj))
    finding = assess(write, local, rules)
    assert finding is not None
    assert finding.reason == reason
    assert health(obj | {"status": status_after(replace(write, finding=finding), WALL)}) == "Degraded"


@given(statuses, asked_maps, st.integers(0, 3))
@settings(deadline=None)
def test_no_status_breaks_a_script_and_the_three_agree(before: Status, asked: dict[str, str], generation: int) -> None:
    obj = live(resource(before, asked, generation=generation))
    assert health(obj) in {"Healthy", "Progressing", "Degraded"}
    assert disabled(obj, "resume")
    assert as_lua_keeps(suspend_script.run(obj)) == as_lua_keeps(obj | {"spec": obj["spec"] | {"suspend": True}})
    if before.observed_generation != generation:
        assert health(obj) == "Progressing"
    if disabled(obj):
        with pytest.raises(LuaError, match=r"already requested or under way|does not look at requests"):
            reset_script.run(obj)
    else:
        expected = copy.deepcopy(obj)
        expected["metadata"]["annotations"][RESET_KEY_PREFIXED] = format_time(WALL)
        assert as_lua_keeps(reset_script.run(obj)) == as_lua_keeps(expected)


def test_every_blocked_error_turns_degraded_and_no_other() -> None:
    known = [*codes.EXACT.values(), *(meaning for _, meaning in (*codes.ENDINGS, *codes.BEGINNINGS))]
    known += [codes.classify("Unheard", status) for status in (400, 401, 403, 408, 429, 500)]
    for error_class, reason in known:
        assert (reason in BLOCKING) == (error_class is ErrorClass.BLOCKED), reason
    for allowed, asked in (("a", "a"), ("a", "b")):
        with pytest.raises(errors.EsaError) as refused:
            Policy(own_namespace="o", secret_names=[allowed]).check("n", None if allowed == asked else asked)
        assert refused.value.problem.reason in BLOCKING
    source = "\n".join(path.read_text() for path in (ROOT / "operator" / "esa_preload_operator" / "esa").glob("*.py"))
    unusable = {Reason[name] for name in re.findall(r"unusable\(\s*Reason\.(\w+)", source)}
    assert unusable
    assert unusable <= BLOCKING


# --- what is not in the conditions ----------------------------------------------------------------------------------


def settled(state: State = State.READY, reason: Reason = Reason.READY, since: float = 0.0, **fields: Any) -> Status:
    conditions = judged([], Finding(state, reason, "text"), 2, format_time(since))
    return Status(observed_generation=2, conditions=conditions, **fields)


@pytest.mark.parametrize("zone", ZONES, ids=str)
@pytest.mark.parametrize(
    "wall", [WALL, 1_772_323_500.0, 1_798_761_900.0]
)  # the others: past midnight of 1 March, 1 January
def test_ten_minutes_are_ten_minutes_in_every_time_zone(zone: Any, wall: float) -> None:
    script = Sandbox(HEALTH, zone=zone, clock=lambda: wall)
    for age, expected in ((0, "Progressing"), (599, "Progressing"), (600, "Degraded"), (601, "Degraded")):
        obj = live(resource(settled(State.BLOCKED, Reason.ACCESS_DENIED, wall - age)))
        assert script.run(obj)["status"] == expected, age


@pytest.mark.parametrize("key", RESET_KEYS)
def test_a_request_is_progressing_until_it_is_handled_under_its_own_key(key: str) -> None:
    other = next(each for each in RESET_KEYS if each != key)
    for handled, expected in (
        ({}, "Progressing"),
        ({other: "t1"}, "Progressing"),
        ({key: "t0"}, "Progressing"),
        ({key: "t1"}, "Healthy"),
    ):
        obj = live(resource(settled(handled_resets=handled), {key: "t1"}))
        assert health(obj) == expected
        assert disabled(obj) == (expected == "Progressing")


@pytest.mark.parametrize(
    "reason", [problem.reason for problem in PROBLEMS if finding_of(problem).state is State.STALLED]
)
def test_a_new_request_on_a_stalled_resource_is_progressing_unless_nobody_will_look_at_it(reason: Reason) -> None:
    deaf = reason in DEAF
    obj = live(resource(settled(State.STALLED, reason), {RESET_KEY: "t1"}))
    assert health(obj) == ("Degraded" if deaf else "Progressing")


@pytest.mark.parametrize(
    "reason", [problem.reason for problem in PROBLEMS if finding_of(problem).state is State.STALLED]
)
def test_the_action_is_disabled_with_the_reason_where_nobody_would_look_at_it(reason: Reason) -> None:
    deaf = reason in DEAF
    obj = live(resource(settled(State.STALLED, reason)))
    assert disabled(obj) == deaf
    name = discovery_script.run(obj)["reset"]["displayName"]
    assert name == (f"Reset (not possible: {reason})" if deaf else "Reset")
    if deaf:
        with pytest.raises(LuaError, match=f"does not look at requests of this resource: {reason}"):
            reset_script.run(obj)
    else:
        reset_script.run(obj)


@pytest.mark.parametrize("phase", ["Succeeded", "Withdrawn", "Replaced"])
def test_a_token_that_is_set_again_is_not_taken_for_the_reset_that_ended(phase: str) -> None:
    reset = {"phase": phase, "tokens": {RESET_KEY: "t1"}}
    assert (
        health(live(resource(Status.model_validate(settled().model_dump() | {"reset": reset}), {RESET_KEY: "t1"})))
        == "Progressing"
    )


def test_a_long_token_counts_as_handled_once_a_hash_stands_in_its_place() -> None:
    token = "ü" * 129
    for handled, expected in (
        ({}, "Progressing"),
        ({RESET_KEY: "t1"}, "Progressing"),
        ({RESET_KEY: normalise(token)}, "Healthy"),
    ):
        obj = live(resource(settled(handled_resets=handled), {RESET_KEY: token}))
        assert health(obj) == expected
        assert disabled(obj) == (expected == "Progressing")
    assert (
        health(live(resource(settled(handled_resets={RESET_KEY: normalise(token)}), {RESET_KEY: "t2"})))
        == "Progressing"
    )


@pytest.mark.parametrize("token", ["", None])
def test_an_empty_annotation_asks_for_nothing(token: str | None) -> None:
    obj = live(resource(settled()))
    obj["metadata"]["annotations"] = {} if token is None else {RESET_KEY: token}
    assert health(obj) == "Healthy"
    del obj["metadata"]["annotations"]
    assert health(obj) == "Healthy"
    assert reset_script.run(obj)["metadata"]["annotations"] == {RESET_KEY_PREFIXED: format_time(WALL)}


def test_a_resource_is_suspended_once_the_operator_says_so_whatever_is_asked_for() -> None:
    for asked in ({}, {RESET_KEY: "t1"}):
        obj = live(resource(settled(State.SUSPENDED, Reason.SUSPENDED), asked))
        obj["spec"]["suspend"] = True
        assert health(obj) == "Suspended"
        assert health({**obj, "metadata": obj["metadata"] | {"generation": 3}}) == "Progressing"
        obj["spec"]["suspend"] = False
        assert health(obj) != "Suspended"


@pytest.mark.parametrize("state", [state for state in State if state is not State.SUSPENDED])
def test_what_is_worse_than_being_suspended_shows(state: State) -> None:
    reason = Reason.ACCESS_DENIED if state is State.BLOCKED else Reason.READY
    obj = live(resource(settled(state, reason)))
    obj["spec"]["suspend"] = True
    assert health(obj) == TABLE[state].argo_health


@pytest.mark.parametrize(
    ("reason", "job_id", "expected"),
    [
        (Reason.QUOTA_EXCEEDED, "", "Degraded"),
        (Reason.ACCESS_DENIED, "", "Degraded"),
        (Reason.QUOTA_EXCEEDED, "job1", "Degraded"),
        (Reason.SOURCE_NOT_FOUND, "job1", "Degraded"),
        (Reason.ACCESS_DENIED, "job1", "Progressing"),  # the operator takes the request up
    ],
)
def test_a_request_that_waits_for_a_job_hides_nothing(reason: Reason, job_id: str, expected: str) -> None:
    obj = live(resource(settled(State.BLOCKED, reason, job_id=job_id), {RESET_KEY: "t1"}))
    obj["spec"] = {"siteId": 1, "source": {"urls": ["https://www.example.com/a.js"]}}
    assert health(obj) == expected


def test_suspend_and_resume_are_offered_in_turn_and_change_nothing_else() -> None:
    obj = live(resource(settled()))
    assert (disabled(obj, "suspend"), disabled(obj, "resume")) == (False, True)
    with pytest.raises(LuaError, match="not suspended"):
        resume_script.run(obj)
    resting = suspend_script.run(obj)
    assert as_lua_keeps(resting) == as_lua_keeps(obj | {"spec": obj["spec"] | {"suspend": True}})
    assert (disabled(resting, "suspend"), disabled(resting, "resume")) == (True, False)
    with pytest.raises(LuaError, match="suspended already"):
        suspend_script.run(resting)
    assert resume_script.run(resting)["spec"]["suspend"] is False


def test_an_object_that_nobody_has_looked_at_is_progressing() -> None:
    obj: dict[str, Any] = {"metadata": {"generation": 1}, "spec": {"jobId": "job1"}}
    assert health(obj) == "Progressing"
    assert not disabled(obj)
    assert health(obj | {"status": {}}) == "Progressing"


def test_the_action_sets_a_token_that_reads_as_the_present_time() -> None:
    obj = reset_script.run(live(resource(settled())))
    assert parse_time(obj["metadata"]["annotations"][RESET_KEY_PREFIXED]) == WALL
