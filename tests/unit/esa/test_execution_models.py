from typing import Any

import pytest

from esa_preload_operator.domain.errors import Delivery, EsaError
from esa_preload_operator.domain.esa import CreatedExecutions, Execution
from esa_preload_operator.esa.models import (
    read_created_executions,
    read_created_job,
    read_execution,
    read_executions,
    read_job_page,
)

JOB_ID = "665d3af3621bccf3fe29e1a4"
ID = "66599bd7397885b43804901c"
DOCUMENTED = {
    "Id": ID,
    "StartTime": "2024-05-31T17:10:48.849+08:00",
    "EndTime": "2024-05-31T18:10:48.849+08:00",
    "Interval": 60,
    "SliceLen": 10,
    "Status": "running",
    "JobId": JOB_ID,
    "AliUid": "15685865xxx14622",
}
READ = Execution(ID, 1717146648, 1717150248, 60, 10, "running")


def unread(call: Any) -> None:
    with pytest.raises(EsaError) as caught:
        call()
    assert (caught.value.problem.code, caught.value.problem.delivery) == ("UnreadableAnswer", Delivery.UNKNOWN)


def test_every_field_of_the_documented_answer_is_read() -> None:
    assert read_executions({"Executions": [DOCUMENTED], "TotalCount": 1}, "r", JOB_ID) == (READ,)
    assert read_execution(DOCUMENTED, "r", ID) == READ


def test_numbers_may_be_texts_and_a_state_may_be_a_new_word() -> None:
    answer = {"Id": ID, "Interval": "60", "SliceLen": "10", "Status": "resting"}
    assert read_execution(answer, "r", ID) == Execution(ID, None, None, 60, 10, "resting")


@pytest.mark.parametrize("garbled", [None, [], {}, True, "", "soon", -1])
def test_what_an_answer_does_not_tell_is_not_known(garbled: object) -> None:
    names = DOCUMENTED.keys() - {"Id", "JobId", "Status"}
    assert read_execution({"Id": ID, **dict.fromkeys(names, garbled)}, "r", ID) == Execution(ID)


@pytest.mark.parametrize("total", [0, 2, "2"])
def test_a_list_that_is_not_all_that_its_total_counts_is_not_used(total: object) -> None:
    unread(lambda: read_executions({"Executions": [DOCUMENTED], "TotalCount": total}, "r", JOB_ID))
    unread(lambda: read_executions({"Executions": [DOCUMENTED, DOCUMENTED], "TotalCount": 2}, "r", JOB_ID))


@pytest.mark.parametrize("total", [{}, {"TotalCount": None}, {"TotalCount": "many"}])
def test_a_list_without_a_total_is_taken_as_it_is(total: dict[str, object]) -> None:
    assert read_executions({"Executions": [DOCUMENTED], **total}, "r", JOB_ID) == (READ,)


@pytest.mark.parametrize("entry", ["text", None, {}, {"Id": ""}, {"Id": "b", "JobId": "c" * 24}])
def test_a_list_with_an_entry_without_an_id_or_of_another_job_is_not_used(entry: object) -> None:
    unread(lambda: read_executions({"Executions": [DOCUMENTED, entry]}, "r", JOB_ID))


@pytest.mark.parametrize("answer", [None, [], "text", {}, {"Executions": None}, {"TotalCount": 1}])
def test_an_answer_without_a_list_is_none(answer: object) -> None:
    unread(lambda: read_executions(answer, "r", JOB_ID))


def test_a_job_without_executions_may_leave_its_list_out() -> None:
    assert read_executions({"TotalCount": 0}, "r", JOB_ID) == ()


@pytest.mark.parametrize("answer", [None, [], {}, {"Id": ""}, {"Id": "another", "Status": "stopped"}])
def test_an_answer_about_another_execution_may_have_been_a_change_of_it(answer: object) -> None:
    unread(lambda: read_execution(answer, "r", ID))


def test_the_id_is_the_one_that_was_asked_for_whatever_its_case() -> None:
    assert read_execution({"Id": f" {ID.upper()} "}, "r", ID).id == ID
    assert read_executions({"Executions": [{**DOCUMENTED, "JobId": JOB_ID.upper()}]}, "r", JOB_ID) == (READ,)


def test_success_in_part_tells_what_failed_and_why() -> None:
    failed = {"StartTime": "2024-06-02T02:43:35Z", "EndTime": "2024-06-02T01:43:35Z", "Interval": 30, "SliceLen": 5}
    answer = {
        "TotalCount": 2,
        "SuccessCount": 1,
        "SuccessExecutions": [DOCUMENTED],
        "FailedExecutions": [failed],
        "FailedMessages": ["InvalidEndTime.Mismatch: see https://a.b/c?d=e\n"],
    }
    assert read_created_executions(answer, "r", JOB_ID) == CreatedExecutions(
        (READ,), ((Execution("", 1717296215, 1717292615, 30, 5), "InvalidEndTime.Mismatch: see https://a.b/c "),)
    )


def test_a_failure_without_its_message_and_a_message_without_its_failure_are_kept() -> None:
    one = read_created_executions({"FailedExecutions": [{"Interval": 30}]}, "r", JOB_ID)
    assert one.failed == ((Execution("", interval_seconds=30), ""),)
    other = read_created_executions({"FailedMessages": ["full", 7], "FailedExecutions": None}, "r", JOB_ID)
    assert other.failed == ((Execution(""), "full"), (Execution(""), ""))


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {"RequestId": "r", "SuccessExecutions": [], "FailedExecutions": []},
        {"SuccessExecutions": [{"Status": "waiting"}]},
        {"SuccessExecutions": [DOCUMENTED, {**DOCUMENTED, "Id": "b", "JobId": "another"}]},
    ],
)
def test_an_answer_that_tells_of_nothing_or_of_another_job_may_have_made_executions(answer: object) -> None:
    unread(lambda: read_created_executions(answer, "r", JOB_ID))


def test_a_created_job_may_have_another_name_but_no_other_site() -> None:
    answer = {"Id": JOB_ID, "Name": "cut", "SiteId": "7", "CreatedAt": "2023-06-05T10:04:20+0800"}
    job = read_created_job(answer, "r", 7)
    assert (job.id, job.name, job.site_id, job.created_at) == (JOB_ID, "cut", 7, "2023-06-05T02:04:20Z")
    assert read_created_job({"Id": JOB_ID}, "r", 7).site_id is None
    unread(lambda: read_created_job(answer, "r", 8))
    unread(lambda: read_created_job({"RequestId": "r"}, "r", 7))


@pytest.mark.parametrize(("count", "told"), [(3, 3), ("3", 3), (None, None), ("many", None), (-1, None)])
def test_a_listed_job_tells_how_many_executions_it_has(count: object, told: int | None) -> None:
    page = read_job_page({"Jobs": [{"Id": "a", "ExecutionCount": count}]}, "r", 7)
    assert page.jobs[0].execution_count == told
