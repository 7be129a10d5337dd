"""Whatever people, ESA and networks do, in the end ESA is as the spec says, the status as ESA is, and it is quiet."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from support.walks.ending import complaints
from support.walks.walk import LISTS, Walk

ACTIONS = (
    "CreateScheduledPreloadJob",
    "ResetScheduledPreloadJob",
    "GetScheduledPreloadJob",
    "ListScheduledPreloadJobs",
    "DeleteScheduledPreloadJob",
    "CreateScheduledPreloadExecutions",
    "ListScheduledPreloadExecutions",
    "UpdateScheduledPreloadExecution",
    "DeleteScheduledPreloadExecution",
    "StartScheduledPreloadExecution",
    "StopScheduledPreloadExecution",
)
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "drop_before"},
    {"kind": "drop_after"},
    {"kind": "late", "seconds": 14.0},
    {"kind": "late", "seconds": 3.0},
    {"kind": "delay", "seconds": 12.0},
    {"kind": "delay", "seconds": 12.0, "when": "after"},
    {"kind": "throttle"},
    {"kind": "refuse", "status": 503, "code": "ServiceUnavailable"},
    {"kind": "refuse", "status": 403, "code": "NoPermission"},
    {"kind": "refuse", "status": 400, "code": "Strange.New"},
)
WINDOWS = ("soon", "long", "far", "past", "twin", "now", "nowlong", "each", "eachlong")
slots = st.sampled_from(("w1", "w2", "w3"))


class Walks(RuleBasedStateMachine):
    """Everything that may happen, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.walk = Walk()

    @initialize()
    def begin(self) -> None:
        self.walk.restart()
        self.walk.create()

    # --- people -------------------------------------------------------------------------------------------------

    @rule(name=st.sampled_from("ABC"), revision=st.sampled_from((None, None, "r1")))
    def change_the_list(self, name: str, revision: str | None) -> None:
        source: dict[str, Any] = {"urls": LISTS[name]}
        self.walk.edit(source=source | ({"revision": revision} if revision else {}))

    @rule(slot=slots, kind=st.sampled_from(WINDOWS), slice_len=st.sampled_from((1, 2)))
    def put_a_window(self, slot: str, kind: str, slice_len: int) -> None:
        self.walk.put_window(slot, self.walk.window(kind, slice_len))

    @rule(slot=slots)
    def take_a_window_away(self, slot: str) -> None:
        self.walk.put_window(slot, None)

    @rule(on=st.booleans())
    def suspend(self, on: bool) -> None:
        self.walk.edit(suspend=on or None)

    @rule(cron=st.sampled_from((None, "*/10 * * * *", "0 * * * *")))
    def schedule(self, cron: str | None) -> None:
        self.walk.story.requests += 100  # scheduled ones are not counted
        self.walk.edit(resetSchedule={"cron": cron} if cron else None)

    @rule(policy=st.sampled_from((None, "CreateFirst", "DeleteFirst")))
    def change_how_to_replace(self, policy: str | None) -> None:
        self.walk.edit(replacePolicy=policy)

    @rule(policy=st.sampled_from((None, "Delete", "Retain")))
    def change_what_deletion_does(self, policy: str | None) -> None:
        self.walk.edit(deletionPolicy=policy)

    @rule(token=st.sampled_from(("t1", "t2", "t3", "1800100000", None)))
    def ask_for_a_reset(self, token: str | None) -> None:
        self.walk.ask(token)

    @rule()
    def delete(self) -> None:
        self.walk.delete()

    @rule()
    def create(self) -> None:
        self.walk.create()

    @rule()
    def wipe_the_status(self) -> None:
        self.walk.wipe()

    # --- the console --------------------------------------------------------------------------------------------

    @rule(number=st.integers(0, 3))
    def delete_a_job_in_the_console(self, number: int) -> None:
        for job in self.walk.jobs()[number : number + 1]:
            self.walk.simulator.state.remove_job(job["id"])

    @rule(number=st.integers(0, 3))
    def delete_an_execution_in_the_console(self, number: int) -> None:
        for execution in self.walk.executions()[number : number + 1]:
            self.walk.simulator.state.remove_execution(execution)

    @rule(number=st.integers(0, 3))
    def change_an_execution_in_the_console(self, number: int) -> None:
        for execution in self.walk.executions()[number : number + 1]:
            execution.slice_len = 3 - execution.slice_len

    @rule(number=st.integers(0, 3))
    def stop_an_execution_in_the_console(self, number: int) -> None:
        for execution in self.walk.executions()[number : number + 1]:
            if execution.status == "running":
                execution.status = "stopped"
                self.walk.story.stopped_by_hand = True

    # --- trouble ------------------------------------------------------------------------------------------------

    @rule()
    def kill_the_process(self) -> None:
        self.walk.story.losses += 1
        self.walk.restart()

    @rule(fault=st.sampled_from(FAULTS), action=st.sampled_from(ACTIONS), skip=st.integers(0, 1))
    def let_calls_fail(self, fault: dict[str, Any], action: str, skip: int) -> None:
        self.walk.fault(action=action, skip=skip, **fault)

    @rule(faults=st.lists(st.sampled_from(("fine", "conflict", "lost", "unanswered", "late")), min_size=1, max_size=4))
    def let_writes_fail(self, faults: list[str]) -> None:
        self.walk.story.losses += len(faults)
        self.walk.outside.write_faults[:] = faults

    @rule(seconds=st.sampled_from((0.02, 3.0)))
    def let_the_watch_lag(self, seconds: float) -> None:
        self.walk.cluster.watch_delay = seconds

    @rule(seconds=st.sampled_from((5.0, 14.0)))
    def let_lists_lag(self, seconds: float) -> None:
        self.walk.fault("lag", seconds=seconds, times=5)

    @rule(room=st.sampled_from((None, 3, 4)))
    def make_room_for(self, room: int | None) -> None:
        self.walk.simulator.state.settings.max_jobs_per_site = room

    # --- time ---------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from((0.01, 0.03, 0.05, 0.1, 0.3, 1.0, 5.0, 12.0, 16.0, 31.0, 61.0, 300.0, 700.0, 3600.0)))
    def turn_the_clock(self, seconds: float) -> None:
        self.walk.turn(seconds)

    @rule(seconds=st.sampled_from((0.01, 0.03, 0.05, 0.1, 0.3, 1.0, 5.0, 12.0, 16.0, 31.0, 61.0, 300.0, 700.0, 3600.0)))
    def turn_it_again(self, seconds: float) -> None:
        self.walk.turn(seconds)

    def teardown(self) -> None:
        try:
            found = complaints(self.walk)
            assert not found, "\n".join(found)
        finally:
            self.walk.close()


Walks.TestCase.settings = settings(
    max_examples=200,
    stateful_step_count=25,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
TestWalks = Walks.TestCase
