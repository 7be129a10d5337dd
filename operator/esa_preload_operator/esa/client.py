"""ESA as one set of credentials sees it."""

import asyncio
import json
import math
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from esa_preload_operator.domain.cleaning import format_time
from esa_preload_operator.domain.errors import Delivery, ErrorClass, EsaError, Problem, Reason
from esa_preload_operator.domain.esa import (
    CreatedExecutions,
    EsaJob,
    Execution,
    ExecutionChange,
    InsertWay,
    JobListing,
    ListedJob,
    NewExecution,
    NewJob,
)
from esa_preload_operator.domain.ports import MaySend, ObjectRef
from esa_preload_operator.domain.signing import Signing
from esa_preload_operator.esa.credentials import Credentials, signer
from esa_preload_operator.esa.errors import Answer, read_json
from esa_preload_operator.esa.models import (
    JobPage,
    read_created_executions,
    read_created_job,
    read_done,
    read_execution,
    read_executions,
    read_job,
    read_job_page,
)
from esa_preload_operator.esa.signature import Acs3Auth, canonical_query
from esa_preload_operator.esa.throttle import Throttle
from esa_preload_operator.esa.transport import MAX_ANSWER, MAX_PAGE, Connections

API_VERSION: Final = "2024-09-10"
PAGE_SIZE: Final = 50
"""The largest page of a list that the same API documents anywhere (DescribePreloadTasks)."""
MAX_PAGES: Final = 200
MAX_JOBS: Final = MAX_PAGES * PAGE_SIZE
"""Jobs of one site, far above what ESA lets a site have."""
MAX_LIST_SIZE: Final = 16 * 1024 * 1024
"""Characters of all texts in one list: ten thousand jobs have a third of that."""
MAX_LIST_SECONDS: Final = 120.0
"""Seconds that the calls of one list may take in all, waits for the account's rate aside."""
MAX_LISTS: Final = 3
"""How often a site is listed at most until a list is complete; jobs that come and go disturb one, seldom two."""
_LIST_FIELD: Final = {InsertWay.TEXT_BOX: "UrlList", InsertWay.OSS: "OssUrl"}
_GONE: Final = frozenset({"InvalidJob.NotFound", "InvalidExecution.NotFound"})
_FORM: Final = "application/x-www-form-urlencoded"
_READS: Final = frozenset({"GetScheduledPreloadJob", "ListScheduledPreloadJobs", "ListScheduledPreloadExecutions"})
_T = TypeVar("_T")

Observe = Callable[[str, str, float], None]
"""Gets action, error code (`OK` without one) and seconds of each call."""


def ignore(_action: str, _code: str, _seconds: float) -> None:
    """Observe nothing."""


