"""ESA's answers as values: lenient in what is read, clean in what is handed on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, Final

from esa_preload_operator.domain.cleaning import MAX_TEXT, clean_count, clean_instant, clean_text, clean_time
from esa_preload_operator.domain.esa import CreatedExecutions, EsaJob, Execution, ListedJob
from esa_preload_operator.esa.errors import unreadable

_TEXTS: Final = tuple(name for name, field in EsaJob.__dataclass_fields__.items() if "str" in str(field.type))
_MAX_ID: Final = 256
"""Bytes; ESA's own ids have 24."""


@dataclass(frozen=True, slots=True)
class JobPage:
    """One page of ListScheduledPreloadJobs; `total` counts the jobs of all pages, None if ESA did not say."""

    jobs: tuple[ListedJob, ...]
    total: int | None

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
    jobs = (_listed(job, entry) for entry in entries if (job := _job(entry, request_id)))
    return JobPage(tuple(job for job in jobs if job.site_id in {None, site_id}), total)


def _listed(job: EsaJob, entry: Mapping[str, Any]) -> ListedJob:
    values = {name: getattr(job, name) for name in EsaJob.__dataclass_fields__}
    return ListedJob(**values, execution_count=clean_count(entry.get("ExecutionCount")))


def read_created_job(fields: Any, request_id: str, site_id: int) -> EsaJob:
    """Return the job that was made, which must be on the site that was asked for.

    Source: ESA API, CreateScheduledPreloadJob (`CreatedAt` has an offset without a colon here).

    Raises:
        EsaError: there is no job in it, or one of another site (code UnreadableAnswer, delivery UNKNOWN).
    """
    job = _job(fields, request_id)
    if job is None:
        raise unreadable("the answer holds no job", request_id)
    if job.site_id not in {None, site_id}:
        raise unreadable("the answer is about a job of another site than the one asked for", request_id)
    return job


def read_done(_fields: Any, _request_id: str) -> None:
    """Return nothing: the answer holds a request id only.

    Source: ESA API, DeleteScheduledPreloadJob and DeleteScheduledPreloadExecution.
    """


def read_executions(fields: Any, request_id: str, job_id: str) -> tuple[Execution, ...]:
    """Return all executions of a job; the list has no pages.

    Source: ESA API, ListScheduledPreloadExecutions.

    Raises:
        EsaError: there is no list in it, not all that its total counts, or an entry without an id or of another job.
    """
    entries, total = _list(fields, "Executions", request_id)
    found = {each.id: each for each in (_execution_of(entry, request_id, job_id) for entry in entries)}
    if total is not None and len(found) != total:
        raise unreadable(f"the answer holds {len(found)} of {total} executions", request_id)
    return tuple(found.values())


def read_execution(fields: Any, request_id: str, execution_id: str) -> Execution:
    """Return the execution of one answer, which must be the one that was asked for.

    Source: ESA API, UpdateScheduledPreloadExecution, StartScheduledPreloadExecution, StopScheduledPreloadExecution.

    Raises:
        EsaError: there is none in it, or another one (code UnreadableAnswer, delivery UNKNOWN).
    """
    execution = _execution(fields)
    if execution is None or execution.id.casefold() != execution_id.casefold():
        raise unreadable("the answer holds another execution than the one asked for, or none", request_id)
    return replace(execution, id=execution_id)


def read_created_executions(fields: Any, request_id: str, job_id: str) -> CreatedExecutions:
    """Return what was made and what was not; a failed one and its message stand at the same place of two lists.

    Source: ESA API, CreateScheduledPreloadExecutions (success in part is HTTP 200).

    Raises:
        EsaError: it tells of nothing, or of an execution without an id or of another job (delivery UNKNOWN).
    """
    made, failed, messages = (
        _maybe_list(fields, name) for name in ("SuccessExecutions", "FailedExecutions", "FailedMessages")
    )
    if not (made or failed or messages):
        raise unreadable("the answer holds no executions", request_id)
    return CreatedExecutions(
        tuple(_execution_of(entry, request_id, job_id) for entry in made),
        tuple(
            (_execution(entry) or Execution(""), clean_text(message if isinstance(message, str) else ""))
            for entry, message in zip_longest(failed, messages)
        ),
    )


def _maybe_list(fields: Any, name: str) -> Sequence[Any]:
    found = fields.get(name) if isinstance(fields, Mapping) else None
    return found if isinstance(found, list) else ()


def _list(fields: Any, name: str, request_id: str) -> tuple[Sequence[Any], int | None]:
    """Return the entries and the total, if it is told; a missing list is an empty one only where the total agrees."""
    if not isinstance(fields, Mapping):
        raise unreadable("the answer is no JSON object", request_id)
    total = clean_count(fields.get("TotalCount"))
    entries = fields.get(name)
    if entries is None and total == 0:
        return (), 0
    if not isinstance(entries, list):
        raise unreadable(f"the answer holds no list of {name}", request_id)
    return entries, total


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


def _execution_of(fields: Any, request_id: str, job_id: str) -> Execution:
    """Return an execution that has an id and belongs to the job, or does not tell to which."""
    execution = _execution(fields)
    if execution is None or not execution.id:
        raise unreadable("the answer holds an execution without an id", request_id)
    of = (_text(fields, "JobId", _MAX_ID) or "").strip()
    if of and of.casefold() != job_id.casefold():
        raise unreadable("the answer holds an execution of another job than the one asked for", request_id)
    return execution


def _execution(fields: Any) -> Execution | None:
    """Return what is told of an execution, with an empty id where it has none; None if it is no object."""
    if not isinstance(fields, Mapping):
        return None
    return Execution(
        id=_id(fields),
        start=clean_instant(fields.get("StartTime")),
        end=clean_instant(fields.get("EndTime")),
        interval_seconds=clean_count(fields.get("Interval")),
        slice_len=clean_count(fields.get("SliceLen")),
        state=_text(fields, "Status", _MAX_ID) or "",
    )
