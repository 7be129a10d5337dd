import copy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esa_simulator.progress import SECOND, Clock, Execution, Job, Status, advance, arm, period_of, reset

HOUR = 3600 * SECOND


def a_job(*executions: Execution, url_count: int = 100, url_submitted: int = 0) -> Job:
    return Job(
        id="j", ali_uid="1", site_id=1, name="n", created=0, url_count=url_count, url_submitted=url_submitted,
        task_submitted=url_submitted, executions={execution.id: execution for execution in executions},
    )  # fmt: skip


def an_execution(
    name: str = "e",
    *,
    start: int = 0,
    end: int | None = HOUR,
    interval: int = 60,
    slice_len: int = 10,
    speed: float = 1,
) -> Execution:
    return Execution(
        id=name, job_id="j", start=start, end=end, interval=interval, slice_len=slice_len,
        period=period_of(interval, speed), armed=0,
    )  # fmt: skip


def status_of(job: Job, name: str = "e") -> Status:
    return job.executions[name].status


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    count = draw(st.integers(0, 3))
    executions = []
    for number in range(count):
        start = draw(st.integers(0, 50))
        end = draw(st.none() | st.integers(start, 100))
        execution = an_execution(str(number), start=start, end=end, slice_len=draw(st.integers(1, 7)))
        executions.append(replace(execution, period=draw(st.integers(1, 30)), armed=draw(st.integers(0, 20))))
    url_count = draw(st.integers(0, 60))
    return a_job(*executions, url_count=url_count, url_submitted=draw(st.integers(0, url_count)))


@settings(deadline=None)  # a busy machine is no failure
@given(jobs(), st.lists(st.integers(0, 150)), st.integers(0, 150))
def test_progress_does_not_depend_on_how_often_one_looks(job: Job, looks: list[int], end: int) -> None:
    once = copy.deepcopy(job)
    advance(once, end)
    for moment in sorted(moment for moment in looks if moment <= end):
        advance(job, moment)
    advance(job, end)
    live = [name for name in job.executions if status_of(job, name) in {"waiting", "running"}]
    assert (job.url_submitted, job.task_submitted) == (once.url_submitted, once.task_submitted)
    assert {name: status_of(job, name) for name in job.executions} == {
        name: status_of(once, name) for name in job.executions
    }
    assert {name: job.executions[name].next_batch for name in live} == {
        name: once.executions[name].next_batch for name in live
    }


@settings(deadline=None)  # a busy machine is no failure
@given(jobs(), st.lists(st.integers(0, 150)))
def test_progress_only_grows_and_never_exceeds_the_list(job: Job, looks: list[int]) -> None:
    seen = job.url_submitted
    for moment in sorted(looks):
        advance(job, moment)
        assert seen <= job.url_submitted <= job.url_count
        assert job.task_submitted == job.url_submitted
        seen = job.url_submitted


@settings(deadline=None)  # a busy machine is no failure
@given(jobs(), st.integers(0, 150), st.integers(0, 150))
def test_after_a_reset_progress_begins_anew(job: Job, moment: int, later: int) -> None:
    advance(job, moment)
    reset(job, moment)
    assert (job.url_submitted, job.task_submitted) == (0, 0)
    advance(job, moment + later)
    assert 0 <= job.url_submitted <= job.url_count


@settings(deadline=None)  # a busy machine is no failure
@given(jobs())
def test_a_finished_execution_means_that_the_list_is_exhausted(job: Job) -> None:
    advance(job, 1000)
    for execution in job.executions.values():
        assert execution.status in (
            {"running", "failed", "finished"} if execution.end is None else {"failed", "finished"}
        )
        assert execution.status != "finished" or job.url_submitted == job.url_count


def test_batches_come_each_interval_from_the_start_of_the_window() -> None:
    job = a_job(an_execution(start=5 * SECOND))
    progress = []
    for second in (0, 4, 5, 64, 65, 125, 545, 1000):
        advance(job, second * SECOND)
        progress.append((second, job.url_submitted, status_of(job)))
    assert progress == [
        (0, 0, "waiting"), (4, 0, "waiting"), (5, 10, "running"), (64, 10, "running"), (65, 20, "running"),
        (125, 30, "running"), (545, 100, "finished"), (1000, 100, "finished"),
    ]  # fmt: skip


def test_speed_shortens_the_interval_and_not_the_window() -> None:
    job = a_job(an_execution(end=2 * SECOND, speed=60))
    advance(job, SECOND)
    assert job.url_submitted == 20
    advance(job, 2 * SECOND)
    assert (job.url_submitted, status_of(job)) == (20, "failed")


def test_two_executions_share_one_list() -> None:
    job = a_job(an_execution("a"), an_execution("b", start=30 * SECOND, slice_len=15))
    advance(job, 60 * SECOND)
    assert job.url_submitted == 10 + 15 + 10


@pytest.mark.parametrize(
    ("after", "running", "finished"),
    [("continue", "running", "finished"), ("revive", "running", "waiting"), ("stop", "stopped", "finished")],
)
def test_what_a_reset_does_with_executions_is_a_setting(after: str, running: Status, finished: Status) -> None:
    done = replace(an_execution("done"), status="finished")
    job = a_job(an_execution("going"), done)
    advance(job, SECOND)
    reset(job, SECOND, after=after)  # type: ignore[arg-type]
    assert (status_of(job, "going"), status_of(job, "done")) == (running, finished)


def test_a_finished_execution_is_not_revived_after_its_window() -> None:
    job = a_job(replace(an_execution(end=10), status="finished"))
    reset(job, 10, after="revive")
    assert status_of(job) == "finished"


def test_a_running_execution_goes_on_from_the_beginning_after_a_reset() -> None:
    job = a_job(an_execution())
    advance(job, 90 * SECOND)
    reset(job, 90 * SECOND)
    advance(job, 119 * SECOND)
    assert job.url_submitted == 0
    advance(job, 120 * SECOND)
    assert job.url_submitted == 10


def test_a_started_execution_does_not_catch_up_on_the_time_it_was_stopped() -> None:
    job = a_job(an_execution())
    advance(job, 0)
    job.executions["e"].status = "stopped"
    arm(job.executions["e"], 600 * SECOND)
    advance(job, 600 * SECOND)
    assert (job.url_submitted, status_of(job)) == (20, "running")


def test_a_window_that_is_over_before_it_is_armed_fails_at_once() -> None:
    job = a_job(replace(an_execution(end=10), armed=20))
    advance(job, 20)
    assert (job.url_submitted, status_of(job)) == (0, "failed")


def test_a_frozen_clock_moves_only_when_it_is_set_forward() -> None:
    moment = 100
    clock = Clock(lambda: moment)
    clock.freeze()
    moment = 500
    assert clock.now() == 100
    clock.advance(2)
    assert clock.now() == 100 + 2 * SECOND
    clock.resume()
    assert clock.now() == 100 + 2 * SECOND
    moment = 600
    assert clock.now() == 200 + 2 * SECOND
