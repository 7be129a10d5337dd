"""What a write or a call makes of the world, and which promises it breaks at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from esa_preload_operator.domain.errors import Delivery, ErrorClass, Problem, Reason
from esa_preload_operator.domain.steps import (
    Call,
    Create,
    DeleteJob,
    Do,
    Done,
    Finalizer,
    Open,
    StartExecution,
    Step,
    Write,
)
from esa_preload_operator.domain.tokens import SCHEDULE_KEY, Tokens, token_time, without
from esa_preload_operator.domain.values import Phase, ResetState
from unit.lifecycle import account
from unit.lifecycle.account import Job, Run
from unit.lifecycle.ageing import EPOCH
from unit.lifecycle.resource import Obj, obj_after
from unit.lifecycle.world import NOON, Ask, Event, Machine, Move, Proc, Scope, State, Truth, fresh_name, wall_of
from unit.protocol.parts import NOT_FOUND

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esa_preload_operator.domain.esa import NewExecution
    from esa_preload_operator.domain.recorded import Creating
    from esa_preload_operator.domain.steps import Result

FULL = Problem(
    "InvalidJob.JobCountOfSiteFull", "", ErrorClass.BLOCKED, Reason.QUOTA_EXCEEDED, Delivery.REFUSED, "", 400
)


class Calls:
    """The effects of steps."""

    def __init__(self, scope: Scope, machine: Machine) -> None:
        self.scope = scope
        self.m = machine

    # Small helpers.

    def _proc(self, s: State, p: int, proc: Proc) -> State:
        return s._replace(procs=(*s.procs[:p], proc, *s.procs[p + 1 :]))

    def _on(self, s: State, p: int, event: Event, unique: int = 0) -> State:
        proc = s.procs[p]
        memory, step = self.m.advance(proc, p, event, s.epoch + s.skew, unique)
        return self._proc(s, p, proc._replace(memory=memory, step=step, checked=False))

    def _touch(self, s: State) -> State:
        """The resource has got a new version: whatever anybody holds is an older one."""
        procs = tuple(
            proc._replace(memory=self.m.older_memory(proc.memory), step=self.m.older_step(proc.step), news=True)
            for proc in s.procs
        )
        return s._replace(procs=procs, landing=tuple(self.m.older_step(step) for step in s.landing))

    def _edit(self, s: State, obj: Obj) -> State:
        """Store a version of the resource that a user, or a process, has made."""
        if obj.deleting and not obj.finalized:
            return self._touch(s._replace(obj=self.m.objs.id(obj), gone=True))
        return self._touch(s._replace(obj=self.m.objs.id(obj)))

    def is_ours(self, name: str, uid: str) -> bool:
        """Was the job made for this resource? Names of strangers look alike and differ in their form."""
        return name.startswith(f"p-{uid[:8]}-") and len(name) == 19

    # Writes.

    def _write(self, s: State, p: int, step: Write | Finalizer) -> Move:
        what = "writes" if isinstance(step, Write) else "changes the finalizer"
        if s.gone:
            forgot = s.procs[p]._replace(
                memory=self.m.fresh_memory, step=self.m.rest, news=False, told=(), checked=False
            )
            return Move(f"{what}: gone", p, self._proc(s, p, forgot))
        if not step.view.version:
            return Move(f"{what}: 409", p, self._on(s, p, ("conflicted",)))
        stored = self.store(s, step)
        if stored.gone:
            forgot = stored.procs[p]._replace(memory=self.m.fresh_memory, step=self.m.rest, news=False, told=())
            return Move("releases the resource", p, self._proc(stored, p, forgot))
        after = self._on(stored, p, ("stored", self.m.view(stored.obj)))
        return Move(what, p, self._proc(after, p, after.procs[p]._replace(news=False)))

    def store(self, s: State, step: Write | Finalizer) -> State:
        """The API server takes a write."""
        old = self.m.objs[s.obj]
        if isinstance(step, Finalizer):
            return self._edit(s, old._replace(finalized=step.present))
        new = obj_after(old, step)
        truth, broken = self._judge(s, old, new, step)
        known = new.recorded.job_id in {"", old.recorded.job_id, *(job.id for job in s.jobs)}
        if not known and not set(s.truth.excuses) & set("acg"):
            broken = broken or "the status names a job that does not exist"
        if new.recorded.windows != old.recorded.windows:  # what a list tells is news again
            s = s._replace(procs=tuple(proc._replace(told=()) for proc in s.procs))
        after = self._edit(s._replace(truth=truth, broken=s.broken or broken), new)
        return after._replace(broken=after.broken or self._surplus(after))

    def _judge(self, s: State, old: Obj, new: Obj, write: Write) -> tuple[Truth, str]:
        """Say what the write makes of the requests, and what is wrong with calling them handled."""
        truth = s.truth
        before = token_time(dict(old.handled).get(SCHEDULE_KEY, "")) or 0.0
        made = without(new.handled, old.handled)
        made = tuple(entry for entry in made if entry[0] != SCHEDULE_KEY or (token_time(entry[1]) or 0.0) > before)
        if new.recorded.schedule_seen != old.recorded.schedule_seen or not old.recorded.schedule_seen:
            base = token_time(dict(new.handled).get(SCHEDULE_KEY, "")) or 0.0
            wrong = self.scope.left.behind or self.scope.left.ahead  # it may have been noted by a wrong clock
            since = min(truth.since, (int(base) - NOON) // EPOCH) if wrong else truth.since
            truth = truth._replace(noted=int(base), since=since) if new.recorded.schedule_seen else truth
            made = tuple(entry for entry in made if entry[0] != SCHEDULE_KEY)
        due = {spec.name for spec in new.windows if spec.on_reset}
        if due and write.outcome in {Phase.SUCCEEDED, "Confirmed", Phase.REPLACED}:
            truth = truth._replace(resets=truth.resets + 1)
        if fault := self._before_change(old, new, truth.since):
            return truth, fault
        for _, token in made:
            ask = next((each for each in truth.asks if each.token == token), None)
            failed = new.reset is not None and new.reset.phase == Phase.FAILED
            wiped = "c" in s.truth.excuses and ask is not None and ask.jobs  # there may be no job for a moment
            if (ask is None or new.job not in ask.jobs) and not failed and not wiped:
                return truth, f"{token} counts as handled without a reset after it was set"
        return truth, ""

    # Calls.

    def _news(self, s: State, before: State) -> State:
        """After a call that changes executions the next list tells of them again."""
        if s.jobs == before.jobs:
            return s
        return s._replace(procs=tuple(proc._replace(told=()) for proc in s.procs))

    def execute(self, s: State, step: Step, *, late: bool, uid: str = "") -> tuple[State, Result]:
        """ESA does it. `late`: after the deadline, which excuses that it is done twice. `uid`: for which resource."""
        s = s._replace(broken=s.broken or self._stranger(s, step, uid or self.m.objs[s.obj].uid))
        match step:
            case Call():
                return self._reset(s, step, late=late)
            case Create():
                return self._create(s, step, late=late)
            case Open():
                after, opened = self.open(s, step, late=late)
                return self._news(after, s), opened
            case Do(command):
                jobs, run = account.carry_out(s.jobs, command, wall_of(s.epoch))
                excuses = s.truth.excuses
                if late and jobs != s.jobs:
                    excuses = "".join(sorted({*excuses, "f"}))
                shown = account.shown(run, wall_of(s.epoch)) if run is not None else None
                after = s._replace(jobs=jobs, truth=s.truth._replace(excuses=excuses))
                return self._news(after, s), Done(shown)
            case _:
                raise AssertionError(step)

    def _stranger(self, s: State, step: Step, uid: str) -> str:
        """Say whether a call is about somebody else's job."""
        obj = self.m.objs[s.obj]
        touched: Job | None = None
        match step:
            case Call(intent):
                touched = account.find(s.jobs, intent.job_id)
            case Open(job_id):
                touched = account.find(s.jobs, job_id)
            case Do(DeleteJob(job_id)):
                touched = account.find(s.jobs, job_id)
                if touched is not None and obj.job == job_id and not (obj.deleting and obj.source):
                    return "the job of the resource is deleted"
            case Do(command) if not isinstance(command, DeleteJob):
                found = account.run_of(s.jobs, command.id)
                touched = found[0] if found is not None else None
                if found is not None and found[1].sent.interval_seconds >= STRANGERS:
                    return "a stranger's execution is touched"
        if touched is None or touched.id == obj.adopts or self.is_ours(touched.name, uid):
            return ""
        return "a stranger's job is touched"

    def started_unmarked(self, s: State, step: Step) -> str:
        """Say whether a window is started that somebody else has stopped."""
        if not (isinstance(step, Do) and isinstance(step.command, StartExecution)) or set(s.truth.excuses) - {"e"}:
            return ""
        marked = {entry.id for entry in self.m.objs[s.obj].recorded.windows if entry.stopped}
        return "" if step.command.id in marked else "a window is started that the operator has not stopped"

    def _reset(self, s: State, step: Call, *, late: bool) -> tuple[State, Result]:
        job = account.find(s.jobs, step.intent.job_id)
        if job is None:
            return s, NOT_FOUND
        truth, broken = self._serve(s, step.intent.tokens, job.id, late=late)
        jobs = account.reset(s.jobs, job)
        after = account.find(jobs, job.id)
        assert after is not None
        return s._replace(jobs=jobs, truth=truth, broken=s.broken or broken), account.described(after)

    def _serve(self, s: State, tokens: Tokens, job_id: str, *, late: bool) -> tuple[Truth, str]:
        """Count a reset, or a create, for the requests that it was made for."""
        asks, broken = {ask.token: ask for ask in s.truth.asks}, ""
        for key, token in tokens:
            ask = asks.get(token, Ask(token))
            if key == SCHEDULE_KEY:
                broken = broken or self._too_early(s, token)
            ask = ask._replace(served=ask.served + 1, allowed=ask.allowed + late)
            asks[token] = ask
            if ask.served > ask.allowed and "a" not in s.truth.excuses:
                broken = broken or "a second reset for one request"
        done = (ask._replace(jobs=tuple(sorted({*ask.jobs, job_id}))) for ask in asks.values())
        excuses = "".join(sorted({*s.truth.excuses, "a"})) if late else s.truth.excuses
        return s.truth._replace(asks=tuple(sorted(done)), excuses=excuses), broken

    def _too_early(self, s: State, token: str) -> str:
        due = token_time(token) or 0.0
        if due > wall_of(s.epoch) and not self.scope.left.ahead:
            return "a scheduled reset before its time"
        return ""

    def _before_change(self, old: Obj, new: Obj, since: int) -> str:
        """Say whether a scheduled time is announced that lies before the schedule was made as it is."""
        for intent, before in ((new.reset, old.reset), (new.recorded.creating, old.recorded.creating)):
            due = _due_of(intent)
            if due is not None and due != _due_of(before) and due <= wall_of(since):
                return "a scheduled time before the schedule was changed is made"
        return ""

    def _lag(self, there: int) -> int:
        """For how long lists hide what is new: where they may do so for ever, not the third one."""
        return 0 if self.scope.endless_lag and there > 1 else self.scope.lag

    def _create(self, s: State, step: Create, *, late: bool) -> tuple[State, Result]:
        uid = self.m.objs[s.obj].uid
        if self.scope.room and sum(self.is_ours(job.name, uid) for job in s.jobs) >= self.scope.room:
            return s, FULL
        job_id = fresh_name(self.m.used(s), "J")
        asks = tuple(ask._replace(jobs=tuple(each for each in ask.jobs if each != job_id)) for ask in s.truth.asks)
        s = s._replace(truth=s.truth._replace(asks=asks))
        truth, broken = self._serve(s, step.intent.tokens, job_id, late=late)
        jobs = account.create(s.jobs, step.new, job_id, self._lag(len(s.jobs) - len(self.scope.jobs) - 2))
        made = account.find(jobs, job_id)
        assert made is not None
        after = s._replace(jobs=jobs, truth=truth, broken=s.broken or broken)
        return after._replace(broken=after.broken or self._surplus(after)), account.described(made)

    def _surplus(self, s: State) -> str:
        """Say whether there are more jobs than the status knows of: within the deadlines nothing is ever surplus."""
        obj = self.m.objs[s.obj]
        if set(s.truth.excuses) & set("ac") or s.gone:
            return ""
        recorded = obj.recorded
        ours = [job for job in s.jobs if self.is_ours(job.name, obj.uid)]
        known = {recorded.job_id, *recorded.retired}
        creating = recorded.creating.name if recorded.creating is not None else ""
        if any(job.id not in known and job.name != creating for job in ours):
            return "there is a job that the status does not know of"
        return "a third job is made" if len(ours) > 2 else ""

    def open(self, s: State, step: Open, *, late: bool, refused: tuple[NewExecution, ...] = ()) -> tuple[State, Result]:
        """Open windows, but those that are refused."""
        job = account.find(s.jobs, step.job_id)
        if job is None:
            return s, NOT_FOUND
        used, runs, broken = set(self.m.used(s)), [], ""
        on_reset = {spec.interval_seconds for spec in self.m.objs[s.obj].windows if spec.on_reset}
        truth = s.truth
        wanted = [sent for sent in step.wanted if sent not in refused]
        for sent in wanted:
            run_id = fresh_name(frozenset(used), "E")
            used.add(run_id)
            runs.append(Run(run_id, sent, hidden=self._lag(len(job.runs))))
            if sent.interval_seconds in on_reset:  # one that is opened on another job, or later, ends as before
                truth = truth._replace(ends=tuple(sorted({*truth.ends, sent.end})))
        twins = max((sum(spec == other for other in self._twin_keys(s)) for spec in self._twin_keys(s)), default=1)
        all_sent = [run.sent for run in job.runs] + wanted
        if late:
            truth = truth._replace(excuses="".join(sorted({*truth.excuses, "a"})))
        elif any(all_sent.count(sent) > twins for sent in wanted) and set(truth.excuses) <= {"p", "e"}:
            broken = "a window is opened twice"
        jobs = account.open_runs(s.jobs, job, tuple(runs))
        after = s._replace(jobs=jobs, truth=truth, broken=s.broken or broken)
        return after, account.opened(tuple(runs), refused, wall_of(s.epoch))

    def _twin_keys(self, s: State) -> Iterable[tuple[Any, ...]]:
        """What makes windows of the spec identical."""
        for w in self.m.objs[s.obj].windows:
            yield (w.start, w.end, w.duration, w.interval_seconds, w.slice_len)


def _due_of(intent: ResetState | Creating | None) -> float | None:
    """The scheduled time that an intent is about."""
    if intent is None or (isinstance(intent, ResetState) and intent.phase != Phase.IN_FLIGHT):
        return None
    return token_time(dict(intent.tokens).get(SCHEDULE_KEY, ""))


STRANGERS = 900
"""Intervals from here on are those of executions that somebody else has made."""
