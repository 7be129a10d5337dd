"""Keeps progress up to date with one list per site and account, shared by all resources of that site."""

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from esa_preload_operator.domain.errors import ErrorClass, EsaError, Problem, Reason
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.ports import Accounts, EsaAccount, ObjectRef
from esa_preload_operator.domain.retry import retry_delay
from esa_preload_operator.domain.status import facts
from esa_preload_operator.services.clock import Clock
from esa_preload_operator.services.registry import Registry

logger = logging.getLogger(__name__)

_ACTIVE_ROUNDS = 20
"""Refreshes after which a job whose numbers stand still no longer counts as running."""

GroupKey = tuple[str, str | None, int]
"""Namespace of the Secret, its name, and the site. Those on the operator's own credentials share the namespace ""."""


@dataclass(slots=True)
class Member:
    """A resource as the refresh of its site sees it."""

    job_id: str
    known: int
    """Hash of the facts that the status shows."""
    rounds_left: int = 0
    since: float = 0.0
    """When `known` changed last: what a list that began before says is older than that."""


@dataclass(slots=True)
class Group:
    """The resources that one list serves."""

    members: dict[ObjectRef, Member] = field(default_factory=dict)
    due: float = 0.0
    failures: int = 0
    problem: Problem | None = None


@dataclass(slots=True)
class Refresher:
    """Lists the jobs of each site when it is due: often while something runs, rarely when idle."""

    accounts: Accounts
    records: Registry
    clock: Clock
    active_every: float
    idle_every: float
    wake: Callable[[ObjectRef], None]
    """Puts a resource into the work queue."""
    _groups: dict[GroupKey, Group] = field(default_factory=dict)
    _group_of: dict[ObjectRef, GroupKey] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def track(
        self, ref: ObjectRef, *, secret_name: str | None, site_id: int, job_id: str, known: int, running: bool
    ) -> None:
        """Watch over a resource; `known` is the hash of what its status shows."""
        key: GroupKey = (ref.namespace if secret_name is not None else "", secret_name, site_id)
        if self._group_of.get(ref) != key:
            self.untrack(ref)
            self._group_of[ref] = key
        group = self._groups.get(key)
        now = self.clock.now()
        if group is None:
            wait = self.active_every if running else self.idle_every * now.jitter
            group = self._groups[key] = Group(due=now.monotonic + wait)
            self._changed.set()
        member = group.members.get(ref)
        if member is None or member.job_id != job_id:
            member = group.members[ref] = Member(job_id, known, _ACTIVE_ROUNDS if running else 0, now.monotonic)
        elif member.known != known:
            member.known, member.since = known, now.monotonic
            member.rounds_left = _ACTIVE_ROUNDS if running else 0
        if member.rounds_left and group.due > now.monotonic + self.active_every:
            group.due = now.monotonic + self.active_every
            self._changed.set()

    def untrack(self, ref: ObjectRef) -> None:
        """Stop watching over a resource."""
        key = self._group_of.pop(ref, None)
        if key is None:
            return
        group = self._groups[key]
        group.members.pop(ref, None)
        if not group.members:
            del self._groups[key]

    def credentials_changed(self, namespace: str, secret_name: str | None) -> None:
        """List again at once what failed with the old credentials; "" and None are the operator's own."""
        for key, group in self._groups.items():
            if key[:2] == (namespace, secret_name) and group.problem is not None:
                group.due = 0.0
        self._changed.set()

    async def run(self) -> None:
        """Refresh what is due, for ever; a site whose account is throttled does not hold up the others."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                now = self.clock.monotonic()
                for key, group in self._groups.items():
                    if group.due <= now:
                        group.due = math.inf
                        tasks.create_task(self.refresh(key))
                self._changed.clear()
                soonest = min((group.due for group in self._groups.values()), default=math.inf)
                try:
                    async with asyncio.timeout(min(self.idle_every, max(0.05, soonest - self.clock.monotonic()))):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    async def refresh(self, key: GroupKey) -> None:
        """List the jobs of one site and wake the resources whose status is behind."""
        group = self._groups.get(key)
        if group is None:
            return
        begun = self.clock.monotonic()
        try:
            account = await self._account(group, key)
            jobs = await account.list_jobs(key[2], key[0])
        except EsaError as error:
            self._failed(key, group, error.problem)
            self._changed.set()
            return
        self._compare(group, {job.id: job for job in jobs}, begun)
        self._changed.set()

    async def _account(self, group: Group, key: GroupKey) -> EsaAccount:
        """Find the account by a namespace that may use it; the resources of one that may not are on their own again.

        Raises:
            EsaError: no namespace of the group has credentials that can be used.
        """
        while True:
            namespace = next(iter(group.members)).namespace
            try:
                return await self.accounts.account(namespace, key[1])
            except EsaError as error:
                strangers = [ref for ref in group.members if ref.namespace == namespace]
                if error.problem.reason is not Reason.CREDENTIALS_NOT_ALLOWED or len(strangers) == len(group.members):
                    raise
            for ref in strangers:
                self.untrack(ref)
                record = self.records.get(ref)
                if record is not None:
                    record.needs_verification = True
                    self.wake(ref)

    def _compare(self, group: Group, jobs: dict[str, EsaJob], begun: float) -> None:
        group.problem, group.failures = None, 0
        for ref, member in list(group.members.items()):
            member.rounds_left = max(0, member.rounds_left - 1)
            record = self.records.get(ref)
            if record is None or member.since >= begun:
                continue
            job = jobs.get(member.job_id)
            troubled, record.site_problem = record.site_problem is not None, None
            if job is None:
                record.needs_verification = True
                self.wake(ref)
            elif hash(facts(job)) != member.known or troubled:
                record.pending_refresh = job
                if 0 < (job.url_submitted or 0) < (job.url_count or 0):
                    member.rounds_left = _ACTIVE_ROUNDS
                self.wake(ref)
        active = any(member.rounds_left for member in group.members.values())
        now = self.clock.now()
        every = self.active_every if active else self.idle_every
        group.due = now.monotonic + every * (0.9 + now.jitter / 5)

    def _failed(self, key: GroupKey, group: Group, problem: Problem) -> None:
        now = self.clock.now()
        group.failures += 1
        group.due = now.monotonic + retry_delay(problem, group.failures, now.jitter)
        logger.warning("site %d: cannot list the jobs: %s", key[2], problem)
        if problem.error_class is ErrorClass.TRANSIENT:
            return
        known = group.problem is not None and group.problem.reason is problem.reason
        group.problem = problem
        if not known:
            for ref in list(group.members):
                record = self.records.get(ref)
                if record is not None:
                    record.site_problem = problem
                    self.wake(ref)
