"""What ESA is asked for, and what it tells, already cleaned: see `domain.cleaning` for the rules."""

import enum
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
class ListedJob(EsaJob):
    """A job as a list of its site shows it."""

    execution_count: int | None = None
    """How many executions it has, in whatever state; only newer versions of the API tell."""


@dataclass(frozen=True, slots=True)
class JobListing:
    """The jobs of one site that all pages of a list show."""

    jobs: tuple[ListedJob, ...]
    complete: bool
    """Each page told the same total, and so many different jobs are here: a job that is not here does not exist."""
    pages: int = 1
    """Calls that the whole list takes."""


class InsertWay(enum.StrEnum):
    """How a job gets its URLs, as ESA writes it."""

    TEXT_BOX = "textBox"
    OSS = "oss"


@dataclass(frozen=True, slots=True)
class NewJob:
    """What CreateScheduledPreloadJob is asked for."""

    site_id: int
    name: str
    insert_way: InsertWay
    text: str
    """The URLs, one a line, or the address of the OSS object that holds them."""


@dataclass(frozen=True, slots=True)
class NewExecution:
    """What CreateScheduledPreloadExecutions is asked for; instants are whole epoch seconds."""

    start: int
    end: int
    interval_seconds: int
    slice_len: int


@dataclass(frozen=True, slots=True)
class ExecutionChange:
    """What UpdateScheduledPreloadExecution is asked for: None leaves as it is; instants are whole epoch seconds."""

    start: int | None = None
    end: int | None = None
    interval_seconds: int | None = None
    slice_len: int | None = None


@dataclass(frozen=True, slots=True)
class Execution:
    """A time window of a job at ESA. None means that the answer does not tell, or tells what can't be read.

    Instants are whole epoch seconds, rounded down. `state` is ESA's word: waiting, running, finished, failed, stopped,
    or one that is new to us.
    """

    id: str
    start: int | None = None
    end: int | None = None
    interval_seconds: int | None = None
    slice_len: int | None = None
    state: str = ""


@dataclass(frozen=True, slots=True)
class CreatedExecutions:
    """The answer of CreateScheduledPreloadExecutions, which may succeed in part."""

    succeeded: tuple[Execution, ...]
    failed: tuple[tuple[Execution, str], ...]
    """What ESA says of each that failed, mostly without an id, and why; either may be empty."""
