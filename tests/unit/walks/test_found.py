"""What walks have found: each trace in its shortest form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.walks.ending import differences
from support.walks.walk import CREATE, LISTS, Walk

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def walk() -> Iterator[Walk]:
    """A walk whose resource has a job that is at rest."""
    made = Walk()
    made.restart()
    made.create()
    made.turn(61)
    yield made
    made.close()


def test_a_window_that_had_finished_early_is_opened_for_the_next_list(walk: Walk) -> None:
    walk.put_window("w1", walk.window("long", 3))
    walk.turn(61)
    assert [execution.status for execution in walk.executions()] == ["finished"]
    walk.edit(source={"urls": LISTS["B"]})
    assert differences(walk) == []
    assert [job["urlSubmitted"] for job in walk.jobs()] == [3]


def test_a_window_whose_end_is_moved_into_the_past_is_closed(walk: Walk) -> None:
    walk.put_window("w1", walk.window("far", 1))
    walk.put_window("w2", walk.window("long", 1))
    walk.turn(61)
    for slot in ("w1", "w2"):
        walk.put_window(slot, walk.window("past", 1))
    assert differences(walk) == []
    assert walk.executions() == []
    assert [each["state"] for each in walk.status["executions"]] == ["Missed", "Missed"]


def test_a_window_whose_end_is_moved_into_the_past_while_suspended_is_not_opened(walk: Walk) -> None:
    walk.put_window("w1", walk.window("far", 1))
    walk.turn(61)
    walk.edit(suspend=True)
    walk.turn(61)
    walk.put_window("w1", walk.window("past", 1))
    walk.edit(suspend=None)
    assert differences(walk) == []
    assert [each["state"] for each in walk.status["executions"]] == ["Missed"]


def test_a_job_that_is_gone_while_suspended_is_noted_once(walk: Walk) -> None:
    walk.edit(suspend=True)
    walk.turn(61)
    (job,) = walk.jobs()
    walk.simulator.state.remove_job(job["id"])
    assert differences(walk) == []
    assert not walk.status.get("jobId")
    walk.edit(suspend=None)
    assert differences(walk) == []
    assert len(walk.jobs()) == 1


def test_a_status_that_is_wiped_while_suspended_is_not_refreshed_for_ever(walk: Walk) -> None:
    walk.put_window("w1", walk.window("long", 1))
    walk.turn(61)
    walk.edit(suspend=True)
    walk.turn(61)
    walk.wipe()
    assert differences(walk) == []


def test_a_first_create_that_is_refused_is_told_and_tried_ever_more_slowly() -> None:
    walk = Walk()
    walk.simulator.state.settings.max_jobs_per_site = 2
    walk.restart()
    walk.create()
    walk.turn(3600)
    assert walk.writes < 40
    assert 3 < len([each for each in walk.calls() if each.action == CREATE]) < 15
    assert differences(walk) == []
    walk.close()


def test_a_window_that_people_change_again_and_again_is_repaired_each_time(walk: Walk) -> None:
    walk.put_window("w1", walk.window("far", 1))
    walk.turn(61)
    for _ in range(3):
        (execution,) = walk.executions()
        execution.slice_len = 2
        assert differences(walk) == []
        assert [each.slice_len for each in walk.executions()] == [1]
