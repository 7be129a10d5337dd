"""The work queue on an event loop whose clock the test turns."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esa_preload_operator.domain.errors import StoreError
from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.domain.view import View
from esa_preload_operator.runtime.queue import ITEMS, QueueMetrics, WorkQueue
from esa_preload_operator.runtime.shares import Shares
from esa_preload_operator.services.runner import LeadershipLostError
from support.queueing import Worked, play, ref, view, working


def test_what_is_added_many_times_while_it_waits_is_worked_on_once() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](), Worked()
        for number in range(5):
            queue.add(ref("a"), view(number))
        assert queue.depth() == 1
        async with working(queue, work):
            await asyncio.sleep(10)
        assert [item for _, _, item in work.done] == [view(4)]

    play(scene)


def test_what_is_added_while_a_worker_has_it_comes_again_once_with_the_newest_body() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](), Worked()
        async with working(queue, work):
            queue.add(ref("a"), view(0))
            await asyncio.sleep(0.5)
            queue.add(ref("a"), view(1))
            queue.add(ref("a"), view(2))
            assert queue.depth() == 0
            await asyncio.sleep(10)
        assert [item for _, _, item in work.done] == [view(0), view(2)]

    play(scene)


def test_a_wake_without_a_body_asks_for_a_read() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](), Worked()
        queue.add(ref("a"), view(0))
        queue.add(ref("a"))
        async with working(queue, work):
            await asyncio.sleep(5)
        assert [item for _, _, item in work.done] == [None]

    play(scene)


def test_requests_go_before_what_can_wait() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](), Worked()
        for name in "abc":
            queue.add(ref(name), urgent=False)
        queue.add(ref("now"), urgent=True)
        async with working(queue, work, workers=1):
            await asyncio.sleep(10)
        assert work.keys() == ["now", "a", "b", "c"]

    play(scene)


def test_what_waits_becomes_urgent_when_it_is_asked_for() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](), Worked()
        for name in "abc":
            queue.add(ref(name), urgent=False)
        queue.add(ref("c"), urgent=True)
        async with working(queue, work, workers=1):
            await asyncio.sleep(10)
        assert work.keys()[0] == "c"
        assert sorted(work.keys()) == ["a", "b", "c"]

    play(scene)


def test_a_forgotten_resource_leaves_no_delay_no_body_and_no_failure() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](), Worked(0)
        work.answers[ref("a")] = [StoreError("x"), StoreError("x")]
        async with working(queue, work):
            queue.add(ref("a"))
            await asyncio.sleep(0.01)
            queue.forget(ref("a"))
            await asyncio.sleep(100)
            assert len(work.done) == 1
            queue.add(ref("b"), view())
            queue.forget(ref("b"))  # deleted while it waits: what the watch delivered is no more
            await asyncio.sleep(1)
        assert work.done[-1][2] is None
        assert not queue._failures
        assert not queue._items

    play(scene)


def test_a_bug_that_one_resource_meets_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](), Worked(0)
        work.answers[ref("bad")] = [RuntimeError("a bug"), RuntimeError("a bug")]
        async with working(queue, work, workers=1):
            queue.add(ref("bad"))
            queue.add(ref("good"))
            await asyncio.sleep(100)
        assert Counter(work.keys()) == {"bad": 3, "good": 1}

    with caplog.at_level(logging.ERROR):
        play(scene)
    assert [record.getMessage() for record in caplog.records] == [
        "n/bad: reconcile failed; the other resources go on"
    ] * 2


def test_a_lost_lead_ends_the_queue_at_once() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](), Worked(5)
        queue.add(ref("other"))

        async def lost(key: ObjectRef, body: Any) -> float | None:
            if key.name == "lost":
                raise LeadershipLostError
            return await work(key, body)

        queue.add(ref("lost"))
        with pytest.raises(ExceptionGroup) as caught:
            await queue.run(2, lost)
        assert caught.group_contains(LeadershipLostError)
        assert work.done == []

    play(scene)


def test_closing_finishes_what_is_in_hand_and_takes_nothing_new() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](), Worked(5)
        for number in range(6):
            queue.add(ref(number))
        queue.add_at(ref("later"), time.monotonic() + 1)
        task = asyncio.create_task(queue.run(2, work))
        await asyncio.sleep(0.5)
        queue.add(ref(0))
        queue.close(2)
        await task
        assert sorted(work.keys()) == ["0", "1"]

    play(scene)


def test_items_of_waiting_resources_are_bounded_and_the_others_are_read() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](), Worked(0)
        for number in range(ITEMS + 100):
            queue.add(ref(number), view(number))
        queue.add(ref(0), view(-1))
        queue.add(ref(ITEMS), view(-2))
        assert len(queue._items) == ITEMS
        async with working(queue, work):
            await asyncio.sleep(1)
        given_items = {key.name: body for _, key, body in work.done}
        assert len(given_items) == ITEMS + 100
        assert given_items["0"] == view(-1)
        assert given_items["1"] == view(1)
        assert given_items[str(ITEMS)] is None
        assert not queue._items

    play(scene)


def test_an_item_that_finds_no_room_never_leaves_an_older_one_behind() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](), Worked(0)
        queue.add(ref("a"), view(1))
        queue.add(ref("a"))
        for number in range(ITEMS):
            queue.add(ref(number), view(number))
        queue.add(ref("a"), view(2))
        async with working(queue, work):
            await asyncio.sleep(1)
        assert next(body for _, key, body in work.done if key == ref("a")) is None

    play(scene)


def test_a_flood_of_one_namespace_leaves_the_others_their_turns() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](), Worked(1)
        for number in range(2000):
            queue.add(ref(number), urgent=True)
        other = ObjectRef("other", "a")
        async with working(queue, work, workers=4):
            await asyncio.sleep(10)
            queue.add(other, urgent=True)
            begun = time.monotonic()
            await asyncio.sleep(600)
        assert work.times(other)[0] - begun <= 2

    play(scene)


def test_a_namespace_with_slow_work_leaves_workers_for_the_others() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](shares=Shares(4, time.monotonic)), Worked(60)
        other = ObjectRef("other", "a")
        async with working(queue, work, workers=4):
            for number in range(20):
                queue.add(ref(number), urgent=True)
            await asyncio.sleep(1)
            begun = time.monotonic()
            queue.add(other)
            await asyncio.sleep(600)
        assert work.times(other)[0] - begun == 60

    play(scene)


def test_what_was_held_back_goes_on_when_its_namespace_has_room_again() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](shares=Shares(4, time.monotonic)), Worked(1)
        for namespace in ("even", "odd"):
            queue.shares.written(namespace, 0.001)
            for _ in range(100):
                queue.shares.written(namespace, 1)
        async with working(queue, work, workers=4):
            for number in range(20):
                queue.add(ObjectRef("even" if number % 2 else "odd", str(number)))
            await asyncio.sleep(12)
            assert queue.depth() == 0
            assert work.most_at_once == 2
            await asyncio.sleep(100)
        assert len(work.done) == 20

    play(scene)


class Counted(QueueMetrics):
    def __init__(self) -> None:
        self.adds = self.retries = 0
        self.results: Counter[str] = Counter()

    def added(self) -> None:
        self.adds += 1

    def retried(self) -> None:
        self.retries += 1

    def worked(self, seconds: float, result: str) -> None:
        assert seconds >= 0
        self.results[result] += 1


def test_metrics_count_what_happens() -> None:
    async def scene() -> None:
        metrics = Counted()
        queue, work = WorkQueue[View](metrics), Worked(0)
        work.answers[ref("a")] = [StoreError("x"), RuntimeError("x"), None]
        async with working(queue, work):
            queue.add(ref("a"))
            await asyncio.sleep(100)
            assert queue.longest_work() == queue.unfinished_work() == 0
        assert metrics.results == {"retry": 1, "error": 1, "success": 1}
        assert (metrics.adds, metrics.retries) == (3, 2)

    play(scene)


def test_a_hanging_worker_shows() -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](), Worked(50)
        async with working(queue, work):
            queue.add(ref("a"))
            await asyncio.sleep(10)
            queue.add(ref("b"))
            await asyncio.sleep(10)
            assert queue.longest_work() == pytest.approx(20)
            assert queue.unfinished_work() == pytest.approx(30)

    play(scene)


names = st.integers(0, 5)
moves = st.lists(
    st.one_of(
        st.tuples(st.just("written"), st.sampled_from([0.001, 0.1]), st.none()),
        st.tuples(st.just("add"), names, st.booleans()),
        st.tuples(st.just("add_at"), names, st.integers(0, 5)),
        st.tuples(st.just("wait"), st.integers(0, 4), st.none()),
        st.tuples(st.just("fail"), names, st.booleans()),
        st.tuples(st.just("return"), names, st.integers(1, 5)),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(moves, st.integers(1, 3))
def test_whatever_comes_nothing_is_lost_and_nothing_is_worked_on_twice_at_once(
    script: list[tuple[str, Any, Any]], workers: int
) -> None:
    async def scene() -> None:
        queue, work = WorkQueue[View](shares=Shares(workers, time.monotonic)), Worked(1)
        asked: dict[ObjectRef, float] = {}
        async with working(queue, work, workers):
            for kind, number, extra in script:
                if kind == "written":
                    queue.shares.written("n", number)
                    continue
                key, now = ObjectRef("nm"[number % 2], str(number)), time.monotonic()
                if kind == "add":
                    queue.add(key, view(len(asked)) if extra else None)
                    asked[key] = now
                elif kind == "add_at":
                    queue.add_at(key, now + extra)
                    asked[key] = max(asked.get(key, 0.0), now)
                elif kind == "wait":
                    await asyncio.sleep(number)
                elif kind == "fail":
                    work.answers.setdefault(key, []).append(StoreError("x") if extra else RuntimeError("x"))
                else:
                    work.answers.setdefault(key, []).append(now + extra)
                assert not queue._since.keys() & queue._busy.keys(), "a resource waits while a worker has it"
            await asyncio.sleep(1000)
            assert queue.depth() == 0
            assert not queue._items
            assert not queue._pauses
            assert len(queue._dues) == 0
        for key, moment in asked.items():
            assert max(work.times(key), default=0.0) > moment, f"{key} was lost"
        assert work.most_at_once <= workers

    logging.disable(logging.CRITICAL)
    try:
        play(scene)
    finally:
        logging.disable(logging.NOTSET)
