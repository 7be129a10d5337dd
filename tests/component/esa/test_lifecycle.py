"""The calls that make, change and end jobs and executions, against the simulator."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from esa_preload_operator.domain.errors import Delivery, ErrorClass, EsaError, Problem, Reason
from esa_preload_operator.domain.esa import Execution, ExecutionChange, InsertWay, NewExecution, NewJob
from esa_preload_operator.esa.client import EsaClient
from esa_preload_operator.esa.credentials import Credentials
from esa_preload_operator.esa.throttle import Throttle
from esa_preload_operator.esa.transport import Connections
from support.sending import yes
from support.simulator import ACCESS_KEY_ID, ACCESS_KEY_SECRET, SITE_ID, SimulatorProcess, job_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from esa_preload_operator.domain.ports import MaySend

    Call = Callable[[EsaClient, MaySend], Awaitable[Any]]

JOB, EXECUTION, MISSING = job_id(1), job_id(2), job_id(99)
URLS = "https://www.example.com/a.js\nhttps://www.example.com/b.js?x=1&y=2"
NEW = NewJob(SITE_ID, "nightly-665d3af3-0badcafe", InsertWay.TEXT_BOX, URLS)
FAR = 4_000_000_000
WINDOW = NewExecution(FAR, FAR + 3600, 30, 5)

CALLS: dict[str, Call] = {
    "ResetScheduledPreloadJob": lambda client, may: client.reset_job(JOB, may),
    "CreateScheduledPreloadJob": lambda client, may: client.create_job(NEW, may),
    "DeleteScheduledPreloadJob": lambda client, may: client.delete_job(JOB, may),
    "CreateScheduledPreloadExecutions": lambda client, may: client.create_executions(JOB, [WINDOW], may),
    "UpdateScheduledPreloadExecution": lambda client, may: client.update_execution(
        EXECUTION, ExecutionChange(slice_len=7), may
    ),
    "StartScheduledPreloadExecution": lambda client, may: client.start_execution(EXECUTION, may),
    "StopScheduledPreloadExecution": lambda client, may: client.stop_execution(EXECUTION, may),
    "DeleteScheduledPreloadExecution": lambda client, may: client.delete_execution(EXECUTION, may),
}
ON_EXECUTIONS: dict[str, Call] = {
    "update": lambda client, may: client.update_execution(MISSING, ExecutionChange(end=FAR), may),
    "start": lambda client, may: client.start_execution(MISSING, may),
    "stop": lambda client, may: client.stop_execution(MISSING, may),
    "delete": lambda client, may: client.delete_execution(MISSING, may),
}


@pytest.fixture(scope="module")
def process() -> Iterator[SimulatorProcess]:
    with SimulatorProcess() as simulator:
        yield simulator


@pytest.fixture
def simulator(process: SimulatorProcess) -> SimulatorProcess:
    """One job with an execution that has not begun."""
    process.clear()
    process.settings(maxJobsPerSite=None, siteDomains={})
    process.seed_jobs([{"id": JOB, "urlCount": 10}])
    process.seed_executions(
        [{"id": EXECUTION, "jobId": JOB, "startTime": "2096-10-02T07:06:40Z", "interval": 60, "sliceLen": 1}]
    )
    process.clear_calls()
    return process


@pytest.fixture
async def client(simulator: SimulatorProcess) -> AsyncIterator[EsaClient]:
    connections = Connections(simulator.url, request_timeout=10)
    yield EsaClient(Credentials(ACCESS_KEY_ID, ACCESS_KEY_SECRET), connections, Throttle(1000))
    await connections.close()


async def problem_of(call: Awaitable[Any]) -> Problem:
    with pytest.raises(EsaError) as caught:
        await call
    return caught.value.problem


def sent(simulator: SimulatorProcess) -> dict[str, str]:
    return dict(simulator.calls()[-1]["params"])


async def test_a_job_is_made_of_a_list_of_urls(client: EsaClient, simulator: SimulatorProcess) -> None:
    made = await client.create_job(NEW, yes)
    assert sent(simulator) == {
        "InsertWay": "textBox",
        "Name": "nightly-665d3af3-0badcafe",
        "SiteId": str(SITE_ID),
        "UrlList": URLS,
    }
    assert (made.name, made.site_id, made.insert_way, made.url_count) == (NEW.name, SITE_ID, "textBox", 2)
    read = await client.get_job(made.id)
    assert replace(read, request_id=made.request_id) == made


async def test_a_job_is_made_of_an_object(client: EsaClient, simulator: SimulatorProcess) -> None:
    address = "https://bucket.oss-cn-hangzhou.aliyuncs.com/a%20b.txt?Signature=a%2Bb%3D"
    made = await client.create_job(NewJob(SITE_ID, "nightly", InsertWay.OSS, address), yes)
    assert sent(simulator) == {"InsertWay": "oss", "Name": "nightly", "SiteId": str(SITE_ID), "OssUrl": address}
    assert (made.insert_way, made.url_count) == ("oss", 10)


async def test_a_long_list_and_an_odd_name_arrive_as_they_are(client: EsaClient, simulator: SimulatorProcess) -> None:
    urls = "\n".join(f"https://www.example.com/{'x' * 1000}/{number}" for number in range(1000))
    name = " a+b&c=d %20 ä 预热 "
    made = await client.create_job(NewJob(SITE_ID, name, InsertWay.TEXT_BOX, urls), yes)
    assert (made.name, made.url_count) == (name, 1000)
    assert sent(simulator)["UrlList"] == urls


async def test_a_job_may_be_made_although_some_of_its_urls_are_refused(
    client: EsaClient, simulator: SimulatorProcess
) -> None:
    simulator.settings(siteDomains={str(SITE_ID): ["example.org"]})
    made = await client.create_job(NEW, yes)
    assert (made.error_info, made.url_count) == ("InvalidDomain", 0)
    assert made.failed_file_oss
    assert "Signature" not in made.failed_file_oss


@pytest.mark.parametrize(
    ("new", "code", "kind"),
    [
        (NEW, "InvalidJob.JobCountOfSiteFull", (ErrorClass.BLOCKED, Reason.QUOTA_EXCEEDED)),
        (replace(NEW, text="\n"), "MissingUrlList", (ErrorClass.TERMINAL, Reason.INVALID_SPEC)),
        (NewJob(SITE_ID, "n", InsertWay.OSS, "a.txt"), "MissingOssUrl", (ErrorClass.TERMINAL, Reason.INVALID_SPEC)),
    ],
)
async def test_a_job_may_be_refused(
    client: EsaClient, simulator: SimulatorProcess, new: NewJob, code: str, kind: tuple[ErrorClass, Reason]
) -> None:
    simulator.settings(maxJobsPerSite=1)
    problem = await problem_of(client.create_job(new, yes))
    assert (problem.code, (problem.error_class, problem.reason)) == (code, kind)
    assert problem.delivery is Delivery.REFUSED
    assert len(simulator.jobs()) == 1


async def test_a_job_is_deleted_and_a_missing_one_counts_as_deleted(
    client: EsaClient, simulator: SimulatorProcess
) -> None:
    for outcome in ("OK", "InvalidJob.NotFound"):
        await client.delete_job(JOB, yes)
        assert simulator.calls()[-1]["outcome"] == outcome
    assert simulator.jobs() == []


async def test_executions_are_asked_for_as_the_official_client_writes_them(
    client: EsaClient, simulator: SimulatorProcess
) -> None:
    wanted = NewExecution(1717430400, 1717466529, 30, 10)
    await client.create_executions(JOB, [wanted], yes)
    written = '[{"EndTime":"2024-06-04T02:02:09Z","Interval":30,"SliceLen":10,"StartTime":"2024-06-03T16:00:00Z"}]'
    assert sent(simulator) == {"Id": JOB, "Executions": written}


async def test_executions_are_made_and_listed(client: EsaClient) -> None:
    wanted = [replace(WINDOW, slice_len=number) for number in range(1, 65)]
    made = await client.create_executions(JOB, [*wanted, WINDOW], yes)
    assert made.failed == ()
    assert [replace(each, id="") for each in made.succeeded] == [
        Execution("", each.start, each.end, each.interval_seconds, each.slice_len, "waiting")
        for each in [*wanted, WINDOW]
    ]
    listed = await client.list_executions(JOB)
    assert listed[0] == Execution(EXECUTION, FAR, None, 60, 1, "waiting")
    assert listed[1:] == made.succeeded


async def test_executions_may_be_made_in_part(client: EsaClient) -> None:
    backwards = replace(WINDOW, end=FAR - 1)
    made = await client.create_executions(JOB, [backwards, WINDOW, replace(WINDOW, slice_len=0)], yes)
    assert [each.slice_len for each in made.succeeded] == [5]
    (one, why), (other, why_other) = made.failed
    assert one == Execution("", FAR, FAR - 1, 30, 5, "failed")
    assert (other.slice_len, why.partition(":")[0], why_other.partition(":")[0]) == (
        0,
        "InvalidEndTime.Mismatch",
        "InvalidParameter",
    )


async def test_executions_that_all_fail_alike_are_refused(client: EsaClient) -> None:
    problem = await problem_of(client.create_executions(JOB, [replace(WINDOW, end=FAR - 1)], yes))
    assert (problem.code, problem.reason) == ("InvalidEndTime.Mismatch", Reason.INVALID_SPEC)
    assert (problem.error_class, problem.delivery) == (ErrorClass.TERMINAL, Delivery.REFUSED)


@pytest.mark.parametrize("call", ["create", "list"])
async def test_executions_of_a_job_that_is_gone_are_refused(client: EsaClient, call: str) -> None:
    asked = client.list_executions(MISSING) if call == "list" else client.create_executions(MISSING, [WINDOW], yes)
    problem = await problem_of(asked)
    assert (problem.code, problem.reason) == ("InvalidJob.NotFound", Reason.JOB_NOT_FOUND)


async def test_a_list_without_an_execution_that_its_total_counts_is_not_used(
    client: EsaClient, simulator: SimulatorProcess
) -> None:
    simulator.fault("override", fields={"TotalCount": 2})
    problem = await problem_of(client.list_executions(JOB))
    assert (problem.code, problem.message) == ("UnreadableAnswer", "the answer holds 1 of 2 executions")
    assert len(await client.list_executions(JOB)) == 1


@pytest.mark.parametrize(
    ("change", "params"),
    [
        (ExecutionChange(), {}),
        (ExecutionChange(start=FAR + 1), {"StartTime": "2096-10-02T07:06:41Z"}),
        (ExecutionChange(end=FAR + 60), {"EndTime": "2096-10-02T07:07:40Z"}),
        (ExecutionChange(interval_seconds=90, slice_len=7), {"Interval": "90", "SliceLen": "7"}),
    ],
)
async def test_an_update_sends_what_changes_and_nothing_else(
    client: EsaClient, simulator: SimulatorProcess, change: ExecutionChange, params: dict[str, str]
) -> None:
    changed = await client.update_execution(EXECUTION, change, yes)
    assert sent(simulator) == {"Id": EXECUTION, **params}
    assert changed == Execution(
        EXECUTION,
        change.start or FAR,
        change.end,
        change.interval_seconds or 60,
        change.slice_len or 1,
        "waiting",
    )
    assert await client.list_executions(JOB) == (changed,)


async def test_an_execution_is_stopped_started_and_deleted(client: EsaClient) -> None:
    (made,) = (await client.create_executions(JOB, [replace(WINDOW, start=1717430400)], yes)).succeeded
    waiting = await client.stop_execution(EXECUTION, yes)
    stopped = await client.stop_execution(made.id, yes)
    started = await client.start_execution(made.id, yes)
    assert waiting is not None
    assert waiting.state == "waiting"
    assert stopped == replace(made, state="stopped")
    assert started == replace(made, state="waiting")
    await client.delete_execution(made.id, yes)
    assert [each.id for each in await client.list_executions(JOB)] == [EXECUTION]


@pytest.mark.parametrize("code", ["InvalidExecution.NotFound", "InvalidJob.NotFound"])
@pytest.mark.parametrize("call", ON_EXECUTIONS)
async def test_a_call_on_an_execution_that_does_not_exist_is_done(
    client: EsaClient, simulator: SimulatorProcess, call: str, code: str
) -> None:
    if code == "InvalidJob.NotFound":
        simulator.fault("refuse", status=404, code=code)
    assert await ON_EXECUTIONS[call](client, yes) is None
    assert [each["outcome"] for each in simulator.calls()] == [code]


@pytest.mark.parametrize(("status", "code"), [(500, "InvalidExecution.NotFound"), (403, "InvalidUid.PermissionDenied")])
@pytest.mark.parametrize("call", ON_EXECUTIONS)
async def test_what_does_not_say_that_it_does_not_exist_is_an_error(
    client: EsaClient, simulator: SimulatorProcess, call: str, status: int, code: str
) -> None:
    simulator.fault("refuse", status=status, code=code)
    assert (await problem_of(ON_EXECUTIONS[call](client, yes))).code == code


@pytest.mark.parametrize("action", CALLS)
async def test_a_call_does_not_leave_after_a_no(client: EsaClient, simulator: SimulatorProcess, action: str) -> None:
    problem = await problem_of(CALLS[action](client, lambda: False))
    assert (problem.code, problem.delivery) == ("NotSent", Delivery.NEVER_SENT)
    assert simulator.calls() == []
    await CALLS[action](client, yes)
    assert [call["action"] for call in simulator.calls()] == [action]


@pytest.mark.parametrize(
    ("kind", "options", "executed"),
    [
        ("drop_before", {}, False),
        ("drop_after", {}, True),
        ("garbage", {"when": "after"}, True),
        ("garbage", {"when": "after", "truncated": True}, True),
        ("override", {"fields": {"Code": "InternalError", "Id": None, "SuccessExecutions": None}}, True),
        ("refuse", {"when": "after"}, True),
        ("late", {"seconds": 3600}, False),
    ],
)
@pytest.mark.parametrize("action", CALLS)
async def test_whatever_is_not_a_refusal_may_have_been_done(
    client: EsaClient,
    simulator: SimulatorProcess,
    *,
    action: str,
    kind: str,
    options: dict[str, Any],
    executed: bool,
) -> None:
    simulator.fault(kind, **options)
    problem = await problem_of(CALLS[action](client, yes))
    assert (problem.delivery, problem.error_class) == (Delivery.UNKNOWN, ErrorClass.TRANSIENT)
    assert [(call["action"], call["executed"]) for call in simulator.calls()] == [(action, executed)]
    assert kind != "override" or "error code InternalError" in problem.message


@pytest.mark.parametrize(
    ("action", "odd"),
    [
        ("ResetScheduledPreloadJob", {"fields": {"Id": MISSING}}),
        ("CreateScheduledPreloadJob", {"fields": {"SiteId": 7}}),
        ("CreateScheduledPreloadExecutions", {"itemFields": {"JobId": MISSING}}),
        ("UpdateScheduledPreloadExecution", {"fields": {"Id": MISSING}}),
        ("StartScheduledPreloadExecution", {"fields": {"Id": MISSING}}),
        ("StopScheduledPreloadExecution", {"fields": {"Id": MISSING}}),
    ],
)
async def test_an_answer_about_something_else_is_unreadable(
    client: EsaClient, simulator: SimulatorProcess, action: str, odd: dict[str, Any]
) -> None:
    simulator.fault("override", **odd)
    problem = await problem_of(CALLS[action](client, yes))
    assert (problem.code, problem.delivery) == ("UnreadableAnswer", Delivery.UNKNOWN)


async def test_a_list_of_executions_of_another_job_is_unreadable(
    client: EsaClient, simulator: SimulatorProcess
) -> None:
    simulator.fault("override", itemFields={"JobId": MISSING})
    assert (await problem_of(client.list_executions(JOB))).code == "UnreadableAnswer"


async def test_instants_are_read_in_every_format_that_esa_writes(
    client: EsaClient, simulator: SimulatorProcess
) -> None:
    for text in ("2024-06-03T16:00:00Z", "2024-06-04T00:00:00.849+08:00", "2024-06-04T00:00:00+0800"):
        simulator.fault("override", itemFields={"StartTime": text})
        (execution,) = await client.list_executions(JOB)
        assert execution.start == 1717430400
