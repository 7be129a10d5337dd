"""Argo CD's health and actions: what the conditions do not say, such as open requests, time zones and suspension."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone
from typing import Any

import pytest
from lupa.lua51 import LuaError

from esa_preload_operator.domain.cleaning import format_time, parse_time
from esa_preload_operator.domain.conditions import (
    TABLE,
    Finding,
    State,
    finding_of,
    judged,
)
from esa_preload_operator.domain.errors import Reason
from esa_preload_operator.domain.tokens import normalise
from esa_preload_operator.resources.job import (
    RESET_KEY,
    RESET_KEY_PREFIXED,
    RESET_KEYS,
    Status,
)
from support.argocd import (
    DEAF,
    HEALTH,
    PROBLEMS,
    WALL,
    disabled,
    discovery_script,
    health,
    live,
    reset_script,
    resource,
    resume_script,
    suspend_script,
)
from support.lua import Sandbox, as_lua_keeps

ZONES = [UTC, timezone(timedelta(hours=8)), timezone(timedelta(hours=-9, minutes=-30))]


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
