"""What answers may not fill the memory, however it answers."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from esa_preload_operator.domain.errors import Delivery, ErrorClass, EsaError
from esa_preload_operator.domain.esa import ExecutionChange, InsertWay, NewExecution, NewJob
from esa_preload_operator.esa.client import MAX_JOBS, MAX_LIST_SIZE
from esa_preload_operator.esa.errors import Answer, read_json
from esa_preload_operator.esa.models import read_job_page
from esa_preload_operator.esa.parsing import MAX_VALUES
from esa_preload_operator.esa.transport import MAX_ANSWER, MAX_PAGE
from support.raw_server import Behaviour, RawServer
from support.sending import JOB_ID, client_of, yes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from esa_preload_operator.domain.errors import Problem
    from esa_preload_operator.esa.client import EsaClient
    from support.raw_server import RawConnection


def always(body: bytes) -> Behaviour:
    async def behave(connection: RawConnection) -> None:
        while True:
            await connection.request()
            await connection.answer(body)

    return behave


async def problem_of_list(behaviour: Behaviour) -> tuple[Problem, int]:
    async with RawServer(behaviour) as server, client_of(server.url, 30) as client:
        with pytest.raises(EsaError) as caught:
            await client.list_jobs(7, "")
        return caught.value.problem, len(server.requests)


@pytest.mark.parametrize(
    ("call", "limit"),
    [
        (lambda client: client.get_job(JOB_ID), MAX_ANSWER),
        (lambda client: client.reset_job(JOB_ID, yes), MAX_ANSWER),
        (lambda client: client.create_job(NewJob(7, "n", InsertWay.OSS, "https://a/b"), yes), MAX_ANSWER),
        (lambda client: client.delete_job(JOB_ID, yes), MAX_ANSWER),
        (lambda client: client.list_executions(JOB_ID), MAX_PAGE),
        (lambda client: client.create_executions(JOB_ID, [NewExecution(0, 60, 30, 5)], yes), MAX_ANSWER),
        (lambda client: client.update_execution(JOB_ID, ExecutionChange(end=60), yes), MAX_ANSWER),
        (lambda client: client.start_execution(JOB_ID, yes), MAX_ANSWER),
        (lambda client: client.stop_execution(JOB_ID, yes), MAX_ANSWER),
        (lambda client: client.delete_execution(JOB_ID, yes), MAX_ANSWER),
    ],
)
async def test_an_answer_about_one_object_has_a_bound(call: Callable[[EsaClient], Awaitable[Any]], limit: int) -> None:
    body = b'{"Id":"%s","Executions":[],"SuccessExecutions":[{"Id":"a"}]%s}' % (JOB_ID.encode(), b" " * limit)
    async with RawServer(always(body)) as server, client_of(server.url) as client:
        with pytest.raises(EsaError, match=f"longer than {limit // 1024} kB") as caught:
            await call(client)
    assert caught.value.problem.delivery is Delivery.UNKNOWN


async def test_a_page_has_a_bound_and_may_be_longer_than_one_object() -> None:
    problem, requests = await problem_of_list(always(b'{"Jobs":[]' + b" " * MAX_PAGE + b"}"))
    assert problem.message.endswith(f"longer than {MAX_PAGE // 1024} kB")
    assert requests == 1
    body = b'{"TotalCount":1,"Jobs":[{"Id":"1","SiteId":7}]' + b" " * (MAX_PAGE - 100) + b"}"
    async with RawServer(always(body)) as server, client_of(server.url) as client:
        assert [job.id for job in (await client.list_jobs(7, "")).jobs] == ["1"]


@pytest.mark.parametrize("unit", [b"{},", b"[],", b'{"a":1},', b'"aa",', b"1.5,", b"[["])
@pytest.mark.parametrize("status", [200, 500])
def test_the_memory_of_a_page_of_many_small_values_is_bounded(unit: bytes, status: int) -> None:
    body = b'{"Jobs":[' + unit * ((MAX_PAGE - 20) // len(unit)) + b"{}]}"
    tracemalloc.start()
    try:
        with pytest.raises(EsaError) as caught:
            read_json(Answer(status, {}, body))
        assert tracemalloc.get_traced_memory()[1] < MAX_PAGE
    finally:
        tracemalloc.stop()
    assert caught.value.problem.code == "UnreadableAnswer"
    assert status != 200 or f"holds more than {MAX_VALUES} values" in caught.value.problem.message


def test_a_full_page_of_jobs_is_read() -> None:
    job = {"Name": "n" * 100, "Domains": ",".join(["www.example.com"] * 500), "SiteId": 7, "ErrorInfo": "e" * 4000}
    jobs = [{"Id": str(number), **job} for number in range(50)]
    body = json.dumps({"TotalCount": "50", "Jobs": jobs}).encode()
    assert len(read_job_page(*read_json(Answer(200, {}, body)), 7).jobs) == 50


async def test_a_list_of_too_many_jobs_is_given_up_and_named() -> None:
    async def crowded(connection: RawConnection) -> None:
        for number in itertools.count():
            await connection.request()
            jobs = ",".join(f'{{"Id":"{number}-{each}"}}' for each in range(20_000))
            await connection.answer(f'{{"TotalCount":"9999999","Jobs":[{jobs}]}}'.encode())

    problem, requests = await problem_of_list(crowded)
    assert (problem.code, problem.error_class) == ("ListTooLong", ErrorClass.BLOCKED)
    assert requests <= MAX_JOBS // 10_000 + 1


async def test_a_list_of_too_long_texts_is_given_up_and_named() -> None:
    text = "x" * 4096

    async def wordy(connection: RawConnection) -> None:
        for number in itertools.count():
            await connection.request()
            jobs = [{"Id": f"{number}-{each}", "Name": text, "ErrorInfo": text} for each in range(200)]
            await connection.answer(json.dumps({"TotalCount": "9999999", "Jobs": jobs}).encode())

    problem, requests = await problem_of_list(wordy)
    assert problem.code == "ListTooLong"
    assert requests <= MAX_LIST_SIZE // (200 * 2 * 4096) + 1
