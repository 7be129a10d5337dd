"""ESA's answers as values: lenient in what is read, clean in what is handed on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from esa_preload_operator.domain.cleaning import MAX_TEXT, clean_count, clean_text, clean_time
from esa_preload_operator.domain.esa import EsaExecution, EsaJob
from esa_preload_operator.esa.errors import unreadable

_TEXTS: Final = tuple(name for name, field in EsaJob.__dataclass_fields__.items() if "str" in str(field.type))
_MAX_ID: Final = 256
"""Bytes; ESA's own ids have 24."""


@dataclass(frozen=True, slots=True)
class JobPage:
    """One page of ListScheduledPreloadJobs; `total` counts the jobs of all pages, 0 if ESA did not say."""

    jobs: tuple[EsaJob, ...]
    total: int

    @property
    def size(self) -> int:
        """Characters of all texts."""
        return sum(len(value) for job in self.jobs for name in _TEXTS if (value := getattr(job, name)))


def read_job(fields: Any, request_id: str, job_id: str) -> EsaJob:
    """Return the job of one answer, which must be the one that was asked for.

    Source: ESA API, GetScheduledPreloadJob and ResetScheduledPreloadJob (`InsertWay` may read `testBox`).

    Raises:
        EsaError: there is no job in it, or another one (code UnreadableAnswer, delivery UNKNOWN).
    """
    job = _job(fields, request_id)
    if job is None:
        raise unreadable("the answer holds no job", request_id)
    if job.id.casefold() != job_id.casefold():
        raise unreadable("the answer is about another job than the one asked for", request_id)
    return replace(job, id=job_id)


def read_job_page(fields: Any, request_id: str, site_id: int) -> JobPage:
    """Return one page of jobs; entries without an id or of another site are left out. `TotalCount` is a text here.

    Source: ESA API, ListScheduledPreloadJobs.

    Raises:
        EsaError: there is no list in it.
    """
    entries, total = _list(fields, "Jobs", request_id)
    jobs = (job for entry in entries if (job := _job(entry, request_id)))
    return JobPage(tuple(job for job in jobs if job.site_id in {None, site_id}), total)


def read_executions(fields: Any, request_id: str) -> tuple[EsaExecution, ...]:
    """Return the windows of a job; entries without an id are left out.

    Source: ESA API, ListScheduledPreloadExecutions.

    Raises:
        EsaError: there is no list in it.
    """
    entries, _ = _list(fields, "Executions", request_id)
    return tuple(found for entry in entries if (found := _execution(entry)))


def _list(fields: Any, name: str, request_id: str) -> tuple[Sequence[Any], int]:
    """Return the entries and the total; a missing list is an empty one only where the total agrees."""
    if not isinstance(fields, Mapping):
        raise unreadable("the answer is no JSON object", request_id)
    total = clean_count(fields.get("TotalCount"))
    entries = fields.get(name)
    if entries is None and total == 0:
        return (), 0
    if not isinstance(entries, list):
        raise unreadable(f"the answer holds no list of {name}", request_id)
    return entries, total or 0


def _text(fields: Mapping[str, Any], name: str, limit: int = MAX_TEXT) -> str | None:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return clean_text(value, limit)


def _time(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return "" if value == "" else clean_time(value) or None


def _id(fields: Any) -> str:
    """Return the id of a job or window, empty if there is none."""
    return (_text(fields, "Id", _MAX_ID) or "").strip() if isinstance(fields, Mapping) else ""


def _job(fields: Any, request_id: str) -> EsaJob | None:
    if not (job_id := _id(fields)):
        return None
    return EsaJob(
        id=job_id,
        request_id=request_id,
        ali_uid=_text(fields, "AliUid", _MAX_ID),
        created_at=_time(fields, "CreatedAt"),
        domains=_text(fields, "Domains"),
        error_info=_text(fields, "ErrorInfo"),
        failed_file_oss=_text(fields, "FailedFileOss"),
        file_id=_text(fields, "FileId", _MAX_ID),
        insert_way=_text(fields, "InsertWay", _MAX_ID),
        name=_text(fields, "Name"),
        site_id=clean_count(fields.get("SiteId")),
        task_submitted=clean_count(fields.get("TaskSubmitted")),
        task_type=_text(fields, "TaskType", _MAX_ID),
        url_count=clean_count(fields.get("UrlCount")),
        url_submitted=clean_count(fields.get("UrlSubmitted")),
    )


def _execution(fields: Any) -> EsaExecution | None:
    if not (execution_id := _id(fields)):
        return None
    return EsaExecution(
        id=execution_id,
        job_id=_text(fields, "JobId", _MAX_ID) or "",
        status=_text(fields, "Status", _MAX_ID) or "",
        start_time=clean_time(fields.get("StartTime")),
        end_time=clean_time(fields.get("EndTime")),
        interval_seconds=clean_count(fields.get("Interval")) or 0,
        slice_len=clean_count(fields.get("SliceLen")) or 0,
    )
