"""One process of the operator in a walk: the real services, queue and intake, which can be killed at any moment."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from esa_preload_operator.domain.values import Rules
from esa_preload_operator.runtime.health import Health
from esa_preload_operator.runtime.intake import Intake, identify
from esa_preload_operator.runtime.metrics import Metrics
from esa_preload_operator.runtime.queue import WorkQueue
from esa_preload_operator.services.caller import Caller
from esa_preload_operator.services.looks import SharedLooks
from esa_preload_operator.services.members import Members
from esa_preload_operator.services.reconcile import Reconciler
from esa_preload_operator.services.refresh import Refresher
from esa_preload_operator.services.registry import Registry
from esa_preload_operator.services.runner import Runner
from esa_preload_operator.services.writer import Writer
from support.fakes import FakeLeadership
from support.walks.outside import NETWORK_GRACE, REQUEST_TIMEOUT, Link

if TYPE_CHECKING:
    from esa_preload_operator.domain.view import View
    from support.walks.outside import Outside

LIST_GRACE = 15.0
WORKERS = 2
ACTIVE, IDLE = 60.0, 1800.0
"""Seconds between two lists of a site."""


class Process:
    """Put together as `runtime.assembly` does it."""

    def __init__(self, outside: Outside, owner: str) -> None:
        clock, metrics, leadership = outside.clock, Metrics("walk"), FakeLeadership()
        jobs, accounts = Link(outside.cluster, outside.write_faults, outside.brake), outside.accounts()
        self.queue: WorkQueue[View] = WorkQueue(metrics)
        self.registry = Registry()
        writer = Writer(jobs, outside.events, outside.observer, clock)
        refresher = Refresher(accounts, self.registry, clock, ACTIVE, IDLE, wake=self.queue.add)
        looks = SharedLooks(clock, refresher.take)
        caller = Caller(accounts, outside.sources, leadership, clock, looks, resume=self.queue.add)
        runner = Runner(jobs, caller, leadership, clock, writer, self.registry)
        self.members = Members(self.registry, refresher, clock, self.queue.add)
        rules = Rules(owner, request_timeout=REQUEST_TIMEOUT, network_grace=NETWORK_GRACE, list_grace=LIST_GRACE)
        self.reconciler = Reconciler(runner, rules, self.members)
        health = Health(self.queue, metrics, work_limit=1e9)
        self.intake = Intake((), self.registry, self.reconciler, self.queue, health, metrics)
        self._cluster = outside.cluster
        self._works = [self.queue.run(WORKERS, self.reconciler.reconcile), refresher.run()]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Lead, list, watch and work."""
        self.reconciler.leads()
        self._cluster.listener = self._take
        self.intake.listed("", list(self._cluster.objects.values()), begins=True, ends=True)
        self._tasks = [asyncio.create_task(work) for work in self._works]

    async def kill(self) -> None:
        """End it where it stands."""
        self._cluster.listener = lambda _kind, _body: None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def failures(self) -> list[BaseException]:
        """Return what parts have ended with."""
        ended = [task for task in self._tasks if task.done() and not task.cancelled()]
        return [error for task in ended if (error := task.exception()) is not None]

    def _take(self, kind: str, body: dict[str, Any]) -> None:
        if kind == "DELETED":
            self.intake.deleted(identify(body))
        else:
            self.intake.observe(body)
