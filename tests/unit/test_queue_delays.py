"""Delays, backoff and the API server's wishes in the work queue, on an event loop whose clock the test turns."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import pytest
import uvloop

from esa_preload_operator.domain.errors import StoreError
from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.domain.view import View
from esa_preload_operator.runtime.queue import WorkQueue
from support.queueing import Worked, play, ref, view, working


def test_the_earliest_delay_wins() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](), Worked(0)
        start = time.monotonic()
        async with working(queue, work):
            for delay in (30, 10, 20):
                queue.add_at(ref("a"), start + delay)
            await asyncio.sleep(100)
        assert work.times(ref("a")) == [start + 10]

    play(scene)


def test_work_that_comes_sooner_takes_the_place_of_a_delay() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](), Worked(0)
        start = time.monotonic()
        async with working(queue, work):
            queue.add_at(ref("a"), start + 30)
            queue.add(ref("a"))
            await asyncio.sleep(100)
        assert len(work.done) == 1

    play(scene)


def test_backoff_grows_and_is_reset_by_a_success() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](), Worked(0)
        start = time.monotonic()
        work.answers[ref("a")] = [*[StoreError("x")] * 12, None, StoreError("x")]
        async with working(queue, work):
            queue.add(ref("a"))
            await asyncio.sleep(2000)
            assert len(work.done) == 13
            queue.add(ref("a"))
            await asyncio.sleep(2000)
        moments = [start, *work.times(ref("a"))]
        pauses = [after - before for before, after in itertools.pairwise(moments[1:14])]
        for number, pause in enumerate(pauses):
            longest = min(60, 0.2 * 2**number)
            assert longest / 2 <= pause <= longest
        last = work.times(ref("a"))[-1] - work.times(ref("a"))[-2]
        assert 0.1 <= last <= 0.2

    play(scene)


def test_the_servers_wish_is_waited_for() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](), Worked(0)
        work.answers[ref("a")] = [StoreError("x", retry_after=7.0)]
        async with working(queue, work):
            queue.add(ref("a"))
            await asyncio.sleep(100)
        first, second = work.times(ref("a"))
        assert second - first == pytest.approx(7.0)

    play(scene)


def test_a_thousand_held_resources_with_requests_coming_take_no_more_room() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](), Worked(0)
        held = time.monotonic() + 86_400
        async with working(queue, work):
            for _ in range(20):
                for number in range(1000):
                    work.answers[ref(number)] = [held]
                    queue.add(ref(number), urgent=True)
                await asyncio.sleep(1)
            assert len(queue._dues) == 1000
            assert len(queue._dues._heap) <= 2100
            loop: Any = asyncio.get_running_loop()
            assert len(loop._scheduled) <= 200

    play(scene)


def test_what_the_work_returns_replaces_an_earlier_due_time() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](), Worked(0)
        start = time.monotonic()
        async with working(queue, work):
            work.answers[ref("a")] = [start + 10, start + 500]
            queue.add(ref("a"))
            await asyncio.sleep(5)
            queue.add(ref("a"))
            await asyncio.sleep(1000)
        assert work.times(ref("a")) == [start, start + 5, start + 500]

    play(scene)


def test_a_wish_that_comes_during_work_is_kept_beside_what_the_work_returns() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](), Worked(1)
        start = time.monotonic()
        work.answers[ref("a")] = [start + 500]
        async with working(queue, work):
            queue.add(ref("a"))
            await asyncio.sleep(0.5)
            queue.add_at(ref("a"), start + 20)
            await asyncio.sleep(100)
        assert work.times(ref("a")) == [start + 1, start + 21]

    play(scene)


def test_nothing_brings_a_resource_back_before_the_server_wants_it() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](), Worked(1)
        start = time.monotonic()
        work.answers[ref("a")] = [StoreError("x", retry_after=30.0)]
        async with working(queue, work):
            queue.add(ref("a"), view(0))
            await asyncio.sleep(0.5)
            queue.add(ref("a"), view(1), urgent=True)  # while a worker has it
            await asyncio.sleep(10)
            queue.add(ref("a"), view(2), urgent=True)
            await asyncio.sleep(100)
            queue.add(ref("a"), view(3))
            await asyncio.sleep(10)
        assert [item for _, _, item in work.done] == [view(0), view(2), view(3)]
        assert work.times(ref("a"))[1] == pytest.approx(start + 32)

    play(scene)


def test_what_comes_back_is_as_urgent_as_before() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](), Worked(1)
        start = time.monotonic()
        work.answers[ref("asks")] = [start + 5]
        work.answers[ref("calm")] = [start + 4.6]
        async with working(queue, work, workers=1):
            queue.add(ref("asks"), urgent=True)
            queue.add(ref("calm"))
            await asyncio.sleep(2.5)
            for number in range(6):
                queue.add(ref(number))
            await asyncio.sleep(100)
        assert work.keys() == ["asks", "calm", "0", "1", "2", "asks", "3", "4", "5", "calm"]

    play(scene)


def test_moments_that_have_passed_are_no_trouble_for_the_loop_that_the_operator_runs_on() -> None:
    taken: list[ObjectRef] = []

    async def drive() -> None:
        queue: WorkQueue[View] = WorkQueue()

        async def work(ref: ObjectRef, _item: View | None) -> None:
            taken.append(ref)
            if len(taken) == 3:
                queue.close(1)

        for name in "abc":
            queue.add_at(ObjectRef("team", name), time.monotonic() - 1.0)
        await queue.run(1, work)

    uvloop.run(drive())
    assert [ref.name for ref in taken] == ["a", "b", "c"]
