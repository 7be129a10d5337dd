"""What must be true when everything is at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esa_preload_operator.domain.conditions import READY, find
from esa_preload_operator.domain.errors import Reason
from esa_preload_operator.domain.schedule import due_time
from esa_preload_operator.domain.scheduling import with_due
from esa_preload_operator.domain.steps import Ask, ReadSource, Tell, Wait
from esa_preload_operator.domain.tokens import token_time, without
from esa_preload_operator.domain.values import OPEN_PHASES
from unit.lifecycle import account
from unit.lifecycle.ageing import QUIET
from unit.lifecycle.disturbances import Disturbed
from unit.lifecycle.open_windows import faults_of_windows, submitting
from unit.lifecycle.world import Proc, State, wall_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unit.lifecycle.account import Job
    from unit.lifecycle.resource import Obj
    from unit.lifecycle.world import State


class Promised(Disturbed):
    """The promises, checked when nothing goes on by itself any more."""

    def fault(self, s: State) -> str:
        """What is wrong with a state at rest; "" if all is well."""
        return next((fault for fault in self._faults(s) if fault), "")

    def _faults(self, s: State) -> Iterator[str]:
        obj = self.m.objs[s.obj]
        ours = [job for job in s.jobs if self.is_ours(job.name, obj.uid)]
        if s.gone:
            yield "an orphaned job" if ours and not obj.retain and not {"c", "d"} & set(s.truth.excuses) else ""
            return
        if obj.deleting:
            yield "a dead end: the resource is not released"
            return
        if self.waits_for_others(s):
            why = Reason.JOB_NOT_FOUND if obj.adopts else Reason.QUOTA_EXCEEDED
            yield "" if self.shown(s) == why else f"Ready says {self.shown(s)}, not {why}"
            return
        if obj.suspended and set("ac") & set(s.truth.excuses) and not obj.job:
            return  # a job that the status does not know of is found when the resource goes on
        yield from _about_jobs(obj, ours)
        yield from self._about_requests(s, obj)
        job = account.find(s.jobs, obj.job)
        if job is not None and not s.skew:
            wall, by_others = wall_of(s.epoch), bool({"e", "f"} & set(s.truth.excuses))
            yield from (submitting if obj.suspended else faults_of_windows)(obj, job, wall, by_others=by_others)
            yield self._about_resets(s, obj)
        expected = Reason.SUSPENDED if obj.suspended else Reason.READY
        yield "" if self.shown(s) == expected else f"Ready says {self.shown(s)}, not {expected}"
        yield self._restarted(s)

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

    def _about_resets(self, s: State, obj: Obj) -> str:
        if s.truth.excuses or self.scope.left.epoch or not any(spec.on_reset for spec in obj.windows):
            return ""
        opened, resets = len(s.truth.ends), s.truth.resets
        return "" if opened == resets or obj.suspended else f"{resets} resets, {opened} windows opened"

    def waits_for_others(self, s: State) -> bool:
        """May it go on trying for ever, since only somebody else can change that?"""
        obj = self.m.objs[s.obj]
        if obj.adopts:
            return account.find(s.jobs, obj.job) is None and not s.gone and not obj.deleting
        if not self.scope.room or s.gone or obj.deleting or obj.suspended:
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
        if s.skew:
            return ""
        fresh = Proc(True, 99, self.m.fresh_memory, self.m.rest, led=QUIET)
        _, step = self.m.advance(fresh, 0, ("observed", self.m.view(s.obj), False), s.epoch + s.skew, 0)
        did = self.m.steps[step]
        if isinstance(did, Ask) and isinstance(did.query, ReadSource):  # what is referenced is read at the start
            return ""
        return "" if isinstance(did, Wait | Tell) else f"a process that starts at rest does {type(did).__name__}"


def _about_jobs(obj: Obj, ours: list[Job]) -> Iterator[str]:
    recorded = obj.recorded
    if obj.adopts:
        return
    if [job.id for job in ours] != [recorded.job_id] and not (obj.suspended and not ours):
        yield f"{len(ours)} jobs at rest, the status says {recorded.job_id or 'none'}"
    yield "an id to delete at rest" if recorded.retired else ""
    yield "an open create at rest" if recorded.creating is not None else ""
    if ours and not obj.suspended and ours[0].text != obj.source:
        yield f"the job is made from {ours[0].text}, the spec says {obj.source}"
    if ours and recorded.source != f"sha256:{ours[0].text}":
        yield "the status tells another source than the job was made from"
