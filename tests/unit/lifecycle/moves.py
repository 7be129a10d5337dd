"""What goes on around a resource without any further disturbance: each move leads from one state to the next."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from esa_preload_operator.domain.executions import identity_of
from esa_preload_operator.domain.removal import surplus_of
from esa_preload_operator.domain.status import facts, merged
from esa_preload_operator.domain.steps import (
    Admit,
    Ask,
    Call,
    Create,
    Do,
    Done,
    Fact,
    Finalizer,
    GetJob,
    JobMissing,
    JobTold,
    ListExecutions,
    ListSite,
    LookFirst,
    Open,
    Read,
    ReadSource,
    SourceChanged,
    Step,
    SurplusListed,
    Tell,
    Wait,
    WindowsSuspected,
    Write,
)
from unit.lifecycle import account
from unit.lifecycle.ageing import LONG, QUIET
from unit.lifecycle.calls import Calls
from unit.lifecycle.resource import content
from unit.lifecycle.world import Move, Proc, State, fresh_number, wall_of
from unit.protocol.parts import NOT_FOUND, UNSENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esa_preload_operator.domain.esa import ListedJob
    from esa_preload_operator.domain.steps import Result
    from unit.lifecycle.account import Account, Job

CHANGES = Call | Create | Open | Do
_SENT = Write | Finalizer | Call | Create | Open | Do
"""What was decided before the lease was lost still leaves, as far as its check lets it."""


class Moves(Calls):
    """All moves of one scope that nobody has to disturb. The first of `fair` is the way on."""

    def fair(self, s: State) -> Iterator[Move]:
        """Moves that happen by themselves."""
        yield from self._leases(s)
        yield from self._wire(s)
        yield from self._lists_catch_up(s)
        for p, proc in enumerate(s.procs):
            if proc.alive and not proc.paused:
                yield from self._step(s, p, proc)
        yield from self._landings(s)
        for p, proc in enumerate(s.procs):
            if proc.alive and not proc.paused and self._leads(proc):
                yield from self._refresh(s, p, proc)
        yield from self._tick(s)

    # Processes.

    def _leads(self, proc: Proc) -> bool:
        return not self.scope.lease or proc.lease > 0 or self.m.rulebook.heedless

    def _leases(self, s: State) -> Iterator[Move]:
        for p, proc in enumerate(s.procs):
            if proc.paused:
                yield Move("goes on", p, self._proc(s, p, proc._replace(paused=False)))
        if not self.scope.lease:
            return
        led = [p for p, proc in enumerate(s.procs) if proc.alive and proc.lease > 0]
        for p, proc in enumerate(s.procs):
            if not led and not proc.alive:
                started = self._started(proc)._replace(heard=self.m.objs[s.obj].source)
                yield Move("takes the lease", p, self._proc(s, p, started))
            elif proc.alive and not proc.paused and 0 < proc.lease < self.scope.lease:
                yield Move("renews the lease", p, self._proc(s, p, proc._replace(lease=self.scope.lease)))
            elif (
                proc.alive
                and not proc.paused
                and not self._leads(proc)
                and not isinstance(self.m.steps[proc.step], _SENT)
            ):
                yield Move("exits without the lease", p, self._proc(s, p, self._stopped(proc)))

    def _started(self, proc: Proc) -> Proc:
        return Proc(True, proc.generation + 1, self.m.fresh_memory, self.m.rest, lease=self.scope.lease)

    def _stopped(self, proc: Proc) -> Proc:
        return Proc(False, proc.generation, self.m.fresh_memory, self.m.rest)

    def _step(self, s: State, p: int, proc: Proc) -> Iterator[Move]:
        """The next thing that this process does."""
        step = self.m.steps[proc.step]
        if isinstance(step, Write | Finalizer):
            yield self._write(s, p, step)
        elif isinstance(step, CHANGES):
            yield self._send(s, p, proc, step)
        elif not self._leads(proc):
            return  # who has lost the lease starts no read and no decision
        elif s.gone:
            if proc.step != self.m.rest or proc.memory != self.m.fresh_memory:
                yield Move("forgets the resource", p, self._proc(s, p, self._forgot(proc)))
        elif isinstance(step, Read):
            yield Move("reads", p, self._observe(s, p, fresh=True))
        elif isinstance(step, Tell):
            yield Move("tells people", p, self._on(s, p, ("observed", self.m.views.id(step.view), False)))
        elif isinstance(step, Ask):
            yield Move("asks", p, self._ask(s, p, step))
        elif proc.news or step.until == 0.0:
            yield Move("takes a turn", p, self._observe(s, p, fresh=False))

    def _forgot(self, proc: Proc) -> Proc:
        return proc._replace(memory=self.m.fresh_memory, step=self.m.rest, news=False, told=())

    def _observe(self, s: State, p: int, *, fresh: bool) -> State:
        s = self._on(s, p, ("observed", self.m.view(s.obj), fresh))
        return self._proc(s, p, s.procs[p]._replace(news=False))

    def _ask(self, s: State, p: int, step: Ask) -> State:
        result: Result
        match step.query:
            case GetJob(job_id) | LookFirst(job_id):
                found = account.find(s.jobs, job_id)
                result = account.described(found) if found is not None else NOT_FOUND
            case ListSite():
                result = account.listing(s.jobs)
            case ListExecutions(job_id):
                found = account.find(s.jobs, job_id)
                result = account.executions(found, wall_of(s.epoch)) if found is not None else NOT_FOUND
            case Admit():
                return self._on(s, p, ("returned", Done()), fresh_number(self.m.used(s)))
            case ReadSource():
                result = content(self.m.objs[s.obj].source)
        return self._on(s, p, ("returned", result))

    def _send(self, s: State, p: int, proc: Proc, step: Step) -> Move:
        if not proc.checked:
            if not self._may_send(s, proc, step):
                return Move("checks: must not send", p, self._on(s, p, ("returned", UNSENT)))
            if self.scope.split:
                return Move("checks: may send", p, self._proc(s, p, proc._replace(checked=True)))
        late = proc.checked and not self._may_send(s, proc, step)
        s = s._replace(broken=s.broken or self.started_unmarked(s, step))
        after, result = self.execute(s, step, late=late, uid=self.m.memories[proc.memory].uid)
        return Move("calls", p, self._on(after, p, ("returned", result)))

    def _may_send(self, s: State, proc: Proc, step: Step) -> bool:
        lease = float(proc.lease) if self.scope.lease else 99.0
        if isinstance(step, Call | Create):
            return self.m.rulebook.may_send(step, 0.0, lease, float(wall_of(s.epoch + s.skew)))
        return lease > 0 or self.m.rulebook.heedless

    # What is on its way.

    def _wire(self, s: State) -> Iterator[Move]:
        for message in s.wire:
            rest = tuple(other for other in s.wire if other is not message)
            off = s._replace(wire=rest)
            step = self.m.steps[message.step]
            after, _ = self.execute(off, step, late=message.expires == 0, uid=message.uid)
            yield Move(f"a late call is executed: {type(step).__name__}", -1, after)
            yield Move("a late call vanishes", -1, off)

    def _lists_catch_up(self, s: State) -> Iterator[Move]:
        for job in s.jobs:
            if job.hidden:
                yield Move(
                    f"lists show {job.id}", -1, s._replace(jobs=account.with_job(s.jobs, job._replace(hidden=0)))
                )
            for run in job.runs:
                if run.hidden:
                    jobs = account.with_run(s.jobs, job, run._replace(hidden=0))
                    yield Move(f"lists show {run.id}", -1, s._replace(jobs=jobs))

    def _landings(self, s: State) -> Iterator[Move]:
        for number in s.landing:
            rest = s._replace(landing=tuple(other for other in s.landing if other is not number))
            step = self.m.steps[number]
            assert isinstance(step, Write)
            if step.view.version and not s.gone:
                yield Move("a late write is stored", -1, self.store(rest, step))
            else:
                yield Move("a late write gets 409", -1, rest)

    # The list of the site.

    def _refresh(self, s: State, p: int, proc: Proc) -> Iterator[Move]:
        obj = self.m.objs[s.obj]
        if s.gone or proc.news or not isinstance(self.m.steps[proc.step], Wait):
            return
        if obj.config_map and proc.heard != obj.source:
            s = self._on(s, p, ("told", SourceChanged(), obj.job))
            s = self._observe(s, p, fresh=True)
            yield Move("is told: SourceChanged", p, self._proc(s, p, s.procs[p]._replace(heard=obj.source)))
            return
        facts_now, runs = self._told(s, proc)
        if facts_now:
            for fact in facts_now:
                s = self._on(s, p, ("told", fact, obj.job))
            s = self._observe(s, p, fresh=True)
            s = self._proc(s, p, s.procs[p]._replace(told=runs))
            yield Move(f"is told: {', '.join(type(fact).__name__ for fact in facts_now)}", p, s)

    def _told(self, s: State, proc: Proc) -> tuple[list[Fact], tuple[object, ...]]:
        obj, memory = self.m.objs[s.obj], self.m.memories[proc.memory]
        seen = memory.seen
        known = obj.told.id == obj.job != "" and bool(obj.told.site_id)  # only such a resource is followed
        if not known or seen.job_id != obj.job:
            return [], proc.told
        listed = account.listing(s.jobs).jobs
        found: list[Fact] = []
        job = next((each for each in listed if each.id == obj.job), None)
        if job is None:
            if not seen.missing and seen.problem is None:
                found.append(JobMissing())
        elif seen.job != job and (seen.problem is not None or facts(merged(obj.told, job, obj.job)) != facts(obj.told)):
            found.append(JobTold(replace(job)))
        surplus = surplus_of(self.m.views[self.m.view(s.obj)], listed)
        if surplus and memory.work.surplus != surplus:
            found.append(SurplusListed(surplus))
        runs = self._misfits(s, job) if job is not None else ()
        if runs and runs != proc.told:
            found.append(WindowsSuspected())
        return found, runs

    def _misfits(self, s: State, job: ListedJob) -> tuple[object, ...]:
        """The executions of the job, if they are not what the status says."""
        entries = self.m.objs[s.obj].recorded.windows
        if not any(entry.lasting for entry in entries):
            return ()
        there = account.find(s.jobs, job.id)
        runs = account.executions(there, wall_of(s.epoch)) if there is not None else ()
        said = {(entry.id, entry.state, entry.sent) for entry in entries if entry.id}
        return () if said == {(run.id, run.state, identity_of(run)) for run in runs} else ("misfit", *runs)

    # Time.

    def _tick(self, s: State) -> Iterator[Move]:
        hidden = [] if self.scope.endless_lag else _hidden(s.jobs)
        times: list[int] = [message.expires for message in s.wire] + hidden
        for proc in s.procs:
            step = self.m.steps[proc.step]
            if not proc.alive:
                continue
            if proc.paused:
                times.append(proc.lease)
                times.append(int(step.not_after) + 1 if isinstance(step, Call | Create) else 0)
            elif not isinstance(step, Wait) or step.until == 0.0 or (proc.news and not s.gone):
                return  # a running process is faster than the clock
            elif step.until is not None and step.until < LONG:
                times.append(-int(-step.until // 1))
        ticks = min((t for t in times if t > 0), default=0)
        bounded = hidden if self.scope.unbounded else [*hidden, *(message.expires for message in s.wire)]
        if not ticks or any(0 < left <= ticks for left in bounded):
            return
        procs = tuple(self._older(proc, ticks) for proc in s.procs)
        wire = tuple(sorted(m._replace(expires=max(0, m.expires - ticks)) for m in s.wire))
        jobs = s.jobs if self.scope.endless_lag else tuple(_seen_sooner(job, ticks) for job in s.jobs)
        yield Move(f"{ticks} s pass", -1, s._replace(procs=procs, wire=wire, jobs=jobs))

    def _older(self, proc: Proc, ticks: int) -> Proc:
        if not proc.alive:
            return proc
        lease = max(0, proc.lease - ticks) if proc.paused or not proc.lease else proc.lease
        return proc._replace(
            memory=self.m.later_memory(proc.memory, ticks),
            step=self.m.later_step(proc.step, ticks),
            led=min(QUIET, proc.led + ticks),
            lease=lease,
        )


def _hidden(jobs: Account) -> list[int]:
    return [job.hidden for job in jobs] + [run.hidden for job in jobs for run in job.runs]


def _seen_sooner(job: Job, ticks: int) -> Job:
    runs = tuple(run._replace(hidden=max(0, run.hidden - ticks)) for run in job.runs)
    return job._replace(hidden=max(0, job.hidden - ticks), runs=runs)
