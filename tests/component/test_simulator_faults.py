import asyncio
import hashlib
import hmac
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
import pytest

from esa_simulator import Simulator
from esa_simulator.state import DEFAULT_CREDENTIAL
from support.simulator import ACCESS_KEY_ID, ACCESS_KEY_SECRET, ALI_UID, SITE_ID, SimulatorProcess, job_id

JOB, OTHER = job_id(1), job_id(2)
RESET, GET, LIST = "ResetScheduledPreloadJob", "GetScheduledPreloadJob", "ListScheduledPreloadJobs"


def signed(host: str, action: str, query: str, *, method: str = "POST", nonce: str = "", **more: str) -> dict[str, str]:
    """Headers of a call without a body, signed with the default credential."""
    headers = {
        "host": host,
        "x-acs-action": action,
        "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-acs-date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": nonce or uuid.uuid4().hex,
        "x-acs-version": "2024-09-10",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"{method}\n/\n{query}\n{lines}\n{names}\n{headers['x-acs-content-sha256']}"
    text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(ACCESS_KEY_SECRET.encode(), text.encode(), "sha256").hex()
    authorization = f"ACS3-HMAC-SHA256 Credential={ACCESS_KEY_ID},SignedHeaders={names},Signature={signature}"
    return {**headers, "Authorization": authorization}


@dataclass
class Answer:
    status: int
    text: str
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Caller:
    session: aiohttp.ClientSession
    url: str

    async def __call__(self, action: str, params: dict[str, str] | None = None, **options: str) -> Answer:
        query = urlencode(sorted(({"Id": JOB} if params is None else params).items()))
        method = "GET" if action.startswith(("Get", "List")) else "POST"
        method = options.pop("http_method", method)
        headers = signed(urlsplit(self.url).netloc, action, query, method=method, **options)
        async with self.session.request(method, f"{self.url}/?{query}", headers=headers) as response:
            return Answer(
                response.status,
                await response.text(),
                {name.lower(): value for name, value in response.headers.items()},
            )


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator() as simulator:
        simulator.state.credentials[ACCESS_KEY_ID] = DEFAULT_CREDENTIAL
        simulator.control.seed_jobs([{"id": JOB, "urlCount": 9, "urlSubmitted": 5}, {"id": OTHER}])
        yield simulator


@pytest.fixture
async def call(simulator: Simulator) -> AsyncIterator[Caller]:
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Caller(session, simulator.url)


def fault(simulator: Simulator, kind: str, **options: Any) -> int:
    return simulator.control.add_faults([{"kind": kind, **options}])[0]


def resets(simulator: Simulator) -> int:
    return simulator.state.resets[JOB]


def last(simulator: Simulator) -> Any:
    return simulator.control.log()["calls"][-1]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the simulator counts, it signals nothing
            await asyncio.sleep(0.005)


async def test_a_refused_call_is_not_executed_and_the_next_one_is(simulator: Simulator, call: Caller) -> None:
    fault(simulator, "refuse", status=403, code="Forbidden.RAM", message="no", retryAfterMs=80)
    answer = await call(RESET)
    assert (answer.status, answer.json["Code"], answer.json["Message"]) == (403, "Forbidden.RAM", "no")
    assert answer.headers["x-acs-retry-after"] == "80"
    assert answer.headers["x-acs-request-id"] == answer.json["RequestId"]
    assert (last(simulator)["outcome"], last(simulator)["executed"], resets(simulator)) == ("Forbidden.RAM", False, 0)
    assert (await call(RESET)).status == 200
    assert resets(simulator) == 1


async def test_an_error_may_come_after_the_work(simulator: Simulator, call: Caller) -> None:
    fault(simulator, "refuse", when="after")
    answer = await call(RESET)
    assert (answer.status, answer.json["Code"]) == (500, "InternalError")
    assert (last(simulator)["executed"], resets(simulator)) == (True, 1)


async def test_throttling_is_http_400(simulator: Simulator, call: Caller) -> None:
    fault(simulator, "throttle", times=2)
    for _ in range(2):
        answer = await call(RESET)
        assert (answer.status, answer.json["Code"]) == (400, "TooManyRequests")
        assert "x-acs-retry-after" not in answer.headers
    assert (await call(RESET)).status == 200
    assert resets(simulator) == 1


@pytest.mark.parametrize(("kind", "executed"), [("drop_before", 0), ("drop_after", 1)])
async def test_a_cut_connection_leaves_no_answer(simulator: Simulator, call: Caller, kind: str, executed: int) -> None:
    fault(simulator, kind)
    with pytest.raises(aiohttp.ClientError):
        await call(RESET)
    assert resets(simulator) == executed
    entry = last(simulator)
    assert (entry["outcome"], entry["status"], entry["executed"]) == ("ConnectionCut", None, bool(executed))


async def test_the_answer_that_a_job_is_missing_can_be_lost_too(simulator: Simulator, call: Caller) -> None:
    fault(simulator, "drop_after")
    with pytest.raises(aiohttp.ClientError):
        await call(RESET, {"Id": job_id(404)})
    assert (last(simulator)["outcome"], last(simulator)["executed"]) == ("ConnectionCut", False)


async def test_the_same_signed_request_executes_once(simulator: Simulator, call: Caller) -> None:
    fault(simulator, "drop_before")
    fault(simulator, "drop_after")  # its turn comes when the first rule is used up
    for executed in (0, 1):
        with pytest.raises(aiohttp.ClientError):
            await call(RESET, nonce="once")
        assert resets(simulator) == executed
    answer = await call(RESET, nonce="once")
    assert (answer.status, answer.json["Code"], resets(simulator)) == (400, "SignatureNonceUsed", 1)


@pytest.mark.parametrize(("when", "executed"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize("status", [200, 502])
async def test_garbage_is_html(simulator: Simulator, call: Caller, when: str, executed: int, status: int) -> None:
    fault(simulator, "garbage", when=when, status=status)
    answer = await call(RESET)
    assert (answer.status, answer.headers["content-type"].split(";")[0]) == (status, "text/html")
    assert answer.text.startswith("<html>")
    assert (resets(simulator), last(simulator)["outcome"]) == (executed, "Garbage")


@pytest.mark.parametrize(("when", "executed"), [("before", 0), ("after", 1)])
async def test_truncated_json_can_not_be_read(simulator: Simulator, call: Caller, when: str, executed: int) -> None:
    fault(simulator, "garbage", when=when, truncated=True)
    answer = await call(RESET)
    assert answer.text.startswith("{")
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        json.loads(answer.text)
    assert resets(simulator) == executed


@pytest.mark.parametrize(("when", "executed"), [("before", 0), ("after", 1)])
async def test_a_hanging_call_goes_on_when_cleared(
    simulator: Simulator, call: Caller, when: str, executed: int
) -> None:
    fault_id = fault(simulator, "hang", when=when)
    pending = asyncio.create_task(call(RESET))
    await until(lambda: simulator.calls.seq == 1)
    assert (await call(GET)).status == 200  # the rule is used up; other calls pass meanwhile
    assert (last(simulator)["seq"], resets(simulator), pending.done()) == (2, executed, False)
    assert simulator.control.log(action=RESET)["calls"][0]["outcome"] is None
    simulator.faults.clear(fault_id)
    assert (await pending).status == 200
    assert resets(simulator) == 1


async def test_a_hanging_call_can_be_abandoned_without_work(simulator: Simulator, call: Caller) -> None:
    fault(simulator, "hang")
    pending = asyncio.create_task(call(RESET))
    await until(lambda: simulator.calls.seq == 1)
    simulator.faults.clear(abandon=True)
    with pytest.raises(aiohttp.ClientError):
        await pending
    assert resets(simulator) == 0


async def test_a_delayed_call_executes_even_when_its_caller_has_gone(simulator: Simulator, call: Caller) -> None:
    fault(simulator, "delay", seconds=0.2)
    pending = asyncio.create_task(call(RESET))
    await until(lambda: simulator.calls.seq == 1)
    pending.cancel()
    await until(lambda: resets(simulator) == 1)
    assert last(simulator)["executed"] is True


async def test_a_delay_after_the_work_and_a_cut_add_up(simulator: Simulator, call: Caller) -> None:
    fault(simulator, "delay", seconds=0.2, when="after")
    fault(simulator, "drop_after")
    pending = asyncio.create_task(call(RESET))
    await until(lambda: resets(simulator) == 1)
    assert not pending.done()
    with pytest.raises(aiohttp.ClientError):
        await pending


async def test_an_override_is_merged_into_the_answer(simulator: Simulator, call: Caller) -> None:
    odd = {"CreatedAt": "2023-06-05T10:04:20+0800", "InsertWay": "testBox", "ErrorInfo": "x" * 100_000}
    fault(simulator, "override", action=GET, fields=odd)
    body = (await call(GET)).json
    assert {name: body[name] for name in odd} == odd
    assert (body["UrlCount"], body["UrlSubmitted"]) == (9, 5)
    assert (await call(GET)).json["InsertWay"] == "textBox"


async def test_an_override_of_items_may_name_one_job(simulator: Simulator, call: Caller) -> None:
    fault(simulator, "override", action=LIST, jobId=OTHER, itemFields={"TaskType": "odd"}, fields={"TotalCount": 2})
    body = (await call(LIST, {"SiteId": str(SITE_ID)})).json
    assert [job["TaskType"] for job in body["Jobs"]] == ["preload", "odd"]
    assert body["TotalCount"] == 2


async def test_a_limit_counts_per_account(simulator: Simulator, call: Caller) -> None:
    fault(simulator, "limit", callsPerSecond=0.001, retryAfterMs=9)
    assert (await call(GET)).status == 200
    answer = await call(GET)
    assert (answer.json["Code"], answer.headers["x-acs-retry-after"]) == ("TooManyRequests", "9")
    simulator.faults.clear()
    assert (await call(GET)).status == 200


async def test_an_account_has_a_rate(simulator: Simulator, call: Caller) -> None:
    simulator.control.change_settings({"callsPerSecond": 0.001, "retryAfterMs": 70})
    assert (await call(GET)).status == 200
    answer = await call(RESET)
    assert (answer.json["Code"], answer.headers["x-acs-retry-after"]) == ("TooManyRequests", "70")
    assert resets(simulator) == 0


async def test_a_rule_hits_only_what_it_names(simulator: Simulator, call: Caller) -> None:
    fault(simulator, "throttle", action=RESET, jobId=JOB, accessKeyId=ACCESS_KEY_ID, aliUid=ALI_UID, times=None)
    fault(simulator, "throttle", aliUid="another", times=None)
    assert (await call(GET)).status == 200
    assert (await call(RESET, {"Id": OTHER})).status == 200
    assert [(await call(RESET)).status for _ in range(3)] == [400, 400, 400]
    assert [rule["hits"] for rule in simulator.control.list_faults()] == [3, 0]


async def test_a_rule_may_let_calls_pass_first(simulator: Simulator, call: Caller) -> None:
    fault(simulator, "throttle", skip=2, times=1)
    assert [(await call(GET)).status for _ in range(4)] == [200, 200, 400, 200]


async def test_a_rule_may_hit_by_chance(simulator: Simulator, call: Caller) -> None:
    fault(simulator, "throttle", probability=0.5, times=None)
    assert {(await call(GET)).status for _ in range(64)} == {200, 400}


async def test_a_rule_on_a_job_hits_its_executions_too(simulator: Simulator, call: Caller) -> None:
    [execution] = simulator.control.seed_executions([{"jobId": JOB, "interval": 60, "sliceLen": 1}])
    fault(simulator, "throttle", jobId=JOB)
    assert (await call("StopScheduledPreloadExecution", {"Id": execution})).status == 400
    assert last(simulator)["jobId"] == JOB


@pytest.mark.parametrize(
    ("action", "options", "code"),
    [
        ("ResetEverything", {}, "404 InvalidAction.NotFound"),
        (RESET, {"http_method": "GET"}, "405 UnsupportedHTTPMethod"),
        (RESET, {"x_acs_version": "2024-01-01"}, "400 NoSuchVersion"),
        (RESET, {"x_acs_date": "2024-01-01T00:00:00Z"}, "400 InvalidTimeStamp.Expired"),
    ],
)
async def test_the_gateway_refuses_what_it_does_not_know(
    simulator: Simulator, call: Caller, action: str, options: dict[str, str], code: str
) -> None:
    answer = await call(action, None, **options)
    assert f"{answer.status} {answer.json['Code']}" == code
    assert (last(simulator)["executed"], resets(simulator)) == (False, 0)


async def test_progress_follows_a_clock_that_tests_can_move(simulator: Simulator, call: Caller) -> None:
    simulator.control.change_clock({"freeze": True})
    simulator.control.seed_executions([{"jobId": JOB, "interval": 60, "sliceLen": 2}])
    assert (await call(GET)).json["UrlSubmitted"] == 7
    simulator.control.change_clock({"advanceSeconds": 60})
    assert (await call(GET)).json["UrlSubmitted"] == 9
    assert (await call(RESET)).json["UrlSubmitted"] == 0
    assert simulator.control.job(JOB)["executions"][0]["status"] == "finished"


@pytest.fixture(scope="module")
def process() -> Iterator[SimulatorProcess]:
    with SimulatorProcess("--speed", "60") as simulator:
        yield simulator


def test_another_process_can_steer_it(process: SimulatorProcess) -> None:
    assert process.seed_jobs([{"id": JOB, "urlCount": 4, "urlSubmitted": 4, "errorInfo": "InvalidUrl"}]) == [JOB]
    assert process.job(JOB)["errorInfo"] == "InvalidUrl"
    assert process.change_job(JOB, urlSubmitted=2)["urlSubmitted"] == 2
    [execution] = process.seed_executions([{"jobId": JOB, "interval": 3600, "sliceLen": 1, "status": "stopped"}])
    assert process.job(JOB)["executions"][0]["id"] == execution
    fault_id = process.fault("throttle", times=None)
    assert [rule["id"] for rule in process.faults()] == [fault_id]
    process.clear_faults(fault_id)
    assert process.faults() == []
    assert process.settings()["speed"] == 60
    process.clock(advance_seconds=1)
    assert process.delete_job(JOB)
    assert not process.delete_job(JOB)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/faults", {"kind": "explode"}),
        ("/faults", {"kind": "delay", "minutes": 1}),
        ("/jobs", {"urlcount": 1}),
        ("/executions", {"jobId": "unknown"}),
        ("/seed", {"job": []}),
        ("/credentials", {"accessKeyId": "half"}),
    ],
)
def test_a_typing_mistake_is_told(process: SimulatorProcess, path: str, body: dict[str, Any]) -> None:
    with pytest.raises(RuntimeError, match="400"):
        process.request("POST", path, body)


def test_a_missing_job_is_told(process: SimulatorProcess) -> None:
    with pytest.raises(RuntimeError, match="404"):
        process.job("missing")


def test_a_seed_file_is_read_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "seed.json"
    content = {"jobs": [{"id": JOB, "urlCount": 7}], "settings": {"maxJobsPerSite": 3}, "faults": [{"kind": "hang"}]}
    file.write_text(json.dumps(content))
    with SimulatorProcess("--seed", str(file)) as simulator:
        assert simulator.job(JOB)["urlCount"] == 7
        assert simulator.settings()["maxJobsPerSite"] == 3
        assert simulator.faults()[0]["kind"] == "hang"


def test_it_ends_when_its_parent_does() -> None:
    simulator = SimulatorProcess()
    assert simulator.process.stdin is not None
    simulator.process.stdin.close()
    assert simulator.process.wait(10) == 0
    simulator.stop()
