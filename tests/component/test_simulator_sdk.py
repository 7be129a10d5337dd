"""The official client judges the simulator: unchanged, over HTTP, every operation."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alibabacloud_esa20240910 import models
from alibabacloud_esa20240910.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException, ServerException, ThrottlingException

from support.sdk import URLS, a_window, body_of, client_of, code_of, created, executions_of, got, with_executions
from support.simulator import ACCESS_KEY_ID, ALI_UID, SITE_ID, SimulatorProcess, job_id

JOB = job_id(1)


@pytest.fixture(scope="module")
def shared() -> Iterator[SimulatorProcess]:
    with SimulatorProcess() as simulator:
        yield simulator


@pytest.fixture
def simulator(shared: SimulatorProcess) -> SimulatorProcess:
    shared.clear()
    return shared


@pytest.fixture
def client(simulator: SimulatorProcess) -> Client:
    return client_of(simulator)


def test_a_created_job_is_read_back_with_all_fields(client: Client) -> None:
    job = created(client)
    assert datetime.fromisoformat(job.created_at).utcoffset() == timedelta(hours=8)
    assert job.created_at.endswith("+0800")
    read = got(client, job.id)
    assert len(read.id) == 24
    assert len(read.file_id) == 24
    assert (read.ali_uid, read.site_id, read.name) == (ALI_UID, SITE_ID, "nightly warm-up")
    assert (read.insert_way, read.task_type, read.domains) == (
        "textBox",
        "preload",
        "www.example.com,static.example.com",
    )
    assert (read.url_count, read.url_submitted, read.task_submitted) == (2, 0, 0)
    assert (read.error_info, read.failed_file_oss) == ("", "")
    assert read.created_at.endswith("Z")
    assert datetime.fromisoformat(read.created_at) == datetime.fromisoformat(job.created_at)
    assert all(value is not None for value in read.to_map().values())
    assert len(read.to_map()) == 15


def test_success_may_carry_errors_of_urls(simulator: SimulatorProcess, client: Client) -> None:
    simulator.settings(siteDomains={str(SITE_ID): ["example.com"]}, urlQuota=1)
    try:
        job = created(client, url_list=f"{URLS}ftp://a.example.com/x\nhttps://example.org/y")
    finally:
        simulator.settings(siteDomains={}, urlQuota=None)
    assert set(job.error_info.split(",")) == {"InvalidUrl", "InvalidDomain", "QuotaExcess"}
    assert job.failed_file_oss.startswith("https://")
    assert (job.url_count, job.domains) == (1, "www.example.com")


def test_a_job_from_oss(simulator: SimulatorProcess, client: Client) -> None:
    address = "https://bucket.oss-cn-hangzhou.aliyuncs.com/urls.txt?Signature=a%2Bb"
    simulator.settings(
        ossFiles={address: "https://www.example.com/1\nhttps://www.example.com/2\nhttps://www.example.com/3"}
    )
    job = created(client, insert_way="oss", url_list=None, oss_url=address)
    assert (job.insert_way, job.url_count) == ("oss", 3)


def test_the_list_is_paged_and_filtered_by_creation(simulator: SimulatorProcess, client: Client) -> None:
    simulator.seed_jobs(
        [{"id": job_id(n), "createdAt": f"2024-06-02T02:23:{n:02}.500Z", "urlCount": n} for n in range(5)]
    )
    simulator.seed_jobs([{"siteId": 7}, {"aliUid": "another"}])

    def listed(**options: int) -> Any:
        return body_of(
            client.list_scheduled_preload_jobs(models.ListScheduledPreloadJobsRequest(site_id=SITE_ID, **options))
        )

    first = listed(page_number=1, page_size=2)
    assert first.total_count == "5"
    assert [job.id for job in first.jobs] == [job_id(0), job_id(1)]
    assert [job.id for job in listed(page_number=3, page_size=2).jobs] == [job_id(4)]
    assert listed(page_number=4, page_size=2).jobs == []
    assert first.jobs[1].url_count == 1
    assert first.jobs[1].execution_count == 0
    second = int(datetime(2024, 6, 2, 2, 23, 2, tzinfo=UTC).timestamp() * 1000)
    assert [job.id for job in listed(start_time=second + 500, end_time=second + 1500).jobs] == [job_id(2), job_id(3)]
    assert listed(start_time=second + 501, end_time=second + 1499).total_count == "0"


def test_a_reset_starts_from_the_beginning_and_is_counted(simulator: SimulatorProcess, client: Client) -> None:
    simulator.seed_jobs([{"id": JOB, "urlCount": 9, "urlSubmitted": 4, "taskSubmitted": 4}])
    answer = body_of(client.reset_scheduled_preload_job(models.ResetScheduledPreloadJobRequest(id=JOB)))
    assert (answer.id, answer.url_count, answer.url_submitted, answer.task_submitted) == (JOB, 9, 0, 0)
    assert len(answer.to_map()) == 15
    assert simulator.resets() == {JOB: 1}


def test_a_deleted_job_is_gone_with_its_executions(client: Client) -> None:
    job = created(client)
    execution = with_executions(client, job.id, a_window()).success_executions[0]
    body_of(client.delete_scheduled_preload_job(models.DeleteScheduledPreloadJobRequest(id=job.id)))
    assert code_of(lambda: got(client, job.id)) == (404, "InvalidJob.NotFound")
    request = models.StopScheduledPreloadExecutionRequest(id=execution.id)
    assert code_of(lambda: client.stop_scheduled_preload_execution(request)) == (404, "InvalidExecution.NotFound")


def test_executions_live_through_their_states(client: Client) -> None:
    job = created(client)
    answer = with_executions(client, job.id, a_window(), a_window(timedelta(days=1)))
    assert (answer.total_count, answer.success_count, answer.failed_messages) == (2, 2, [])
    now, later = answer.success_executions
    assert (now.status, now.job_id, now.ali_uid, now.interval, now.slice_len) == ("waiting", job.id, ALI_UID, 60, 1)
    assert now.start_time.endswith(".000+08:00")
    listed = executions_of(client, job.id)
    assert (listed.total_count, [execution.status for execution in listed.executions]) == (2, ["running", "waiting"])
    assert got(client, job.id).url_submitted == 1

    stop = models.StopScheduledPreloadExecutionRequest
    assert body_of(client.stop_scheduled_preload_execution(stop(id=now.id))).status == "stopped"
    assert body_of(client.stop_scheduled_preload_execution(stop(id=later.id))).status == "waiting"
    start = models.StartScheduledPreloadExecutionRequest(id=now.id)
    assert body_of(client.start_scheduled_preload_execution(start)).status == "waiting"
    assert executions_of(client, job.id).executions[0].status == "finished"
    assert got(client, job.id).url_submitted == 2

    end = datetime.now(UTC) + timedelta(days=2)
    update = models.UpdateScheduledPreloadExecutionRequest(
        id=later.id, end_time=end.isoformat(timespec="milliseconds"), slice_len=7
    )
    changed = body_of(client.update_scheduled_preload_execution(update))
    assert (changed.slice_len, changed.interval) == (7, 60)
    assert abs(datetime.fromisoformat(changed.end_time) - end) < timedelta(milliseconds=1)

    body_of(client.delete_scheduled_preload_execution(models.DeleteScheduledPreloadExecutionRequest(id=later.id)))
    assert executions_of(client, job.id).total_count == 1


def test_a_running_execution_that_is_put_off_waits_again(client: Client) -> None:
    job = created(client)
    execution = with_executions(client, job.id, a_window()).success_executions[0]
    assert executions_of(client, job.id).executions[0].status == "running"
    later = a_window(timedelta(days=1))
    update = models.UpdateScheduledPreloadExecutionRequest(
        id=execution.id, start_time=later.start_time, end_time=later.end_time
    )
    assert body_of(client.update_scheduled_preload_execution(update)).status == "waiting"
    update = models.UpdateScheduledPreloadExecutionRequest(id=execution.id, end_time="2024-01-01T00:00:00Z")
    assert code_of(lambda: client.update_scheduled_preload_execution(update)) == (400, "InvalidEndTime.Mismatch")


def test_some_executions_may_fail_while_others_succeed(client: Client) -> None:
    job = created(client)
    backwards = a_window(length=-timedelta(hours=1))
    answer = with_executions(client, job.id, a_window(), backwards)
    assert (answer.total_count, answer.success_count) == (2, 1)
    assert answer.failed_executions[0].start_time == backwards.start_time
    assert answer.failed_messages[0].startswith("InvalidEndTime.Mismatch")
    assert code_of(lambda: with_executions(client, job.id, backwards)) == (400, "InvalidEndTime.Mismatch")
    assert code_of(lambda: with_executions(client, job.id, a_window(interval=0))) == (400, "InvalidParameter")
    open_ended = with_executions(client, job.id, a_window(start_time=None, end_time=None)).success_executions[0]
    assert open_ended.end_time is None


def test_a_wrong_request_has_its_documented_code(simulator: SimulatorProcess, client: Client) -> None:
    simulator.seed_jobs([{"id": JOB, "aliUid": "another"}])
    assert code_of(lambda: got(client, "nightly")) == (400, "InvalidParameter.ObjectId")
    assert code_of(lambda: got(client, job_id(404))) == (404, "InvalidJob.NotFound")
    assert code_of(lambda: got(client, JOB)) == (403, "InvalidUid.PermissionDenied")
    [execution] = simulator.seed_executions([{"jobId": JOB, "interval": 60, "sliceLen": 1}])
    stop = models.StopScheduledPreloadExecutionRequest(id=execution)
    assert code_of(lambda: client.stop_scheduled_preload_execution(stop)) == (403, "InvalidUid.PermissionDenied")
    reset = models.ResetScheduledPreloadJobRequest()
    assert code_of(lambda: client.reset_scheduled_preload_job(reset)) == (400, "InvalidParameter.ObjectId")
    assert code_of(lambda: created(client, url_list="\n")) == (400, "MissingUrlList")
    assert code_of(lambda: created(client, insert_way="oss")) == (400, "MissingOssUrl")
    assert code_of(lambda: created(client, insert_way="textbox")) == (400, "InvalidParameter")
    assert code_of(lambda: created(client, name=None)) == (400, "MissingParameter")
    assert simulator.resets() == {}


def test_a_full_site_takes_no_more_jobs(simulator: SimulatorProcess, client: Client) -> None:
    simulator.settings(maxJobsPerSite=1)
    try:
        created(client)
        assert code_of(lambda: created(client)) == (400, "InvalidJob.JobCountOfSiteFull")
    finally:
        simulator.settings(maxJobsPerSite=None)


def test_an_error_tells_what_people_need(client: Client) -> None:
    with pytest.raises(ClientException) as refused:
        got(client, job_id(404))
    data = refused.value.data
    assert {"RequestId", "HostId", "Code", "Message", "Recommend"} <= set(data)
    assert data["Recommend"].startswith("https://")


def test_who_calls_decides(simulator: SimulatorProcess) -> None:
    simulator.add_credentials([
        {"accessKeyId": "temporary", "accessKeySecret": "s", "aliUid": "2", "securityToken": "Token+/="},
        {"accessKeyId": "reader", "accessKeySecret": "s", "deny": ["ResetScheduledPreloadJob"]},
    ])  # fmt: skip
    simulator.seed_jobs([{"id": JOB}, {"id": job_id(2), "aliUid": "2"}])
    assert got(client_of(simulator, "temporary", "s", security_token="Token+/="), job_id(2)).ali_uid == "2"
    stranger = client_of(simulator, "temporary", "s", security_token="other")
    assert code_of(lambda: got(stranger, JOB)) == (400, "InvalidSecurityToken.MismatchWithAccessKey")
    assert code_of(lambda: got(client_of(simulator, "temporary", "s"), JOB)) == (400, "InvalidSecurityToken.Malformed")
    assert code_of(lambda: got(client_of(simulator, secret="wrong"), JOB)) == (400, "SignatureDoesNotMatch")
    assert code_of(lambda: got(client_of(simulator, "nobody"), JOB)) == (404, "InvalidAccessKeyId.NotFound")
    reader = client_of(simulator, "reader", "s")
    request = models.ResetScheduledPreloadJobRequest(id=JOB)
    assert code_of(lambda: reader.reset_scheduled_preload_job(request)) == (403, "NoPermission")
    assert got(reader, JOB).id == JOB
    assert simulator.delete_credential("reader")
    assert code_of(lambda: got(reader, JOB)) == (404, "InvalidAccessKeyId.NotFound")


def test_throttling_is_a_client_error_without_a_hint(simulator: SimulatorProcess, client: Client) -> None:
    simulator.fault("throttle")
    with pytest.raises(ClientException) as refused:
        got(client, JOB)
    assert not isinstance(refused.value, ThrottlingException)
    assert (refused.value.status_code, refused.value.code) == (400, "TooManyRequests")
    assert len(simulator.calls()) == 1


def test_throttling_with_a_hint_tells_how_long_to_wait(simulator: SimulatorProcess, client: Client) -> None:
    simulator.fault("throttle", retryAfterMs=2500)
    with pytest.raises(ThrottlingException) as refused:
        got(client, JOB)
    assert (refused.value.code, refused.value.retry_after) == ("TooManyRequests", 2500)


def test_an_unavailable_service_is_a_server_error(simulator: SimulatorProcess, client: Client) -> None:
    simulator.fault("refuse", status=503, code="ServiceUnavailable")
    with pytest.raises(ServerException) as refused:
        got(client, JOB)
    assert refused.value.status_code == 503


async def test_the_asynchronous_client_resets_with_an_empty_body(simulator: SimulatorProcess, client: Client) -> None:
    await simulator.aio.seed_jobs([{"id": JOB, "urlCount": 3, "urlSubmitted": 3}])
    answer = await client.reset_scheduled_preload_job_async(models.ResetScheduledPreloadJobRequest(id=JOB))
    assert body_of(answer).url_submitted == 0
    answer = await client.list_scheduled_preload_jobs_async(models.ListScheduledPreloadJobsRequest(site_id=SITE_ID))
    assert body_of(answer).total_count == "1"
    request = models.CreateScheduledPreloadExecutionsRequest(id=JOB, executions=[a_window()])
    assert body_of(await client.create_scheduled_preload_executions_async(request)).success_count == 1
    assert await simulator.aio.resets() == {JOB: 1}


def test_a_call_is_logged_with_what_was_asked_and_done(simulator: SimulatorProcess, client: Client) -> None:
    simulator.seed_jobs([{"id": JOB}])
    before = time.time()
    client.reset_scheduled_preload_job(models.ResetScheduledPreloadJobRequest(id=JOB))
    [call] = simulator.calls("ResetScheduledPreloadJob", job_id=JOB)
    assert before <= call["time"] <= time.time()
    assert (call["params"], call["jobId"]) == ({"Id": JOB}, JOB)
    assert (call["accessKeyId"], call["aliUid"]) == (ACCESS_KEY_ID, ALI_UID)
    assert (call["outcome"], call["status"], call["executed"]) == ("OK", 200, True)
    assert simulator.calls(since=simulator.last_call()) == []
    assert simulator.call_counts() == {"ResetScheduledPreloadJob": {"OK": 1}}
