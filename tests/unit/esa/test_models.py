import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esa_preload_operator.domain.cleaning import INT64_MAX, MAX_TEXT
from esa_preload_operator.domain.errors import Delivery, ErrorClass, EsaError, Problem
from esa_preload_operator.domain.esa import CreatedExecutions, EsaJob
from esa_preload_operator.esa.errors import Answer, read_json
from esa_preload_operator.esa.models import (
    read_created_executions,
    read_created_job,
    read_execution,
    read_executions,
    read_job,
    read_job_page,
)

RESET_ANSWER = {
    "RequestId": "15C66C7B-671A-4297-9187-2C4477247A74",
    "AliUid": "15685865xxx14622",
    "CreatedAt": "2024-06-02T02:23:26Z",
    "Domains": "testurl.com",
    "ErrorInfo": "invalid domain:test.com",
    "FailedFileOss": "https://xxxobject.oss-cn-reginon.aliyuncs.com/9d91?Signature=abc",
    "FileId": "665d3b48621bccf3fe29e1a7",
    "Id": "665d3af3621bccf3fe29e1a4",
    "InsertWay": "oss",
    "Name": "example",
    "SiteId": 190007158391808,
    "TaskSubmitted": 1,
    "TaskType": "preload",
    "UrlCount": 2,
    "UrlSubmitted": 1,
}


def test_every_field_of_the_documented_answer_is_read() -> None:
    assert read_job(RESET_ANSWER, "15C66C7B", "665d3af3621bccf3fe29e1a4") == EsaJob(
        id="665d3af3621bccf3fe29e1a4",
        request_id="15C66C7B",
        ali_uid="15685865xxx14622",
        created_at="2024-06-02T02:23:26Z",
        domains="testurl.com",
        error_info="invalid domain:test.com",
        failed_file_oss="https://xxxobject.oss-cn-reginon.aliyuncs.com/9d91",
        file_id="665d3b48621bccf3fe29e1a7",
        insert_way="oss",
        name="example",
        site_id=190007158391808,
        task_submitted=1,
        task_type="preload",
        url_count=2,
        url_submitted=1,
    )


def test_what_is_missing_or_new_does_not_hurt() -> None:
    job = read_job(
        {"Id": "x", "UrlCount": "12", "InsertWay": "testBox", "CreatedAt": "2023-06-05T10:04:20+0800"}, "", "x"
    )
    assert (job.url_count, job.insert_way, job.created_at) == (12, "testBox", "2023-06-05T02:04:20Z")


@pytest.mark.parametrize("garbled", [{}, None, [], True, {"a": 1}])
def test_what_an_answer_does_not_tell_is_not_known(garbled: object) -> None:
    names = RESET_ANSWER.keys() - {"Id", "RequestId"}
    answer = {"Id": "x"} | ({} if garbled == {} else dict.fromkeys(names, garbled))
    assert read_job(answer, "r", "x") == EsaJob("x", "r")
    assert read_job({"Id": "x", "CreatedAt": "yesterday", "UrlCount": "many", "SiteId": -1}, "r", "x") == EsaJob(
        "x", "r"
    )


def test_an_empty_text_and_zero_are_told() -> None:
    texts = {name: "" for name, value in RESET_ANSWER.items() if isinstance(value, str)}
    counts = {name: 0 for name, value in RESET_ANSWER.items() if isinstance(value, int)}
    job = read_job(texts | counts | {"Id": "x"}, "r", "x")
    assert {type(value) for value in dataclasses.astuple(job)} == {str, int}


@pytest.mark.parametrize("found", ["y", "xx", "x x", 7])
def test_an_answer_about_another_job_may_have_been_a_reset_of_it(found: object) -> None:
    problem = _problem_of(lambda: read_job({"Id": found, "UrlCount": 1}, "r", "x"))
    assert problem is not None
    assert (problem.code, problem.delivery) == ("UnreadableAnswer", Delivery.UNKNOWN)


def test_the_id_is_the_one_that_was_asked_for_whatever_its_case() -> None:
    assert read_job({"Id": " 66AB "}, "r", "66ab").id == "66ab"


def test_a_page_leaves_out_the_jobs_of_another_site() -> None:
    entries = [{"Id": "a", "SiteId": 7}, {"Id": "b", "SiteId": 8}, {"Id": "c"}, {"Id": "d", "SiteId": 0}]
    assert [job.id for job in read_job_page({"Jobs": entries}, "", 7).jobs] == ["a", "c"]


