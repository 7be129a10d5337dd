"""Everything the simulator knows: accounts, jobs, executions, settings, and what was really executed."""

import itertools
import os
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from esa_simulator import errors
from esa_simulator.progress import AfterReset, Clock, Execution, Job, Status, advance, rearm
from esa_simulator.signature import Credential

DEFAULT_CREDENTIAL = Credential("simulator-key-id", "simulator-key-secret", "1000000000000001")
DEFAULT_SITE = 190007158391808

_OBJECT_ID = re.compile(r"[0-9a-f]{24}", re.IGNORECASE)


@dataclass(slots=True)
class Settings:
    """What ESA does not document, or what depends on an account's plan.

    Attributes:
        speed: batches come this many times as fast as Interval says; windows stay on the wall clock.
        after_reset: what a reset does with executions, see `progress.reset`.
        unfinished: status of an execution whose window closed too early.
        stop_refused: stopping an execution that does not run is refused instead of ignored.
        max_jobs_per_site: more are refused with InvalidJob.JobCountOfSiteFull; None = no limit.
        max_page_size: larger pages are cut to it, silently.
        calls_per_second: per account; None = no limit.
        retry_after_ms: told in `x-acs-retry-after` when that limit throttles; None = not told.
        url_quota: URLs of a new job above it are dropped with ErrorInfo QuotaExcess; None = no limit.
        site_domains: domains whose URLs a site accepts, others are dropped with InvalidDomain; absent site = all.
        inactive_sites: sites that have not passed access verification: their executions never begin to run.
        oss_files: content of OSS objects by address.
        oss_folder: folder whose files are the objects of every bucket, by name; an object without a file is missing.
        oss_url_count: URLs of an OSS object that is not in `oss_files`, where there is no `oss_folder`.
    """

    speed: float = 1.0
    after_reset: AfterReset = "continue"
    unfinished: Status = "failed"
    stop_refused: bool = False
    max_jobs_per_site: int | None = None
    max_page_size: int = 500
    calls_per_second: float | None = None
    retry_after_ms: int | None = None
    url_quota: int | None = None
    site_domains: dict[str, list[str]] = field(default_factory=dict)
    inactive_sites: list[int] = field(default_factory=list)
    oss_files: dict[str, str] = field(default_factory=dict)
    oss_folder: str | None = None
    oss_url_count: int = 10


class State:
    """Jobs by id and by site, executions by id; every read brings the job to the present."""

    def __init__(self, clock: Clock, settings: Settings) -> None:
        self.clock = clock
        self.settings = settings
        self.credentials: dict[str, Credential] = {}
        self.jobs: dict[str, Job] = {}
        self.resets: Counter[str] = Counter()
        self._of_site: dict[tuple[str, int], dict[str, Job]] = {}
        self._job_of_execution: dict[str, Job] = {}
        self._ids = itertools.count(1)
        self._salt = os.urandom(5).hex()

    def new_id(self) -> str:
        """A fresh id that looks like ESA's: 24 hexadecimal digits, beginning with the time."""
        return f"{int(time.time()):08x}{self._salt}{next(self._ids):06x}"

    def add_job(self, job: Job) -> None:
        """Add or replace a job, with its executions."""
        self.remove_job(job.id)
        self.jobs[job.id] = job
        self._of_site.setdefault((job.ali_uid, job.site_id), {})[job.id] = job
        for execution_id in job.executions:
            self._job_of_execution[execution_id] = job

    def remove_job(self, job_id: str) -> bool:
        """Remove a job and its executions; False if there is none."""
        job = self.jobs.pop(job_id, None)
        if job is None:
            return False
        del self._of_site[job.ali_uid, job.site_id][job_id]
        for execution_id in job.executions:
            self._job_of_execution.pop(execution_id, None)
        return True

    def add_execution(self, job: Job, execution: Execution) -> None:
        """Add an execution to a job."""
        job.executions[execution.id] = execution
        self._job_of_execution[execution.id] = job

    def remove_execution(self, execution: Execution) -> None:
        """Remove an execution from its job."""
        job = self._job_of_execution.pop(execution.id)
        del job.executions[execution.id]

    def refreshed(self, job: Job) -> Job:
        """The same job, brought to the present."""
        if job.executions:
            opens = job.site_id not in self.settings.inactive_sites
            advance(job, self.clock.now(), unfinished=self.settings.unfinished, opens=opens)
        return job

    def change_settings(self, changes: Mapping[str, Any]) -> None:
        """Change settings from now on; on a site that becomes active what waits may run from now on."""
        inactive = set(self.settings.inactive_sites)
        if inactive != set(changes.get("inactive_sites", inactive)):
            for job in self.jobs.values():
                self.refreshed(job)
        for name, value in changes.items():
            setattr(self.settings, name, value)
        for job in self.jobs.values():
            if job.site_id in inactive.difference(self.settings.inactive_sites):
                rearm(job, self.clock.now())

    def job(self, ali_uid: str, job_id: str) -> Job:
        """An account's job.

        Raises:
            EsaError: InvalidParameter.ObjectId, InvalidJob.NotFound, InvalidUid.PermissionDenied
        """
        if not _OBJECT_ID.fullmatch(job_id):
            raise errors.malformed_id(job_id)
        job = self.jobs.get(job_id)
        if job is None:
            raise errors.job_not_found()
        if job.ali_uid != ali_uid:
            raise errors.permission_denied()
        return self.refreshed(job)

    def execution(self, ali_uid: str, execution_id: str) -> tuple[Job, Execution]:
        """An account's execution, and its job.

        Raises:
            EsaError: InvalidParameter.ObjectId, InvalidExecution.NotFound, InvalidUid.PermissionDenied
        """
        if not _OBJECT_ID.fullmatch(execution_id):
            raise errors.malformed_id(execution_id)
        job = self._job_of_execution.get(execution_id)
        if job is None:
            raise errors.execution_not_found()
        if job.ali_uid != ali_uid:
            raise errors.permission_denied()
        return self.refreshed(job), job.executions[execution_id]

    def job_id_of(self, some_id: str) -> str:
        """The job that an id of a job or of an execution belongs to."""
        job = self._job_of_execution.get(some_id)
        return some_id if job is None else job.id

    def of_site(self, ali_uid: str, site_id: int) -> list[Job]:
        """The jobs of a site, oldest first, not brought to the present."""
        return list(self._of_site.get((ali_uid, site_id), {}).values())
