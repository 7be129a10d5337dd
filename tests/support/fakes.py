"""What services know of the outside, in memory: a clock that tests turn, an API server, ESA, Events, the lead."""

from __future__ import annotations

import copy
import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from esa_preload_operator.domain.call import NOT_SENT
from esa_preload_operator.domain.cleaning import format_time
from esa_preload_operator.domain.errors import (
    Delivery,
    ErrorClass,
    EsaError,
    ObjectGoneError,
    Problem,
    Reason,
    StoreError,
    StoreUnavailableError,
    VersionConflictError,
)
from esa_preload_operator.domain.esa import EsaJob, JobListing, ListedJob
from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.domain.values import Moment
from esa_preload_operator.resources.job import API_VERSION, KIND, RESET_KEY
from esa_preload_operator.services.clock import Clock
from support.lifecycle import NoLifecycle

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence

    from esa_preload_operator.domain.ports import Involved
    from esa_preload_operator.domain.signing import Signing

    Body = dict[str, Any]

WALL: Final = 1_800_000_000.0
"""Epoch seconds at which the monotonic clock stands at 0."""
NAMESPACE: Final = "shop"
SITE: Final = 4711
JOB: Final = "665d3af3621bccf3fe29e1a4"


@dataclass
class FakeClock(Clock):
    """A clock that stands still until a test turns it."""

    at: float = 0.0

    def monotonic(self) -> float:
        return self.at

    def wall(self) -> float:
        return WALL + self.at

    def now(self) -> Moment:
        return Moment(wall=self.wall(), monotonic=self.at, jitter=0.5)


@dataclass
class Fault:
    """What becomes of one write: somebody edits first, or it fails, stored or not."""

    error: StoreError | None = None
    stored: bool = False
    first: Callable[[], object] = lambda: None


def ref_of(name: str, namespace: str = NAMESPACE) -> ObjectRef:
    return ObjectRef(namespace, name)


@dataclass
class FakeSources:
    """ConfigMaps by namespace, name and key."""

    texts: dict[tuple[str, str, str], str] = field(default_factory=dict)

    async def read(self, namespace: str, name: str, key: str) -> str | None:
        return self.texts.get((namespace, name, key))


