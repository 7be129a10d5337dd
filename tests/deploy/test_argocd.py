"""Argo CD's health: the script in a sandbox like Argo CD's, for every status that the operator writes."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lupa.lua51 import LuaError

from esa_preload_operator.domain import errors
from esa_preload_operator.domain.cleaning import format_time
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
from esa_preload_operator.domain.values import Phase, ResetState, Rules
from esa_preload_operator.domain.view import View, view_of
from esa_preload_operator.esa import codes
from esa_preload_operator.esa.accounts import Policy
from esa_preload_operator.resources.job import (
    RESET_KEY,
    RESET_KEY_PREFIXED,
    RESET_KEYS,
    Status,
)
from support.argocd import (
    DEAF,
    PROBLEMS,
    ROOT,
    WALL,
    disabled,
    health,
    live,
    reset_script,
    resource,
    suspend_script,
)
from support.lua import as_lua_keeps
from support.statuses import statuses

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


def report(view: View, finding: Finding | None = None, job: EsaJob | None = None) -> Write:
    """A write that changes nothing of the reset."""
    return Write(view, view.reset, view.handled, view.newest, finding=finding, job=job)


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
