"""Windows on the wire: opened once, changed, closed, repaired, opened by resets, and at rest while suspended."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from support.life import (
    CREATE,
    EACH,
    OPEN,
    RUNS,
    WAITS,
    agreed,
    all_windows,
    calls,
    console,
    create,
    edit,
    entry,
    executions,
    job_of,
    silent,
    start,
    urls,
    window,
    yes,
)

if TYPE_CHECKING:
    from support.world import World

PATTERNS = [[n for n, fails in enumerate(each) if fails] for each in itertools.product((True, False), repeat=3)]
"""Which of three windows fail, in every way."""


async def test_a_success_in_part_is_opened_in_the_end_without_a_double(world: World) -> None:
    start(world)
    same = window("a", begins_in=5)
    windows = [same, same | {"name": "b"}, same | {"name": "c", "sliceLen": 2}]
    spare, *numbers = range(1, len(PATTERNS) + 2)
    for number in numbers:
        create(world, number)
    await agreed(world, *numbers)
    for number, failing in zip(numbers, PATTERNS, strict=True):
        world.fault("partial", action=OPEN, job_id=job_of(world, number)["id"], positions=failing)
        edit(world, number, executions=windows)
    await agreed(world, *numbers)
    for number, failing in zip(numbers, PATTERNS, strict=True):
        assert len({each["id"] for each in executions(world, number)}) == 3, number
        assert len({each["id"] for each in world.status(number)["executions"]}) == 3
        assert len(calls(world, number, OPEN)) == (2 if failing else 1)
    await silent(world, *numbers, spare=spare)


async def test_windows_follow_the_spec_and_what_the_console_does_is_repaired(early_world: World) -> None:
    world = early_world
    start(world)
    for number in (1, 2, 3):
        create(world, number, executions=all_windows())
    await agreed(world, 1, 2, 3)
    longer = window(WAITS, begins_in=100, hours=200, slice_len=2)
    edit(world, 1, executions=[window(RUNS, slice_len=2), longer, window("new", begins_in=50)])
    edit(world, 2, executions=[window("past", begins_in=-3, hours=2)])
    (by_hand, waits) = (entry(world, 3, name) for name in (RUNS, WAITS))
    async with console(world) as person:
        await person.stop_execution(by_hand["id"], yes)
        await person.delete_execution(waits["id"], yes)
    await agreed(world, 1, 2)
    assert {each["name"] for each in world.status(1)["executions"]} == {RUNS, WAITS, "new"}
    assert entry(world, 1, WAITS)["endTime"] == longer["endTime"]
    assert [each["state"] for each in world.status(2)["executions"]] == ["Missed"]
    assert executions(world, 2) == []
    await world.until(lambda: entry(world, 3, WAITS).get("id") not in ("", None, waits["id"]))
    await agreed(world, 3, stopped_by_hand=True)
    assert entry(world, 3, RUNS)["state"] == "stopped", "what people stop is respected"


async def test_a_window_of_every_reset_opens_once_for_each(early_world: World) -> None:
    world = early_world
    start(world)
    for number in (1, 2):
        create(world, number, executions=all_windows())
    await agreed(world, 1, 2)
    assert entry(world, 1, EACH).get("id", "") == "", "no reset has been made"
    world.annotate(1, "t1")
    await world.handled(1, "t1")
    await agreed(world, 1)
    first = entry(world, 1, EACH)
    world.fault("drop_after", action=OPEN, job_id=job_of(world, 1)["id"])
    world.annotate(1, "t2")
    world.annotate(1, "t3")
    await world.handled(1, "t3")
    await agreed(world, 1)
    second = entry(world, 1, EACH)
    assert second["startTime"] > first["startTime"]
    assert len(executions(world, 1)) == 3
    await silent(world, 1, spare=3)


async def test_suspension_stops_and_holds_and_resuming_goes_on_once(early_world: World) -> None:
    world = early_world
    start(world)
    for number in (1, 2):
        create(world, number, executions=all_windows())
    await agreed(world, 1, 2)
    before, job = entry(world, 1, RUNS), job_of(world, 1)["id"]
    async with console(world) as person:
        await person.stop_execution(entry(world, 2, RUNS)["id"], yes)
    world.fault("drop_after", action="StopScheduledPreloadExecution", job_id=job)
    for number in (1, 2):
        edit(world, number, suspend=True, executions=[*all_windows(), window("later", begins_in=9)])
        world.annotate(number, "t1")
    await agreed(world, 1, 2)
    for number in (1, 2):
        await world.reason(number, "Suspended")
    await world.until(lambda: {world.status(each).get("reset", {}).get("phase") for each in (1, 2)} == {"Held"})
    world.annotate(1, "t2")
    await world.until(lambda: world.status(1)["reset"]["tokens"] == {"resetRequested": "t2"})
    assert (world.resets(1), entry(world, 1, RUNS).get("stopped")) == (0, True)
    for number in (1, 2):
        edit(world, number, suspend=False)
    await agreed(world, 1)
    await agreed(world, 2, stopped_by_hand=True)
    assert job_of(world, 1)["resets"] == 1, "all held requests are one reset"
    assert entry(world, 1, RUNS)["id"] == before["id"]
    assert entry(world, 2, RUNS)["state"] == "stopped", "what people stopped is not started"
    assert (len(calls(world, 1, CREATE)), len(calls(world, 2, CREATE))) == (1, 1)


async def test_instants_in_another_form_make_no_loop(world: World) -> None:
    start(world)
    create(world, 1)
    await agreed(world, 1)
    windows = [window(WAITS, begins_in=5)]
    late = {"StartTime": windows[0]["startTime"].replace("Z", ".900+00:00")}
    world.fault("override", job_id=job_of(world)["id"], item_fields=late, times=None)
    edit(world, 1, executions=windows, source={"urls": urls("A")})
    await world.until(lambda: entry(world, 1, WAITS).get("state") == "waiting")
    await silent(world, 1, spare=2)
    assert len(calls(world, 1, OPEN)) == 1
    assert calls(world, 1, "UpdateScheduledPreloadExecution") == []
