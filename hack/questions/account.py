"""One account's view of ESA: what each call was answered, and throw-away jobs that leave nothing behind."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from esa_preload_operator.domain.errors import Delivery, EsaError, Problem
from esa_preload_operator.domain.esa import EsaJob, InsertWay, JobListing, NewJob
from esa_preload_operator.esa.client import EsaClient
from esa_preload_operator.esa.credentials import Credentials
from esa_preload_operator.esa.egress import Egress
from esa_preload_operator.esa.throttle import Throttle
from esa_preload_operator.esa.transport import Connections

_TIMEOUT: Final = 10.0
_LOST_FOR: Final = 30.0
"""Seconds for which a job may yet appear whose create was cut off."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class Reply(Generic[_T]):
    """What one call was answered; `code` is OK or ESA's error code."""

    action: str
    value: _T | None
    code: str
    http_status: int = 200
    request_id: str = ""
    problem: Problem | None = None

    def __str__(self) -> str:
        """Action, code and request id: no text of ESA, no value that was sent."""
        status = f" (HTTP {self.http_status})" if self.problem is not None and self.http_status else ""
        request = f", request {self.request_id}" if self.request_id else ""
        return f"{self.action}: {self.code}{status}{request}"


def always() -> bool:
    """Let every request leave."""
    return True


class NotingClient(EsaClient):
    """A client that keeps the code of its last call, also where it takes an error for done."""

    def __init__(self, credentials: Credentials, connections: Connections, throttle: Throttle) -> None:
        super().__init__(credentials, connections, throttle, observe=self._note)
        self.last_code = ""

    def _note(self, _action: str, code: str, _seconds: float) -> None:
        self.last_code = code


@dataclass
class Account:
    """The calls of one account about one site."""

    client: NotingClient
    site: int
    prefix: str
    """How the names of all throw-away jobs of this run begin."""
    made: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    open_creates: int = 0

    async def ask(self, action: str, call: Awaitable[_T]) -> Reply[_T]:
        """Make one call and return what became of it."""
        await self.client.admitted("", 1)
        try:
            value = await call
        except EsaError as error:
            problem = error.problem
            return Reply(action, None, problem.code, problem.http_status, problem.request_id, problem)
        return Reply(action, value, self.client.last_code, request_id=str(getattr(value, "request_id", "")))

    async def get(self, job_id: str) -> Reply[EsaJob]:
        """Return a job."""
        return await self.ask("GetScheduledPreloadJob", self.client.get_job(job_id))

    async def listing(self) -> Reply[JobListing]:
        """Return the jobs of the site."""
        return await self.ask("ListScheduledPreloadJobs", self.client.list_jobs(self.site, ""))

    async def reset(self, job_id: str) -> Reply[EsaJob]:
        """Reset a job."""
        return await self.ask("ResetScheduledPreloadJob", self.client.reset_job(job_id, always))

    async def create(self, name: str, urls: Sequence[str]) -> Reply[EsaJob]:
        """Make a throw-away job; it counts as made until `delete`, and a cut-off create is looked for by `clean`."""
        new = NewJob(self.site, name, InsertWay.TEXT_BOX, "\n".join(urls))
        self.open_creates += 1
        reply = await self.ask("CreateScheduledPreloadJob", self.client.create_job(new, always))
        if reply.value is not None:
            self.made.add(reply.value.id)
        if reply.problem is None or reply.problem.delivery is not Delivery.UNKNOWN:
            self.open_creates -= 1
        return reply

    async def delete(self, job_id: str) -> Reply[None]:
        """Delete a job; one that is gone counts as deleted, and the code tells."""
        reply = await self.ask("DeleteScheduledPreloadJob", self.client.delete_job(job_id, always))
        if reply.problem is None:
            self.made.discard(job_id)
            self.deleted.add(job_id)
        return reply

    async def clean(self) -> list[str]:
        """Delete all throw-away jobs, also those whose create was cut off; return the ids of those that remain."""
        ends = time.monotonic() + _LOST_FOR
        while True:
            listed = await self.listing()
            jobs = listed.value.jobs if listed.value is not None else ()
            ours = {job.id for job in jobs if (job.name or "").startswith(self.prefix)} - self.deleted
            self.open_creates -= len(ours - self.made)
            self.made |= ours
            for job_id in sorted(self.made):
                if (await self.delete(job_id)).problem is not None:
                    await self._delete_windows(job_id)
                    await self.delete(job_id)
            if self.open_creates <= 0 or time.monotonic() >= ends:
                return sorted(self.made)
            await asyncio.sleep(2)

    async def _delete_windows(self, job_id: str) -> None:
        found = await self.ask("ListScheduledPreloadExecutions", self.client.list_executions(job_id))
        for each in found.value or ():
            await self.ask("StopScheduledPreloadExecution", self.client.stop_execution(each.id, always))
            await self.ask("DeleteScheduledPreloadExecution", self.client.delete_execution(each.id, always))


@asynccontextmanager
async def open_account(
    credentials: Credentials, endpoint: str, egress: Egress, *, rate: float
) -> AsyncIterator[NotingClient]:
    """Yield a client whose connections are closed at the end."""
    proxy = egress.proxy_for(endpoint)
    connections = Connections(endpoint, request_timeout=_TIMEOUT, setting="--endpoint", tls=egress.tls, proxy=proxy)
    try:
        yield NotingClient(credentials, connections, Throttle(rate))
    finally:
        await connections.close()
