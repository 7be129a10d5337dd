"""What users, faults and strangers do around a resource, as long as the scope has some left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esa_preload_operator.domain.esa import ExecutionChange, JobListing
from esa_preload_operator.domain.steps import Ask, Call, Create, Do, ListSite, Open, UpdateExecution, Write
from unit.lifecycle import account
from unit.lifecycle.moves import Moves
from unit.lifecycle.resource import UIDS, Obj
from unit.lifecycle.world import Ask as Request
from unit.lifecycle.world import Edit, Message, Move, Proc, State, wall_of
from unit.protocol.ageing import DEADLINE
from unit.protocol.parts import LOST, THROTTLED
from unit.protocol.surroundings import DENIED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esa_preload_operator.domain.steps import Step


class Disturbed(Moves):
    """The moves of users, faults and strangers."""

    def disturbances(self, s: State) -> Iterator[Move]:
        """Everything that the scope still allows."""
        yield from self._users(s)
        if any(s.left) or s.skew:
            yield from self._console(s)
            yield from self._clocks(s)
            for p, proc in enumerate(s.procs):
                if proc.alive and not proc.paused:
                    yield from self._to_process(s, p, proc)
                    yield from self._to_step(s, p, proc)

    def _spend(self, s: State, name: str) -> State:
        return s._replace(left=s.left._replace(**{name: getattr(s.left, name) - 1}))

    # Users.

    def _users(self, s: State) -> Iterator[Move]:
        for number, track in enumerate(self.scope.tracks):
            if s.at[number] < len(track):
                edit = track[s.at[number]]
                if edit.anew == s.gone:
                    at = (*s.at[:number], s.at[number] + 1, *s.at[number + 1 :])
                    yield Move(edit.name, -1, self._change(s._replace(at=at), edit))
        if s.left.touch and not s.gone:
            yield Move("somebody edits a label", -1, self._touch(self._spend(s, "touch")))

    def _change(self, s: State, edit: Edit) -> State:
        old = self.m.objs[s.obj]
        if edit.anew:
            new = self.scope.obj._replace(uid=UIDS[UIDS.index(old.uid) + 1])
            s = s._replace(gone=False, truth=s.truth._replace(asks=()))
            return self._edit(s, edit.change(new))
        new = edit.change(old)
        if old.config_map and new == old._replace(source=new.source):  # the ConfigMap alone has changed
            procs = tuple(proc._replace(heard="") for proc in s.procs)
            return s._replace(obj=self.m.objs.id(new), procs=procs)
        truth = s.truth
        if new.asked != old.asked:
            known = {ask.token for ask in truth.asks}
            fresh = tuple(Request(token) for _, token in new.asked if token not in known)
            truth = truth._replace(asks=tuple(sorted((*truth.asks, *fresh))))
        if new.schedule != old.schedule:
            truth = truth._replace(since=s.epoch)
        if _is_wiped(old, new):
            asks = tuple(ask._replace(allowed=ask.allowed + 1) for ask in truth.asks)
            truth = truth._replace(asks=asks, excuses="".join(sorted({*truth.excuses, "c"})))
        if new.deleting and not old.deleting and old.retain:
            truth = truth._replace(excuses="".join(sorted({*truth.excuses, "d"})))
        return self._edit(s._replace(truth=truth), new)

    # The console.

    def _console(self, s: State) -> Iterator[Move]:
        obj, left = self.m.objs[s.obj], s.left
        for job in s.jobs:
            if job.id != obj.job and not self.is_ours(job.name, obj.uid):
                continue
            if left.job_gone:
                after = self._excused(self._spend(s, "job_gone"), "g")
                asks = tuple(ask._replace(allowed=ask.allowed + 1) for ask in after.truth.asks)
                jobs = tuple(other for other in s.jobs if other is not job)
                after = self._news(after._replace(jobs=jobs, truth=after.truth._replace(asks=asks)), s)
                yield Move(f"{job.id} is deleted in the console", -1, after)
            for run in job.runs:
                yield from self._console_run(s, job, run)

    def _console_run(self, s: State, job: account.Job, run: account.Run) -> Iterator[Move]:
        left = s.left
        if left.run_gone:
            runs = tuple(other for other in job.runs if other is not run)
            jobs = account.with_job(s.jobs, job._replace(runs=runs))
            after = self._excused(self._spend(s, "run_gone"), "g")
            yield Move(f"{run.id} is deleted in the console", -1, self._news(after._replace(jobs=jobs), s))
        if left.run_stopped and run.state(wall_of(s.epoch)) == "running":
            jobs = account.with_run(s.jobs, job, run._replace(stopped=True))
            after = self._excused(self._spend(s, "run_stopped"), "e")
            yield Move(f"{run.id} is stopped in the console", -1, self._news(after._replace(jobs=jobs), s))
        recorded = {entry.id for entry in self.m.objs[s.obj].recorded.windows}
        if left.run_changed and run.id in recorded:  # of one that is not recorded yet nobody could say whose it is
            change = UpdateExecution(run.id, ExecutionChange(slice_len=77))
            jobs = account.with_run(s.jobs, job, account.changed(run, change))
            yield Move(f"{run.id} is changed in the console", -1, self._spend(s, "run_changed")._replace(jobs=jobs))

    def _excused(self, s: State, letter: str) -> State:
        return s._replace(truth=s.truth._replace(excuses="".join(sorted({*s.truth.excuses, letter}))))

    # Clocks.

    def _clocks(self, s: State) -> Iterator[Move]:
        if s.left.epoch:
            yield Move("the wall clock passes a bound", -1, self.next_epoch(self._spend(s, "epoch")))
        for name, skew in (("behind", -1), ("ahead", 2)):
            if getattr(s.left, name) and not s.skew:
                yield Move(f"the clock is {name}", -1, self._awake(self._spend(s, name)._replace(skew=skew), 4))
        if s.skew:
            yield Move("the clock is right again", -1, self._awake(s._replace(skew=0), 4))

    def next_epoch(self, s: State) -> State:
        return self._awake(s._replace(epoch=s.epoch + 1))

    def _awake(self, s: State, epochs: int = 1) -> State:
        """Let what waits for the wall clock take a turn."""
        for _ in range(epochs):
            s = s._replace(procs=tuple(proc._replace(step=self.m.next_epoch(proc.step)) for proc in s.procs))
        return s

    # Processes and what they do.

    def _to_process(self, s: State, p: int, proc: Proc) -> Iterator[Move]:
        if s.left.crash:
            yield Move("crashes and starts again", p, self._crash(self._spend(s, "crash"), p))
        if s.left.pause:
            yield Move("is paused", p, self._proc(self._spend(s, "pause"), p, proc._replace(paused=True)))

    def _crash(self, s: State, p: int) -> State:
        proc = s.procs[p]
        if self.scope.lease:  # a new start is another candidate
            return self._proc(s, p, self._stopped(proc))
        again = self._started(proc)._replace(lease=proc.lease, heard=self.m.objs[s.obj].source)
        return self._proc(s, p, again)

    def _to_step(self, s: State, p: int, proc: Proc) -> Iterator[Move]:
        step, left = self.m.steps[proc.step], s.left
        if isinstance(step, Write):
            yield from self._to_write(s, p, proc, step)
        elif isinstance(step, Ask) and left.ask_fails:
            failed = self._spend(s, "ask_fails")
            yield Move("asks: 503", p, self._on(failed, p, ("returned", THROTTLED)))
            if isinstance(step.query, ListSite):
                yield Move("the list is incomplete", p, self._on(failed, p, ("returned", _INCOMPLETE)))
        elif isinstance(step, Call | Create | Open | Do) and (proc.checked or not self.scope.split):
            yield from self._to_call(s, p, proc, step)

    def _to_write(self, s: State, p: int, proc: Proc, step: Write) -> Iterator[Move]:
        if s.gone:
            return
        if s.left.write_lost:
            lost = self._spend(s, "write_lost")
            yield Move("writes: 500, not stored", p, self._on(lost, p, ("lost",)))
            if step.view.version:
                yield Move("writes, the answer is lost", p, self._on(self.store(lost, step), p, ("lost",)))
        if s.left.late_write:
            late = self._spend(s, "late_write")._replace(landing=tuple(sorted((*s.landing, proc.step))))
            yield Move("writes, gives up", p, self._on(late, p, ("lost",)))

    def _to_call(self, s: State, p: int, proc: Proc, step: Step) -> Iterator[Move]:
        if not proc.checked and not self._may_send(s, proc, step):
            return
        left = s.left
        if left.refuse:
            yield Move("is refused", p, self._on(self._spend(s, "refuse"), p, ("returned", THROTTLED)))
        if left.deny:
            yield Move("is denied", p, self._on(self._spend(s, "deny"), p, ("returned", DENIED)))
        expires = DEADLINE if not proc.checked or self._may_send(s, proc, step) else 0
        wire = tuple(sorted((*s.wire, Message(proc.step, expires, self.m.memories[proc.memory].uid))))
        if left.lose:
            sent = self._spend(s, "lose")._replace(wire=wire)
            yield Move("calls, the answer is lost", p, self._on(sent, p, ("returned", LOST)))
        if left.crash:
            yield Move("calls and crashes", p, self._crash(self._spend(s, "crash")._replace(wire=wire), p))
        if left.partial and isinstance(step, Open):
            for sent_run in sorted(set(step.wanted), key=repr):
                spent = self._excused(self._spend(s, "partial"), "p")  # the next reset does not wait for a refused one
                after, result = self.open(spent, step, late=False, refused=(sent_run,))
                yield Move("calls, one window is refused", p, self._on(after, p, ("returned", result)))


_INCOMPLETE = JobListing((), complete=False)


def _is_wiped(old: Obj, new: Obj) -> bool:
    return (new.recorded, new.handled, new.reset) != (old.recorded, old.handled, old.reset)
