"""What the operations on jobs do (ESA API 2024-09-10, the ScheduledPreloadJob family)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from esa_simulator import errors
from esa_simulator.progress import Execution, Job, reset
from esa_simulator.state import State
from esa_simulator.urls import read_oss, sift
from esa_simulator.wire import Body, beijing, execution_body, job_body


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operation: by which account, with which parameters from query and form.

    What was created within the last `lag` microseconds does not show yet; that is for what reads. Of the windows to
    open those at the positions `failing` fail.
    """

    state: State
    ali_uid: str
    params: Mapping[str, str]
    lag: int = 0
    failing: frozenset[int] = frozenset()

    def required(self, name: str) -> str:
        """A parameter that must be there.

        Raises:
            EsaError: MissingParameter
        """
        value = self.params.get(name)
        if not value:
            raise errors.missing_parameter(name)
        return value

    def number(self, name: str, default: int | None = None) -> int:
        """A whole number; without a default it must be there.

        Raises:
            EsaError: MissingParameter, InvalidParameter
        """
        value = self.params.get(name)
        if value is None and default is not None:
            return default
        try:
            return int(self.required(name))
        except ValueError:
            raise errors.invalid_parameter(name) from None

    def job(self) -> Job:
        """The job that `Id` names; a missing one is as malformed as any other."""
        return self.state.job(self.ali_uid, self.params.get("Id", ""))

    def shows(self, item: Job | Execution) -> bool:
        """Whether what was created then shows already."""
        return not self.lag or item.created <= self.state.clock.now() - self.lag


Operation = Callable[[Call], Body]


def create_job(call: Call) -> Body:
    """CreateScheduledPreloadJob: success may carry ErrorInfo; CreatedAt has an offset without a colon here."""
    way, name, site_id = call.required("InsertWay"), call.required("Name"), call.number("SiteId")
    state, settings = call.state, call.state.settings
    if way == "textBox":
        urls = call.params.get("UrlList", "").split("\n")
    elif way == "oss":
        urls = read_oss(call.params.get("OssUrl", ""), settings)
    else:
        raise errors.invalid_parameter("InsertWay")
    urls = [url.strip() for url in urls if url.strip()]
    if not urls:
        raise errors.missing_url_list()
    if (
        settings.max_jobs_per_site is not None
        and len(state.of_site(call.ali_uid, site_id)) >= settings.max_jobs_per_site
    ):
        raise errors.site_is_full()
    kept, domains, problems = sift(urls, settings, site_id)
    job = Job(
        id=state.new_id(), ali_uid=call.ali_uid, site_id=site_id, name=name, created=state.clock.now(), insert_way=way,
        domains=",".join(domains), error_info=",".join(problems), file_id=state.new_id(), url_count=kept,
    )  # fmt: skip
    if problems:
        query = "Expires=1717225276&OSSAccessKeyId=simulated&Signature=simulated%3D"
        job.failed_file_oss = f"https://simulated.oss-cn-hangzhou.aliyuncs.com/failed/{job.file_id}?{query}"
    state.add_job(job)
    return job_body(job) | {"CreatedAt": beijing(job.created)}


def get_job(call: Call) -> Body:
    """GetScheduledPreloadJob."""
    job = call.job()
    if not call.shows(job):
        raise errors.job_not_found()
    return job_body(job)


def list_jobs(call: Call) -> Body:
    """ListScheduledPreloadJobs: StartTime and EndTime are epoch milliseconds of creation, TotalCount is a string."""
    site_id = call.number("SiteId")
    page, size = call.number("PageNumber", 1), call.number("PageSize", 20)
    if page < 1:
        raise errors.invalid_parameter("PageNumber")
    if size < 1:
        raise errors.invalid_parameter("PageSize")
    size = min(size, call.state.settings.max_page_size)
    jobs = [job for job in call.state.of_site(call.ali_uid, site_id) if call.shows(job)]
    if "StartTime" in call.params:
        since = call.number("StartTime") * 1000
        jobs = [job for job in jobs if job.created >= since]
    if "EndTime" in call.params:
        until = call.number("EndTime") * 1000
        jobs = [job for job in jobs if job.created // 1000 * 1000 <= until]
    shown = jobs[(page - 1) * size : page * size]
    bodies = [
        job_body(call.state.refreshed(job)) | {"ExecutionCount": sum(map(call.shows, job.executions.values()))}
        for job in shown
    ]
    return {"TotalCount": str(len(jobs)), "Jobs": bodies}


def delete_job(call: Call) -> Body:
    """DeleteScheduledPreloadJob: takes the executions with it, also running ones (not documented)."""
    call.state.remove_job(call.job().id)
    return {}


def reset_job(call: Call) -> Body:
    """ResetScheduledPreloadJob: the cursor goes to the beginning; what executions do is a setting."""
    job = call.job()
    reset(job, call.state.clock.now(), after=call.state.settings.after_reset)
    call.state.resets[job.id] += 1
    return job_body(job)


def list_executions(call: Call) -> Body:
    """ListScheduledPreloadExecutions: all of a job, without pages."""
    job = call.job()
    shown = filter(call.shows, job.executions.values())
    bodies = [execution_body(execution, job.ali_uid) for execution in shown]
    return {"Executions": bodies, "TotalCount": len(bodies)}