@pytest.mark.parametrize("answer", [None, [], "text", 3, {}, {"Id": ""}, {"Id": None}, {"Id": {}}, {"RequestId": "r"}])
def test_an_answer_without_a_job_may_have_been_a_reset(answer: object) -> None:
    with pytest.raises(EsaError) as caught:
        read_job(answer, "r", "x")
    problem = caught.value.problem
    assert (problem.code, problem.error_class, problem.delivery) == (
        "UnreadableAnswer",
        ErrorClass.TRANSIENT,
        Delivery.UNKNOWN,
    )


@pytest.mark.parametrize("total", ["2", 2])
def test_a_page_counts_its_total_as_text_or_number(total: object) -> None:
    page = read_job_page({"Jobs": [{"Id": "a"}, {"Name": "no id"}, "junk", {"Id": "b"}], "TotalCount": total}, "r", 1)
    assert ([job.id for job in page.jobs], page.total) == (["a", "b"], 2)


def test_an_empty_site_may_leave_its_list_out() -> None:
    assert read_job_page({"TotalCount": "0"}, "", 1).jobs == ()
    with pytest.raises(EsaError):
        read_job_page({"TotalCount": "3"}, "", 1)
    with pytest.raises(EsaError):
        read_job_page({"RequestId": "r"}, "", 1)


_NAMES = st.sampled_from(
    [
        *(*RESET_ANSWER, "TotalCount", "Jobs", "Executions", "Status", "StartTime", "Interval", "JobId", "Code"),
        *("Message", "SuccessExecutions", "FailedExecutions", "FailedMessages", "ExecutionCount"),
    ]
)
_TEXTS = (
    st.text()
    | st.sampled_from(["https://a.b/c?d=e", "x http://u?Signature=1 y", "2024-06-02T02:23:26Z", "9" * 30, "\x00\ud800"])
    | st.text("https:/?#a\"' \n", max_size=40)
    | st.integers(4000, 9000).map(lambda size: "ü" * size)
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES | st.text(max_size=5), inner, max_size=12),
    max_leaves=25,
)
_QUERY = re.compile(r"https?://[^\s?#\"'<>]*[?#]", re.IGNORECASE)


def _assert_clean(value: Any) -> None:
    for item in dataclasses.astuple(value):
        if item is None:
            continue
        if isinstance(item, int):
            assert 0 <= item <= INT64_MAX
        else:
            assert len(item.encode("utf-8")) <= MAX_TEXT
            assert not _QUERY.search(item)
            assert "\x00" not in item


def _problem_of(call: Callable[[], object]) -> Problem | None:
    """The problem of a call; any other exception passes."""
    try:
        call()
    except EsaError as error:
        return error.problem
    return None


def _parts(created: CreatedExecutions) -> list[object]:
    return [*created.succeeded, *(execution for execution, _ in created.failed)]


@given(_VALUES)
def test_any_json_is_clean_or_unreadable(fields: Any) -> None:
    found: list[object] = []
    problems = [
        _problem_of(lambda: found.append(read_job(fields, "r", "x"))),
        _problem_of(lambda: found.extend(read_job_page(fields, "r", 1).jobs)),
        _problem_of(lambda: found.append(read_created_job(fields, "r", 1))),
        _problem_of(lambda: found.extend(read_executions(fields, "r", "x"))),
        _problem_of(lambda: found.append(read_execution(fields, "r", "x"))),
        _problem_of(lambda: found.extend(_parts(read_created_executions(fields, "r", "x")))),
    ]
    for problem in problems:
        assert problem is None or (problem.code, problem.delivery) == ("UnreadableAnswer", Delivery.UNKNOWN)
    for value in found:
        _assert_clean(value)


@given(st.integers(100, 599), _VALUES.map(json.dumps) | st.text(), st.text(max_size=30))
def test_any_answer_is_fields_or_a_clean_problem(status: int, body: str, header: str) -> None:
    answer = Answer(status, {"x-acs-retry-after": header}, body.encode("utf-8", "replace"))
    problem = _problem_of(lambda: read_json(answer, ("secret",)))
    if problem is None:
        assert status == 200
        return
    for text in (problem.code, problem.message, problem.request_id):
        assert len(text.encode()) <= 1024
        assert not _QUERY.search(text)
        assert "secret" not in text
    assert problem.retry_after is None or 0 < problem.retry_after <= 120
    assert problem.delivery in ({Delivery.REFUSED, Delivery.UNKNOWN} if 400 <= status < 500 else {Delivery.UNKNOWN})