@dataclass
class FakeJobs:
    """The API server: versions count over all objects, and a status is stored only on the version that it is for."""

    pruned: set[str] = field(default_factory=set)
    """Status fields that the installed CRD does not know."""
    faults: list[Fault | None] = field(default_factory=list)
    """What becomes of the next writes."""
    failing_reads: int = 0
    reads: int = 0
    writes: list[Body] = field(default_factory=list)
    """The statuses that were sent, stored or not."""
    changes: list[tuple[str, Body]] = field(default_factory=list)
    """Events that the watch has not delivered yet."""
    before_read: Callable[[], object] = lambda: None
    objects: dict[ObjectRef, Body] = field(default_factory=dict)
    _version: int = 0

    def create(
        self, name: str, job_id: str = JOB, *, namespace: str = NAMESPACE, created: float = -86_400.0, **spec: Any
    ) -> ObjectRef:
        """Create a resource; `created` is on the monotonic clock."""
        ref = ObjectRef(namespace, name)
        meta = {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{self._version}",
            "generation": 1,
            "creationTimestamp": format_time(WALL + created),
            "annotations": {},
        }
        pending = {
            "type": "Ready",
            "status": "Unknown",
            "reason": "Pending",
            "message": "waiting for the operator",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }
        self.objects[ref] = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": meta,
            "spec": {"jobId": job_id, **spec},
            "status": {"conditions": [pending]},
        }
        self._touch("ADDED", ref)
        return ref

    def delete(self, ref: ObjectRef) -> None:
        self._touch("DELETED", ref)
        del self.objects[ref]

    def annotate(self, ref: ObjectRef, token: str | None, key: str = RESET_KEY) -> None:
        annotations = self.objects[ref]["metadata"]["annotations"]
        if token is None:
            del annotations[key]
        else:
            annotations[key] = token
        self._touch("MODIFIED", ref)

    def label(self, ref: ObjectRef, value: str = "x") -> None:
        """Change nothing that concerns the operator."""
        self.objects[ref]["metadata"].setdefault("labels", {})["team"] = value
        self._touch("MODIFIED", ref)

    def change_spec(self, ref: ObjectRef, **spec: Any) -> None:
        self.objects[ref]["spec"] |= spec
        self.objects[ref]["metadata"]["generation"] += 1
        self._touch("MODIFIED", ref)

    def change_status(self, ref: ObjectRef, **status: Any) -> None:
        """Edit the status by hand."""
        self.objects[ref]["status"] |= status
        self._touch("MODIFIED", ref)

    def wipe_status(self, ref: ObjectRef) -> None:
        self.objects[ref]["status"] = {}
        self._touch("MODIFIED", ref)

    def status(self, ref: ObjectRef) -> Body:
        status: Body = self.objects[ref]["status"]
        return status

    def condition(self, ref: ObjectRef, kind: str = "Ready") -> tuple[str, str, str]:
        """Return status, reason and message of a condition."""
        for condition in self.status(ref).get("conditions", ()):
            if condition["type"] == kind:
                return condition["status"], condition["reason"], condition["message"]
        return "", "", ""

    def version(self, ref: ObjectRef) -> int:
        return int(self.objects[ref]["metadata"]["resourceVersion"])

    async def read(self, ref: ObjectRef) -> Mapping[str, Any] | None:
        self.reads += 1
        self.before_read()
        if self.failing_reads:
            self.failing_reads -= 1
            raise StoreUnavailableError(f"{ref}: the API server is away")
        return copy.deepcopy(self.objects.get(ref))

    async def write_status(self, ref: ObjectRef, version: str, status: Mapping[str, Any]) -> Mapping[str, Any]:
        self.writes.append(copy.deepcopy(dict(status)))
        fault = (self.faults.pop(0) if self.faults else None) or Fault()
        fault.first()
        if fault.error is not None and not fault.stored:
            raise fault.error
        stored = self._store(ref, version, status)
        if fault.error is not None:
            raise fault.error
        return stored

    async def write_finalizers(self, ref: ObjectRef, version: str, finalizers: Sequence[str]) -> Mapping[str, Any]:
        self._check(ref, version)
        meta = self.objects[ref]["metadata"]
        meta["finalizers"] = list(finalizers)
        self._touch("MODIFIED", ref)
        stored = copy.deepcopy(self.objects[ref])
        if "deletionTimestamp" in meta and not finalizers:
            self.delete(ref)
        return stored

    def _check(self, ref: ObjectRef, version: str) -> None:
        if ref not in self.objects:
            raise ObjectGoneError(f"{ref}: not found")
        if version != self.objects[ref]["metadata"]["resourceVersion"]:
            raise VersionConflictError(f"{ref}: the object has been modified")

    def _store(self, ref: ObjectRef, version: str, status: Mapping[str, Any]) -> Body:
        self._check(ref, version)
        kept = {key: value for key, value in status.items() if key not in self.pruned}
        self.objects[ref]["status"] = copy.deepcopy(kept)
        self._touch("MODIFIED", ref)
        return copy.deepcopy(self.objects[ref])

    def _touch(self, kind: str, ref: ObjectRef) -> None:
        self._version += 1
        self.objects[ref]["metadata"]["resourceVersion"] = str(self._version)
        self.changes.append((kind, copy.deepcopy(self.objects[ref])))


def problem(
    code: str,
    error_class: ErrorClass = ErrorClass.TRANSIENT,
    reason: Reason = Reason.SERVICE_UNAVAILABLE,
    delivery: Delivery = Delivery.REFUSED,
) -> Problem:
    return Problem(code, "ESA said so", error_class, reason, delivery)


LOST: Final = problem("Timeout", delivery=Delivery.UNKNOWN)
DENIED: Final = problem("AccessDenied", ErrorClass.BLOCKED, Reason.ACCESS_DENIED)
WRONG_KEY: Final = problem("InvalidAccessKeyId.NotFound", ErrorClass.BLOCKED, Reason.CREDENTIALS_INVALID)
NO_JOB: Final = problem("InvalidJob.NotFound", ErrorClass.TERMINAL, Reason.JOB_NOT_FOUND)
AWAY: Final = problem("ServiceUnavailable")
NOT_ALLOWED: Final = problem("NotAllowed", ErrorClass.BLOCKED, Reason.CREDENTIALS_NOT_ALLOWED, Delivery.NEVER_SENT)


def listed(job: EsaJob) -> ListedJob:
    return ListedJob(**{name: getattr(job, name) for name in EsaJob.__dataclass_fields__})


