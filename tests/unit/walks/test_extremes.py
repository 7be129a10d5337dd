"""What lies beyond the deadlines, and what must not be done at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from esa_preload_operator.domain.cleaning import format_time
from esa_simulator.execution_actions import OPERATIONS
from esa_simulator.wire import execution_body
from support.fakes import WALL
from support.walks.ending import differences
from support.walks.walk import CREATE, HOUR, LISTS, REF, RESET, Walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esa_simulator.actions import Call
    from esa_simulator.progress import Execution

OPEN = "CreateScheduledPreloadExecutions"


@pytest.fixture
def walk() -> Iterator[Walk]:
    """A walk whose process runs, without a resource."""
    made = Walk()
    made.restart()
    yield made
    made.close()


def made(walk: Walk, action: str) -> int:
    return len([entry for entry in walk.calls() if entry.action == action and entry.executed])


@pytest.mark.parametrize("field", ["creating", "retiredJobs"])
def test_a_field_that_an_older_crd_drops_stops_all_calls(walk: Walk, field: str) -> None:
    if field == "retiredJobs":
        walk.create()
        walk.turn(61)
        walk.edit(source={"urls": LISTS["B"]})
    walk.cluster.pruned = {field}
    walk.create()
    walk.turn(HOUR)
    assert made(walk, CREATE) == (0 if field == "creating" else 2)
    assert made(walk, "DeleteScheduledPreloadJob") == 0
    assert walk.cluster.condition(REF)[1] == "CRDOutdated"
    assert f"status.{field}" in walk.cluster.condition(REF)[2]
    assert walk.writes < 20


def test_a_create_that_arrives_after_the_look_leaves_one_job_and_never_the_wrong_one(walk: Walk) -> None:
    walk.fault("late", CREATE, seconds=600.0)
    walk.create()
    walk.turn(500)
    (job,) = walk.jobs()
    walk.turn(200)
    assert {each["id"] for each in walk.jobs()} > {job["id"]}
    assert differences(walk) == []
    assert [each["id"] for each in walk.jobs()] == [job["id"]], "the live one stays"


def test_a_window_that_opens_after_the_look_is_removed_as_a_double(walk: Walk) -> None:
    walk.create()
    walk.turn(61)
    walk.fault("late", OPEN, seconds=600.0)
    walk.put_window("w1", walk.window("far", 1))
    walk.turn(500)
    (execution,) = walk.executions()
    walk.turn(200)
    assert len(walk.executions()) == 2
    assert differences(walk) == []
    assert [each.id for each in walk.executions()] == [execution.id]


def test_lists_that_lag_for_an_hour_heal_in_the_end(walk: Walk) -> None:
    walk.fault("lag", seconds=HOUR, times=None)
    walk.put_window("w1", walk.window("far", 1))
    walk.put_window("w2", walk.window("far", 1))
    walk.create()
    walk.turn(61)
    walk.edit(source={"urls": LISTS["B"]})
    walk.turn(3 * HOUR)
    assert made(walk, CREATE) < 20
    assert differences(walk) == []


def test_a_console_that_changes_something_each_second_is_answered_ever_more_slowly(walk: Walk) -> None:
    walk.put_window("w1", walk.window("far", 1))
    walk.create()
    walk.turn(61)
    since = walk.loop.time()
    for second in range(1200):
        for execution in walk.executions():
            _disturb(walk, execution, second)
        walk.suspect_windows()
        walk.turn(1)
    answers = [entry for entry in walk.calls(since) if not entry.action.startswith("List")]
    assert len(answers) in range(4, 40)
    assert len(walk.calls(since)) < 100
    assert differences(walk) == []


@pytest.mark.parametrize("kind", ["started", "nowlong"])
def test_a_window_that_is_moved_from_far_ahead_to_now_begins_within_seconds(walk: Walk, kind: str) -> None:
    walk.put_window("w1", walk.window("far", 1))
    walk.create()
    walk.turn(61)
    window = walk.window("long" if kind == "started" else kind, 1)
    if kind == "started":
        window["startTime"] = format_time(walk.outside.clock.wall() - HOUR)
    walk.put_window("w1", window)
    walk.turn(61)
    (execution,) = walk.executions()
    assert execution.status == "running"
    (entry,) = walk.status["executions"]
    assert (entry["id"], entry["state"], entry.get("message", "")) == (execution.id, "running", "")
    assert made(walk, "UpdateScheduledPreloadExecution") == 1
    assert differences(walk) == []


def test_an_esa_that_keeps_a_start_it_is_asked_to_change_is_asked_ever_more_slowly(
    walk: Walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk.put_window("w1", walk.window("far", 1))
    walk.create()
    walk.turn(61)
    monkeypatch.setitem(OPERATIONS, "UpdateScheduledPreloadExecution", ("POST", _do_nothing))
    since = walk.loop.time()
    walk.put_window("w1", walk.window("nowlong", 1))
    walk.turn(HOUR)
    assert made(walk, "UpdateScheduledPreloadExecution") in range(1, 20)
    assert len(walk.calls(since)) < 150
    assert walk.writes < 60


@pytest.mark.parametrize(
    ("action", "change"),
    [
        ("StopScheduledPreloadExecution", {"suspend": True}),
        ("StartScheduledPreloadExecution", {"suspend": None}),
        ("DeleteScheduledPreloadExecution", {"executions": []}),
        ("DeleteScheduledPreloadJob", {"source": {"urls": LISTS["B"]}}),
    ],
)
def test_an_esa_that_says_yes_and_does_nothing_is_asked_ever_more_slowly(
    walk: Walk, action: str, change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    walk.put_window("w1", walk.window("long", 1))
    walk.create()
    walk.turn(61)
    if change == {"suspend": None}:
        walk.edit(suspend=True)
        walk.turn(61)
    monkeypatch.setitem(OPERATIONS, action, ("POST", _do_nothing))
    since = walk.loop.time()
    walk.edit(**change)
    walk.turn(HOUR)
    assert len([entry for entry in walk.calls(since) if entry.action == action]) in range(1, 20)
    assert len(walk.calls(since)) < 150
    assert walk.writes < 60


def _do_nothing(call: Call) -> dict[str, Any]:
    if call.params["Id"] in call.state.jobs:
        return {}
    job, execution = call.state.execution(call.ali_uid, call.params["Id"])
    return execution_body(execution, job.ali_uid)


def _disturb(walk: Walk, execution: Execution, second: int) -> None:
    if second % 10 == 0:
        walk.simulator.state.remove_execution(execution)
    else:
        execution.slice_len = 2


@pytest.mark.parametrize("offset", [-0.5, -0.1, 0.02, 0.04, 0.06, 0.08, 0.1, 0.14, 0.2])
def test_a_scheduled_time_is_made_once_whenever_the_process_dies_around_it(walk: Walk, offset: float) -> None:
    walk.put_window("w1", walk.window("long", 1))  # so that progress proves a reset
    walk.edit(resetSchedule={"cron": "0 * * * *"})
    walk.create()
    walk.turn(HOUR - (WALL + walk.loop.time()) % HOUR + offset)
    walk.restart()
    walk.turn(120)
    assert made(walk, RESET) == 1


@pytest.mark.parametrize(("down", "resets"), [(600, 1), (2 * HOUR + 60, 1), (HOUR - 120, 0)])
def test_a_process_that_is_down_makes_what_is_not_too_late_and_skips_the_rest(
    walk: Walk, down: float, resets: int
) -> None:
    walk.edit(resetSchedule={"cron": "0 * * * *", "startingDeadlineSeconds": 900})
    walk.create()
    walk.turn(HOUR - (WALL + walk.loop.time()) % HOUR - 60)
    assert walk.process is not None
    walk.run(walk.process.kill())
    walk.turn(down)
    walk.restart()
    walk.turn(120)
    assert made(walk, RESET) == resets
    walk.turn(2 * HOUR)
    assert made(walk, RESET) == resets + 2


def test_what_a_schedule_and_annotations_ask_for_while_suspended_is_one_reset(walk: Walk) -> None:
    walk.edit(resetSchedule={"cron": "*/10 * * * *"})
    walk.create()
    walk.turn(61)
    walk.edit(suspend=True)
    walk.ask("t1")
    walk.turn(1500)
    walk.ask("t2")
    assert made(walk, RESET) == 0
    walk.edit(suspend=None)
    walk.turn(60)
    assert made(walk, RESET) == 1


def test_a_changed_schedule_makes_no_time_before_it(walk: Walk) -> None:
    walk.edit(resetSchedule={"cron": "0 3 * * *"})
    walk.create()
    walk.turn(61)
    walk.edit(resetSchedule={"cron": "*/5 * * * *"})
    walk.turn(30)
    assert made(walk, RESET) == 0
    walk.edit(resetSchedule={"cron": "*/5 * * * *", "timeZone": "Asia/Shanghai"})
    walk.turn(301)
    assert made(walk, RESET) == 1
