"""The spec as plain values, and what is wrong with it that the API server can't see."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from esa_preload_operator.domain.spec import (
    ConfigMapSource,
    DeletionPolicy,
    OssSource,
    Owned,
    ReplacePolicy,
    ScheduleSpec,
    UrlSource,
    WindowSpec,
    owned_of,
    schedule_of,
    spec_problem,
    windows_of,
)
from esa_preload_operator.resources.job import Metadata
from esa_preload_operator.resources.spec import Spec

META = Metadata(name="nightly", namespace="shop", uid="6f5a1a2e-1c1f-4d8e-9c55-0a3a1f0f7b11", resource_version="1")
SITE = 190007158391808
URL = "https://www.example.com/a.js"
CREATED: dict[str, Any] = {"siteId": SITE, "source": {"urls": [URL]}}
WINDOW = {"name": "now", "duration": "2h", "intervalSeconds": 60, "sliceLen": 10}


def spec(**fields: Any) -> Spec:
    return Spec.model_validate(fields)


def test_a_job_that_exists_is_adopted() -> None:
    adopted = spec(jobId="665d3af3621bccf3fe29e1a4")
    assert owned_of(adopted, META) is None
    assert windows_of(adopted) == ()
    assert schedule_of(adopted) is None
    assert spec_problem(adopted) is None


def test_a_job_that_is_created_takes_its_name_from_the_resource() -> None:
    assert owned_of(spec(**CREATED), META) == Owned(
        SITE, "shop-nightly", UrlSource((URL,)), ReplacePolicy.CREATE_FIRST, DeletionPolicy.DELETE
    )
    long = META.model_copy(update={"name": "n" * 200})
    owned = owned_of(spec(**CREATED), long)
    assert owned is not None
    assert owned.name_prefix == ("shop-" + "n" * 200)[:80]


def test_every_wish_about_a_created_job_is_read() -> None:
    wished = spec(
        siteId=SITE,
        name="front page",
        source={"revision": "v42", "configMapKeyRef": {"name": "urls", "key": "list.txt"}},
        replacePolicy="DeleteFirst",
        deletionPolicy="Retain",
    )
    assert owned_of(wished, META) == Owned(
        SITE,
        "front page",
        ConfigMapSource("urls", "list.txt", "v42"),
        ReplacePolicy.DELETE_FIRST,
        DeletionPolicy.RETAIN,
    )
    listed = owned_of(spec(siteId=SITE, source={"ossUrl": "https://bucket/urls.txt"}), META)
    assert listed is not None
    assert listed.source == OssSource("https://bucket/urls.txt")


def test_windows_are_read_in_whole_seconds_of_utc() -> None:
    start, end = "2026-12-01T16:00:00.9+08:00", "2026-12-01T22:00:00Z"
    windows = windows_of(
        spec(
            jobId="job1",
            executions=[
                {"name": "fixed", "startTime": start, "endTime": end, "intervalSeconds": 30, "sliceLen": 5},
                WINDOW,
                WINDOW | {"name": "each", "onReset": True, "duration": "90.5s"},
            ],
        )
    )
    at = datetime(2026, 12, 1, 8, tzinfo=UTC)
    assert windows == (
        WindowSpec("fixed", at, datetime(2026, 12, 1, 22, tzinfo=UTC), None, False, 30, 5),
        WindowSpec("now", None, None, timedelta(hours=2), False, 60, 10),
        WindowSpec("each", None, None, timedelta(seconds=90), True, 60, 10),
    )


def test_a_schedule_is_read() -> None:
    plain = spec(jobId="job1", resetSchedule={"cron": "0  2 * * *"})
    assert schedule_of(plain) == ScheduleSpec("0 2 * * *", "UTC", 3600, 0)
    given = {"cron": "@daily", "timeZone": "Asia/Shanghai", "startingDeadlineSeconds": 60, "jitterSeconds": 30}
    assert schedule_of(spec(jobId="job1", resetSchedule=given)) == ScheduleSpec("@daily", "Asia/Shanghai", 60, 30)
    assert spec_problem(plain) is None


def window(**fields: Any) -> dict[str, Any]:
    return {"jobId": "job1", "executions": [WINDOW, {**WINDOW, "name": "second", **fields}]}


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({}, "spec.jobId", "exactly one of jobId and siteId with source must be set"),
        ({"jobId": "job1", **CREATED}, "spec.jobId", "exactly one of jobId and siteId with source must be set"),
        ({"siteId": SITE}, "spec.siteId", "siteId and source must be set together"),
        ({"siteId": SITE, "source": {}}, "spec.source", "exactly one of urls, configMapKeyRef and ossUrl must be set"),
        (window(name="now"), "spec.executions[1].name", "another window has this name"),
        (window(startTime="soon"), "spec.executions[1].startTime", "it is no time such as"),
        (window(endTime="late", duration=None), "spec.executions[1].endTime", "it is no time such as"),
        (window(duration=None), "spec.executions[1].endTime", "exactly one of endTime and duration must be set"),
        (
            window(startTime="2026-12-01T16:00:00.1Z", endTime="2026-12-01T16:00:00.9Z", duration=None),
            "spec.executions[1].endTime",
            "it must be at least a second after startTime",
        ),
        (window(duration="0s"), "spec.executions[1].duration", "it must be a duration of at least 1s"),
        (window(duration="soon"), "spec.executions[1].duration", "it must be a duration of at least 1s"),
        (
            window(onReset=True, startTime="2026-12-01T16:00:00Z"),
            "spec.executions[1].onReset",
            "onReset needs a duration and no startTime",
        ),
        (window(intervalSeconds=0), "spec.executions[1].intervalSeconds", "it must be at least 1"),
        (window(sliceLen=-1), "spec.executions[1].sliceLen", "it must be at least 1"),
        (
            {"jobId": "job1", "resetSchedule": {"cron": "0 24 * * *"}},
            "spec.resetSchedule.cron",
            "its hour is out of range or can't be read",
        ),
        (
            {"jobId": "job1", "resetSchedule": {"cron": "@daily", "timeZone": "Mars/Olympus"}},
            "spec.resetSchedule.timeZone",
            "no time zone has this name",
        ),
        (
            {"jobId": "job1", "resetSchedule": {"cron": "@daily", "startingDeadlineSeconds": 59}},
            "spec.resetSchedule.startingDeadlineSeconds",
            "it must be from 60 to 604800",
        ),
        (
            {"jobId": "job1", "resetSchedule": {"cron": "@daily", "jitterSeconds": -1}},
            "spec.resetSchedule.jitterSeconds",
            "it must be from 0 to 3600",
        ),
    ],
)
def test_a_problem_is_named_by_its_field(fields: dict[str, Any], field: str, message: str) -> None:
    problem = spec_problem(spec(**fields))
    assert problem is not None
    assert problem.field == field
    assert problem.message.startswith(message)
