"""Keeps progress up to date with one list per site and credentials, shared by all resources of that site."""

import asyncio
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from esa_preload_operator.domain import effective
from esa_preload_operator.domain.conditions import READY, find
from esa_preload_operator.domain.errors import ErrorClass, EsaError, Problem, Reason
from esa_preload_operator.domain.esa import EsaJob, JobListing, ListedJob
from esa_preload_operator.domain.identity import UID, maker_of
from esa_preload_operator.domain.ports import Accounts, EsaAccount, ObjectRef
from esa_preload_operator.domain.removal import OwnJobs, own_jobs
from esa_preload_operator.domain.retry import retry_delay
from esa_preload_operator.domain.status import facts, merged
from esa_preload_operator.domain.steps import (
    ExecutionsCounted,
    Fact,
    JobMissing,
    JobTold,
    SiteFailed,
    SiteListed,
    SurplusListed,
    Told,
    WindowsSuspected,
)
from esa_preload_operator.domain.values import Phase
from esa_preload_operator.domain.view import View
from esa_preload_operator.services.clock import Clock
from esa_preload_operator.services.registry import Registry, TrackedResource

logger = logging.getLogger(__name__)

_ACTIVE_ROUNDS: Final = 20
"""Refreshes after which a job whose numbers stand still no longer counts as running."""
OLD_NUMBERS: Final = 1800.0
"""Seconds for which the list of a site may fail before its resources say how old their numbers are."""

GroupKey = tuple[str, str | None, int]
"""Namespace of the Secret, its name, and the site. Those on the operator's own credentials share the namespace ""."""


@dataclass(slots=True)
class Member:
    """A resource as the refresh of its site sees it."""

    job_id: str
    known: int
    """Hash of the facts that the status shows; 0 while it says that there is no job, so that any list of it is news."""
    rounds_left: int = 0
    own: OwnJobs | None = None
    """What tells its jobs in a list, if they are created for it."""
    windows: int = 0
    """Hash of what the status records of its windows; 0 if none has an execution that has not ended."""
    executions: int | None = None
    """How many executions the list has shown since that was recorded."""
    unseen: int = 0
    """Lists since the executions were listed last."""
    idle_count: int | None = None
    """How many executions the list shows if no window submits URLs; None where that makes no difference."""
    told_idle: bool = False
    """The status says that no window submits URLs."""


@dataclass(slots=True)
class Group:
    """The resources that one list serves."""

    key: GroupKey
    members: dict[ObjectRef, Member] = field(default_factory=dict)
    due: float = 0.0
    running: bool = False
    failures: int = 0
    failing_since: float | None = None
    problem: Problem | None = None


