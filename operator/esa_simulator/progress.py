"""Jobs and executions as plain data, and how far they are at a moment.

Progress depends on time alone: looking more often changes nothing. Times are integer microseconds since 1970, so that
sums are exact.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

SECOND = 1_000_000

Status = Literal["waiting", "running", "finished", "failed", "stopped"]


@dataclass(slots=True)
class Execution:
    """A window in which a job's URLs are submitted.

    Attributes:
        start: when the window opens.
        end: when it closes (half-open); None stays open until the list is exhausted.
        interval: seconds between two batches, as the API tells them.
        slice_len: URLs of one batch.
        period: microseconds between two batches as they are played, i.e. the interval divided by the speed.
        armed: when it was created or started; it never opens before.
        next_batch: when the next batch is submitted; only meaningful while running.
        created: when it was created; decides how long a list that lags hides it.
    """

    id: str
    job_id: str
    start: int
    end: int | None
    interval: int
    slice_len: int
    period: int
    armed: int
    status: Status = "waiting"
    next_batch: int = 0
    created: int = 0

    @property
    def opens(self) -> int:
        """When a waiting execution starts to run."""
        return max(self.start, self.armed)


@dataclass(slots=True)
class Job:
    """A list of URLs with a cursor; the fields are those of the API's Job object."""

    id: str
    ali_uid: str
    site_id: int
    name: str
    created: int
    insert_way: str = "textBox"
    task_type: str = "preload"
    domains: str = ""
    error_info: str = ""
    failed_file_oss: str = ""
    file_id: str = ""
    url_count: int = 0
    url_submitted: int = 0
    task_submitted: int = 0
    executions: dict[str, Execution] = field(default_factory=dict)


def period_of(interval: int, speed: float) -> int:
    """Microseconds between two batches when time is played `speed` times as fast; at least one."""
    return max(1, round(interval * SECOND / speed))


def advance(job: Job, now: int, *, unfinished: Status = "failed", opens: bool = True) -> None:
    """Bring a job to a moment: windows open and close, batches are submitted.

    Args:
        job: changed in place.
        now: events up to and including this moment have happened.
        unfinished: what becomes of an execution whose window closes before all URLs are out; ESA does not document it.
        opens: False keeps waiting executions from running, as on a site that is not active.
    """
    live = [execution for execution in job.executions.values() if execution.status in {"waiting", "running"}]
    if not live:
        return
    while (boundary := _next_boundary(live, now, opens=opens)) is not None:
        _submit(job, live, boundary - 1)
        _cross(live, boundary, unfinished, opens=opens)
    _submit(job, live, now)


def _next_boundary(live: Iterable[Execution], now: int, *, opens: bool) -> int | None:
    moments = (_boundary_of(execution, opens=opens) for execution in live)
    return min((moment for moment in moments if moment is not None and moment <= now), default=None)


def _boundary_of(execution: Execution, *, opens: bool) -> int | None:
    if execution.status == "waiting":
        return execution.opens if opens else execution.end
    return execution.end if execution.status == "running" else None


def _cross(live: Iterable[Execution], boundary: int, unfinished: Status, *, opens: bool) -> None:
    for execution in live:
        moment = _boundary_of(execution, opens=opens)
        if moment is None or moment > boundary:
            continue
        if execution.end is not None and execution.end <= boundary:
            execution.status = unfinished
        else:
            execution.status = "running"
            execution.next_batch = boundary


def _submit(job: Job, live: Iterable[Execution], until: int) -> None:
    running = [execution for execution in live if execution.status == "running"]
    gained = 0
    for execution in running:
        if execution.next_batch <= until:
            batches = (until - execution.next_batch) // execution.period + 1
            execution.next_batch += batches * execution.period
            gained += batches * execution.slice_len
    gained = max(0, min(gained, job.url_count - job.url_submitted))
    job.url_submitted += gained
    job.task_submitted = max(job.task_submitted, min(job.url_count, job.task_submitted + gained))
    if job.url_submitted >= job.url_count:
        for execution in running:
            execution.status = "finished"


AfterReset = Literal["continue", "revive", "stop"]


def reset(job: Job, now: int, *, after: AfterReset = "continue") -> None:
    """Set the cursor to the beginning, and do with the executions what `after` says; ESA documents none of it.

    Args:
        job: changed in place; the caller has brought it to `now`.
        now: the moment of the reset.
        after: `continue` lets running executions go on from the first URL; `revive` also lets finished ones run
            again whose window is still open; `stop` stops the running ones.
    """
    job.url_submitted = 0
    job.task_submitted = 0
    for execution in job.executions.values():
        if after == "stop" and execution.status == "running":
            execution.status = "stopped"
        if after == "revive" and execution.status == "finished" and (execution.end is None or execution.end > now):
            arm(execution, now)


def arm(execution: Execution, now: int) -> None:
    """Let an execution wait for its window (again)."""
    execution.status = "waiting"
    execution.armed = now


def rearm(job: Job, now: int) -> None:
    """Let no waiting execution open before now."""
    for execution in job.executions.values():
        if execution.status == "waiting":
            arm(execution, now)


class Clock:
    """The clock of all progress; it can be stopped and set forward, and never goes back by itself."""

    def __init__(self, source: Callable[[], int]) -> None:
        self._source = source
        self._offset = 0
        self._frozen: int | None = None

    def now(self) -> int:
        """Microseconds since 1970."""
        return (self._source() if self._frozen is None else self._frozen) + self._offset

    def advance(self, seconds: float) -> None:
        """Set the clock forward."""
        self._offset += round(seconds * SECOND)

    def freeze(self) -> None:
        """Stop the clock; `advance` still moves it."""
        if self._frozen is None:
            self._frozen = self._source()

    def resume(self) -> None:
        """Let a frozen clock go on from where it stands."""
        if self._frozen is not None:
            self._offset += self._frozen - self._source()
            self._frozen = None
