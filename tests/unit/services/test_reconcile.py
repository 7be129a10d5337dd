"""Who acts on a job, what is held, and what a resource's status says as the facts change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from esa_preload_operator.domain.cleaning import format_time
from support.fakes import AWAY, DENIED, JOB, NO_JOB, WALL, WRONG_KEY, FakeAccount, Fault
from support.operating import Operator, Outside, adopted

if TYPE_CHECKING:
    from esa_preload_operator.domain.ports import ObjectRef

OTHER = "665d3af3621bccf3fe29e1a5"


# --- several resources about one job ------------------------------------------------------------------------------


async def rivals() -> tuple[Operator, ObjectRef, list[ObjectRef]]:
    """Return an operator with three resources about one job, the oldest one first, at rest."""
    operator = Operator()
    operator.esa.add()
    oldest, *others = (operator.jobs.create(name, created=-100.0 + n) for n, name in enumerate("abc"))
    await operator.settle()
    operator.clock.at += 1
    operator.turns.clear()
    operator.woken.clear()
    return operator, oldest, others


async def test_of_several_resources_about_one_job_only_the_oldest_acts() -> None:
    operator, oldest, others = await rivals()
    for ref in (*others, oldest):
        operator.jobs.annotate(ref, f"t-{ref.name}")
    await operator.settle()
    assert operator.esa.resets == {JOB: 1}
    assert operator.jobs.status(oldest)["handledResets"] == {"resetRequested": "t-a"}
    for ref in others:
        assert operator.jobs.condition(ref)[:2] == ("False", "JobClaimed")
        assert operator.jobs.condition(ref, "Stalled")[0] == "True"


async def test_the_message_of_a_claim_is_constant_and_names_no_resource() -> None:
    operator, _, others = await rivals()
    messages = {operator.jobs.condition(ref)[2] for ref in others}
    operator.jobs.create("d", namespace="elsewhere", created=-50)
    await operator.settle()
    assert {operator.jobs.condition(ref)[2] for ref in others} == messages
    assert len(messages) == 1
    assert not any(name in messages.copy().pop() for name in ("shop", "elsewhere", "/"))


async def test_the_deletion_of_the_owner_wakes_its_heir_and_nobody_else() -> None:
    operator, oldest, (heir, youngest) = await rivals()
    operator.jobs.annotate(heir, "t1")
    operator.jobs.annotate(youngest, "t1")
    await operator.settle()
    assert operator.esa.resets == {}
    operator.turns.clear()
    operator.jobs.delete(oldest)
    await operator.settle()
    assert set(operator.turns) == {heir}
    assert operator.esa.resets == {JOB: 1}
    assert operator.jobs.condition(heir)[:2] == ("True", "Ready")
    assert operator.jobs.condition(youngest)[:2] == ("False", "JobClaimed")


async def test_the_deletion_of_a_rival_wakes_nobody() -> None:
    operator, oldest, (second, youngest) = await rivals()
    operator.jobs.delete(youngest)
    await operator.settle()
    assert operator.turns == []
    assert operator.jobs.condition(oldest)[1] == "Ready"
    assert operator.jobs.condition(second)[1] == "JobClaimed"


async def test_an_older_resource_whose_credentials_do_not_see_the_job_does_not_take_it_away() -> None:
    operator, owner = await adopted(created=-50.0)
    stranger = FakeAccount()
    operator.accounts.of["stranger"] = stranger
    older = operator.jobs.create("older", created=-1000.0, credentialsSecretRef={"name": "stranger"})
    await operator.settle()
    operator.jobs.annotate(owner, "t1")
    operator.jobs.annotate(older, "t1")
    await operator.settle()
    assert (operator.esa.resets, stranger.resets) == ({JOB: 1}, {})
    assert operator.jobs.condition(older)[1] == "JobClaimed"
    assert operator.jobs.condition(owner)[1] == "Ready"


async def test_a_resource_that_loses_its_job_while_it_waits_in_line_does_not_act() -> None:
    operator = Operator()
    operator.accounts.of["slow"], operator.accounts.of["fast"] = slow, fast = FakeAccount(), FakeAccount()
    slow.add()
    fast.add()
    slow.open = False
    first = operator.jobs.create("first", created=-1000.0, credentialsSecretRef={"name": "slow"})
    operator.jobs.annotate(first, "t1")
    await operator.settle()
    confirmed = operator.jobs.create("confirmed", created=-50.0, credentialsSecretRef={"name": "fast"})
    known = {"jobId": JOB, "siteId": 1, "observedGeneration": 1, "conditions": _ready(operator)}
    operator.jobs.change_status(confirmed, **known)
    await operator.settle()
    slow.give_turns()
    await operator.settle()
    assert slow.resets == {}
    assert operator.jobs.condition(first)[1] == "JobClaimed"


def _ready(operator: Operator) -> list[dict[str, str]]:
    said = {"reason": "Ready", "message": f"ESA job {JOB} can be reset"}
    at = {"lastTransitionTime": format_time(operator.clock.wall())}
    return [{"type": "Ready", "status": "True"} | said | at]


async def test_after_a_restart_an_older_resource_that_never_saw_the_job_does_not_take_it_away() -> None:
    operator, owner = await adopted("younger", created=-50.0)
    operator.accounts.of["stranger"] = FakeAccount()
    older = operator.jobs.create("older", created=-1000.0, credentialsSecretRef={"name": "stranger"})
    await operator.settle()
    operator.jobs.objects = {ref: operator.jobs.objects[ref] for ref in (older, owner)}  # the order of the list
    operator.jobs.annotate(owner, "t1")
    operator.jobs.writes.clear()
    successor = Operator(_outside(operator))
    successor.relist()
    await successor.settle()
    assert (successor.esa.resets, len(successor.jobs.writes)) == ({JOB: 1}, 2)
    assert successor.jobs.condition(older)[1] == "JobClaimed"


async def test_a_resource_whose_deletion_was_not_seen_leaves_its_job_to_the_next() -> None:
    operator, oldest, (heir, _) = await rivals()
    operator.jobs.changes.clear()
    operator.jobs.delete(oldest)
    operator.jobs.changes.clear()  # the watch has missed it
    await operator.turn(oldest)  # the next list lacks it, so it is read
    await operator.settle()
    assert operator.registry.get(oldest) is None
    assert operator.jobs.condition(heir)[1] == "Ready"


# --- held requests ------------------------------------------------------------------------------------------------


async def test_requests_that_come_too_soon_are_held_and_become_one_reset() -> None:
    operator, ref = await adopted(minResetInterval="10m")
    operator.jobs.annotate(ref, "t1")
    await operator.pass_time(60)
    for number in range(5):
        operator.jobs.annotate(ref, f"held-{number}")
        await operator.pass_time(10)
    assert operator.esa.resets == {JOB: 1}
    assert operator.jobs.condition(ref)[:2] == ("True", "Held")
    assert operator.jobs.status(ref)["nextResetTime"] == format_time(WALL + 601)
    await operator.pass_time(600)
    assert operator.esa.resets == {JOB: 2}
    assert operator.jobs.status(ref)["handledResets"] == {"resetRequested": "held-4"}
    assert "nextResetTime" not in operator.jobs.status(ref)


async def test_an_interval_of_zero_never_holds() -> None:
    operator, ref = await adopted(minResetInterval="0s")
    operator.jobs.change_status(ref, lastResetTime=format_time(WALL + 600))
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    assert operator.esa.resets == {JOB: 1}


async def test_a_last_reset_by_a_clock_that_is_fast_holds_no_longer_than_the_interval() -> None:
    operator, ref = await adopted(minResetInterval="1m")
    operator.jobs.change_status(ref, lastResetTime=format_time(WALL + 600))
    operator.jobs.annotate(ref, "t1")
    await operator.pass_time(58)
    assert operator.esa.resets == {}
    await operator.pass_time(5)
    assert operator.esa.resets == {JOB: 1}


@pytest.mark.parametrize(("shorter", "wait"), [("0s", 0), ("2m", 61)])
async def test_an_interval_that_is_shortened_releases_what_is_held(shorter: str, wait: float) -> None:
    operator, ref = await adopted(minResetInterval="10m")
    operator.jobs.annotate(ref, "t1")
    await operator.pass_time(60)
    operator.jobs.annotate(ref, "t2")
    await operator.settle()
    assert operator.jobs.status(ref)["reset"]["phase"] == "Held"
    operator.jobs.change_spec(ref, minResetInterval=shorter)
    await operator.pass_time(wait)
    assert operator.esa.resets == {JOB: 2}


async def test_a_held_request_that_disappears_is_withdrawn() -> None:
    operator, ref = await adopted(minResetInterval="10m")
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    operator.jobs.annotate(ref, "t2")
    await operator.settle()
    operator.jobs.annotate(ref, None)
    await operator.pass_time(1000)
    assert operator.esa.resets == {JOB: 1}
    assert operator.jobs.status(ref)["reset"]["phase"] == "Withdrawn"
    assert operator.jobs.condition(ref)[:2] == ("True", "Ready")


# --- the status follows the facts ---------------------------------------------------------------------------------


async def test_a_job_that_is_back_after_a_failed_reset_is_ready_and_the_message_says_how_to_ask_again() -> None:
    operator, ref = await adopted()
    gone = operator.esa.jobs.pop(JOB)
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    assert operator.jobs.condition(ref)[:2] == ("False", "JobNotFound")
    operator.clock.at += 10
    await operator.refresh()
    operator.esa.jobs[JOB] = gone
    operator.clock.at += 10
    await operator.refresh()
    status, reason, message = operator.jobs.condition(ref)
    assert (status, reason) == ("True", "Ready")
    assert "t1" in message
    assert "failed" in message
    assert "set a new token to ask again" in message
    assert operator.esa.resets == {}
    operator.jobs.annotate(ref, "t2")
    await operator.settle()
    assert operator.jobs.condition(ref)[2] == f"ESA job {JOB} can be reset"


async def test_a_job_that_came_back_while_no_operator_ran_is_found_by_the_next_list() -> None:
    operator, ref = await adopted()
    gone = operator.esa.jobs.pop(JOB)
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    operator.esa.jobs[JOB] = gone
    successor = Operator(_outside(operator))
    successor.relist()
    await successor.settle()
    successor.clock.at += 10
    await successor.refresh()
    assert successor.jobs.condition(ref)[:2] == ("True", "Ready")


async def test_a_wiped_status_shows_the_job_again() -> None:
    operator, ref = await adopted()
    operator.jobs.wipe_status(ref)
    await operator.settle()
    assert operator.jobs.status(ref)["urlCount"] == 10
    assert operator.jobs.condition(ref)[:2] == ("True", "Ready")


def _outside(operator: Operator) -> Outside:
    return Outside(operator.clock, operator.jobs, operator.accounts, operator.events, operator.observer)


async def test_a_successor_calls_nothing_and_writes_nothing_for_what_is_done() -> None:
    operator, ref = await adopted()
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    written = len(operator.jobs.writes)
    successor = Operator(_outside(operator))
    successor.relist()
    await successor.pass_time(3600)
    assert (successor.esa.resets, successor.esa.looks, len(successor.jobs.writes)) == ({JOB: 1}, 1, written)
    assert successor.turns == []


async def test_a_successor_confirms_a_call_whose_answer_died_with_its_predecessor() -> None:
    operator, ref = await adopted()

    class Crashed(BaseException):
        pass

    def crash() -> None:
        raise Crashed

    operator.jobs.annotate(ref, "t1")
    operator.watch()
    operator.jobs.faults = [None, Fault(first=crash)]
    with pytest.raises(Crashed):
        await operator.settle()
    successor = Operator(_outside(operator))
    successor.relist()
    await successor.pass_time(10)
    assert successor.jobs.status(ref)["reset"]["phase"] == "InFlight"
    await successor.pass_time(10)
    assert (successor.esa.resets, successor.observer.ended) == ({JOB: 1}, {"Confirmed": 1})


async def test_denied_credentials_keep_the_token_and_are_tried_again_at_once_when_the_secret_changes() -> None:
    operator = Operator()
    operator.accounts.of["key"] = FakeAccount(denies=WRONG_KEY)
    ref = operator.jobs.create("nightly", credentialsSecretRef={"name": "key"})
    operator.jobs.annotate(ref, "t1")
    await operator.pass_time(3600)
    assert operator.jobs.condition(ref)[:2] == ("False", "CredentialsInvalid")
    assert "handledResets" not in operator.jobs.status(ref)
    right = FakeAccount()
    right.add()
    await operator.change_secret("key", right)
    assert (right.resets, operator.jobs.condition(ref)[:2]) == ({JOB: 1}, ("True", "Ready"))


async def test_an_outage_is_shown_and_gone_with_its_cause() -> None:
    operator, ref = await adopted()
    operator.esa.denies = AWAY
    operator.jobs.annotate(ref, "t1")
    await operator.pass_time(100)
    assert operator.jobs.condition(ref)[:2] == ("False", "ServiceUnavailable")
    operator.esa.denies = None
    await operator.pass_time(600)
    assert (operator.esa.resets, operator.jobs.condition(ref)[:2]) == ({JOB: 1}, ("True", "Ready"))


async def test_a_request_that_is_withdrawn_while_it_is_denied_leaves_a_resource_whose_job_is_looked_at() -> None:
    operator, ref = await adopted()
    operator.esa.denies = DENIED
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    operator.jobs.annotate(ref, None)
    await operator.settle()
    operator.esa.denies = None
    await operator.pass_time(1200)
    assert operator.jobs.status(ref)["reset"]["phase"] == "Withdrawn"
    assert operator.jobs.condition(ref)[:2] == ("True", "Ready")


async def test_an_unreadable_spec_is_named_and_nothing_is_called() -> None:
    operator = Operator()
    ref = operator.jobs.create("nightly", credentialsSecretRef="key")
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    status, reason, message = operator.jobs.condition(ref)
    assert (status, reason) == ("False", "InvalidSpec")
    assert "spec.credentialsSecretRef" in message
    assert operator.esa.looks == 0
    operator.esa.add()
    operator.jobs.change_spec(ref, credentialsSecretRef=None)
    await operator.settle()
    assert operator.esa.resets == {JOB: 1}


async def test_a_job_that_never_existed_is_not_found() -> None:
    operator = Operator()
    operator.esa.look_failures = [NO_JOB]
    ref = operator.jobs.create("nightly", OTHER)
    await operator.settle()
    assert operator.jobs.condition(ref)[:2] == ("False", "JobNotFound")


async def test_a_resource_that_is_being_deleted_is_left_alone() -> None:
    operator, ref = await adopted()
    operator.jobs.objects[ref]["metadata"]["deletionTimestamp"] = format_time(WALL)
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    operator.esa.add(submitted=9)
    await operator.refresh()
    assert (operator.esa.looks, operator.esa.resets, operator.jobs.writes) == (0, {}, [])
    assert operator.turns == []
