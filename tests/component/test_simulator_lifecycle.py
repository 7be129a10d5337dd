"""Jobs and executions from their creation to their end, driven by the official client."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from alibabacloud_esa20240910 import models

from support.sdk import a_window, body_of, client_of, code_of, created, executions_of, got, with_executions
from support.simulator import SITE_ID, SimulatorProcess, job_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from alibabacloud_esa20240910.client import Client

JOB = job_id(1)
NAMES = ("created_at", "insert_way", "name", "site_id", "url_count")
BEIJING = "%Y-%m-%dT%H:%M:%S.000+08:00"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bucket")
    (folder / "lists").mkdir()
    (folder / "lists" / "a b.txt").write_text("https://www.example.com/1\nhttps://www.example.com/2\n\n")
    (folder.parent / "secret.txt").write_text("https://www.example.com/secret")
    return folder


@pytest.fixture(scope="module")
def shared(folder: Path) -> Iterator[SimulatorProcess]:
    with SimulatorProcess("--oss-folder", str(folder)) as simulator:
        simulator.clock(freeze=True)
        yield simulator


@pytest.fixture
def simulator(shared: SimulatorProcess) -> SimulatorProcess:
    shared.clear()
    shared.settings(siteDomains={}, inactiveSites=[], maxJobsPerSite=None)
    return shared


@pytest.fixture
def client(simulator: SimulatorProcess) -> Client:
    return client_of(simulator)


def now_of(simulator: SimulatorProcess) -> datetime:
    return datetime.fromisoformat(simulator.request("POST", "/clock", {})["now"])


def listed(client: Client, site: int = SITE_ID) -> Any:
    return body_of(client.list_scheduled_preload_jobs(models.ListScheduledPreloadJobsRequest(site_id=site)))


def delete_job(client: Client, job: str) -> Any:
    return body_of(client.delete_scheduled_preload_job(models.DeleteScheduledPreloadJobRequest(id=job)))


def delete(client: Client, execution: str) -> Any:
    request = models.DeleteScheduledPreloadExecutionRequest(id=execution)
    return body_of(client.delete_scheduled_preload_execution(request))


def updated(client: Client, execution: str, **changes: Any) -> Any:
    request = models.UpdateScheduledPreloadExecutionRequest(id=execution, **changes)
    return body_of(client.update_scheduled_preload_execution(request))


def states(client: Client, job: str) -> list[str]:
    return [execution.status for execution in executions_of(client, job).executions]


@pytest.mark.parametrize(
    ("how", "count"),
    [
        ({"insert_way": "textBox", "url_list": "http://files.example.cn/a/a.txt"}, 1),
        (
            {
                "insert_way": "oss",
                "url_list": None,
                "oss_url": "https://bucket.oss-cn-hangzhou.aliyuncs.com/lists/a%20b.txt",
            },
            2,
        ),
    ],
)
def test_a_job_passes_the_steps_of_the_terraform_providers_acceptance_test(
    client: Client, how: dict[str, Any], count: int
) -> None:
    made = created(client, name="testscheduledpreloadjob", **how)
    read = got(client, made.id)
    assert (read.insert_way, read.name, read.site_id, read.url_count) == (
        how["insert_way"],
        "testscheduledpreloadjob",
        SITE_ID,
        count,
    )
    imported = got(client, made.id)
    assert [getattr(imported, name) for name in NAMES] == [getattr(read, name) for name in NAMES]
    delete_job(client, made.id)
    assert code_of(lambda: got(client, made.id)) == (404, "InvalidJob.NotFound")
    assert code_of(lambda: delete_job(client, made.id)) == (404, "InvalidJob.NotFound")


def test_an_execution_passes_the_steps_of_the_terraform_providers_acceptance_test(client: Client) -> None:
    job = created(client)
    start, end = "2024-06-04T00:00:00.000+08:00", "2024-06-04T10:02:09.000+08:00"
    window = a_window(start_time=start, end_time=end, interval=30, slice_len=5)
    [made] = with_executions(client, job.id, window).success_executions

    def read() -> Any:
        [found] = [each for each in executions_of(client, job.id).executions if each.id == made.id]
        return found

    assert (read().start_time, read().end_time, read().interval, read().slice_len) == (start, end, 30, 5)
    updated(client, made.id, interval=60, slice_len=5)
    assert (read().interval, read().slice_len) == (60, 5)
    updated(client, made.id, interval=60, slice_len=10)
    assert (read().interval, read().slice_len) == (60, 10)
    start, end = "2024-05-31T17:10:48.849+08:00", "2024-05-31T18:10:48.849+08:00"
    updated(client, made.id, start_time=start, interval=60, slice_len=10)
    updated(client, made.id, end_time=end, interval=60, slice_len=10)
    assert (read().start_time, read().end_time, read().interval, read().slice_len) == (start, end, 60, 10)
    delete(client, made.id)
    assert executions_of(client, job.id).executions == []
    assert code_of(lambda: delete(client, made.id)) == (404, "InvalidExecution.NotFound")


def test_an_execution_runs_through_its_window(simulator: SimulatorProcess, client: Client) -> None:
    job = created(client, url_list="\n".join(f"https://www.example.com/{number}" for number in range(25)))
    start = now_of(simulator) + timedelta(seconds=10)
    end = start + timedelta(seconds=100)
    window = a_window(start_time=start.isoformat(), end_time=end.isoformat(), interval=60, slice_len=10)
    with_executions(client, job.id, window)
    seen = []
    for seconds in (0, 9, 1, 59, 1, 39, 1):
        simulator.clock(advance_seconds=seconds)
        seen.append((states(client, job.id)[0], got(client, job.id).url_submitted))
    assert seen == [
        *(("waiting", 0), ("waiting", 0), ("running", 10), ("running", 10), ("running", 20), ("running", 20)),
        ("failed", 20),
    ]


def test_an_execution_of_a_site_that_is_not_active_waits_until_its_end(
    simulator: SimulatorProcess, client: Client
) -> None:
    simulator.settings(inactiveSites=[SITE_ID])
    now = now_of(simulator)
    job = created(client)
    ends = [(now + timedelta(seconds=seconds)).isoformat() for seconds in (60, 600)]
    windows = [a_window(start_time=now.isoformat(), end_time=end, interval=30, slice_len=1) for end in ends]
    short, _ = with_executions(client, job.id, *windows).success_executions
    simulator.clock(advance_seconds=59)
    assert states(client, job.id) == ["waiting", "waiting"]
    stop = models.StopScheduledPreloadExecutionRequest(id=short.id)
    assert body_of(client.stop_scheduled_preload_execution(stop)).status == "waiting"
    simulator.clock(advance_seconds=1)
    assert (states(client, job.id), got(client, job.id).url_submitted) == (["failed", "waiting"], 0)
    simulator.settings(inactiveSites=[])
    assert (states(client, job.id), got(client, job.id).url_submitted) == (["failed", "running"], 1)


def test_a_lag_hides_what_is_new_from_lists_and_only_from_them(simulator: SimulatorProcess, client: Client) -> None:
    old = created(client)
    simulator.clock(advance_seconds=11)
    simulator.fault("lag", seconds=10)
    new = created(client)
    with_executions(client, old.id, a_window())
    with_executions(client, new.id, a_window())
    found = listed(client)
    assert (found.total_count, [(job.id, job.execution_count) for job in found.jobs]) == ("1", [(old.id, 0)])
    assert (executions_of(client, old.id).total_count, states(client, new.id)) == (0, [])
    assert got(client, new.id).id == new.id
    simulator.clock(advance_seconds=10)
    assert [(job.id, job.execution_count) for job in listed(client).jobs] == [(old.id, 1), (new.id, 1)]
    assert executions_of(client, new.id).total_count == 1


def test_a_lag_may_be_for_the_look_at_a_job(simulator: SimulatorProcess, client: Client) -> None:
    simulator.fault("lag", seconds=10, action="GetScheduledPreloadJob")
    job = created(client)
    assert code_of(lambda: got(client, job.id)) == (404, "InvalidJob.NotFound")
    assert [each.id for each in listed(client).jobs] == [job.id]
    simulator.clock(advance_seconds=10)
    assert got(client, job.id).id == job.id


def cut(call: Callable[[], object]) -> None:
    with pytest.raises(Exception, match=r"(?i)connection"):  # the client has no class of its own for it
        call()


def test_a_call_may_be_cut_and_executed_when_its_rule_is_lifted(simulator: SimulatorProcess, client: Client) -> None:
    rule = simulator.fault("late", action="CreateScheduledPreloadJob", seconds=3600)
    cut(lambda: created(client, name="late"))
    [call] = simulator.calls("CreateScheduledPreloadJob")
    assert (call["outcome"], call["executed"], listed(client).jobs) == ("ConnectionCut", False, [])
    created(client, name="next")
    simulator.clear_faults(rule)
    assert [job.name for job in listed(client).jobs] == ["next", "late"]
    [call, _] = simulator.calls("CreateScheduledPreloadJob")
    assert (call["outcome"], call["executed"]) == ("ConnectionCut", True)


def test_a_call_may_be_cut_and_executed_seconds_later(simulator: SimulatorProcess, client: Client) -> None:
    simulator.fault("late", seconds=0.05)
    cut(lambda: created(client, name="late"))
    ends = time.monotonic() + 10
    while not listed(client).jobs:
        assert time.monotonic() < ends
        time.sleep(0.01)
    assert simulator.calls("CreateScheduledPreloadJob")[0]["executed"]


def test_late_work_may_be_abandoned_or_refused(simulator: SimulatorProcess, client: Client) -> None:
    job = created(client)
    abandoned = simulator.fault("late", seconds=3600)
    cut(lambda: delete_job(client, job.id))
    simulator.clear_faults(abandoned, abandon=True)
    assert got(client, job.id).id == job.id
    refused = simulator.fault("late", seconds=3600)
    cut(lambda: delete_job(client, job.id))
    delete_job(client, job.id)
    simulator.clear_faults(refused)
    assert [call["executed"] for call in simulator.calls("DeleteScheduledPreloadJob")] == [False, False, True]


@pytest.mark.parametrize(
    "address",
    [
        "https://bucket.oss-cn-hangzhou.aliyuncs.com/missing.txt",
        "https://bucket.oss-cn-hangzhou.aliyuncs.com/../secret.txt",
        "https://bucket.oss-cn-hangzhou.aliyuncs.com/lists/%2e%2e/%2e%2e/secret.txt",
        "https://bucket.oss-cn-hangzhou.aliyuncs.com/lists",
        "https://bucket.oss-cn-hangzhou.aliyuncs.com/%00",
        "https://[bucket/a.txt",
        "lists/a b.txt",
    ],
)
def test_an_object_that_no_file_of_the_folder_stands_for_is_missing(client: Client, address: str) -> None:
    assert code_of(lambda: created(client, insert_way="oss", url_list=None, oss_url=address)) == (400, "MissingOssUrl")


def test_hosts_of_other_sites_and_malformed_urls_are_told_in_a_success(
    simulator: SimulatorProcess, client: Client
) -> None:
    simulator.settings(siteDomains={str(SITE_ID): ["example.com"]})
    for urls, told, count in (
        ("https://example.com/1\nhttps://www.example.com/2", "", 2),
        ("https://example.com/1\nhttps://badexample.com/2", "InvalidDomain", 1),
        ("https://example.com/1\nexample.com/2", "InvalidUrl", 1),
        ("https://[example.com/1\nhttps://www.example.com/a b", "InvalidUrl", 0),
        ("https://www.example.com/ä\nhttps://example.org/", "InvalidUrl,InvalidDomain", 0),
    ):
        job = created(client, url_list=urls)
        assert (job.error_info, job.url_count, bool(job.failed_file_oss)) == (told, count, bool(told))


def test_a_name_is_kept_as_it_was_sent(client: Client) -> None:
    name = " nightly/warm-up+1 ä 预热 %20 " + "x" * 300
    assert got(client, created(client, name=name).id).name == name


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"interval": None}, "MissingParameter"),
        ({"slice_len": 0}, "InvalidParameter"),
        ({"interval": 1.5}, "InvalidParameter"),
        ({"interval": True}, "InvalidParameter"),
        ({"start_time": "2024-01-01T00:00:00+Z"}, "InvalidParameter"),
        ({"end_time": "tomorrow"}, "InvalidParameter"),
        ({"start_time": "2024-06-04T00:00:00Z", "end_time": "2024-06-04T07:59:59+08:00"}, "InvalidEndTime.Mismatch"),
    ],
)
def test_an_unfit_window_is_refused_alone_and_told_among_others(
    client: Client, changes: dict[str, Any], code: str
) -> None:
    job = created(client)
    assert code_of(lambda: with_executions(client, job.id, a_window(**changes))) == (400, code)
    answer = with_executions(client, job.id, a_window(), a_window(**changes), a_window(interval=7))
    assert [execution.interval for execution in answer.success_executions] == [60, 7]
    assert (answer.success_count, len(answer.failed_executions)) == (2, 1)
    assert answer.failed_messages[0].startswith(f"{code}: ")
    assert executions_of(client, job.id).total_count == 2


def test_two_equal_windows_become_two_executions(client: Client) -> None:
    job = created(client)
    window = a_window()
    one, other = with_executions(client, job.id, window, window).success_executions
    assert one.id != other.id
    assert (one.start_time, one.end_time) == (other.start_time, other.end_time)


def test_a_deleted_job_makes_room_for_another(simulator: SimulatorProcess, client: Client) -> None:
    simulator.settings(maxJobsPerSite=2)
    first = created(client)
    created(client)
    created(client, site_id=7)
    assert code_of(lambda: created(client)) == (400, "InvalidJob.JobCountOfSiteFull")
    delete_job(client, first.id)
    created(client)


def test_a_started_execution_waits_where_its_window_has_not_begun(simulator: SimulatorProcess, client: Client) -> None:
    job = created(client, url_list="\n".join(f"https://www.example.com/{number}" for number in range(9)))
    now = now_of(simulator)
    window = a_window(start_time=now.isoformat(), end_time=(now + timedelta(hours=1)).isoformat())
    [execution] = with_executions(client, job.id, window).success_executions
    assert states(client, job.id) == ["running"]
    stop = models.StopScheduledPreloadExecutionRequest(id=execution.id)
    assert body_of(client.stop_scheduled_preload_execution(stop)).status == "stopped"
    simulator.clock(advance_seconds=600)
    assert (states(client, job.id), got(client, job.id).url_submitted) == (["stopped"], 1)
    updated(
        client, execution.id, start_time=(now + timedelta(seconds=700)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    )
    start = models.StartScheduledPreloadExecutionRequest(id=execution.id)
    assert body_of(client.start_scheduled_preload_execution(start)).status == "waiting"
    assert states(client, job.id) == ["waiting"]
    simulator.clock(advance_seconds=100)
    assert (states(client, job.id), got(client, job.id).url_submitted) == (["running"], 2)
