"""What shared looks must not do to others: neighbours, other credentials, the account's rate, memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from esa_preload_operator.domain.errors import Reason
from support.fakes import SITE, FakeAccount, problem
from support.operating import Operator
from unit.services.test_looks import at_their_turns, in_line, made

if TYPE_CHECKING:
    from esa_preload_operator.domain.ports import ObjectRef
    from esa_preload_operator.services.looks import SharedLooks


def looks_of(operator: Operator) -> SharedLooks:
    return operator.reconciler.runner.caller.looks


def waiting(operator: Operator) -> int:
    return sum(len(site.waiting) for site in looks_of(operator)._sites.values())


async def three_that_turn_away(operator: Operator, mine: FakeAccount) -> list[ObjectRef]:
    """Return two resources in the line of other credentials, and one whose Secret changes when there is room."""
    refs = [operator.jobs.create(f"r{number}", f"job-{number}") for number in range(3)]
    await operator.settle()
    operator.clock.at += 1
    mine.open = False
    for ref in refs[:2]:
        operator.jobs.change_spec(ref, credentialsSecretRef={"name": "mine"})
        operator.jobs.annotate(ref, "t1")
    await operator.settle()
    operator.clock.at += 5
    mine.open = True
    return refs


async def test_a_list_made_with_other_credentials_tells_a_neighbour_nothing() -> None:
    operator = Operator()
    mine = operator.accounts.of["mine"] = FakeAccount(id="mine")
    for number in range(3):
        operator.esa.add(f"job-{number}")
        mine.add(f"job-{number}")
    operator.esa.add("neighbours")
    mine.add("neighbours", submitted=9)
    neighbour = operator.jobs.create("neighbour", "neighbours", namespace="others")
    last = (await three_that_turn_away(operator, mine))[2]
    operator.turns.clear()
    operator.jobs.change_spec(last, credentialsSecretRef={"name": "mine"})
    operator.jobs.annotate(last, "t1")
    await operator.settle()
    assert mine.lists == 1
    assert neighbour not in operator.turns
    assert operator.jobs.status(neighbour)["urlSubmitted"] == 5


async def hanging(number: int) -> tuple[Operator, list[ObjectRef], asyncio.Task[None]]:
    """Return an operator whose list for looks hangs, begun at the turn of the first resource."""
    operator, refs = await in_line(number)
    operator.esa.slow_lists = asyncio.Event()
    operator.esa.turns |= set(operator.esa.waiting)
    operator.esa.waiting.clear()
    leader = asyncio.create_task(operator.turn(refs[0]))
    await asyncio.sleep(0.01)
    assert operator.esa.lists == 1
    return operator, refs, leader


async def test_a_list_that_hangs_holds_up_looks_for_two_seconds() -> None:
    operator, refs, leader = await hanging(4)
    operator.clock.at += 2.0
    for ref in refs[1:]:
        await operator.turn(ref)
    assert (operator.esa.looks, made(operator)) == (3, [1] * 3)
    assert operator.esa.slow_lists is not None
    operator.esa.slow_lists.set()
    await leader
    assert made(operator) == [1] * 4


async def test_a_resource_that_is_deleted_while_its_list_is_made_stands_in_no_line() -> None:
    operator, refs, leader = await hanging(4)
    turns = [asyncio.create_task(operator.turn(ref)) for ref in refs[1:]]
    await asyncio.sleep(0.01)
    operator.jobs.delete(refs[1])
    operator.watch()
    assert operator.esa.slow_lists is not None
    operator.esa.slow_lists.set()
    await asyncio.gather(leader, *turns)
    assert (operator.esa.waiting, operator.esa.turns, waiting(operator)) == ({}, set(), 0)
    assert operator.esa.resets["job-1"] == 0


async def test_nothing_is_kept_of_those_who_have_left_nor_of_keys_that_were_replaced() -> None:
    operator, refs = await in_line(5)
    assert waiting(operator) == 5
    for ref in refs[1:]:
        operator.jobs.delete(ref)
    await operator.settle()
    assert waiting(operator) == 1
    operator.jobs.change_spec(refs[0], credentialsSecretRef={"name": "s"})
    operator.accounts.of["s"] = operator.esa
    for number in range(1200):
        operator.jobs.annotate(refs[0], f"t{number}")
        await operator.change_secret("s", FakeAccount(id=f"{number}", open=False, jobs=operator.esa.jobs))
    assert waiting(operator) == 1
    assert len(looks_of(operator)._sites) <= 1001


async def test_lists_for_looks_are_no_rounds_of_the_refresh() -> None:
    operator, refs = await in_line(3)
    operator.esa.add("running", submitted=3)
    running = operator.jobs.create("running", "running")
    operator.esa.open = True
    await operator.settle()
    member = operator.refresher._groups["", None, SITE].members[running]
    left = member.rounds_left
    assert left > 0
    for turn in range(5):
        operator.esa.open = False
        for ref in refs:
            operator.jobs.annotate(ref, f"again-{turn}")
        await operator.settle()
        operator.clock.at += 0.3
        await at_their_turns(operator)
    assert operator.esa.lists >= 5
    assert member.rounds_left == left


async def test_after_a_throttled_list_looks_are_shared_again_within_seconds() -> None:
    operator, refs = await in_line(6)
    operator.esa.list_problem = problem("TooManyRequests", reason=Reason.THROTTLED)
    await at_their_turns(operator)
    assert (operator.esa.lists, operator.esa.looks) == (1, 6)
    operator.esa.list_problem = None
    for ref in refs:
        operator.jobs.annotate(ref, "t2")
    await operator.settle()
    operator.clock.at += 2.5
    await at_their_turns(operator)
    assert (operator.esa.lists, operator.esa.looks, made(operator)) == (2, 6, [2] * 6)


async def test_a_list_that_is_minutes_old_answers_no_look() -> None:
    operator, refs = await in_line(6)
    operator.esa.turns.add(refs[0])
    operator.esa.waiting.pop(refs[0])()
    await operator.settle()
    assert (operator.esa.lists, operator.esa.looks) == (1, 0)
    operator.clock.at += 121
    operator.esa.jobs = {name: replace(job, url_submitted=6) for name, job in operator.esa.jobs.items()}
    await at_their_turns(operator)
    assert (operator.esa.looks, made(operator)) == (5, [1] * 6)
