"""The services of one process on fakes, driven as the watch and the work queue drive them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from esa_preload_operator.domain.errors import StoreError
from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.domain.steps import CredentialsChanged
from esa_preload_operator.domain.values import Rules
from esa_preload_operator.domain.view import View, view_of
from esa_preload_operator.services.caller import Caller
from esa_preload_operator.services.looks import SharedLooks
from esa_preload_operator.services.members import Members
from esa_preload_operator.services.reconcile import Reconciler
from esa_preload_operator.services.refresh import Refresher
from esa_preload_operator.services.registry import Registry, TrackedResource
from esa_preload_operator.services.runner import Runner
from esa_preload_operator.services.writer import Writer
from support.counting import FakeObserver
from support.fakes import (
    NAMESPACE,
    SITE,
    FakeAccount,
    FakeAccounts,
    FakeClock,
    FakeEvents,
    FakeJobs,
    FakeLeadership,
    FakeSources,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

ACTIVE, IDLE = 10.0, 300.0
"""Seconds between two lists of a site."""


@dataclass
class Outside:
    """What outlives a process."""

    clock: FakeClock = field(default_factory=FakeClock)
    jobs: FakeJobs = field(default_factory=FakeJobs)
    accounts: FakeAccounts = field(default_factory=FakeAccounts)
    events: FakeEvents = field(default_factory=FakeEvents)
    observer: FakeObserver = field(default_factory=FakeObserver)
    sources: FakeSources = field(default_factory=FakeSources)

    @property
    def esa(self) -> FakeAccount:
        """The account of the operator's own credentials."""
        return self.accounts.of[None]


class Operator:
    """One process: its services, and a queue that takes one resource after the other."""

    def __init__(self, outside: Outside | None = None, **rules: Any) -> None:
        self.outside = outside = outside or Outside()
        self.clock, self.jobs, self.accounts = outside.clock, outside.jobs, outside.accounts
        self.esa, self.events, self.observer = outside.esa, outside.events, outside.observer
        self.leadership = FakeLeadership()
        self.registry = Registry()
        self.queue: dict[ObjectRef, View | None] = {}
        self.dues: dict[ObjectRef, float] = {}
        self.woken: list[ObjectRef] = []
        self.turns: list[ObjectRef] = []
        """The resources that a worker had, in order."""
        self.refresher = Refresher(self.accounts, self.registry, self.clock, ACTIVE, IDLE, wake=self.wake)
        writer = Writer(self.jobs, self.events, self.observer, self.clock)
        looks = SharedLooks(self.clock, self.refresher.take)
        caller = Caller(self.accounts, outside.sources, self.leadership, self.clock, looks, resume=self._enqueue)
        runner = Runner(self.jobs, caller, self.leadership, self.clock, writer, self.registry)
        members = Members(self.registry, self.refresher, self.clock, self.wake)
        self.reconciler = Reconciler(runner, Rules(owner="me", **rules), members)

    def wake(self, ref: ObjectRef) -> None:
        self.woken.append(ref)
        self._enqueue(ref)

    def _enqueue(self, ref: ObjectRef, view: View | None = None) -> None:
        self.queue[ref] = view

    def tracked(self, ref: ObjectRef) -> TrackedResource:
        found = self.registry.get(ref)
        assert found is not None
        return found

    def watch(self) -> None:
        """Deliver the events that are due, those of versions known before left out."""
        changes, self.jobs.changes = self.jobs.changes, []
        for kind, body in changes:
            self.see(kind, body)

    def see(self, kind: str, body: Mapping[str, Any]) -> None:
        view = view_of(body)
        ref = ObjectRef(body["metadata"]["namespace"], body["metadata"]["name"])
        tracked = self.registry.get(ref)
        if kind == "DELETED":
            self.registry.tombstones.bury(view.uid, view.version, ref.namespace)
            if tracked is not None and tracked.uid == view.uid:
                self.reconciler.members.forget(ref)
                self.queue.pop(ref, None)
                self.dues.pop(ref, None)
            return
        known = tracked is not None and (view.version <= tracked.version or tracked.is_writing(body))
        if known or self.registry.tombstones.is_gone(view.uid, view.version):
            return
        due = self.reconciler.needs_work(ref, view)
        if due is True:
            self._enqueue(ref, view)
        elif due is not False:
            self._due_at(ref, due)

    def relist(self) -> None:
        """Deliver all objects as if no version of them was seen before."""
        self.jobs.changes.clear()
        for tracked in self.registry:
            tracked.version = 0
        for body in list(self.jobs.objects.values()):
            self.see("ADDED", body)

    async def settle(self) -> None:
        """Work until nothing is left to do at this moment."""
        self.watch()
        for _ in range(200):
            if not self.queue:
                return
            ref = next(iter(self.queue))
            await self.turn(ref, self.queue.pop(ref))
            self.watch()
        raise AssertionError(f"no rest: {self.queue}")

    async def turn(self, ref: ObjectRef, view: View | None = None) -> None:
        self.turns.append(ref)
        self.dues.pop(ref, None)
        try:
            until = await self.reconciler.reconcile(ref, view)
        except StoreError as error:
            until = self.clock.at + max(1.0, error.retry_after or 0.0)
        if until is not None:
            self._due_at(ref, until)

    def _due_at(self, ref: ObjectRef, moment: float) -> None:
        self.dues[ref] = min(moment, self.dues.get(ref, math.inf))

    async def pass_time(self, seconds: float) -> None:
        """Turn the clock, and work on what is due on the way."""
        await self.settle()
        end = self.clock.at + seconds
        for _ in range(10_000):
            moment = min(self.dues.values(), default=math.inf)
            if moment > end:
                self.clock.at = end
                return
            self.clock.at = max(self.clock.at, moment)
            for ref in [ref for ref, due in self.dues.items() if due <= self.clock.at]:
                del self.dues[ref]
                self._enqueue(ref)
            await self.settle()
        raise AssertionError(f"no rest: {self.dues}")

    async def refresh(self, secret: str | None = None, *, site: int = SITE) -> None:
        """List a site's jobs, and let the resources take in what the list says."""
        self.watch()
        await self.refresher.refresh((NAMESPACE if secret is not None else "", secret, site))
        await self.settle()

    async def change_secret(self, name: str, account: FakeAccount) -> None:
        """Put other credentials into a Secret."""
        self.accounts.of[name] = account
        self.refresher.credentials_changed(NAMESPACE, name)
        for tracked in self.registry:
            if (tracked.ref.namespace, tracked.secret) == (NAMESPACE, name):
                self.reconciler.members.tell(tracked, CredentialsChanged())
        await self.settle()


async def adopted(name: str = "nightly", **spec: Any) -> tuple[Operator, ObjectRef]:
    """Return an operator with one resource whose job is known, at rest and with nothing counted yet."""
    operator = Operator()
    operator.esa.add()
    ref = operator.jobs.create(name, **spec)
    await operator.settle()
    operator.clock.at += 1
    assert operator.jobs.condition(ref)[0] == "True"
    operator.jobs.reads, operator.esa.looks, operator.turns = 0, 0, []
    operator.jobs.writes.clear()
    operator.events.posted.clear()
    return operator, ref
