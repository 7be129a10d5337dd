"""Looks before resets that wait for the account's rate are answered together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from support.fakes import AWAY, DENIED, LOST
from support.operating import Operator

if TYPE_CHECKING:
    from esa_preload_operator.domain.ports import ObjectRef


async def in_line(number: int, **rules: Any) -> tuple[Operator, list[ObjectRef]]:
    """Return an operator with resources that ask for resets of jobs of one site and wait for their turn."""
    operator = Operator(**rules)
    for each in range(number):
        operator.esa.add(f"job-{each}")
    refs = [operator.jobs.create(f"r{each}", f"job-{each}") for each in range(number)]
    await operator.settle()
    await operator.refresh()
    operator.esa.open, operator.esa.looks, operator.esa.lists, operator.esa.admitted_calls = False, 0, 0, 0
    for ref in refs:
        operator.jobs.annotate(ref, "t1")
    await operator.settle()
    operator.clock.at += 1.0
    return operator, refs


async def at_their_turns(operator: Operator) -> None:
    operator.esa.give_turns()
    await operator.settle()


def made(operator: Operator) -> list[int]:
    return sorted(operator.esa.resets.values())


async def test_one_list_answers_all_looks_that_wait() -> None:
    operator, _ = await in_line(6)
    await at_their_turns(operator)
    assert (operator.esa.lists, operator.esa.looks, made(operator)) == (1, 0, [1] * 6)
    assert operator.esa.admitted_calls == 2 + 5


async def test_a_request_on_a_quiet_account_keeps_its_own_look() -> None:
    operator, _ = await in_line(1)
    await at_their_turns(operator)
    assert (operator.esa.lists, operator.esa.looks, made(operator)) == (0, 1, [1])


async def test_fewer_looks_than_a_list_has_pages_are_made_one_by_one() -> None:
    operator, refs = await in_line(6)
    operator.esa.pages = 8
    await at_their_turns(operator)
    assert (operator.esa.lists, operator.esa.looks, made(operator)) == (1, 5, [1] * 6), "the first page has told of one"
    for ref in refs:
        operator.jobs.annotate(ref, "t2")
    await operator.settle()
    await at_their_turns(operator)
    assert (operator.esa.lists, operator.esa.looks, made(operator)) == (1, 11, [2] * 6)
    operator.esa.pages = 2
    await operator.pass_time(601)
    for ref in refs:
        operator.jobs.annotate(ref, "t3")
    await operator.settle()
    operator.clock.at += 1.0
    await at_their_turns(operator)
    assert (operator.esa.lists, operator.esa.looks) == (2, 11), "the site may have fewer jobs by now"


async def test_a_look_that_is_switched_off_for_sharing_is_made_by_itself() -> None:
    operator, _ = await in_line(6, shared_looks=False)
    await at_their_turns(operator)
    assert (operator.esa.lists, operator.esa.looks, made(operator)) == (0, 6, [1] * 6)


async def test_a_resource_that_changed_after_the_list_began_looks_by_itself() -> None:
    operator, refs = await in_line(6)
    operator.esa.turns.add(refs[0])
    operator.esa.waiting.pop(refs[0])()
    await operator.settle()
    operator.clock.at += 1.0
    operator.jobs.label(refs[1])
    await operator.settle()
    await at_their_turns(operator)
    assert (operator.esa.lists, operator.esa.looks, made(operator)) == (1, 1, [1] * 6)


async def test_a_job_that_the_list_lacks_is_looked_at_by_itself() -> None:
    operator, _ = await in_line(6)
    operator.esa.jobs["job-3"] = replace(operator.esa.jobs["job-3"], site_id=7)
    await at_their_turns(operator)
    assert (operator.esa.lists, operator.esa.looks, made(operator)) == (1, 1, [1] * 6)


async def test_a_list_that_fails_costs_one_call_and_each_looks_by_itself_for_a_while() -> None:
    operator, refs = await in_line(6)
    for problem in (AWAY, DENIED):
        operator.esa.list_problem, operator.esa.lists, operator.esa.looks = problem, 0, 0
        await at_their_turns(operator)
        assert (operator.esa.lists, operator.esa.looks) == (1, 6)
        await operator.pass_time(61)
        for ref in refs:
            operator.jobs.annotate(ref, f"t-{problem.code}")
        await operator.settle()
        operator.clock.at += 1.0
    operator.esa.list_problem, operator.esa.lists = None, 0
    await at_their_turns(operator)
    assert operator.esa.lists == 1
    assert made(operator) == [3] * 6


async def test_those_who_wait_no_longer_do_not_count() -> None:
    operator, refs = await in_line(6)
    for ref in refs[1:]:
        operator.jobs.annotate(ref, None)
    await operator.settle()
    await at_their_turns(operator)
    assert (operator.esa.lists, operator.esa.looks, made(operator)) == (0, 1, [1])


async def test_progress_that_a_list_told_proves_no_reset_whose_answer_was_lost() -> None:
    operator, refs = await in_line(6)
    operator.esa.reset_failures = [LOST] * 6
    await at_their_turns(operator)
    assert all("submittedBefore" not in operator.jobs.status(ref)["reset"] for ref in refs)
    operator.esa.open = True
    await operator.pass_time(60)
    assert {operator.jobs.status(ref)["reset"]["attempts"] for ref in refs} == {2}
    assert made(operator) == [2] * 6
    assert operator.esa.looks == 6, "recovery looks by itself"


async def test_a_list_for_looks_tells_the_other_jobs_of_the_site_too() -> None:
    operator, _ = await in_line(6)
    operator.esa.add("job-x", submitted=3)
    idle = operator.jobs.create("idle", "job-x")
    operator.esa.open = True
    await operator.settle()
    operator.esa.open, operator.esa.lists = False, 0
    operator.esa.add("job-x", submitted=4)
    await at_their_turns(operator)
    assert (operator.esa.lists, operator.jobs.status(idle)["urlSubmitted"]) == (1, 4)


async def test_who_waits_in_line_is_not_told_what_its_look_will_show() -> None:
    operator, _ = await in_line(6)
    for number in range(6):
        operator.esa.add(f"job-{number}", submitted=7)
    operator.turns.clear()
    await operator.refresh()
    assert operator.turns == []
    await at_their_turns(operator)
    assert (operator.esa.looks, made(operator)) == (0, [1] * 6)


async def test_only_schedules_go_last() -> None:
    operator = Operator()
    for number in range(3):
        operator.esa.add(f"job-{number}")
    cron = {"cron": "*/5 * * * *", "timeZone": "UTC"}
    scheduled = operator.jobs.create("scheduled", "job-0", resetSchedule=cron)
    both = operator.jobs.create("both", "job-1", resetSchedule=cron)
    asked = operator.jobs.create("asked", "job-2")
    await operator.settle()
    operator.esa.open = False
    for ref in (both, asked):
        operator.jobs.annotate(ref, "t1")
    await operator.pass_time(301)
    assert set(operator.esa.waiting) == {scheduled, both, asked}
    assert operator.esa.last == {scheduled}
