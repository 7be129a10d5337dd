"""The client against the simulator, which checks every signature."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import pytest

from esa_preload_operator.domain.errors import Delivery, ErrorClass, EsaError, Problem, Reason
from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.esa.client import MAX_LISTS, PAGE_SIZE, EsaClient
from esa_preload_operator.esa.credentials import Credentials
from esa_preload_operator.esa.throttle import Throttle
from esa_preload_operator.esa.transport import Connections
from support.simulator import ACCESS_KEY_ID, ACCESS_KEY_SECRET, ALI_UID, SITE_ID, SimulatorProcess, job_id
from support.throttling import FakeLoop

JOB = job_id(1)
RESET, LIST = "ResetScheduledPreloadJob", "ListScheduledPreloadJobs"
OWN = Credentials(ACCESS_KEY_ID, ACCESS_KEY_SECRET)


def yes() -> bool:
    return True


def unexpected() -> None:
    raise AssertionError


@pytest.fixture(scope="module")
def process() -> Iterator[SimulatorProcess]:
    with SimulatorProcess() as simulator:
        yield simulator


@pytest.fixture
def simulator(process: SimulatorProcess) -> SimulatorProcess:
    process.clear()
    process.seed_jobs([{"id": JOB, "urlCount": 10, "urlSubmitted": 4}])
    return process


@dataclass
class Clients:
    connections: Connections
    throttle: Throttle = field(default_factory=lambda: Throttle(1000))

    def of(self, credentials: Credentials, clock: Callable[[], float] | None = None) -> EsaClient:
        if clock is None:
            return EsaClient(credentials, self.connections, self.throttle)
        return EsaClient(credentials, self.connections, self.throttle, wall_clock=clock)


@pytest.fixture
async def clients(simulator: SimulatorProcess) -> AsyncIterator[Clients]:
    connections = Connections(simulator.url, request_timeout=5)
    yield Clients(connections)
    await connections.close()


@pytest.fixture
def client(clients: Clients) -> EsaClient:
    return clients.of(OWN)


async def refused(client: EsaClient, job: str = JOB) -> Problem:
    with pytest.raises(EsaError) as caught:
        await client.reset_job(job, yes)
    return caught.value.problem


async def test_a_job_is_read_and_reset(client: EsaClient, simulator: SimulatorProcess) -> None:
    before = await client.get_job(JOB)
    assert (before.id, before.url_count, before.url_submitted, before.site_id) == (JOB, 10, 4, SITE_ID)
    after = await client.reset_job(JOB, yes)
    assert after.url_submitted == 0
    assert after.request_id
    assert simulator.resets() == {JOB: 1}


async def test_a_temporary_key_is_accepted_with_its_token(clients: Clients, simulator: SimulatorProcess) -> None:
    token = "CAIS+/=token"
    simulator.add_credentials(
        [{"accessKeyId": "STS.1", "accessKeySecret": "s", "securityToken": token, "aliUid": ALI_UID}]
    )
    assert (await clients.of(Credentials("STS.1", "s", token)).get_job(JOB)).id == JOB
    problem = await refused(clients.of(Credentials("STS.1", "s", "other")))
    assert (problem.error_class, problem.reason) == (ErrorClass.BLOCKED, Reason.CREDENTIALS_INVALID)


async def test_an_odd_id_is_signed_as_the_server_reads_it(client: EsaClient) -> None:
    problem = await refused(client, "a b*c~d+é/=&?#%")
    assert (problem.code, problem.reason) == ("InvalidParameter.ObjectId", Reason.INVALID_JOB_ID)


async def test_a_wrong_secret_is_told_without_the_string_to_sign(clients: Clients) -> None:
    problem = await refused(clients.of(Credentials(ACCESS_KEY_ID, "wrong")))
    assert (problem.code, problem.reason) == ("SignatureDoesNotMatch", Reason.CREDENTIALS_INVALID)
    assert problem.delivery is Delivery.REFUSED
    for quoted in ("ACS3", "x-acs", ACCESS_KEY_ID, "wrong"):
        assert quoted not in problem.message


async def test_a_clock_that_is_off_is_told(clients: Clients) -> None:
    problem = await refused(clients.of(OWN, lambda: 1_600_000_000.0))
    assert (problem.code, problem.reason) == ("InvalidTimeStamp.Expired", Reason.CREDENTIALS_INVALID)


async def test_a_job_that_is_gone_is_told(client: EsaClient) -> None:
    problem = await refused(client, job_id(99))
    assert (problem.code, problem.http_status) == ("InvalidJob.NotFound", 404)
    assert (problem.reason, problem.delivery) == (Reason.JOB_NOT_FOUND, Delivery.REFUSED)
    assert problem.request_id


@pytest.mark.parametrize("count", [0, 1, PAGE_SIZE, PAGE_SIZE + 1, 3 * PAGE_SIZE - 1])
@pytest.mark.parametrize("cap", [500, 7])
async def test_all_pages_are_listed(client: EsaClient, simulator: SimulatorProcess, count: int, cap: int) -> None:
    simulator.delete_job(JOB)
    ids = simulator.seed_jobs([{"id": job_id(number)} for number in range(count)]) if count else []
    simulator.settings(maxPageSize=cap)
    try:
        listing = await client.list_jobs(SITE_ID, "")
        assert sorted(job.id for job in listing.jobs) == sorted(ids)
        assert listing.complete
    finally:
        simulator.settings(maxPageSize=500)
    assert len(simulator.calls(LIST)) == max(1, -(-count // min(cap, PAGE_SIZE)))


@pytest.mark.parametrize(("total", "lists"), [("1000", MAX_LISTS), (None, 1), ("many", 1)])
async def test_a_list_that_does_not_fit_its_total_is_made_again_and_never_called_complete(
    client: EsaClient, simulator: SimulatorProcess, total: str | None, lists: int
) -> None:
    simulator.fault("override", action=LIST, times=None, fields={"TotalCount": total})
    listing = await client.list_jobs(SITE_ID, "")
    assert ([job.id for job in listing.jobs], listing.complete) == ([JOB], False)
    assert len(simulator.calls(LIST)) == 2 * lists  # the second page brings nothing


async def test_a_list_that_was_disturbed_is_complete_at_the_second_try(
    client: EsaClient, simulator: SimulatorProcess
) -> None:
    simulator.fault("override", action=LIST, fields={"TotalCount": "2"})
    assert (await client.list_jobs(SITE_ID, "")).complete


async def test_a_total_that_changes_between_pages_makes_a_list_incomplete(
    client: EsaClient, simulator: SimulatorProcess
) -> None:
    simulator.seed_jobs([{"id": job_id(number)} for number in range(2, PAGE_SIZE + 2)])
    simulator.fault("override", action=LIST, fields={"TotalCount": str(PAGE_SIZE + 2)})
    assert (await client.list_jobs(SITE_ID, "")).complete
    assert len(simulator.calls(LIST)) == 4


@pytest.mark.parametrize(("cap", "most", "pages"), [(500, 3, 3), (500, 2, 3), (20, 3, 4), (500, 9, 3)])
async def test_a_list_at_once_waits_in_no_line_and_ends_where_it_is_not_worth_its_calls(
    clients: Clients, simulator: SimulatorProcess, cap: int, most: int, pages: int
) -> None:
    simulator.seed_jobs([{"id": job_id(number)} for number in range(2, 3 * PAGE_SIZE)])
    simulator.settings(maxPageSize=cap)
    clients.throttle = Throttle(20, full=False)
    try:
        listing = await clients.of(OWN).list_jobs_at_once(SITE_ID, most)
    finally:
        simulator.settings(maxPageSize=500)
    assert (listing.pages, listing.complete) == (pages, most >= pages)
    assert len(simulator.calls(LIST)) == (1 if (cap, most) == (500, 2) else pages)


async def test_no_more_pages_go_before_the_others_than_may_leave_within_a_second(
    clients: Clients, simulator: SimulatorProcess
) -> None:
    simulator.seed_jobs([{"id": job_id(number)} for number in range(2, 3 * PAGE_SIZE)])
    clients.throttle = Throttle(2)
    listing = await clients.of(OWN).list_jobs_at_once(SITE_ID, 100)
    assert (len(simulator.calls(LIST)), listing.pages, listing.complete) == (1, 3, False)


async def test_a_listed_job_tells_how_many_executions_it_has(client: EsaClient, simulator: SimulatorProcess) -> None:
    simulator.seed_executions([{"jobId": JOB, "interval": 60, "sliceLen": 1, "status": "stopped"}])
    (job,) = (await client.list_jobs(SITE_ID, "")).jobs
    assert (job.execution_count, job.url_count, job.url_submitted) == (1, 10, 4)
    simulator.fault("override", action=LIST, itemFields={"ExecutionCount": None})
    (job,) = (await client.list_jobs(SITE_ID, "")).jobs
    assert job.execution_count is None


async def test_each_page_waits_for_its_turn(clients: Clients, simulator: SimulatorProcess) -> None:
    simulator.seed_jobs([{"id": job_id(number)} for number in range(2 * PAGE_SIZE + 1)])
    loop = FakeLoop()
    client = EsaClient(OWN, clients.connections, loop.throttle(1))
    assert client.admit(ObjectRef("a", "one"), 1, unexpected)
    listing = asyncio.create_task(client.list_jobs(SITE_ID, "a"))
    for pages in range(3):
        await asyncio.wait_for(loop.armed.wait(), 30)
        loop.armed.clear()
        assert len(simulator.calls(LIST)) == pages
        loop.run_until(loop.now + 1)
    assert len((await listing).jobs) == 2 * PAGE_SIZE + 1


async def test_throttling_slows_the_account_down(clients: Clients, simulator: SimulatorProcess) -> None:
    loop, woken = FakeLoop(), list[str]()
    throttle = loop.throttle(1000)
    client = EsaClient(OWN, clients.connections, throttle)
    simulator.fault("throttle", retryAfterMs=2500)
    problem = await refused(client)
    assert (problem.reason, problem.error_class, problem.retry_after) == (Reason.THROTTLED, ErrorClass.TRANSIENT, 2.5)
    assert problem.delivery is Delivery.REFUSED
    assert throttle.pace.rate == 500
    one = ObjectRef("a", "one")
    assert not client.admit(one, 1, lambda: woken.append("one"))
    assert client.wait_estimate(one) == pytest.approx(2.502)
    loop.run_until(loop.now + 2.4)
    assert woken == []
    loop.run_until(loop.now + 0.2)
    assert woken == ["one"]
    assert client.admit(one, 1, unexpected)
    await client.get_job(JOB)
    assert throttle.pace.rate > 500


@pytest.mark.parametrize(
    ("kind", "options", "done"),
    [
        ("drop_before", {}, 0),
        ("drop_after", {}, 1),
        ("garbage", {"when": "before"}, 0),
        ("garbage", {"when": "after"}, 1),
        ("garbage", {"when": "after", "truncated": True}, 1),
        ("refuse", {"status": 503, "code": "ServiceUnavailable"}, 0),
        ("refuse", {"when": "after", "status": 500, "code": "InternalError"}, 1),
    ],
)
async def test_whatever_is_not_a_refusal_may_have_been_a_reset(
    client: EsaClient, simulator: SimulatorProcess, *, kind: str, options: dict[str, object], done: int
) -> None:
    simulator.fault(kind, action=RESET, **options)
    problem = await refused(client)
    assert (problem.delivery, problem.error_class) == (Delivery.UNKNOWN, ErrorClass.TRANSIENT)
    assert simulator.resets().get(JOB, 0) == done
    assert len(simulator.calls(RESET)) == 1


async def test_an_accepted_reset_may_report_errors_with_its_urls(
    client: EsaClient, simulator: SimulatorProcess
) -> None:
    fields = {"ErrorInfo": "InvalidUrl,QuotaExcess", "FailedFileOss": "https://b.oss.aliyuncs.com/f?Signature=s"}
    simulator.fault("override", action=RESET, fields=fields)
    job = await client.reset_job(JOB, yes)
    assert (job.error_info, job.failed_file_oss) == ("InvalidUrl,QuotaExcess", "https://b.oss.aliyuncs.com/f")


async def test_an_answer_without_an_id_may_have_been_a_reset(client: EsaClient, simulator: SimulatorProcess) -> None:
    simulator.fault("override", action=RESET, fields={"Id": None})
    assert (await refused(client)).delivery is Delivery.UNKNOWN
