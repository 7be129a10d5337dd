"""What surrounds a resource besides its resets: the list of its site, rivals, credentials, a job that vanishes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esa_preload_operator.domain.conditions import READY, find
from esa_preload_operator.domain.errors import Delivery, ErrorClass, Problem, Reason
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.local import Calling
from esa_preload_operator.domain.steps import (
    Fact,
    JobMissing,
    JobTold,
    Returned,
    SiteFailed,
    Wait,
)
from unit.protocol.disturbances import Disturbed
from unit.protocol.parts import NOT_FOUND, Move, off_wire
from unit.protocol.world import Listing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esa_preload_operator.domain.local import Seen
    from esa_preload_operator.domain.steps import Call, Write
    from unit.protocol.world import Proc, State

DENIED = Problem("NoPermission", "", ErrorClass.BLOCKED, Reason.ACCESS_DENIED)
WRONG_KEY = Problem("InvalidAccessKeyId.NotFound", "", ErrorClass.BLOCKED, Reason.CREDENTIALS_INVALID, Delivery.REFUSED)
WRONG = "k2"
"""A Secret whose keys ESA does not know."""


def _is_known(seen: Seen, listing: Listing) -> bool:
    """Does the process know what the list says? It may have been told, and have learnt otherwise since."""
    if listing.says in {"denied", "wrong key"}:
        return seen.site is not None
    missing = seen.missing or (seen.problem is not None and seen.problem.reason == Reason.JOB_NOT_FOUND)
    return seen.site is None and missing == (listing.says == "missing")


class Surrounded(Disturbed):
    """The moves of a whole site around one resource."""

    def fair(self, s: State) -> Iterator[Move]:
        """What goes on without any further disturbance: lists, too, until they tell nothing new."""
        yield from super().fair(s)
        for p, proc in enumerate(s.procs):
            if proc.alive and not proc.paused and not (self.scope.lease and not proc.lease):
                yield from self._lists(s, p, proc)

    def _lists(self, s: State, p: int, proc: Proc) -> Iterator[Move]:
        if proc.listing is None:
            seen = self.m.memories[proc.memory].seen
            says = self._says(s, seen.secret or "")
            if seen.job_id and (proc.told != says or not _is_known(seen, says)):
                yield Move("begins to list the site", p, self._proc(s, p, proc._replace(listing=says)))
            return
        if isinstance(self.m.steps[proc.step], Wait):
            yield Move(f"is told: {proc.listing.says}", p, self._tell(s, p, proc, proc.listing))

    def _says(self, s: State, secret: str) -> Listing:
        if secret == WRONG:
            return Listing("wrong key", 0, secret)
        if s.denied:
            return Listing("denied", 0, secret)
        return Listing("missing" if s.gone else "job", 0 if s.gone else s.url, secret)

    def _tell(self, s: State, p: int, proc: Proc, listing: Listing) -> State:
        fact: Fact
        match listing.says:
            case "wrong key":
                fact = SiteFailed(WRONG_KEY)
            case "denied":
                fact = SiteFailed(DENIED)
            case "missing":
                fact = JobMissing()
            case _:
                fact = JobTold(EsaJob("J1", site_id=1, url_submitted=listing.url or None))
        known = listing if not listing.stale else None
        before = self.m.memories[proc.memory].seen
        s = self._proc(s, p, proc._replace(listing=None, told=known))
        s = self._on(s, p, ("told", fact, "J1", listing.secret, -1.0 if listing.stale else 0.0))
        after = self.m.memories[s.procs[p].memory].seen
        if listing.stale and (before.works, before.missing) != (after.works, after.missing):
            s = s._replace(broken="an old list counts more than a newer look")
        return s

    def _look(self, s: State, p: int, proc: Proc, listed: int | None = None) -> State:
        secret = self.m.memories[proc.memory].seen.secret
        if secret == WRONG:
            return self._on(s, p, (Returned, WRONG_KEY))
        if s.gone:
            return self._on(s, p, (Returned, NOT_FOUND))
        return super()._look(s, p, proc, listed)

    def _store(self, s: State, write: Write, *, doubt: bool) -> tuple[State, str]:
        """A resource that is not ready is told of its job again, though the list says the same as before."""
        s, excuse = super()._store(s, write, doubt=doubt)
        obj = self.m.objs[s.obj]
        if self.shown(s) != Reason.READY:
            s = s._replace(procs=tuple(proc._replace(told=None) for proc in s.procs))
        elif obj.secret == WRONG and obj.observed == obj.generation:
            s = s._replace(broken="Ready, though ESA told these credentials nothing")
        others = Reason.ACCESS_DENIED if obj.secret == WRONG else Reason.CREDENTIALS_INVALID
        if obj.observed == obj.generation and self.shown(s) == others:
            s = s._replace(broken="what other credentials were told is shown")
        return s, excuse

    def _send(self, s: State, p: int, proc: Proc, step: Call) -> Iterator[Move]:
        memory = self.m.memories[proc.memory]
        for move in super()._send(s, p, proc, step):
            broken = ""
            if move.name == "sends the reset" and memory.claimed:
                broken = "another resource's job is reset"
            elif move.name == "sends the reset" and isinstance(memory.call, Calling) and memory.call.view.deleting:
                broken = "a resource that is being deleted is reset"
            yield move._replace(state=move.state._replace(broken=broken)) if broken else move

    def _messages(self, s: State) -> Iterator[Move]:
        for message in s.wire:
            if s.gone and not message.executed:
                wire = off_wire(s.wire, message)
                after = s._replace(wire=wire)
                if message.proc >= 0:
                    after = self._on(after, message.proc, (Returned, NOT_FOUND))
                yield Move("ESA says that the job does not exist", message.proc, after)
                return
        yield from super()._messages(s)

    def _tick(self, s: State) -> Iterator[Move]:
        if any(proc.listing is not None for proc in s.procs):
            return  # a list is faster than the clock
        yield from super()._tick(s)

    def disturbances(self, s: State) -> Iterator[Move]:
        """What others do around the resource."""
        yield from super().disturbances(s)
        left, obj = s.left, self.m.objs[s.obj]
        if left.deny and not s.denied:
            yield Move("ESA denies the list", -1, self._spend(s, "deny")._replace(denied=True))
        if s.denied:
            yield Move("ESA allows the list again", -1, s._replace(denied=False))
        if left.rival and not s.rival:
            claimed = self._awake(self._spend(s, "rival")._replace(rival=True))
            yield Move("an older resource claims the job", -1, claimed)
        if s.rival:
            yield Move("the older resource is deleted", -1, self._awake(s._replace(rival=False)))
        if left.vanish and not s.gone:
            yield Move("the job is deleted in the console", -1, self._spend(s, "vanish")._replace(gone=True))
        if s.gone:
            yield Move("the job is back", -1, s._replace(gone=False))
        if left.secret and not obj.deleting:
            other = WRONG if obj.secret != WRONG else "k1"
            changed = obj._replace(secret=other, generation=obj.generation + 1)
            yield Move(f"the resource names Secret {other}", -1, self._edit(self._spend(s, "secret"), changed))
        if left.delete and not obj.deleting:
            yield Move("the resource is deleted", -1, self._edit(self._spend(s, "delete"), obj._replace(deleting=True)))
        if left.forge and obj.conditions:
            forged = obj._replace(conditions=())
            yield Move("somebody removes the conditions", -1, self._edit(self._spend(s, "forge"), forged))

    def waits_for_others(self, s: State) -> bool:
        """May it go on trying for ever, since only somebody else can change that?"""
        return s.gone or self.m.objs[s.obj].secret == WRONG

    def _awake(self, s: State) -> State:
        """Let every process take a turn: whoever loses or gets a claim is woken."""
        procs = tuple(proc._replace(woken=True) for proc in s.procs)
        return s._replace(procs=procs)

    def expected(self, s: State) -> str:
        """The reason that the condition Ready must give when everything is at rest."""
        obj = self.m.objs[s.obj]
        if s.rival:
            return Reason.JOB_CLAIMED
        if obj.secret == WRONG:
            return Reason.CREDENTIALS_INVALID
        if s.gone and not s.denied:
            return Reason.JOB_NOT_FOUND
        return Reason.ACCESS_DENIED if s.denied else Reason.READY

    def shown(self, s: State) -> str:
        """The reason that the condition Ready gives."""
        ready = find(self.m.objs[s.obj].conditions, READY)
        return ready.reason if ready is not None else ""