class EsaClient:
    """The port `EsaAccount`: each call is one signed request, sent at most once, bounded in time, not redirected."""

    def __init__(
        self,
        credentials: Credentials,
        connections: Connections,
        throttle: Throttle,
        *,
        observe: Observe = ignore,
        wall_clock: Callable[[], float] = time.time,
        nonce: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._id = credentials.id
        self._signer = signer(credentials, connections.host)
        self._hidden = credentials.hidden()
        self._auth = Acs3Auth(credentials, wall_clock, nonce)
        self._connections = connections
        self._headers = {
            "host": connections.host,
            "accept": "application/json",
            "user-agent": "esa-preload-operator",
            "x-acs-version": API_VERSION,
        }
        self._throttle = throttle
        self._observe = observe
        self._clock = throttle.clock

    @property
    def id(self) -> str:
        """Short hash of the credentials."""
        return self._id

    @property
    def signer(self) -> str:
        """Short hash of access key id and host."""
        return self._signer

    def admit(self, ref: ObjectRef, calls: int, wake: Callable[[], None], *, last: bool = False) -> bool:
        """Say whether these calls may leave now; see the port."""
        return self._throttle.admit(ref, calls, wake, last=last)

    def withdraw(self, ref: ObjectRef) -> None:
        """Let `ref` wait no longer."""
        self._throttle.withdraw(ref)

    def wait_estimate(self, ref: ObjectRef) -> float | None:
        """Return about how many seconds `ref` still waits."""
        return self._throttle.wait_estimate(ref)

    async def admitted(self, namespace: str, calls: int) -> None:
        """Return when these calls may leave."""
        await self._throttle.admitted(namespace, calls)

    async def get_job(self, job_id: str) -> EsaJob:
        """ESA API, GetScheduledPreloadJob."""
        read = partial(read_job, job_id=job_id)
        return await self._call("GetScheduledPreloadJob", {"Id": job_id}, read, payload="Id")

    async def reset_job(self, job_id: str, may_send: MaySend, signing: Signing | None = None) -> EsaJob:
        """ESA API, ResetScheduledPreloadJob; see the port for `may_send` and `signing`."""
        auth = self._auth if signing is None else self._auth.fixed(signing.nonce, signing.date)
        read = partial(read_job, job_id=job_id)
        return await self._call(
            "ResetScheduledPreloadJob", {"Id": job_id}, read, payload="Id", may_send=may_send, auth=auth
        )

    async def create_job(self, new: NewJob, may_send: MaySend) -> EsaJob:
        """ESA API, CreateScheduledPreloadJob."""
        form = {
            "InsertWay": new.insert_way,
            "Name": new.name,
            "SiteId": str(new.site_id),
            _LIST_FIELD[new.insert_way]: new.text,
        }
        read = partial(read_created_job, site_id=new.site_id)
        return await self._call("CreateScheduledPreloadJob", {}, read, payload="Id", form=form, may_send=may_send)

    async def delete_job(self, job_id: str, may_send: MaySend) -> None:
        """ESA API, DeleteScheduledPreloadJob."""
        with _done_if_gone():
            await self._call("DeleteScheduledPreloadJob", {"Id": job_id}, read_done, payload="Id", may_send=may_send)

    async def list_executions(self, job_id: str) -> Sequence[Execution]:
        """ESA API, ListScheduledPreloadExecutions, which has no pages."""
        read = partial(read_executions, job_id=job_id)
        return await self._call(
            "ListScheduledPreloadExecutions", {"Id": job_id}, read, payload="Executions", limit=MAX_PAGE
        )

    async def create_executions(
        self, job_id: str, wanted: Sequence[NewExecution], may_send: MaySend
    ) -> CreatedExecutions:
        """ESA API, CreateScheduledPreloadExecutions: one form field, which is compact JSON."""
        windows = [_window(each.start, each.end, each.interval_seconds, each.slice_len) for each in wanted]
        form = {"Executions": json.dumps(windows, separators=(",", ":"))}
        read = partial(read_created_executions, job_id=job_id)
        return await self._call(
            "CreateScheduledPreloadExecutions",
            {"Id": job_id},
            read,
            payload="SuccessExecutions",
            form=form,
            may_send=may_send,
        )

    async def update_execution(self, execution_id: str, change: ExecutionChange, may_send: MaySend) -> Execution | None:
        """ESA API, UpdateScheduledPreloadExecution."""
        window = _window(change.start, change.end, change.interval_seconds, change.slice_len)
        form = {name: str(value) for name, value in window.items()}
        read = partial(read_execution, execution_id=execution_id)
        with _done_if_gone():
            return await self._call(
                "UpdateScheduledPreloadExecution",
                {"Id": execution_id},
                read,
                payload="Id",
                form=form,
                may_send=may_send,
            )
        return None

    async def start_execution(self, execution_id: str, may_send: MaySend) -> Execution | None:
        """ESA API, StartScheduledPreloadExecution."""
        read = partial(read_execution, execution_id=execution_id)
        with _done_if_gone():
            return await self._call(
                "StartScheduledPreloadExecution", {"Id": execution_id}, read, payload="Id", may_send=may_send
            )
        return None

    async def stop_execution(self, execution_id: str, may_send: MaySend) -> Execution | None:
        """ESA API, StopScheduledPreloadExecution."""
        read = partial(read_execution, execution_id=execution_id)
        with _done_if_gone():
            return await self._call(
                "StopScheduledPreloadExecution", {"Id": execution_id}, read, payload="Id", may_send=may_send
            )
        return None

    async def delete_execution(self, execution_id: str, may_send: MaySend) -> None:
        """ESA API, DeleteScheduledPreloadExecution."""
        with _done_if_gone():
            await self._call(
                "DeleteScheduledPreloadExecution", {"Id": execution_id}, read_done, payload="Id", may_send=may_send
            )

    async def list_jobs(self, site_id: int, namespace: str) -> JobListing:
        """ESA API, ListScheduledPreloadJobs, all pages, each at its turn in the line of `namespace`.

        Raises:
            EsaError: a page failed; or the list does not end within the bounds above (ListTooLong).
        """
        turn = partial(self.admitted, namespace, 1)
        listing, told, spent = await self._list_once(site_id, turn, 0.0)
        for _ in range(MAX_LISTS - 1):
            if listing.complete or not told:
                break
            listing, told, spent = await self._list_once(site_id, turn, spent)
        return listing

    async def list_jobs_at_once(self, site_id: int, most: int) -> JobListing:
        """ESA API, ListScheduledPreloadJobs, pages that do not stand in line; the first one of more than `most`.

        Nor are more pages listed than may leave within a second, so that the others do not wait longer for it.

        Raises:
            EsaError: as for `list_jobs`.
        """

        async def turn() -> None:
            await asyncio.sleep(self._throttle.take(1))

        listing, _, _ = await self._list_once(site_id, turn, 0.0, min(most, self._throttle.pace.burst))
        return listing

    async def _list_once(
        self, site_id: int, turn: Callable[[], Awaitable[None]], spent: float, most: float = math.inf
    ) -> tuple[JobListing, bool, float]:
        """Return a list, whether each page told the total, and the seconds of all calls with the `spent` ones.

        Ends when as many jobs are there as `TotalCount` names, or with a page that brings nothing new.
        """
        jobs: dict[str, ListedJob] = {}
        totals = set[int | None]()
        size = 0
        for number in range(1, MAX_PAGES + 1):
            await turn()
            started = self._clock()
            page = await self._list_page(site_id, number)
            spent += self._clock() - started
            known = len(jobs)
            jobs.update((job.id, job) for job in page.jobs)
            totals.add(page.total)
            size += page.size
            if len(jobs) > MAX_JOBS or size > MAX_LIST_SIZE:
                break
            pages = max(number, -(-(page.total or 0) // PAGE_SIZE))
            if len(jobs) == known or len(jobs) >= (page.total or MAX_JOBS) or pages > most:
                return JobListing(tuple(jobs.values()), totals == {len(jobs)}, pages), None not in totals, spent
            if spent > MAX_LIST_SECONDS:
                break
        raise _endless(site_id, len(jobs), spent)

    async def _list_page(self, site_id: int, number: int) -> JobPage:
        query = {"SiteId": str(site_id), "PageNumber": str(number), "PageSize": str(PAGE_SIZE)}
        read = partial(read_job_page, site_id=site_id)
        return await self._call("ListScheduledPreloadJobs", query, read, payload="Jobs", limit=MAX_PAGE)

    async def _call(
        self,
        action: str,
        query: Mapping[str, str],
        read: Callable[[Any, str], _T],
        *,
        payload: str = "",
        form: Mapping[str, str] | None = None,
        may_send: MaySend | None = None,
        auth: Acs3Auth | None = None,
        limit: int = MAX_ANSWER,
    ) -> _T:
        """Make one call; `read` gets the JSON of the answer, in which `payload` must be, and its request id.

        Raises:
            EsaError: it was not sent, was refused, or nobody knows.
        """
        started = self._clock()
        code = "Cancelled"
        try:
            answer = await self._send(action, query, form, may_send, auth or self._auth, limit=limit)
            result = read(*read_json(answer, self._hidden, payload))
            code = "OK"
            self._throttle.succeeded(started)
        except EsaError as error:
            code = error.problem.code
            if error.problem.reason is Reason.THROTTLED:
                self._throttle.throttled(started, error.problem.retry_after)
            raise
        finally:
            self._observe(action, code, self._clock() - started)
        return result

    async def _send(
        self,
        action: str,
        query: Mapping[str, str],
        form: Mapping[str, str] | None,
        may_send: MaySend | None,
        auth: Acs3Auth,
        *,
        limit: int,
    ) -> Answer:
        method = "GET" if action in _READS else "POST"
        headers = {**self._headers, "x-acs-action": action}
        body = b""
        if form:
            headers["content-type"] = _FORM
            body = urlencode(sorted(form.items())).encode("ascii")
        return await self._connections.send(
            method, canonical_query(query), headers=headers, body=body, auth=auth, may_send=may_send, limit=limit
        )


@contextmanager
def _done_if_gone() -> Iterator[None]:
    """Let an idempotent call about something that does not exist count as done."""
    try:
        yield
    except EsaError as error:
        if error.problem.code not in _GONE or error.problem.delivery is not Delivery.REFUSED:
            raise


def _window(
    start: int | None, end: int | None, interval_seconds: int | None, slice_len: int | None
) -> dict[str, str | int]:
    """Return an execution's parameters as ESA names them, without those that are None."""
    fields = {
        "EndTime": None if end is None else format_time(end),
        "Interval": interval_seconds,
        "SliceLen": slice_len,
        "StartTime": None if start is None else format_time(start),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _endless(site_id: int, jobs: int, seconds: float) -> EsaError:
    message = f"the list of site {site_id} did not end after {jobs} jobs and {seconds:.0f} s of calls; it is not used"
    return EsaError(Problem("ListTooLong", message, ErrorClass.BLOCKED, Reason.ESA_ERROR))