@dataclass(slots=True)
class Refresher:
    """Lists the jobs of each site when it is due: often while something runs, rarely when idle.

    It writes nothing and decides nothing: it tells the resources what the list says of their jobs.
    """

    accounts: Accounts
    registry: Registry
    clock: Clock
    active_every: float
    idle_every: float
    wake: Callable[[ObjectRef], None]
    """Puts a resource into the work queue."""
    _groups: dict[GroupKey, Group] = field(default_factory=dict)
    _group_of: dict[ObjectRef, GroupKey] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def track(self, tracked: TrackedResource, view: View) -> None:
        """Watch over a resource from now on, as far as its status names the site of its job."""
        shown = view.shown.job
        if shown.id != view.job_id or not shown.site_id:
            self.untrack(tracked.ref)  # its status was wiped, or names no job any more
            return
        ref, running = tracked.ref, _is_running(view)
        key: GroupKey = (ref.namespace if view.secret is not None else "", view.secret, shown.site_id)
        if self._group_of.get(ref) != key:
            self.untrack(ref)
        now = self.clock.now()
        group = self._groups.get(key)
        if group is None:
            wait = self.active_every if running else self.idle_every * now.jitter
            group = self._groups[key] = Group(key, due=now.monotonic + wait)
            self._changed.set()
        self._group_of[ref] = group.key
        self._join(group, tracked, view)
        if running and group.due > now.monotonic + self.active_every:
            group.due = now.monotonic + self.active_every
            self._changed.set()

    def _join(self, group: Group, tracked: TrackedResource, view: View) -> None:
        known = 0 if _is_missing(view) else hash(facts(view.shown.job))
        rounds = _ACTIVE_ROUNDS if _is_running(view) else 0
        member = group.members.get(tracked.ref)
        if member is None or member.job_id != view.job_id:
            member = group.members[tracked.ref] = Member(view.job_id, known, rounds)
        elif member.known != known:
            member.known, member.rounds_left = known, rounds
        member.own = own_jobs(view)
        member.idle_count, member.told_idle = effective.idle_count(view), effective.shown(view) == "False"
        windows = hash(view.recorded.windows) if any(entry.lasting for entry in view.recorded.windows) else 0
        if member.windows != windows:
            member.windows, member.executions, member.unseen = windows, None, 0
        if group.problem is not None:
            self._tell_failure(group, tracked)

    def untrack(self, ref: ObjectRef) -> None:
        """Stop watching over a resource."""
        key = self._group_of.pop(ref, None)
        if key is None:
            return
        self._groups[key].members.pop(ref, None)
        self._drop_if_empty(key)

    def _drop_if_empty(self, key: GroupKey) -> None:
        """Forget a group without resources; one that is being listed stays, so that nobody lists it twice at once."""
        group = self._groups[key]
        if not group.members and not group.running:
            del self._groups[key]

    def credentials_changed(self, namespace: str, secret: str | None) -> None:
        """List at once what failed with the old credentials; "" and None are the operator's own."""
        for key, group in self._groups.items():
            if key[:2] == (namespace, secret) and group.problem is not None:
                group.due, group.problem, group.failing_since = 0.0, None, None
        self._changed.set()

    async def run(self) -> None:
        """Refresh what is due, for ever; a site whose account is throttled does not hold up the others."""
        for group in self._groups.values():
            if group.running:  # an earlier run has failed in the middle
                group.due, group.running = 0.0, False
        async with asyncio.TaskGroup() as tasks:
            while True:
                now = self.clock.monotonic()
                for key, group in self._groups.items():
                    if group.due <= now and not group.running:
                        group.due, group.running = math.inf, True
                        tasks.create_task(self.refresh(key))
                self._changed.clear()
                waiting = (group.due for group in self._groups.values() if not group.running)
                pause = max(0.05, min(waiting, default=math.inf) - self.clock.monotonic())
                try:
                    async with asyncio.timeout(min(self.idle_every, pause)):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    async def refresh(self, key: GroupKey) -> None:
        """List the jobs of one site and tell its resources what is new."""
        group = self._groups.get(key)
        if group is None:
            return
        group.running = True
        begun = self.clock.monotonic()
        try:
            account = await self._account(group, key)
            listing = await account.list_jobs(key[2], key[0])
        except EsaError as error:
            self._failed(key, group, error.problem, begun)
        else:
            self._succeeded(key, group, listing, begun)
        finally:
            group.running = False
            self._drop_if_empty(key)
            self._changed.set()

    def take(self, ref: ObjectRef, secret: str | None, site_id: int, listing: JobListing, begun: float) -> None:
        """Take in a list that was made for looks, with the credentials of a resource: the next one may wait longer.

        It is no round: there may be several within a second.
        """
        key: GroupKey = (ref.namespace if secret is not None else "", secret, site_id)
        group = self._groups.get(key)
        if group is None or group.running or not listing.complete:
            return
        group.due = math.inf
        self._succeeded(key, group, listing, begun, counts=False)
        self._changed.set()

    async def _account(self, group: Group, key: GroupKey) -> EsaAccount:
        """Find the account by a namespace that may use it; the resources of one that may not are on their own again.

        Raises:
            EsaError: no namespace of the group has credentials that can be used.
        """
        while True:
            namespace = next(iter(group.members), ObjectRef(key[0], "")).namespace
            try:
                return await self.accounts.account(namespace, key[1])
            except EsaError as error:
                strangers = [ref for ref in group.members if ref.namespace == namespace]
                if error.problem.reason is not Reason.CREDENTIALS_NOT_ALLOWED or len(strangers) == len(group.members):
                    raise
            for ref in strangers:
                member = group.members[ref]
                self.untrack(ref)
                self._tell(ref, member, JobMissing(), key[1], self.clock.monotonic())

    def _succeeded(
        self, key: GroupKey, group: Group, listing: JobListing, begun: float, *, counts: bool = True
    ) -> None:
        """Tell the resources what is new; `counts` if time has passed since the last list as it does between rounds."""
        group.problem, group.failing_since, group.failures = None, None, 0
        jobs = {job.id: job for job in listing.jobs}
        made = _by_maker(listing)
        for ref, member in list(group.members.items()):
            member.rounds_left = max(0, member.rounds_left - counts)
            tracked = self.registry.get(ref)
            fact = _news(tracked, member, jobs.get(member.job_id)) if tracked is not None else None
            looks_next = tracked is not None and tracked.looks_next and isinstance(fact, JobTold)
            if fact is not None and not looks_next:
                self._tell(ref, member, fact, key[1], begun)
            for more in _more_news(member, jobs.get(member.job_id), made, counts=counts):
                self._tell(ref, member, more, key[1], begun)
        active = any(member.rounds_left for member in group.members.values())
        now = self.clock.now()
        every = self.active_every if active else self.idle_every
        group.due = min(group.due, now.monotonic + every * (0.9 + now.jitter / 5))

    def _failed(self, key: GroupKey, group: Group, problem: Problem, begun: float) -> None:
        now = self.clock.now()
        group.failures += 1
        group.failing_since = begun if group.failing_since is None else group.failing_since
        group.due = min(group.due, now.monotonic + retry_delay(problem, group.failures, now.jitter))
        logger.warning("site %d: cannot list the jobs: %s", key[2], problem)
        group.problem = problem
        for ref in list(group.members):
            tracked = self.registry.get(ref)
            if tracked is not None:
                self._tell_failure(group, tracked)

    def _tell_failure(self, group: Group, tracked: TrackedResource) -> None:
        """Tell a resource why its site can't be listed: at once, or if it passes by itself, after a while."""
        problem, since, now = group.problem, group.failing_since, self.clock.monotonic()
        known = tracked.local.seen.site
        if problem is None or since is None or (known is not None and known.code == problem.code):
            return
        if problem.error_class is ErrorClass.TRANSIENT and now - since < max(OLD_NUMBERS, 2 * self.idle_every):
            return
        self._tell(
            tracked.ref,
            group.members[tracked.ref],
            SiteFailed(problem, self.clock.wall() - (now - since)),
            tracked.secret,
            now,
        )

    def _tell(self, ref: ObjectRef, member: Member, fact: Fact, secret: str | None, began: float) -> None:
        tracked = self.registry.get(ref)
        if tracked is not None:
            tracked.told = (*tracked.told, Told(fact, member.job_id, secret, began))
            self.wake(ref)


