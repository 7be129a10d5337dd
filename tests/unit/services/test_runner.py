"""What one reset costs, what is done step by step, and what happens in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from esa_preload_operator.domain.plan import advance
from esa_preload_operator.domain.steps import Input, Observed, Step
from esa_preload_operator.domain.view import View, view_of
from esa_preload_operator.services import reconcile, runner, writer
from esa_preload_operator.services.caller import LONG_WAIT
from esa_preload_operator.services.runner import LeadershipLostError
from support.fakes import JOB, LOST, FakeAccount, Fault
from support.operating import Operator, adopted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esa_preload_operator.domain.local import LocalState
    from esa_preload_operator.domain.ports import ObjectRef
    from esa_preload_operator.domain.values import Moment, Rules


def phase(operator: Operator, ref: ObjectRef) -> str:
    found: str = (operator.jobs.status(ref).get("reset") or {}).get("phase", "")
    return found


async def test_a_reset_is_one_look_two_writes_one_call_and_one_event() -> None:
    operator, ref = await adopted()
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    assert (operator.esa.looks, operator.esa.resets, len(operator.jobs.writes)) == (1, {JOB: 1}, 2)
    assert operator.events.reasons == ["ResetSucceeded"]
    assert operator.observer.ended == {"Succeeded": 1}
    assert operator.jobs.status(ref)["handledResets"] == {"resetRequested": "t1"}
    assert operator.dues == {}


async def test_a_reset_that_an_event_asks_for_reads_nothing_from_the_api_server() -> None:
    operator, ref = await adopted()
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    assert (phase(operator, ref), operator.jobs.reads) == ("Succeeded", 0)
    assert operator.turns == [ref]


async def test_services_parse_each_body_once_and_none_that_the_intake_has_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    operator, ref = await adopted()
    operator.jobs.annotate(ref, "t1")
    operator.watch()
    parsed: list[str] = []

    def counting(body: Mapping[str, Any]) -> View:
        parsed.append(body["metadata"]["resourceVersion"])
        return original(body)

    original = view_of
    monkeypatch.setattr(runner, "view_of", counting)
    monkeypatch.setattr(writer, "view_of", counting)
    await operator.turn(ref, operator.queue.pop(ref))
    assert phase(operator, ref) == "Succeeded"
    assert len(parsed) == len(set(parsed)) == 2  # the answers to the two writes


async def test_an_event_is_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    operator, ref = await adopted()
    judged: list[int] = []

    def counting(local: LocalState, happened: Input, now: Moment, rules: Rules) -> tuple[LocalState, Step]:
        if isinstance(happened, Observed):
            judged.append(happened.view.version)
        return advance(local, happened, now, rules)

    monkeypatch.setattr(runner, "advance", counting)
    monkeypatch.setattr(reconcile, "advance", counting)
    operator.jobs.annotate(ref, "t1")
    version = operator.jobs.version(ref)
    await operator.settle()
    assert (judged, phase(operator, ref)) == ([version], "Succeeded")


async def test_a_resource_at_rest_costs_nothing() -> None:
    operator, ref = await adopted()
    for value in "abc":
        operator.jobs.label(ref, value)
    operator.relist()
    await operator.pass_time(86_400)
    assert (operator.turns, operator.jobs.writes, operator.jobs.reads, operator.esa.looks) == ([], [], 0, 0)


# --- in the middle ------------------------------------------------------------------------------------------------


async def test_a_deletion_during_the_look_ends_the_turn_without_a_call() -> None:
    operator, ref = await adopted()

    def delete() -> None:
        operator.jobs.delete(ref)
        operator.watch()

    operator.esa.while_looking = delete
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    assert operator.esa.resets == {}
    assert (operator.registry.get(ref), operator.dues, operator.events.posted) == (None, {}, [])


async def test_a_deletion_during_the_call_tells_nobody_and_leaves_nothing() -> None:
    operator, ref = await adopted()
    operator.esa.while_resetting = lambda: operator.jobs.delete(ref)
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    assert (operator.esa.resets, operator.jobs.reads) == ({JOB: 1}, 0)
    assert (operator.registry.get(ref), operator.dues, operator.events.posted) == (None, {}, [])


async def test_another_object_of_the_same_name_is_handled_by_itself() -> None:
    operator, ref = await adopted()
    uid = operator.tracked(ref).uid
    done: list[bool] = []

    def replace() -> None:
        if not done:
            done.append(True)
            operator.jobs.delete(ref)
            operator.jobs.create(ref.name)
            operator.watch()

    operator.esa.while_looking = replace
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    assert operator.esa.resets == {}
    assert operator.tracked(ref).uid != uid
    assert operator.jobs.condition(ref)[:2] == ("True", "Ready")
    assert "handledResets" not in operator.jobs.status(ref)


async def test_another_object_that_a_read_shows_first_gets_nothing_of_the_old_ones_answer() -> None:
    operator, ref = await adopted()

    def replace() -> None:
        operator.jobs.delete(ref)
        operator.jobs.create(ref.name)

    late: list[tuple[str, dict[str, Any]]] = []

    def hold_back() -> None:
        late.extend(change for change in operator.jobs.changes if change[0] != "DELETED")
        operator.jobs.changes.clear()

    operator.esa.while_resetting = replace
    operator.jobs.before_read = hold_back
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    assert operator.esa.resets == {JOB: 1}
    assert "handledResets" not in operator.jobs.status(ref)
    assert "ResetSucceeded" not in operator.events.reasons
    operator.jobs.changes = late
    await operator.settle()
    assert operator.tracked(ref).uid == operator.jobs.objects[ref]["metadata"]["uid"]
    assert operator.jobs.condition(ref)[:2] == ("True", "Ready")


async def test_an_object_that_was_made_anew_unseen_starts_anew() -> None:
    operator, ref = await adopted()
    operator.jobs.delete(ref)
    operator.jobs.changes.clear()
    operator.jobs.create(ref.name)
    await operator.settle()
    assert operator.tracked(ref).uid == operator.jobs.objects[ref]["metadata"]["uid"]
    assert operator.jobs.condition(ref)[:2] == ("True", "Ready")


async def test_an_item_that_is_older_than_what_was_written_is_read_anew() -> None:
    operator, ref = await adopted()
    operator.jobs.annotate(ref, "t1")
    operator.watch()
    old = operator.queue[ref]
    await operator.settle()
    operator.jobs.annotate(ref, "t2")
    operator.watch()
    await operator.turn(ref, old)
    assert (operator.esa.looks, operator.esa.resets, operator.jobs.reads) == (2, {JOB: 2}, 1)
    assert len(operator.jobs.writes) == 4


async def test_a_read_that_crosses_the_deletion_does_not_revive_the_resource() -> None:
    operator, ref = await adopted()
    late = dict(operator.jobs.objects[ref])
    operator.jobs.delete(ref)
    operator.watch()
    operator.jobs.objects[ref] = late  # an API server that has not heard of the deletion yet
    await operator.turn(ref)
    assert operator.jobs.reads == 1
    assert operator.registry.get(ref) is None


async def test_a_changed_secret_reference_during_the_look_is_judged_before_the_call() -> None:
    operator, ref = await adopted()
    other = operator.accounts.of["other"] = FakeAccount()
    other.add()
    done: list[bool] = []

    def change() -> None:
        if not done:
            done.append(True)
            operator.jobs.change_spec(ref, credentialsSecretRef={"name": "other"})

    operator.esa.while_looking = change
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    assert (operator.esa.resets, other.resets) == ({}, {JOB: 1})


async def test_a_secret_reference_that_a_read_showed_first_is_known_when_its_secret_changes() -> None:
    operator, ref = await adopted()
    operator.accounts.of["other"] = FakeAccount()
    operator.jobs.change_spec(ref, credentialsSecretRef={"name": "other"})
    await operator.turn(ref)  # the read comes before the event
    await operator.settle()
    assert operator.jobs.condition(ref)[1] == "JobNotFound"
    better = FakeAccount()
    better.add()
    await operator.change_secret("other", better)
    assert operator.jobs.condition(ref)[:2] == ("True", "Ready")


# --- the lead -----------------------------------------------------------------------------------------------------


async def test_who_has_lost_the_lead_reads_nothing_and_asks_nothing() -> None:
    operator, ref = await adopted()
    operator.jobs.annotate(ref, "t1")
    operator.watch()
    operator.leadership.until = operator.clock.at
    for view in (operator.queue.pop(ref), None):
        with pytest.raises(LeadershipLostError):
            await operator.turn(ref, view)
    assert (operator.esa.looks, operator.jobs.reads, operator.jobs.writes) == (0, 0, [])


async def test_a_lead_that_is_lost_during_the_look_ends_the_turn_before_the_intent() -> None:
    operator, ref = await adopted()

    def lose() -> None:
        operator.leadership.until = operator.clock.at

    operator.esa.while_looking = lose
    operator.jobs.annotate(ref, "t1")
    with pytest.raises(LeadershipLostError):
        await operator.settle()
    assert (operator.esa.resets, operator.jobs.writes, operator.jobs.reads) == ({}, [], 0)


async def test_a_lead_that_is_lost_during_the_intents_write_ends_the_turn_before_the_call() -> None:
    operator, ref = await adopted()
    operator.jobs.annotate(ref, "t1")
    operator.watch()
    operator.leadership.until = operator.clock.at + 5

    def take_long() -> None:
        operator.clock.at += 6

    operator.jobs.faults = [Fault(first=take_long)]
    with pytest.raises(LeadershipLostError):
        await operator.settle()
    assert (operator.esa.resets, phase(operator, ref), operator.jobs.reads) == ({}, "InFlight", 0)


async def test_a_lead_that_ends_before_the_first_byte_sends_nothing() -> None:
    operator, ref = await adopted()
    operator.jobs.annotate(ref, "t1")

    def lose() -> None:
        operator.leadership.until = operator.clock.at

    operator.esa.while_connecting = lose
    with pytest.raises(LeadershipLostError):
        await operator.settle()
    assert (operator.esa.resets, phase(operator, ref)) == ({}, "InFlight")


async def test_an_intents_write_that_took_too_long_is_followed_by_no_call_on_it() -> None:
    operator, ref = await adopted()

    def take_long() -> None:
        operator.clock.at += 20

    operator.jobs.faults = [Fault(first=take_long)]
    operator.jobs.annotate(ref, "t1")
    await operator.pass_time(10)
    assert (operator.esa.looks, operator.esa.resets, operator.observer.undecidable) == (2, {JOB: 1}, 0)
    assert operator.jobs.status(ref)["reset"]["attempts"] == 2


# --- waiting in line ----------------------------------------------------------------------------------------------


async def in_line() -> tuple[Operator, ObjectRef]:
    """Return an operator whose resource asks for a reset and waits for its turn."""
    operator, ref = await adopted()
    operator.esa.open = False
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    return operator, ref


async def test_who_waits_in_line_calls_nothing_and_writes_nothing() -> None:
    operator, ref = await in_line()
    await operator.pass_time(60)
    assert list(operator.esa.waiting) == [ref]
    assert (operator.esa.looks, operator.jobs.writes, operator.jobs.reads, operator.turns) == (0, [], 0, [ref])


async def test_at_its_turn_a_resource_goes_on_with_the_same_look_and_without_a_read() -> None:
    operator, ref = await in_line()
    operator.esa.give_turns()
    await operator.settle()
    assert (operator.esa.looks, operator.esa.resets, operator.jobs.reads) == (1, {JOB: 1}, 0)
    assert phase(operator, ref) == "Succeeded"


async def test_what_changed_while_it_waited_is_judged_at_its_turn() -> None:
    operator, ref = await in_line()
    operator.jobs.annotate(ref, None)
    operator.watch()
    operator.esa.give_turns()
    await operator.settle()
    assert (operator.esa.looks, operator.esa.resets) == (0, {})


async def test_a_turn_that_is_not_needed_any_more_goes_to_the_next() -> None:
    operator, ref = await in_line()
    operator.jobs.annotate(ref, None)
    operator.watch()
    operator.esa.give_turns()
    await operator.settle()
    assert (operator.esa.turns, operator.esa.waiting) == (set(), {})


async def test_a_resource_that_is_deleted_leaves_the_line() -> None:
    operator, ref = await in_line()
    operator.jobs.delete(ref)
    await operator.settle()
    assert operator.esa.waiting == {}


async def test_other_credentials_leave_the_line_of_the_old_ones() -> None:
    operator, ref = await in_line()
    other = operator.accounts.of["other"] = FakeAccount()
    other.add()
    operator.jobs.change_spec(ref, credentialsSecretRef={"name": "other"})
    await operator.settle()
    assert (operator.esa.waiting, other.resets) == ({}, {JOB: 1})


async def test_a_long_wait_in_line_shows_in_the_status_once() -> None:
    operator, ref = await adopted()
    operator.esa.open, operator.esa.estimate = False, LONG_WAIT
    operator.jobs.annotate(ref, "t1")
    await operator.pass_time(1000)
    status, reason, message = operator.jobs.condition(ref)
    assert (status, reason) == ("False", "Throttled")
    assert "waits for its turn" in message
    assert (len(operator.jobs.writes), operator.events.reasons) == (1, ["Throttled"])
    assert operator.jobs.reads < 20
    operator.esa.give_turns()
    await operator.settle()
    assert (operator.esa.resets, operator.jobs.condition(ref)[0]) == ({JOB: 1}, "True")


# --- lost answers of the call -------------------------------------------------------------------------------------


async def test_a_lost_answer_to_the_call_is_confirmed_by_progress_after_the_deadline() -> None:
    operator, ref = await adopted()
    operator.esa.reset_failures = [LOST]
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    assert phase(operator, ref) == "InFlight"
    await operator.pass_time(60)
    assert (operator.esa.resets, operator.observer.ended) == ({JOB: 1}, {"Confirmed": 1})
    assert operator.events.reasons == ["ResetConfirmed"]
