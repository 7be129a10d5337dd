"""ESA as small values: the jobs of one site, their executions, and what each call makes of them."""

from __future__ import annotations

from typing import NamedTuple

from esa_preload_operator.domain.esa import (
    CreatedExecutions,
    EsaJob,
    Execution,
    JobListing,
    ListedJob,
    NewExecution,
    NewJob,
)
from esa_preload_operator.domain.recorded import RUNNING, STOPPED, WAITING
from esa_preload_operator.domain.steps import (
    Command,
    DeleteExecution,
    DeleteJob,
    StartExecution,
    StopExecution,
    UpdateExecution,
)

SITE = 1
FULL_COUNT = 9
"""`UrlSubmitted` of a new job. Each reset lowers it by one, so a look always proves a reset that was executed."""


class Run(NamedTuple):
    """An execution."""

    id: str
    sent: NewExecution
    stopped: bool = False
    hidden: int = 0
    """Ticks for which lists do not show it yet."""

    def state(self, wall: int) -> str:
        """ESA's word at a time."""
        if self.stopped:
            return STOPPED
        if self.sent.end <= wall:
            return "finished"
        return RUNNING if self.sent.start <= wall else WAITING


class Job(NamedTuple):
    """A job. `text` is the list it was made from, which no answer tells."""

    id: str
    name: str
    text: str
    url: int = FULL_COUNT
    runs: tuple[Run, ...] = ()
    hidden: int = 0
    """Ticks for which lists do not show it yet; a look by its id does."""


Account = tuple[Job, ...]


def find(jobs: Account, job_id: str) -> Job | None:
    return next((job for job in jobs if job.id == job_id), None)


def run_of(jobs: Account, run_id: str) -> tuple[Job, Run] | None:
    return next(((job, run) for job in jobs for run in job.runs if run.id == run_id), None)


def with_job(jobs: Account, job: Job) -> Account:
    return tuple(job if other.id == job.id else other for other in jobs)


def with_run(jobs: Account, job: Job, run: Run) -> Account:
    return with_job(jobs, job._replace(runs=tuple(run if other.id == run.id else other for other in job.runs)))


# Answers.


def described(job: Job) -> EsaJob:
    return EsaJob(job.id, name=job.name, site_id=SITE, url_submitted=job.url)


def listing(jobs: Account) -> JobListing:
    return JobListing(tuple(_listed(job) for job in jobs if not job.hidden), complete=True)


def _listed(job: Job) -> ListedJob:
    return ListedJob(job.id, name=job.name, site_id=SITE, url_submitted=job.url)


def executions(job: Job, wall: int) -> tuple[Execution, ...]:
    return tuple(shown(run, wall) for run in job.runs if not run.hidden)


def shown(run: Run, wall: int) -> Execution:
    sent = run.sent
    return Execution(run.id, sent.start, sent.end, sent.interval_seconds, sent.slice_len, run.state(wall))


# Calls.


def create(jobs: Account, new: NewJob, job_id: str, lag: int) -> Account:
    return tuple(sorted((*jobs, Job(job_id, new.name, new.text, hidden=lag))))


def reset(jobs: Account, job: Job) -> Account:
    return with_job(jobs, job._replace(url=job.url - 1))


def open_runs(jobs: Account, job: Job, runs: tuple[Run, ...]) -> Account:
    return with_job(jobs, job._replace(runs=tuple(sorted((*job.runs, *runs)))))


def opened(runs: tuple[Run, ...], refused: tuple[NewExecution, ...], wall: int) -> CreatedExecutions:
    failed = tuple((Execution("", r.start, r.end, r.interval_seconds, r.slice_len), "no quota") for r in refused)
    return CreatedExecutions(tuple(shown(run, wall) for run in runs), failed)


def carry_out(jobs: Account, command: Command, wall: int) -> tuple[Account, Run | None]:
    """What a command leaves, and the execution that it was about. Only what runs can be stopped."""
    if isinstance(command, DeleteJob):
        return tuple(job for job in jobs if job.id != command.job_id), None
    found = run_of(jobs, command.id)
    if found is None:
        return jobs, None
    job, run = found
    if isinstance(command, DeleteExecution):
        return with_job(jobs, job._replace(runs=tuple(other for other in job.runs if other is not run))), None
    if not isinstance(command, StopExecution) or run.state(wall) == RUNNING:
        run = changed(run, command)
    return with_run(jobs, job, run), run


def changed(run: Run, command: StartExecution | StopExecution | UpdateExecution) -> Run:
    match command:
        case StartExecution():
            return run._replace(stopped=False)
        case StopExecution():
            return run._replace(stopped=True)
        case UpdateExecution(change=change):
            old = run.sent
            return run._replace(
                sent=NewExecution(
                    old.start if change.start is None else change.start,
                    old.end if change.end is None else change.end,
                    old.interval_seconds if change.interval_seconds is None else change.interval_seconds,
                    old.slice_len if change.slice_len is None else change.slice_len,
                )
            )