def _by_maker(listing: JobListing) -> Mapping[str, list[ListedJob]]:
    """Return the created jobs of a complete list by the resource that their names tell; none of an incomplete one."""
    found: dict[str, list[ListedJob]] = defaultdict(list)
    for job in listing.jobs if listing.complete else ():
        found[maker_of(job.name)].append(job)
    return found


def _more_news(
    member: Member, job: ListedJob | None, made: Mapping[str, list[ListedJob]], *, counts: bool
) -> Iterator[Fact]:
    """Yield what a list tells beyond the job itself: jobs too many, and windows that do not fit."""
    if member.own is not None:
        surplus = member.own.surplus(made.get(member.own.uid[:UID], ()))
        if surplus:
            yield SurplusListed(surplus)
    if job is not None and job.execution_count is not None and member.idle_count is not None:
        idle = job.execution_count == member.idle_count
        if idle != member.told_idle:
            yield ExecutionsCounted(idle)
    if job is None or not member.windows:
        return
    member.unseen += counts
    changed = member.executions is not None and job.execution_count != member.executions
    member.executions = job.execution_count
    if changed or member.unseen >= _WINDOWS_EVERY:
        member.unseen = 0
        yield WindowsSuspected()


_WINDOWS_EVERY: Final = 12
"""Lists of the site after which the executions of a job with open windows are listed, should nothing have told of a
change before."""


def _is_running(view: View) -> bool:
    """Return whether the job's numbers are about to change."""
    reset, progress = view.reset, view.shown.job
    if reset is not None and reset.phase in (Phase.IN_FLIGHT, Phase.RETRYING):
        return True
    if reset is not None and reset.phase == Phase.SUCCEEDED and not progress.url_submitted:
        return True
    return 0 < (progress.url_submitted or 0) < (progress.url_count or 0)


def _news(tracked: TrackedResource, member: Member, job: EsaJob | None) -> Fact | None:
    """Return what a list tells of a resource's job that the status does not show."""
    if job is None:
        return JobMissing()
    if hash(facts(merged(EsaJob(""), job, member.job_id))) != member.known:
        if 0 < (job.url_submitted or 0) < (job.url_count or 0):
            member.rounds_left = _ACTIVE_ROUNDS
        return JobTold(job)
    return SiteListed() if tracked.local.seen.site is not None else None


def _is_missing(view: View) -> bool:
    """Return whether the status says that the job does not exist."""
    ready = find(view.shown.conditions, READY)
    return ready is not None and ready.reason == Reason.JOB_NOT_FOUND
