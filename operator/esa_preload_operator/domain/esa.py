"""What ESA tells about jobs and executions, already cleaned: see `domain.cleaning` for the rules."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EsaJob:
    """One answer with a job: the fifteen fields of GetScheduledPreloadJob and ResetScheduledPreloadJob.

    Counters are in URLs; a counter that ESA left out or garbled is 0. Times are RFC 3339 in UTC, or empty.
    """

    id: str
    request_id: str = ""
    ali_uid: str = ""
    created_at: str = ""
    domains: str = ""
    error_info: str = ""
    failed_file_oss: str = ""
    file_id: str = ""
    insert_way: str = ""
    name: str = ""
    site_id: int = 0
    task_submitted: int = 0
    task_type: str = ""
    url_count: int = 0
    url_submitted: int = 0


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
