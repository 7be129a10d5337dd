"""What ESA tells about jobs and executions, already cleaned: see `domain.cleaning` for the rules."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EsaJob:
    """One answer with a job: the fifteen fields of GetScheduledPreloadJob and ResetScheduledPreloadJob.

    None means that this answer does not tell: the field was absent, null or garbled, so what was known before still
    stands. An empty text and 0 mean that ESA said so. Counters are in URLs, times are RFC 3339 in UTC.
    """

    id: str
    request_id: str = ""
    """Names the answer, not the job; empty if it came without one."""
    ali_uid: str | None = None
    created_at: str | None = None
    domains: str | None = None
    error_info: str | None = None
    failed_file_oss: str | None = None
    file_id: str | None = None
    insert_way: str | None = None
    name: str | None = None
    site_id: int | None = None
    task_submitted: int | None = None
    task_type: str | None = None
    url_count: int | None = None
    url_submitted: int | None = None


@dataclass(frozen=True, slots=True)
class EsaExecution:
    """One window of a job. `status` is waiting, running, finished, failed, stopped, or a word that is new to us."""

    id: str
    job_id: str
    status: str = ""
    start_time: str = ""
    end_time: str = ""
    interval_seconds: int = 0
    slice_len: int = 0
