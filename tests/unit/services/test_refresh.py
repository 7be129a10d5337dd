"""One list for all resources of a site and its credentials, and what the resources make of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from esa_preload_operator.domain.cleaning import format_time
from esa_preload_operator.domain.view import view_of
from esa_preload_operator.services.clock import Clock
from esa_preload_operator.services.refresh import OLD_NUMBERS, Refresher
from support.fakes import AWAY, DENIED, JOB, SITE, WRONG_KEY, FakeAccount
from support.operating import ACTIVE, IDLE, Operator, adopted
from support.queueing import play

if TYPE_CHECKING:
    from esa_preload_operator.domain.ports import ObjectRef


def job_of(number: int) -> str:
    return f"665d3af3621bccf3fe29e1{number:02}"


async def site_of(count: int) -> tuple[Operator, list[ObjectRef]]:
    """Return an operator with resources about jobs of one site, at rest."""
    operator = Operator()
    refs = []
    for number in range(count):
        operator.esa.add(job_of(number))
        refs.append(operator.jobs.create(f"r{number}", job_of(number)))
    await operator.settle()
    operator.clock.at += 1
    operator.esa.looks, operator.jobs.reads = 0, 0
    operator.turns.clear()
    operator.jobs.writes.clear()
    return operator, refs


async def test_one_list_serves_all_resources_of_a_site_and_only_those_with_news_are_woken() -> None:
    operator, refs = await site_of(5)
    operator.esa.add(job_of(3), submitted=9)
    await operator.refresh()
    assert (operator.esa.lists, operator.esa.looks, operator.turns) == (1, 0, [refs[3]])
    assert (operator.jobs.status(refs[3])["urlSubmitted"], len(operator.jobs.writes)) == (9, 1)


async def test_changed_numbers_are_stored_without_touching_the_reset() -> None:
    operator, ref = await adopted()
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    before = operator.jobs.status(ref)
    operator.clock.at += 10
    operator.esa.add(submitted=7)
    await operator.refresh()
    after = operator.jobs.status(ref)
    assert (after["urlSubmitted"], after["progress"]) == (7, 70)
    for kept in ("reset", "handledResets", "lastResetTime", "conditions"):
        assert after[kept] == before[kept]
    assert (operator.esa.resets, operator.observer.ended) == ({JOB: 1}, {"Succeeded": 1})


async def test_what_a_list_does_not_tell_stays_as_it_was() -> None:
    operator, ref = await adopted()
    operator.esa.jobs[JOB] = replace(operator.esa.jobs[JOB], url_submitted=7, url_count=None)
    await operator.refresh()
    status = operator.jobs.status(ref)
    assert (status["urlSubmitted"], status["urlCount"], status["siteId"]) == (7, 10, SITE)


async def test_a_list_without_news_wakes_nobody() -> None:
    operator, _ = await site_of(3)
    for _ in range(3):
        operator.clock.at += IDLE
        await operator.refresh()
    assert (operator.turns, operator.jobs.writes, operator.jobs.reads) == ([], [], 0)


async def test_a_list_that_began_before_the_last_write_tells_nothing() -> None:
    operator, ref = await adopted()
    operator.esa.slow_lists = asyncio.Event()
    listing = asyncio.create_task(operator.refresher.refresh(("", None, SITE)))
    await asyncio.sleep(0)
    assert operator.esa.lists_now == 1
    operator.clock.at += 1
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    assert operator.jobs.status(ref)["urlSubmitted"] == 0
    operator.esa.slow_lists.set()
    await listing
    await operator.settle()
    assert operator.jobs.status(ref)["urlSubmitted"] == 0
    assert len(operator.jobs.writes) == 2


async def test_a_job_that_a_list_lacks_is_confirmed_by_one_look() -> None:
    operator, (first, _) = await site_of(2)
    hidden = operator.esa.jobs[job_of(0)]
    operator.esa.jobs[job_of(0)] = replace(hidden, site_id=SITE + 1)  # another site's list has it
    await operator.refresh()
    assert (operator.esa.looks, operator.turns) == (1, [first])
    assert operator.jobs.condition(first)[:2] == ("True", "Ready")


async def test_a_job_that_is_gone_is_shown_and_looked_for_no_more_by_each_list() -> None:
    operator, (first, _) = await site_of(2)
    gone = operator.esa.jobs.pop(job_of(0))
    for _ in range(3):
        await operator.refresh()
        operator.clock.at += ACTIVE
    assert (operator.esa.looks, operator.jobs.condition(first)[:2]) == (1, ("False", "JobNotFound"))
    operator.esa.jobs[job_of(0)] = gone
    await operator.refresh()
    assert operator.jobs.condition(first)[:2] == ("True", "Ready")
    assert operator.esa.looks == 1


async def test_a_resource_that_is_gone_is_told_nothing() -> None:
    operator, refs = await site_of(2)
    operator.jobs.delete(refs[0])
    operator.esa.add(job_of(0), submitted=9)
    await operator.refresh()
    assert operator.turns == []
    operator.jobs.delete(refs[1])
    operator.watch()
    assert (operator.refresher._groups, operator.refresher._group_of) == ({}, {})


# --- a site that can't be listed ----------------------------------------------------------------------------------


async def test_a_site_that_is_denied_shows_on_each_of_its_resources_until_it_is_allowed() -> None:
    operator, refs = await site_of(3)
    operator.esa.list_problem = DENIED
    await operator.refresh()
    for ref in refs:
        assert operator.jobs.condition(ref)[:2] == ("False", "AccessDenied")
    operator.jobs.writes.clear()
    await operator.refresh()
    assert operator.jobs.writes == []
    operator.esa.list_problem = None
    await operator.refresh()
    for ref in refs:
        assert operator.jobs.condition(ref)[:2] == ("True", "Ready")


async def test_after_a_failed_reset_a_site_that_was_denied_leaves_no_condition_behind() -> None:
    operator, ref = await adopted()
    gone = operator.esa.jobs.pop(JOB)
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    operator.esa.jobs[JOB] = gone
    operator.clock.at += 1
    operator.esa.list_problem = DENIED
    await operator.refresh()
    operator.esa.list_problem = None
    operator.clock.at += 1
    await operator.refresh()
    assert operator.jobs.condition(ref)[:2] == ("True", "Ready")


async def test_a_resource_that_joins_a_denied_site_is_told() -> None:
    operator, _ = await site_of(1)
    operator.esa.list_problem = DENIED
    await operator.refresh()
    operator.esa.add(job_of(9))
    late = operator.jobs.create("late", job_of(9))
    await operator.settle()
    assert operator.jobs.condition(late)[:2] == ("False", "AccessDenied")


async def test_a_reset_goes_on_where_only_the_list_is_denied() -> None:
    operator, ref = await adopted()
    operator.esa.list_problem = DENIED
    await operator.refresh()
    operator.jobs.annotate(ref, "t1")
    await operator.settle()
    assert operator.esa.resets == {JOB: 1}
    assert operator.jobs.condition(ref)[:2] == ("False", "AccessDenied")


async def test_a_list_that_fails_for_hours_tells_since_when_the_numbers_are_old() -> None:
    operator, ref = await adopted()
    operator.esa.list_problem = AWAY
    since = format_time(operator.clock.wall())
    await operator.refresh()
    operator.clock.at += OLD_NUMBERS - 1
    await operator.refresh()
    assert operator.jobs.condition(ref)[1] == "Ready"
    operator.clock.at += 10
    await operator.refresh()
    status, reason, message = operator.jobs.condition(ref)
    assert (status, reason) == ("True", "RefreshFailing")
    assert since in message
    assert AWAY.code in message
    operator.jobs.writes.clear()
    operator.clock.at += 7200
    await operator.refresh()
    assert operator.jobs.writes == []
    operator.esa.list_problem = None
    await operator.refresh()
    assert operator.jobs.condition(ref)[:2] == ("True", "Ready")


async def test_a_short_failure_of_the_list_shows_nowhere() -> None:
    operator, _ = await adopted()
    for _ in range(5):
        operator.esa.list_problem = AWAY
        await operator.refresh()
        operator.esa.list_problem = None
        operator.clock.at += OLD_NUMBERS
        await operator.refresh()
    assert (operator.turns, operator.jobs.writes) == ([], [])


async def test_a_namespace_that_may_not_use_the_credentials_does_not_take_the_others_down() -> None:
    operator = Operator()
    refs = []
    for number, namespace in enumerate(("excluded", "allowed")):
        operator.esa.add(job_of(number))
        refs.append(operator.jobs.create("r", job_of(number), namespace=namespace))
    await operator.settle()
    operator.clock.at += 1
    operator.accounts.excluded = {"excluded"}
    for number in range(2):
        operator.esa.add(job_of(number), submitted=9)
    await operator.refresh()
    assert operator.jobs.condition(refs[0])[:2] == ("False", "CredentialsNotAllowed")
    assert (operator.jobs.condition(refs[1])[1], operator.jobs.status(refs[1])["urlSubmitted"]) == ("Ready", 9)


# --- other credentials --------------------------------------------------------------------------------------------


async def test_a_wrong_key_does_not_flap_while_the_list_of_the_old_one_still_delivers() -> None:
    operator, ref = await adopted()
    wrong = operator.accounts.of["wrong"] = FakeAccount(denies=WRONG_KEY, list_problem=WRONG_KEY)
    wrong.add()
    operator.esa.slow_lists = asyncio.Event()
    listing = asyncio.create_task(operator.refresher.refresh(("", None, SITE)))
    await asyncio.sleep(0)
    operator.jobs.change_spec(ref, credentialsSecretRef={"name": "wrong"})
    operator.esa.add(submitted=9)
    await operator.settle()
    assert operator.jobs.condition(ref)[:2] == ("False", "CredentialsInvalid")
    operator.jobs.writes.clear()
    operator.esa.slow_lists.set()
    await listing
    for _ in range(5):
        await operator.pass_time(60)
        await operator.refresh()
        await operator.refresh("wrong")
    assert operator.jobs.writes == []
    assert operator.jobs.condition(ref)[:2] == ("False", "CredentialsInvalid")
    assert operator.jobs.status(ref)["urlSubmitted"] == 5


async def test_what_the_old_list_told_before_the_reference_changed_is_dropped() -> None:
    operator, ref = await adopted()
    operator.accounts.of["wrong"] = FakeAccount(denies=WRONG_KEY)
    operator.esa.add(submitted=9)
    await operator.refresher.refresh(("", None, SITE))  # told, but its turn has not come
    operator.jobs.change_spec(ref, credentialsSecretRef={"name": "wrong"})
    await operator.settle()
    assert operator.jobs.condition(ref)[:2] == ("False", "CredentialsInvalid")
    assert operator.jobs.status(ref)["urlSubmitted"] == 5


async def test_what_the_old_list_tells_before_a_worker_takes_the_change_is_dropped() -> None:
    operator, ref = await adopted()
    operator.accounts.of["wrong"] = FakeAccount(denies=WRONG_KEY)
    operator.jobs.change_spec(ref, credentialsSecretRef={"name": "wrong"})
    operator.esa.add(submitted=9)
    await operator.refresh()
    assert operator.jobs.condition(ref)[:2] == ("False", "CredentialsInvalid")
    assert operator.jobs.status(ref)["urlSubmitted"] == 5


async def test_a_secret_that_becomes_right_clears_what_its_list_and_its_looks_said() -> None:
    operator, ref = await adopted()
    operator.accounts.of["key"] = FakeAccount(denies=WRONG_KEY, list_problem=WRONG_KEY)
    operator.jobs.change_spec(ref, credentialsSecretRef={"name": "key"})
    await operator.settle()
    await operator.refresh("key")
    right = FakeAccount()
    right.add()
    await operator.change_secret("key", right)
    assert operator.jobs.condition(ref)[:2] == ("True", "Ready")


async def test_a_site_whose_last_resource_leaves_during_a_list_is_forgotten_afterwards() -> None:
    operator, (ref,) = await site_of(1)
    operator.esa.slow_lists = asyncio.Event()
    listing = asyncio.create_task(operator.refresher.refresh(("", None, SITE)))
    await asyncio.sleep(0)
    operator.jobs.delete(ref)
    operator.watch()
    operator.esa.slow_lists.set()
    await listing
    assert operator.refresher._groups == {}


# --- when lists are made ------------------------------------------------------------------------------------------


def refreshing(operator: Operator) -> Refresher:
    """Let the operator's refresher go by the loop's clock."""
    refresher = operator.refresher
    refresher.clock = Clock()
    return refresher


@pytest.mark.parametrize("disturbance", ["secret changes", "leaves and joins"])
def test_during_a_slow_list_nothing_starts_a_second_one(disturbance: str) -> None:
    async def scene() -> None:
        operator, (ref,) = await site_of(1)
        refresher = refreshing(operator)
        operator.esa.list_problem = DENIED
        await refresher.refresh(("", None, SITE))
        operator.esa.slow_lists = asyncio.Event()
        task = asyncio.create_task(refresher.run())
        await asyncio.sleep(2 * IDLE)
        assert operator.esa.lists_now == 1
        tracked, lists = operator.tracked(ref), operator.esa.lists
        view = view_of(operator.jobs.objects[ref])
        for _ in range(12):
            if disturbance == "leaves and joins":
                refresher.untrack(ref)
                refresher.track(tracked, view)
            else:
                refresher.credentials_changed("", None)
            await asyncio.sleep(2 * IDLE)
        assert (operator.esa.lists, operator.esa.most_lists) == (lists, 1)
        operator.esa.list_problem = None
        operator.esa.slow_lists.set()
        await asyncio.sleep(2 * IDLE)
        assert operator.esa.lists > lists  # it goes on afterwards
        assert operator.esa.most_lists == 1
        task.cancel()

    play(scene)


def test_a_site_is_listed_often_while_a_job_runs_and_rarely_when_it_is_idle() -> None:
    async def scene() -> None:
        operator, (ref,) = await site_of(1)
        refresher = refreshing(operator)
        task = asyncio.create_task(refresher.run())
        for _ in range(300):  # its numbers stand still
            await asyncio.sleep(ACTIVE)
            await operator.settle()
        slow = operator.esa.lists
        operator.esa.lists = 0
        for number in range(300):
            operator.esa.add(job_of(0), submitted=number + 1, count=1000)
            await asyncio.sleep(ACTIVE)
            operator.clock.at += ACTIVE
            await operator.settle()
        assert 8 <= slow <= 40
        assert operator.esa.lists >= 200
        assert operator.jobs.status(ref)["urlSubmitted"] >= 290
        task.cancel()

    play(scene)


def test_a_site_that_fails_is_tried_again_and_does_not_hold_up_another() -> None:
    async def scene() -> None:
        operator, _ = await site_of(1)
        key = operator.accounts.of["key"] = FakeAccount()
        key.add(job_of(5))
        operator.jobs.create("other", job_of(5), credentialsSecretRef={"name": "key"})
        await operator.settle()
        refresher = refreshing(operator)
        operator.esa.list_problem = AWAY
        key.slow_lists = asyncio.Event()
        task = asyncio.create_task(refresher.run())
        await asyncio.sleep(10 * IDLE)
        assert (key.lists, operator.esa.lists >= 5) == (1, True)
        task.cancel()

    play(scene)
