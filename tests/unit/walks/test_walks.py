"""Whatever people, ESA and networks do, in the end ESA is as the spec says, the status as ESA is, and it is quiet."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from support.walks.ending import differences
from support.walks.walk import LISTS, Walk

CREATE, RESET, OPEN = "CreateScheduledPreloadJob", "ResetScheduledPreloadJob", "CreateScheduledPreloadExecutions"
OTHERS = (
    "DeleteScheduledPreloadJob",
    "StopScheduledPreloadExecution",
    "StartScheduledPreloadExecution",
    "UpdateScheduledPreloadExecution",
    "DeleteScheduledPreloadExecution",
    "GetScheduledPreloadJob",
    "ListScheduledPreloadJobs",
    "ListScheduledPreloadExecutions",
)
LOSSES: tuple[dict[str, Any], ...] = (
    {"kind": "drop_before"},
    {"kind": "drop_after"},
    {"kind": "late", "seconds": 3.0},
    {"kind": "late", "seconds": 14.0},
    {"kind": "delay", "seconds": 12.0},
    {"kind": "delay", "seconds": 12.0, "when": "after"},
)
"""The answer is lost, and the work is done in time, late, or never."""
REFUSALS: tuple[dict[str, Any], ...] = (
    {"kind": "throttle"},
    {"kind": "refuse", "status": 503, "code": "ServiceUnavailable"},
    {"kind": "refuse", "status": 403, "code": "NoPermission"},
    {"kind": "refuse", "status": 400, "code": "Strange.New"},
    {"kind": "partial", "positions": [0]},
)
WINDOWS = ("soon", "long", "far", "past", "twin", "twin", "now", "nowlong", "each", "eachlong", "eachlong")
WRITES = ("fine", "fine", "conflict", "lost", "unanswered", "late")
POLICIES = (("replacePolicy", "DeleteFirst"), ("replacePolicy", None), ("deletionPolicy", "Retain"))
INSTANTS = (0.01, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5)
slots = st.sampled_from(("w1", "w2", "w3"))
instants = st.sampled_from(INSTANTS)
pauses = st.sampled_from((0.0, *INSTANTS, 5.0, 17.0, 17.0, 31.0, 31.0, 61.0, 61.0, 61.0, 61.0, 3600.0))
"""Seconds that pass afterwards: nothing, a step or two, or until it rests."""


class Walks(RuleBasedStateMachine):
    """Everything that may happen, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.walk = Walk()

    @initialize(kinds=st.lists(st.sampled_from(WINDOWS), max_size=3), pause=pauses)
    def begin(self, kinds: list[str], pause: float) -> None:
        self.walk.restart()
        for number, kind in enumerate(kinds, start=1):
            self.walk.put_window(f"w{number}", self.walk.window(kind, 1))
        self.walk.create()
        self.walk.turn(pause)

    # --- people -------------------------------------------------------------------------------------------------

    @rule(name=st.sampled_from("ABC"), revision=st.sampled_from((None, None, "r1")), pause=pauses)
    def change_the_list(self, name: str, revision: str | None, pause: float) -> None:
        source: dict[str, Any] = {"urls": LISTS[name]}
        self.walk.edit(source=source | ({"revision": revision} if revision else {}))
        self.walk.turn(pause)

    @rule(slot=slots, kind=st.sampled_from(WINDOWS), slice_len=st.sampled_from((1, 2)), pause=pauses)
    def put_a_window(self, slot: str, kind: str, slice_len: int, pause: float) -> None:
        self.walk.put_window(slot, self.walk.window(kind, slice_len))
        self.walk.turn(pause)

    @precondition(lambda self: self.walk.spec.get("executions"))
    @rule(number=st.integers(0, 2), pause=pauses)
    def take_a_window_away(self, number: int, pause: float) -> None:
        names = [each["name"] for each in self.walk.spec["executions"]]
        self.walk.put_window(names[number % len(names)], None)
        self.walk.turn(pause)

    @rule(pause=pauses)
    def suspend_or_resume(self, pause: float) -> None:
        self.walk.edit(suspend=None if self.walk.spec.get("suspend") else True)
        self.walk.turn(pause)

    @rule(cron=st.sampled_from(("*/10 * * * *", "0 * * * *")), pause=pauses)
    def schedule_or_not(self, cron: str, pause: float) -> None:
        self.walk.story.requests += 100  # scheduled ones are not counted
        self.walk.edit(resetSchedule=None if "resetSchedule" in self.walk.spec else {"cron": cron})
        self.walk.turn(pause)

    @rule(policy=st.sampled_from(POLICIES), pause=pauses)
    def change_a_policy(self, policy: tuple[str, str | None], pause: float) -> None:
        self.walk.edit(**dict([policy]))
        self.walk.turn(pause)

    @rule(token=st.sampled_from(("t1", "t2", "t3", "1800100000", None)), pause=pauses)
    def ask_for_a_reset(self, token: str | None, pause: float) -> None:
        self.walk.ask(token)
        self.walk.turn(pause)

    @rule(pause=pauses, fault=st.none() | st.sampled_from(LOSSES))
    def delete_and_make_anew(self, pause: float, fault: dict[str, Any] | None) -> None:
        if fault is not None:
            self.walk.fault(action=CREATE, **fault)
            self.walk.edit(source={"urls": LISTS["C"], "revision": str(self.walk.loop.time())})
        self.walk.turn(pause if fault is not None else 0.0)
        self.walk.delete()
        self.walk.turn(pause)
        self.walk.create()

    @precondition(lambda self: self.walk.body is None)
    @rule()
    def create(self) -> None:
        self.walk.create()

    @precondition(lambda self: self.walk.lives and not self.walk.story.wiped)
    @rule(pause=pauses)
    def wipe_the_status(self, pause: float) -> None:
        self.walk.wipe()
        self.walk.turn(pause)

    # --- the console --------------------------------------------------------------------------------------------

    @precondition(lambda self: self.walk.jobs())
    @rule(number=st.integers(0, 3), pause=pauses)
    def delete_a_job_in_the_console(self, number: int, pause: float) -> None:
        for job in self.walk.jobs()[number : number + 1]:
            self.walk.simulator.state.remove_job(job["id"])
        self.walk.turn(pause)

    @precondition(lambda self: self.walk.executions())
    @rule(number=st.integers(0, 3), what=st.sampled_from(("delete", "change", "stop")), pause=pauses)
    def act_on_an_execution_in_the_console(self, number: int, what: str, pause: float) -> None:
        found = self.walk.executions()
        execution = found[number % len(found)]
        if what == "delete":
            self.walk.simulator.state.remove_execution(execution)
        elif what == "change":
            execution.slice_len = 3 - execution.slice_len
        elif execution.status == "running":
            execution.status = "stopped"
            self.walk.story.stopped_by_hand = True
        self.walk.turn(pause)

    # --- trouble ------------------------------------------------------------------------------------------------

    @rule(seconds=instants)
    def kill_the_process_in_a_moment(self, seconds: float) -> None:
        self.walk.turn(seconds)
        self.walk.story.losses += 1
        self.walk.restart()

    @rule(fault=st.sampled_from(LOSSES), action=st.sampled_from((CREATE, RESET, OPEN)))
    def lose_an_answer(self, fault: dict[str, Any], action: str) -> None:
        self.walk.fault(action=action, **fault)

    @rule(fault=st.sampled_from(LOSSES + REFUSALS), action=st.sampled_from((CREATE, RESET, OPEN, *OTHERS)))
    def let_a_call_fail(self, fault: dict[str, Any], action: str) -> None:
        self.walk.fault(action=action, **fault)

    @rule(faults=st.lists(st.sampled_from(WRITES), min_size=1, max_size=5))
    def let_writes_fail(self, faults: list[str]) -> None:
        self.walk.story.losses += len(faults)
        self.walk.outside.write_faults[:] = faults

    @rule(watch=st.sampled_from((0.02, 3.0)), lists=st.sampled_from((0.0, 5.0, 14.0)))
    def let_watch_and_lists_lag(self, watch: float, lists: float) -> None:
        self.walk.cluster.watch_delay = watch
        if lists:
            self.walk.fault("lag", seconds=lists, times=5)

    @rule(room=st.sampled_from((None, 3, 4)))
    def make_room_for(self, room: int | None) -> None:
        self.walk.simulator.state.settings.max_jobs_per_site = room

    # --- time ---------------------------------------------------------------------------------------------------

    @rule(seconds=instants)
    def wait_for_a_moment(self, seconds: float) -> None:
        self.walk.turn(seconds)

    @rule(seconds=st.sampled_from((1.0, 5.0, 12.0, 16.0)))
    def wait_for_a_while(self, seconds: float) -> None:
        self.walk.turn(seconds)

    @rule(seconds=st.sampled_from((31.0, 61.0, 61.0, 300.0, 700.0, 3600.0)))
    def wait_for_long(self, seconds: float) -> None:
        self.walk.turn(seconds)

    @rule(seconds=st.sampled_from((31.0, 61.0)))
    def wait_until_it_rests(self, seconds: float) -> None:
        self.walk.turn(seconds)

    def teardown(self) -> None:
        try:
            found = differences(self.walk)
            assert not found, "\n".join(found)
        finally:
            self.walk.close()


# The same walks each time, so that what a change breaks shows with that change; WALKS=random takes others.
Walks.TestCase.settings = settings(
    derandomize=os.environ.get("WALKS") != "random",
    max_examples=200,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
TestWalks = Walks.TestCase
