"""What becomes of a write: stored, lost, refused, in conflict, or kept by half."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from esa_preload_operator.domain.errors import Reason, VersionConflictError, WriteRefusedError, WriteUnknownError
from esa_preload_operator.domain.steps import Write
from esa_preload_operator.domain.values import Notice
from esa_preload_operator.domain.view import view_of
from support.fakes import DENIED, JOB, NO_JOB, Fault
from support.operating import Operator, adopted


def lost(*, stored: bool, retry_after: float | None = None) -> Fault:
    return Fault(WriteUnknownError("the answer was lost", retry_after=retry_after), stored=stored)


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("number", [0, 1])
async def test_a_reset_whose_write_was_lost_is_told_and_counted_once(number: int, *, stored: bool) -> None:
    operator, ref = await adopted()
    operator.jobs.faults = [None] * number + [lost(stored=stored)]
    operator.jobs.annotate(ref, "t1")
    await operator.pass_time(60)
    assert operator.esa.resets == {JOB: 1}
    assert (operator.events.reasons, operator.observer.ended) == (["ResetSucceeded"], {"Succeeded": 1})
    assert operator.observer.undecidable == 0


@pytest.mark.parametrize("stored", [True, False])
async def test_a_warning_whose_write_was_lost_is_told_once(*, stored: bool) -> None:
    operator, ref = await adopted()
    operator.esa.reset_failures = [NO_JOB]
    operator.jobs.faults = [None, lost(stored=stored)]
    operator.jobs.annotate(ref, "t1")
    await operator.pass_time(60)
    assert operator.events.reasons == ["ResetFailed"]
    assert operator.events.posted[0][2]
    assert operator.observer.ended == {"Failed": 1}


@pytest.mark.parametrize("stored", [True, False])
async def test_a_condition_whose_write_was_lost_is_told_once(*, stored: bool) -> None:
    operator = Operator()
    operator.esa.add()
    operator.esa.denies = DENIED
    operator.jobs.create("nightly")
    operator.jobs.faults = [lost(stored=stored)]
    await operator.pass_time(60)
    assert operator.events.reasons == ["AccessDenied"]


async def test_a_condition_that_is_written_again_is_told_once() -> None:
    operator = Operator()
    operator.esa.add()
    operator.esa.denies = DENIED
    ref = operator.jobs.create("nightly")
    await operator.settle()
    operator.jobs.change_spec(ref, minResetInterval="1m")
    await operator.pass_time(60)
    assert operator.jobs.status(ref)["observedGeneration"] == 2
    assert operator.events.reasons == ["AccessDenied"]


async def test_an_outcome_whose_write_was_lost_is_told_though_a_new_request_comes_before_the_read() -> None:
    operator, ref = await adopted()
    operator.esa.look_failures = [NO_JOB]
    operator.jobs.faults = [lost(stored=True)]
    operator.jobs.failing_reads = 1
    operator.jobs.annotate(ref, "t1")
    operator.watch()
    await operator.turn(ref, operator.queue.pop(ref))
    operator.jobs.annotate(ref, "t2")
    await operator.pass_time(700)
    assert operator.esa.resets == {JOB: 1}
    assert operator.events.reasons == ["ResetFailed", "ResetSucceeded"]
    assert operator.observer.ended == {"Failed": 1, "Succeeded": 1}


async def test_a_reset_whose_lost_write_lands_after_the_read_is_told_once() -> None:
    operator, ref = await adopted()
    sent: list[Any] = []

    def hold() -> None:
        sent.append((str(operator.jobs.version(ref)), operator.jobs.writes[-1]))

    def land() -> None:
        operator.jobs._store(ref, *sent[0])

    operator.jobs.faults = [None, Fault(WriteUnknownError("timed out"), first=hold), Fault(first=land)]
    operator.jobs.annotate(ref, "t1")
    await operator.pass_time(60)
    assert operator.esa.resets == {JOB: 1}
    assert (operator.events.reasons, operator.observer.ended) == (["ResetSucceeded"], {"Succeeded": 1})


async def test_an_outcome_that_somebody_has_wiped_before_it_was_read_is_not_told_twice() -> None:
    operator, ref = await adopted()
    operator.jobs.faults = [None, lost(stored=True)]
    done: list[bool] = []

    def wipe() -> None:
        if not done:
            done.append(True)
            operator.jobs.wipe_status(ref)

    operator.jobs.before_read = wipe
    operator.jobs.annotate(ref, "t1")
    await operator.pass_time(60)
    assert operator.esa.resets == {JOB: 1}
    assert (operator.events.reasons, operator.observer.ended) == (["ResetSucceeded"], {"Succeeded": 1})


# --- what the API server wishes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        Fault(WriteRefusedError("too many requests", retry_after=30.0)),
        lost(stored=False, retry_after=30.0),
        lost(stored=True, retry_after=30.0),
    ],
    ids=["refused", "lost", "lost and stored"],
)
@pytest.mark.parametrize("number", [0, 1], ids=["intent", "outcome"])
async def test_the_api_servers_wish_for_a_pause_is_met(fault: Fault, number: int) -> None:
    operator, ref = await adopted()
    operator.jobs.faults = [None] * number + [fault]
    operator.jobs.annotate(ref, "t1")
    await operator.pass_time(29)
    assert (len(operator.jobs.writes), operator.jobs.reads) == (number + 1, 0)
    await operator.pass_time(2)
    assert (operator.esa.resets, operator.jobs.status(ref)["reset"]["phase"]) == ({JOB: 1}, "Succeeded")
    assert operator.observer.ended == {"Succeeded": 1}


async def test_an_event_during_the_pause_does_not_shorten_it() -> None:
    operator, ref = await adopted()
    operator.jobs.faults = [Fault(WriteRefusedError("too many requests", retry_after=30.0))]
    operator.jobs.annotate(ref, "t1")
    await operator.pass_time(5)
    operator.jobs.annotate(ref, "t2")
    await operator.pass_time(24)
    assert (len(operator.jobs.writes), operator.jobs.reads) == (1, 0)
    await operator.pass_time(2)
    assert operator.jobs.status(ref)["handledResets"] == {"resetRequested": "t2"}
    assert operator.esa.resets == {JOB: 1}


async def test_writes_that_are_refused_for_long_slow_down_and_call_nothing() -> None:
    operator, ref = await adopted()
    operator.jobs.faults = [Fault(WriteRefusedError("denied")) for _ in range(1000)]
    operator.jobs.annotate(ref, "t1")
    await operator.pass_time(3600)
    assert operator.esa.resets == {}
    assert len(operator.jobs.writes) < 40
    operator.jobs.faults.clear()
    await operator.pass_time(600)
    assert operator.esa.resets == {JOB: 1}


async def test_after_a_conflict_on_the_intent_the_job_is_looked_at_again() -> None:
    operator, ref = await adopted()
    operator.jobs.faults = [Fault(first=lambda: operator.jobs.annotate(ref, "t2"))]
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    assert (operator.esa.looks, operator.esa.resets, operator.jobs.reads) == (2, {JOB: 1}, 1)
    assert operator.jobs.status(ref)["handledResets"] == {"resetRequested": "t2"}


async def test_a_label_that_is_set_during_the_call_costs_a_read_and_no_second_call() -> None:
    operator, ref = await adopted()
    operator.esa.while_resetting = lambda: operator.jobs.label(ref)
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    assert (operator.esa.looks, operator.esa.resets, operator.jobs.reads) == (1, {JOB: 1}, 1)
    assert operator.events.reasons == ["ResetSucceeded"]


async def test_a_conflict_without_another_version_is_met_by_reads() -> None:
    operator, ref = await adopted()
    operator.jobs.faults = [None, Fault(VersionConflictError("a webhook said so"))]
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    assert (operator.esa.resets, operator.observer.ended) == ({JOB: 1}, {"Succeeded": 1})


# --- fields that the API server does not keep ---------------------------------------------------------------------


async def with_old_crd(field: str = "handledResets") -> tuple[Operator, Any]:
    """Return an operator that has made a reset and met a CRD which does not keep a field."""
    operator, ref = await adopted()
    operator.jobs.pruned = {field}
    operator.jobs.annotate(ref, "t1")
    await operator.pass_time(60)
    return operator, ref


@pytest.mark.parametrize("field", ["handledResets", "lastResetTime"])
async def test_a_crd_that_drops_the_outcome_costs_one_reset_and_shows(field: str) -> None:
    operator, ref = await with_old_crd(field)
    assert operator.esa.resets == {JOB: 1}
    assert operator.jobs.condition(ref)[:2] == ("False", "CRDOutdated")
    assert operator.jobs.condition(ref, "Stalled")[0] == "True"
    assert field in operator.jobs.condition(ref)[2]
    assert operator.events.reasons == ["ResetSucceeded", "CRDOutdated"]


async def test_a_crd_that_drops_the_intent_costs_no_reset() -> None:
    operator, ref = await with_old_crd("reset")
    assert operator.esa.resets == {}
    assert operator.jobs.condition(ref)[:2] == ("False", "CRDOutdated")


async def test_with_a_crd_that_drops_the_outcome_nothing_is_called_whatever_happens() -> None:
    operator, ref = await with_old_crd()
    operator.jobs.writes.clear()
    for number in range(3):
        operator.jobs.annotate(ref, f"again-{number}")
        await operator.pass_time(700)
        operator.wake(ref)
        await operator.settle()
        operator.relist()
        await operator.settle()
        await operator.refresh()
    assert operator.esa.resets == {JOB: 1}
    assert len(operator.jobs.writes) <= 1


@pytest.mark.parametrize("asked", [True, False])
async def test_a_crd_that_drops_even_the_conditions_ends_in_rest(*, asked: bool) -> None:
    operator = Operator()
    operator.esa.add()
    operator.jobs.pruned = {"handledResets", "conditions", "reset", "jobId", "siteId", "observedGeneration"}
    ref = operator.jobs.create("nightly")
    if asked:
        operator.jobs.annotate(ref, "t1")
    for value in "abc":
        operator.jobs.label(ref, value)
        await operator.pass_time(3600)
    assert operator.esa.resets == {}
    assert (operator.esa.looks, len(operator.jobs.writes)) < (3, 10)


async def test_once_the_crd_keeps_all_fields_requests_are_served_again() -> None:
    operator, ref = await with_old_crd()
    operator.jobs.annotate(ref, "t2")
    await operator.settle()
    operator.jobs.pruned = set()
    operator.reconciler.crd_changed("")
    await operator.pass_time(60)
    assert operator.esa.resets == {JOB: 2}
    assert operator.jobs.status(ref)["handledResets"] == {"resetRequested": "t2"}
    assert operator.jobs.condition(ref)[:2] == ("True", "Ready")
    operator.jobs.writes.clear()
    operator.relist()
    await operator.pass_time(3600)
    assert (operator.esa.resets, operator.jobs.writes) == ({JOB: 2}, [])


async def test_a_crd_that_is_known_to_lack_a_field_lets_no_reset_begin() -> None:
    operator, ref = await adopted()
    operator.reconciler.crd_changed("status.handledResets")
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    assert (operator.esa.resets, operator.esa.looks) == ({}, 0)
    assert operator.jobs.condition(ref)[:2] == ("False", "CRDOutdated")
    operator.reconciler.crd_changed("")
    await operator.settle()
    assert (operator.esa.resets, operator.jobs.condition(ref)[1]) == ({JOB: 1}, "Ready")


# --- what this version does not know, or can't read ---------------------------------------------------------------


async def test_unknown_fields_of_the_status_survive_every_write() -> None:
    operator, ref = await adopted()
    operator.jobs.change_status(ref, fromTheFuture={"windows": [1, 2]})
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    operator.esa.denies = DENIED
    operator.jobs.annotate(ref, "t2")
    await operator.settle()
    operator.jobs.annotate(ref, None)
    await operator.settle()
    assert len(operator.jobs.writes) >= 4
    assert all(write["fromTheFuture"] == {"windows": [1, 2]} for write in operator.jobs.writes)


async def test_unknown_fields_of_a_reset_survive_the_writes_about_the_same_attempt() -> None:
    operator, ref = await adopted()

    def write_ahead() -> None:
        reset = operator.jobs.status(ref)["reset"] | {"opens": ["launch"]}
        operator.jobs.change_status(ref, reset=reset)

    operator.esa.while_resetting = write_ahead
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    reset = operator.jobs.status(ref)["reset"]
    assert (reset["phase"], reset["opens"], operator.esa.resets) == ("Succeeded", ["launch"], {JOB: 1})
    operator.esa.while_resetting = lambda: None
    operator.clock.at += 1
    operator.jobs.annotate(ref, "t2")
    await operator.settle()
    assert "opens" not in operator.jobs.status(ref)["reset"]


DAMAGES: list[tuple[str, dict[str, Any]]] = [
    ("status.reset.trigger", {"reset": {"phase": "Succeeded", "trigger": None}}),
    ("status.reset.attempts", {"reset": {"phase": "InFlight", "attempts": "many"}}),
    ("status.handledResets", {"handledResets": ["t0"]}),
    ("status.urlCount", {"urlCount": "many"}),
]


@pytest.mark.parametrize(("field", "damage"), DAMAGES, ids=[field for field, _ in DAMAGES])
async def test_a_status_that_cannot_be_read_is_shown_and_never_replaced(field: str, damage: dict[str, Any]) -> None:
    operator, ref = await adopted()
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    before = operator.jobs.status(ref)
    operator.jobs.change_status(ref, **{"fromTheFuture": 1} | damage)
    await operator.settle()
    operator.jobs.annotate(ref, "t2")
    operator.esa.add(submitted=9)
    await operator.pass_time(3600)
    await operator.refresh()
    after = operator.jobs.status(ref)
    told = {"conditions", "observedGeneration"}
    expected = {key: value for key, value in (before | {"fromTheFuture": 1} | damage).items() if key not in told}
    assert {key: value for key, value in after.items() if key not in told} == expected
    assert operator.esa.resets == {JOB: 1}
    status, reason, message = operator.jobs.condition(ref)
    assert (status, reason) == ("False", "StatusUnreadable")
    assert field in message
    assert operator.jobs.condition(ref, "Stalled")[0] == "True"
    assert len(operator.jobs.writes) == 3


async def test_conditions_that_cannot_be_read_are_made_anew() -> None:
    operator, ref = await adopted()
    operator.jobs.change_status(ref, conditions="Ready")
    await operator.settle()
    assert operator.jobs.condition(ref)[:2] == ("True", "Ready")


async def test_once_a_status_can_be_read_again_it_is_served_again() -> None:
    operator, ref = await adopted()
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    reset = operator.jobs.status(ref)["reset"]
    operator.jobs.change_status(ref, reset=reset | {"trigger": None})
    await operator.settle()
    operator.jobs.change_status(ref, reset=reset)
    await operator.settle()
    assert (operator.esa.resets, operator.jobs.condition(ref)[:2]) == ({JOB: 1}, ("True", "Ready"))
    operator.jobs.annotate(ref, "t2")
    await operator.settle()
    assert operator.esa.resets == {JOB: 2}


async def test_a_lost_write_of_a_job_that_was_not_stored_is_not_told() -> None:
    operator, ref = await adopted()
    view, tracked = view_of(operator.jobs.objects[ref]), operator.tracked(ref)
    made = replace(view.recorded, job_id="new")
    tracked.unannounced = Write(
        view, view.reset, view.handled, view.newest, recorded=made, notice=Notice(Reason.JOB_CREATED, "text")
    )
    writer = operator.reconciler.runner.writer
    writer.announce_late(tracked, replace(view, version=view.version + 1))
    assert (operator.events.reasons, operator.observer.creates) == ([], {})
    tracked.unannounced = Write(
        view, view.reset, view.handled, view.newest, recorded=made, notice=Notice(Reason.JOB_CREATED, "text")
    )
    writer.announce_late(tracked, replace(view, version=view.version + 1, recorded=made))
    assert (operator.events.reasons, operator.observer.creates) == (["JobCreated"], {"Created": 1})