@dataclass
class FakeAccount(NoLifecycle):
    """ESA as one set of credentials sees it."""

    jobs: dict[str, EsaJob] = field(default_factory=dict)
    looks: int = 0
    lists: int = 0
    resets: Counter[str] = field(default_factory=Counter)
    """Resets that ESA has made, answered or not."""
    look_failures: list[Problem | None] = field(default_factory=list)
    reset_failures: list[Problem | None] = field(default_factory=list)
    denies: Problem | None = None
    """How ESA answers each look and each reset."""
    list_problem: Problem | None = None
    open: bool = True
    """Calls may leave at once."""
    admitted_calls: int = 0
    last: set[ObjectRef] = field(default_factory=set)
    """Those that are served after the others."""
    pages: int = 1
    """Calls that a list takes."""
    estimate: float = 10.0
    waiting: dict[ObjectRef, Callable[[], None]] = field(default_factory=dict)
    turns: set[ObjectRef] = field(default_factory=set)
    while_looking: Callable[[], object] = lambda: None
    while_connecting: Callable[[], object] = lambda: None
    """Acts before the first byte of a reset."""
    while_resetting: Callable[[], object] = lambda: None
    slow_lists: asyncio.Event | None = None
    """Lists are answered once it is set."""
    lists_now: int = 0
    most_lists: int = 0
    id: str = "account"
    signer: str = "signer"

    def add(self, job_id: str = JOB, *, submitted: int = 5, count: int = 10, site: int = SITE) -> None:
        self.jobs[job_id] = EsaJob(job_id, "R0", site_id=site, url_count=count, url_submitted=submitted)

    def admit(self, ref: ObjectRef, calls: int, wake: Callable[[], None], *, last: bool = False) -> bool:
        (self.last.add if last else self.last.discard)(ref)
        if self.open or ref in self.turns:
            self.turns.discard(ref)
            self.admitted_calls += calls
            return True
        self.waiting[ref] = wake
        return False

    def give_turns(self) -> None:
        """Let all that wait have their turn."""
        waiting, self.waiting = self.waiting, {}
        self.turns |= set(waiting)
        for wake in waiting.values():
            wake()

    def withdraw(self, ref: ObjectRef) -> None:
        self.waiting.pop(ref, None)
        self.turns.discard(ref)

    def wait_estimate(self, ref: ObjectRef) -> float | None:
        return self.estimate if ref in self.waiting else None

    async def admitted(self, namespace: str, calls: int) -> None:
        """Wait for nothing."""

    async def get_job(self, job_id: str) -> EsaJob:
        self.looks += 1
        self.while_looking()
        self._fail(self.look_failures)
        return self._job(job_id)

    async def list_jobs_at_once(self, site_id: int, most: int) -> JobListing:
        listing = await self.list_jobs(site_id, "")
        if self.pages > most:
            return replace(listing, jobs=listing.jobs[:1], complete=False, pages=self.pages)
        return replace(listing, pages=self.pages)

    async def list_jobs(self, site_id: int, namespace: str) -> JobListing:
        del namespace
        self.lists += 1
        self.lists_now += 1
        self.most_lists = max(self.most_lists, self.lists_now)
        found = tuple(listed(job) for job in self.jobs.values() if job.site_id == site_id)
        if self.slow_lists is not None:
            await self.slow_lists.wait()
        self.lists_now -= 1
        if self.list_problem is not None:
            raise EsaError(self.list_problem)
        return JobListing(found, complete=True)

    async def reset_job(self, job_id: str, may_send: Callable[[], bool], signing: Signing | None = None) -> EsaJob:
        del signing
        self.while_connecting()
        if not may_send():
            raise EsaError(problem(NOT_SENT, delivery=Delivery.NEVER_SENT))
        self.while_resetting()
        failure = self.reset_failures.pop(0) if self.reset_failures else self.denies
        if failure is None or failure.delivery is Delivery.UNKNOWN:
            self.resets[job_id] += 1
            self.jobs[job_id] = replace(self._job(job_id), url_submitted=0, request_id=f"R{self.resets[job_id]}")
        if failure is not None:
            raise EsaError(failure)
        return self.jobs[job_id]

    def _fail(self, failures: list[Problem | None]) -> None:
        failure = failures.pop(0) if failures else self.denies
        if failure is not None:
            raise EsaError(failure)

    def _job(self, job_id: str) -> EsaJob:
        if job_id not in self.jobs:
            raise EsaError(NO_JOB)
        return self.jobs[job_id]


@dataclass
class FakeAccounts:
    """The accounts by the name of their Secret; None is the operator's own."""

    of: dict[str | None, FakeAccount] = field(default_factory=lambda: {None: FakeAccount()})
    excluded: set[str] = field(default_factory=set)
    """Namespaces that may use no credentials."""

    async def account(self, namespace: str, secret_name: str | None) -> FakeAccount:
        if namespace in self.excluded:
            raise EsaError(NOT_ALLOWED)
        return self.of[secret_name]


@dataclass
class FakeEvents:
    """The Events that were posted."""

    posted: list[tuple[str, str, bool]] = field(default_factory=list)
    """Reason, message, and whether it is a warning."""

    def post(self, involved: Involved, reason: str, message: str, *, warning: bool) -> None:
        del involved
        self.posted.append((str(reason), message, warning))

    @property
    def reasons(self) -> list[str]:
        return [reason for reason, _, _ in self.posted]


@dataclass
class FakeLeadership:
    """The lead, for as long as a test says."""

    until: float = math.inf

    def valid_until(self) -> float:
        return self.until
