"""What must be true when everything is at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esa_preload_operator.domain.conditions import READY, find
from esa_preload_operator.domain.errors import Reason
from esa_preload_operator.domain.esa import Execution
from esa_preload_operator.domain.recorded import MISSED, RUNNING, STOPPED, WAITING
from esa_preload_operator.domain.schedule import due_time
from esa_preload_operator.domain.scheduling import with_due
from esa_preload_operator.domain.steps import Tell, Wait
from esa_preload_operator.domain.tokens import token_time, without
from esa_preload_operator.domain.values import OPEN_PHASES
from unit.lifecycle import account
from unit.lifecycle.ageing import QUIET
from unit.lifecycle.disturbances import Disturbed
from unit.lifecycle.resource import Obj
from unit.lifecycle.world import AHEAD, Proc, State, wall_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unit.lifecycle.account import Job


class Promised(Disturbed):
    """The promises, checked when nothing goes on by itself any more."""

    def fault(self, s: State) -> str:
        """What is wrong with a state at rest; "" if all is well."""
        return next((fault for fault in self._faults(s) if fault), "")

    def _faults(self, s: State) -> Iterator[str]:
        obj = self.m.objs[s.obj]
        ours = [job for job in s.jobs if self.is_ours(job.name, obj.uid)]
        if s.gone:
            yield "an orphaned job" if ours and not obj.retain and "d" not in s.truth.excuses else ""
            return
        if obj.deleting:
            yield "a dead end: the resource is not released"
            return
        if self.waits_for_others(s):
            yield "" if self.shown(s) == Reason.QUOTA_EXCEEDED else f"Ready says {self.shown(s)}, not QuotaExceeded"
            return
        yield from self._about_jobs(s, obj, ours)
        yield from self._about_requests(s, obj)
        job = account.find(s.jobs, obj.job)
        if job is not None:
            yield from self._about_windows(s, obj, job)
        expected = Reason.SUSPENDED if obj.suspended else Reason.READY
        yield "" if self.shown(s) == expected else f"Ready says {self.shown(s)}, not {expected}"
        yield self._restarted(s)

    def _about_jobs(self, s: State, obj: Obj, ours: list[Job]) -> Iterator[str]:
        recorded = obj.recorded
        if not obj.adopts:
            if [job.id for job in ours] != [recorded.job_id] and not (obj.suspended and not ours):
                yield f"{len(ours)} jobs at rest, the status says {recorded.job_id or 'none'}"
            yield "an id to delete at rest" if recorded.retired else ""
            yield "an open create at rest" if recorded.creating is not None and not obj.suspended else ""
            if ours and not obj.suspended and ours[0].text != obj.source:
                yield f"the job is made from {ours[0].text}, the spec says {obj.source}"
            if ours and recorded.source != f"sha256:{ours[0].text}":
                yield "the status tells another source than the job was made from"

    def _about_requests(self, s: State, obj: Obj) -> Iterator[str]:
        phase = obj.reset.phase if obj.reset is not None else ""
        view = with_due(self.m.views[self.m.view(s.obj)], float(wall_of(s.epoch + s.skew)))
        open_asks = without(view.asked, obj.handled)
        if obj.suspended:
            yield "a request is not held" if open_asks and phase != "Held" else ""
            return
        yield "a request is not dealt with" if open_asks or phase in OPEN_PHASES else ""
        for ask in s.truth.asks:
            if obj.schedule is None and (ask.token in dict(obj.asked).values()) and not ask.served and not ask.jobs:
                yield f"{ask.token} was never served"

        yield self._about_schedule(s, obj)

    def _about_schedule(self, s: State, obj: Obj) -> str:
        if obj.schedule is None:
            return ""
        if obj.recorded.schedule_seen != obj.schedule.seen:
            return "a schedule is not noted"
        due = due_time(obj.schedule, obj.uid, s.truth.noted, wall_of(s.epoch + s.skew))
        served = max((token_time(ask.token) or 0.0 for ask in s.truth.asks if ask.served), default=0.0)
        return "" if due is None or served >= due else "a scheduled reset was not made"

    def _about_windows(self, s: State, obj: Obj, job: Job) -> Iterator[str]:
        wall = wall_of(s.epoch)
        entries = {entry.name: entry for entry in obj.recorded.windows}
        specs = {spec.name: spec for spec in obj.windows}
        runs = {run.id: run for run in job.runs if run.sent.interval_seconds < 900}
        if obj.suspended:
            live = [run for run in runs.values() if run.state(wall) in {WAITING, RUNNING}]
            owned = {entry.id for entry in entries.values()}
            if any(run.id in owned or not obj.adopts for run in live):
                yield "a window submits although the resource is suspended"
            return
        yield "the status tells of windows that the spec has not" if set(entries) - set(specs) else ""
        owned = [entry.id for entry in entries.values() if entry.id]
        yield "one execution serves two windows" if len(owned) != len(set(owned)) else ""
        extra = [run for run in runs.values() if run.id not in owned]
        if extra and not obj.adopts:
            yield "an execution that no window owns"
        for name, spec in specs.items():
            entry = entries.get(name)
            if entry is None:
                yield f"window {name} is not in the status"
                continue
            run = runs.get(entry.id)
            if run is None:
                over = entry.sent is not None and entry.sent.end <= wall + (AHEAD if entry.state == MISSED else 0)
                waits = spec.on_reset and entry.sent is None
                yield "" if over or waits else f"window {name} is not open"
                yield f"window {name} has an id without an execution" if entry.id else ""
                continue
            state = run.state(wall)
            if run.sent != entry.sent and state != "finished":
                yield f"window {name} is recorded with other times than it has"
            yield f"window {name} is {state}, the status says {entry.state}" if state != entry.state else ""
            if state == STOPPED and not {"e", "f"} & set(s.truth.excuses):
                yield f"window {name} stays stopped"
            yield f"window {name} is marked as stopped" if entry.stopped else ""
            if not {"finished"} & {state}:
                yield from _about_spec(name, spec, run)
        if any(spec.on_reset for spec in obj.windows) and not s.truth.excuses and not self.scope.left.epoch:
            yield "" if len(s.truth.ends) == s.truth.resets else f"{s.truth.resets} resets, {len(s.truth.ends)} windows opened"

    def waits_for_others(self, s: State) -> bool:
        """May it go on trying for ever, since only somebody else can change that?"""
        obj = self.m.objs[s.obj]
        if not self.scope.room or s.gone or obj.deleting or obj.suspended or obj.adopts:
            return False
        wants = not obj.recorded.job_id or obj.recorded.source != f"sha256:{obj.source}"
        if obj.recorded.retired:
            return False  # it makes room itself
        return wants and sum(self.is_ours(job.name, obj.uid) for job in s.jobs) >= self.scope.room

    def shown(self, s: State) -> str:
        """The reason that the condition Ready gives."""
        ready = find(self.m.objs[s.obj].conditions, READY)
        return ready.reason if ready is not None else ""

    def _restarted(self, s: State) -> str:
        """Say what a process does that starts when all is done: nothing is the promise."""
        fresh = Proc(True, 99, self.m.fresh_memory, self.m.rest, led=QUIET)
        _, step = self.m.advance(fresh, 0, ("observed", self.m.view(s.obj), False), s.epoch + s.skew, 0)
        did = self.m.steps[step]
        return "" if isinstance(did, Wait | Tell) else f"a process that starts at rest does {type(did).__name__}"


def _about_spec(name: str, spec: object, run: account.Run) -> Iterator[str]:
    from esa_preload_operator.domain.spec import WindowSpec  # noqa: PLC0415

    assert isinstance(spec, WindowSpec)
    sent = run.sent
    same = sent.interval_seconds == spec.interval_seconds and sent.slice_len == spec.slice_len
    ends = spec.end is None or int(spec.end.timestamp()) == sent.end
    lasts = spec.duration is None or int(spec.duration.total_seconds()) == sent.end - sent.start
    if not (same and ends and (lasts or spec.start is not None)):
        yield f"window {name} is open with other values than the spec's"


__all__ = ["Execution", "Promised"]
