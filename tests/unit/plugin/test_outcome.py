"""What has become of a request: the token in handledResets, and the phase of the reset."""

from __future__ import annotations

import pytest

from esa_preload_operator.cli.plugin.outcome import End, fresh_token, token_problem, verdict
from esa_preload_operator.domain.tokens import asked_tokens, is_stale, normalise, satisfied
from support.plugin_jobs import NOW, asked, condition, job

LONG = "x" * 300


@pytest.mark.parametrize(
    ("phase", "end"),
    [("Succeeded", End.MADE), ("Replaced", End.MADE), ("Failed", End.FAILED), ("Withdrawn", End.FAILED)],
)
def test_a_handled_token_ends_as_its_phase_says(phase: str, end: End) -> None:
    assert verdict(asked("t", phase=phase, handled="t"), "t").end is end


@pytest.mark.parametrize("phase", ["Held", "InFlight", "Retrying"])
def test_an_open_phase_is_no_outcome_even_if_the_token_was_handled_before(phase: str) -> None:
    found = verdict(asked("t", phase=phase, handled="t"), "t")
    assert (found.end, found.word) == (End.OPEN, phase)


def test_the_phase_of_another_token_is_not_taken_for_this_ones() -> None:
    assert verdict(asked("t", phase="Succeeded", handled="before", of="before"), "t").end is End.OPEN


def test_a_long_token_is_found_by_its_hash() -> None:
    shown = normalise(LONG)
    assert verdict(asked(LONG, phase="Succeeded", handled=shown, of=shown), LONG).end is End.MADE


def test_a_token_that_a_newer_request_satisfies_is_told_apart_from_one_of_its_own() -> None:
    assert verdict(asked("t", phase="Succeeded", handled="t", of="newer"), "t").word == "Satisfied"
    assert verdict(asked("t", phase="Failed", handled="t", of="newer"), "t").end is End.FAILED


def test_a_request_that_was_overwritten_or_removed_is_not_waited_for() -> None:
    assert verdict(asked("other"), "t").word == "Overtaken"
    assert verdict(job(), "t").word == "Withdrawn"


def test_a_call_under_way_is_waited_for_although_the_annotation_holds_a_newer_token() -> None:
    assert verdict(asked("newer", phase="InFlight", of="t"), "t").end is End.OPEN


def test_while_it_waits_the_reason_is_told() -> None:
    blocked = (condition("Ready", "False", "AccessDenied", "Forbidden: no"),)
    assert verdict(asked("t", conditions=blocked), "t").message == "AccessDenied: Forbidden: no"
    assert verdict(asked("t", spec={"suspend": True}), "t").word == "Held"


@pytest.mark.parametrize(
    "handled",
    [{}, {"resetRequested": "2027-06-01T00:00:00Z"}, {"resetRequested": "1900000000"}, {"resetRequested": "x"}],
)
def test_a_fresh_token_is_a_new_request_whatever_was_handled_before(handled: dict[str, str]) -> None:
    one = job(handledResets=handled, handledTimes={"resetRequested": "2026-12-24T00:00:00Z"})
    token = fresh_token([one, job("other")], NOW)
    wanted = asked_tokens({"resetRequested": token})
    assert not satisfied(wanted, tuple(one.handled.items()), tuple(one.newest.items()))
    assert one.created is not None
    assert not is_stale(token, one.created, 3600)


def test_a_slow_clock_makes_no_token_that_is_older_than_the_resource() -> None:
    one = job()
    assert one.created is not None
    assert not is_stale(fresh_token([one], 0.0), one.created, 3600)


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        ("", "empty"),
        ("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrIn0.c2ln", "kubectl's own --token stands before the word reset"),
        ("2020-01-01T00:00:00Z", "before nightly was created"),
    ],
)
def test_tokens_that_can_not_be_meant_are_refused(token: str, problem: str) -> None:
    assert problem in token_problem(token, [job()])
    assert not token_problem("deploy-4711", [job()])
