"""How values look on the wire: the API's field names and its four ways to write a time."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from esa_simulator.progress import Execution, Job

Body = dict[str, Any]

_BEIJING = timezone(timedelta(hours=8))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(micros: int) -> datetime:
    """Microseconds since 1970 as a datetime, exactly."""
    return _EPOCH + timedelta(microseconds=micros)


def micros(value: str) -> int:
    """An ISO 8601 time as microseconds since 1970; without an offset it is read as UTC.

    Raises:
        ValueError: not a time
    """
    read = datetime.fromisoformat(value)
    aware = read if read.tzinfo else read.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def zulu(value: int) -> str:
    """As in `2024-06-02T02:23:26Z`."""
    return moment(value).strftime("%Y-%m-%dT%H:%M:%SZ")


def beijing(value: int) -> str:
    """As in `2023-06-05T10:04:20+0800`, the way CreateScheduledPreloadJob answers."""
    return moment(value).astimezone(_BEIJING).strftime("%Y-%m-%dT%H:%M:%S%z")


def beijing_millis(value: int) -> str:
    """As in `2024-05-31T17:10:48.849+08:00`, the way executions are answered."""
    return moment(value).astimezone(_BEIJING).isoformat(timespec="milliseconds")


def job_body(job: Job) -> Body:
    """The Job object without RequestId."""
    return {
        "AliUid": job.ali_uid,
        "CreatedAt": zulu(job.created),
        "Domains": job.domains,
        "ErrorInfo": job.error_info,
        "FailedFileOss": job.failed_file_oss,
        "FileId": job.file_id,
        "Id": job.id,
        "InsertWay": job.insert_way,
        "Name": job.name,
        "SiteId": job.site_id,
        "TaskSubmitted": job.task_submitted,
        "TaskType": job.task_type,
        "UrlCount": job.url_count,
        "UrlSubmitted": job.url_submitted,
    }


def execution_body(execution: Execution, ali_uid: str) -> Body:
    """The Execution object; a window without an end has no EndTime."""
    body: Body = {
        "Id": execution.id,
        "JobId": execution.job_id,
        "AliUid": ali_uid,
        "StartTime": beijing_millis(execution.start),
        "Interval": execution.interval,
        "SliceLen": execution.slice_len,
        "Status": execution.status,
    }
    if execution.end is not None:
        body["EndTime"] = beijing_millis(execution.end)
    return body
