"""What can happen in the world around the reset protocol: each move leads from one state to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esa_preload_operator.domain.esa import EsaJob, ListedJob
from esa_preload_operator.domain.local import Looking, Orphaned, Unsent
from esa_preload_operator.domain.steps import Ask, Call, Conflicted, LookFirst, Read, Returned, Stored, Wait, Write
from esa_preload_operator.domain.tokens import without
from esa_preload_operator.domain.values import Phase
from unit.protocol import nonces
from unit.protocol.ageing import TIMEOUT
from unit.protocol.parts import LOST, RECEIVED, UNSENT, Move, bits, is_same_call, more, off_wire, so_far
from unit.protocol.world import (
    ANSWERED,
    AWAITING,
    BROKEN,
    CHECKED,
    EXECUTED,
    KEYS,
    READY,
    SLOW,
    Machine,
    Message,
    Obj,
    Proc,
    State,
    new_obj,
    obj_after,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from esa_preload_operator.domain.values import ResetState
    from unit.protocol.scopes import Scope


class Moves:
    """All moves of one scope. The first move of `fair` goes on without any further disturbance."""

    def __init__(self, scope: Scope, machine: Machine) -> None:
        self.scope = scope
        self.m = machine

    def start(self) -> State:
        """Nobody has asked for anything yet."""
        n = len(self.scope.script)
        proc = Proc(True, 0, self.m.fresh_memory, self.m.rest, -1, False, self.scope.lease, False, READY, False)
        later = proc._replace(alive=not self.scope.lease, lease=0)
        return State(
            obj=self.m.objs.id(new_obj()),
            asks=(-1, -1),
            serves=0,
            call=0,
            counts=(0,) * n,
            allowed=(1,) * n,
            since=0,
            url=self.scope.url,
            wire=(),
            landing=(),
            procs=(proc,) + (later,) * (self.scope.owners - 1),
            left=self.scope.left,
            script=0,
            fell=False,
            broken="",
        )

    # Going on.

    def fair(self, s: State) -> Iterator[Move]:
        """Moves that nobody has to disturb."""
        yield from self._leases(s)
        yield from self._messages(s)
        for p, proc in enumerate(s.procs):
            if proc.alive and not proc.paused:
                yield from self._step(s, p, proc)
        yield from self._landings(s)
        yield from self._watch(s)
        yield from self._tick(s)

    def _leases(self, s: State) -> Iterator[Move]:
        for p, proc in enumerate(s.procs):
            if proc.alive and proc.paused:
                yield Move("goes on", p, self._proc(s, p, proc._replace(paused=False)))
        if not self.scope.lease:
            return
        led = [p for p, proc in enumerate(s.procs) if proc.alive and proc.lease > 0]
        for p, proc in enumerate(s.procs):
            if led == [] and not proc.alive:
                fresh = self._fresh(proc)._replace(alive=True, lease=self.scope.lease)
                yield Move("takes the lease", p, self._proc(s, p, fresh))
            elif proc.alive and not proc.paused and proc.lease < self.scope.lease:
                if led in ([], [p]):
                    yield Move("renews the lease", p, self._proc(s, p, proc._replace(lease=self.scope.lease)))
                else:
                    yield Move("exits without the lease", p, self._crash(s, p, alive=False))

    def _messages(self, s: State) -> Iterator[Move]:
        for message in s.wire:
            p = message.proc
            if message.executed:
                if not s.procs[p].paused:
                    yield Move("gets the answer", p, self._deliver(s, message))
                continue
            yield self._arrive(s, message)
            if p < 0:
                yield Move("the call vanishes", p, s._replace(wire=off_wire(s.wire, message)))

    def _step(self, s: State, p: int, proc: Proc) -> Iterator[Move]:
        """The next thing that this process does."""
        step = self.m.steps[proc.step]
        if proc.sub == BROKEN:
            yield Move("call fails, perhaps executed", p, self._on(s, p, (Returned, LOST)))
        elif isinstance(step, Write):
            yield self._write(s, p, proc.step, doubt=proc.doubt)
        elif isinstance(step, Call):
            yield from self._send(s, p, proc, step)
        elif self.scope.lease and not proc.lease:
            return  # who has lost the lease starts no read and no decision
        elif isinstance(step, Read):
            yield Move("reads", p, self._seen(self._on(s, p, ("observed", self.m.view(s.obj), True, s.rival)), p))
        elif isinstance(step, Ask):
            yield Move("looks", p, self._look(s, p, proc))
            if self.scope.lists and isinstance(step.query, LookFirst) and step.query.site_id is not None:
                for url in range(self.scope.url + 2):  # a list may lag behind, for better or worse
                    yield Move(f"a list tells: {url}", p, self._look(s, p, proc, url))
        elif isinstance(step, Wait) and proc.cache >= 0 and (proc.news or proc.woken or step.until == 0.0):
            on = self._on(s, p, ("observed", proc.cache, False, s.rival))
            taken = on.procs[p]._replace(news=False, woken=False)
            yield Move("handles what the watch showed", p, self._proc(on, p, taken))

    def _landings(self, s: State) -> Iterator[Move]:
        for landing in s.landing:
            rest = s._replace(landing=tuple(w for w in s.landing if w is not landing))
            step = self.m.steps[landing.step]
            assert isinstance(step, Write)
            if step.view.version:
                rest, excuse = self._store(rest, step, doubt=landing.doubt)
                yield Move("late write is stored", landing.proc, rest, excuse)
            else:
                yield Move("late write gets 409", landing.proc, rest)

    def _watch(self, s: State) -> Iterator[Move]:
        now = self.m.view(s.obj)
        for p, proc in enumerate(s.procs):
            if proc.alive and not proc.paused and proc.cache != now:
                yield Move("the watch delivers", p, self._proc(s, p, proc._replace(cache=now, news=True)))

    def _tick(self, s: State) -> Iterator[Move]:
        times: list[int] = []
        for proc in s.procs:
            if not proc.alive:
                continue
            step = self.m.steps[proc.step]
            if proc.paused:
                times.append(proc.lease)
                times.append(int(step.not_after) + 1 if isinstance(step, Call) and proc.sub != AWAITING else 0)
            elif not isinstance(step, Wait) or step.until == 0.0:
                return  # a running process is faster than the clock
            else:
                times.append(int(step.until or 0))
        times.extend(message.expires for message in s.wire)
        ticks = min((t for t in times if t > 0), default=0)
        if not ticks:
            return
        if not self.scope.unbounded and any(0 < m.expires <= ticks and not m.executed for m in s.wire):
            return
        procs = tuple(self._older_proc(proc, ticks) for proc in s.procs)
        wire = tuple(sorted(m._replace(expires=max(0, m.expires - ticks)) for m in s.wire))
        yield Move(f"{ticks} s pass", -1, s._replace(procs=procs, wire=wire))

    def _older_proc(self, proc: Proc, ticks: int) -> Proc:
        if not proc.alive:
            return proc
        lease = max(0, proc.lease - ticks) if proc.paused or not proc.lease else proc.lease
        memory = self.m.later("memory", proc.memory, ticks)
        return proc._replace(memory=memory, step=self.m.later("step", proc.step, ticks), lease=lease)

    # The parts of a step.

    def _on(self, s: State, p: int, happened: tuple[Hashable, ...], stamp: int = 0) -> State:
        proc = s.procs[p]
        memory, step = self.m.advance(f"p{p}.{proc.generation}", proc.memory, happened, stamp)
        listing = proc.listing
        if listing is not None and self.m.memories[memory].seen.changed_at == 0.0:
            listing = listing._replace(stale=True)
        return self._proc(s, p, proc._replace(memory=memory, step=step, sub=READY, doubt=False, listing=listing))

    def _look(self, s: State, p: int, proc: Proc, listed: int | None = None) -> State:
        obj = self.m.objs[s.obj]
        memory = self.m.memories[proc.memory]
        used = frozenset().union(
            *(self.m.stamps("memory", q.memory) | self.m.stamps("step", q.step) for q in s.procs),
            *(self.m.stamps("step", landing.step) for landing in s.landing),
            nonces.stamps_of(obj.reset) if obj.reset is not None else (),
            *(nonces.stamps_of(self.m.records[message.intent]) for message in s.wire),
            *(nonces.stamps_of(r) for q in s.procs if q.cache >= 0 and (r := self.m.views[q.cache].reset) is not None),
        )
        s = nonces.forget(s, used)
        stamp = next(n for n in range(60) if f"1970-01-01T00:00:{n:02}.000000Z" not in used)
        record = obj.reset
        doubt = (
            isinstance(memory.call, Looking)
            and isinstance(memory.call.base, Orphaned | Unsent)
            and record is not None
            and record.phase == Phase.IN_FLIGHT
            and record.job_id == obj.job
            and bool(s.call & EXECUTED)
            and (not s.call & ANSWERED or bool(s.call & SLOW))
            and s.url >= (record.submitted_before or 0)
        )
        signing = nonces.new(stamp, s.key) if self.scope.nonce else None
        told = EsaJob(obj.job, url_submitted=s.url) if listed is None else ListedJob(obj.job, url_submitted=listed)
        on = self._on(s, p, (Returned, told, signing), stamp)
        return self._proc(on, p, on.procs[p]._replace(doubt=doubt))

    def _write(self, s: State, p: int, step: int, *, doubt: bool) -> Move:
        write = self.m.steps[step]
        assert isinstance(write, Write)
        if not write.view.version:
            return Move("writes: 409", p, self._on(s, p, (Conflicted,)))
        stored, excuse = self._store(s, write, doubt=doubt)
        return Move("writes", p, self._seen(self._on(stored, p, (Stored, self.m.view(stored.obj))), p), excuse)

    def _store(self, s: State, write: Write, *, doubt: bool) -> tuple[State, str]:
        """The API server takes a status; what it means for the requests."""
        old = self.m.objs[s.obj]
        new = obj_after(old, write)
        excuse, broken = self._judge(s, old, new, write)
        allowed, serves, call = s.allowed, s.serves, s.call
        if new.reset is None or new.reset.phase != Phase.IN_FLIGHT:
            serves = call = 0
        elif not is_same_call(new.reset, old.reset) and not nonces.continues(new.reset, old.reset):
            asked = dict(zip(KEYS, s.asks, strict=True))
            serves = bits(tuple(asked[key] for key, _ in new.reset.tokens))
            if doubt and s.serves & serves and not nonces.can_repeat(s, old.reset):
                allowed = more(allowed, s.serves & serves)
                excuse = "a"
            call = 0
        state = self._touch(s._replace(obj=self.m.objs.id(new), allowed=allowed, serves=serves, call=call))
        return state._replace(broken=broken), excuse

    def _judge(self, s: State, old: Obj, new: Obj, write: Write) -> tuple[str, str]:
        """Say what is wrong with calling these tokens handled."""
        opened = without(old.asked, old.handled)
        closed = without(opened, without(new.asked, new.handled))
        phase = new.reset.phase if new.reset is not None else ""
        for key, token in closed:
            number = s.asks[KEYS.index(key)]
            if not s.since >> number & 1 and phase != Phase.FAILED:
                if s.call & SLOW and nonces.is_refused(s, old.reset):
                    return "f", ""
                if s.call & ANSWERED and old.reset is not None and old.reset.job_id != old.job:
                    continue  # the answer is about the job that the resource had when the call was made
                if write.outcome == "Confirmed" and write.job is None and not self.scope.nonce:
                    return "0", ""
                return ("c", "") if s.fell else ("", f"{token} counts as handled without a reset after it was set")
        return "", ""

    def _send(self, s: State, p: int, proc: Proc, step: Call) -> Iterator[Move]:
        if proc.sub == AWAITING:
            return
        if proc.sub == READY:
            lease = float(proc.lease) if self.scope.lease else 99.0
            if not self.m.rulebook.may_send(step, 0.0, lease):
                yield Move("checks: must not send", p, self._on(s, p, (Returned, UNSENT)))
                return
            if self.scope.split:
                yield Move("checks: may send", p, self._proc(s, p, proc._replace(sub=CHECKED)))
                return
        expires = int(step.not_after) + TIMEOUT
        if not self.scope.split:
            expires = max(expires, TIMEOUT)
        number = self.m.records.id(step.intent)
        serves = s.serves if is_same_call(self.m.objs[s.obj].reset, step.intent) else self._serves(s, step.intent)
        message = Message(number, step.intent.job_id, serves, p, max(0, expires), executed=False)
        sent = self._proc(s, p, proc._replace(sub=AWAITING))
        yield Move("sends the reset", p, sent._replace(wire=tuple(sorted((*s.wire, message)))))

    def _serves(self, s: State, intent: ResetState) -> int:
        """The requests of an intent that the status does not show any more: by the tokens' values."""
        latest = {(KEYS[key], token): n for n, (key, token) in enumerate(self.scope.script[: s.script])}
        return bits(tuple(latest[entry] for entry in intent.tokens))

    def _arrive(self, s: State, message: Message) -> Move:
        signing = self.m.records[message.intent].signing
        if not nonces.is_used(s, signing):
            return self._execute(nonces.burn(s, signing, executed=True), message, strict=signing is not None)
        wire = off_wire(s.wire, message)
        if message.proc >= 0:
            wire = tuple(sorted((*wire, message._replace(executed=True, expires=0, refused=True))))
        return Move("ESA refuses the nonce", -1, s._replace(wire=wire))

    def _execute(self, s: State, message: Message, *, strict: bool) -> Move:
        """ESA does it. If `strict`, not even a late message may lead to a second reset."""
        obj = self.m.objs[s.obj]
        counts = tuple(n + (message.serves >> i & 1) for i, n in enumerate(s.counts))
        too_many = 0
        for i, n in enumerate(counts):
            if message.serves >> i & 1 and n > s.allowed[i]:
                too_many |= 1 << i
        allowed, excuse, broken = s.allowed, "", ""
        if message.expires == 0 and not strict:
            allowed, excuse = more(allowed, message.serves), "b"
        elif too_many:
            broken = "a second reset for one request"
        if self.scope.most and max(counts) > self.scope.most:
            broken = "more calls than a request without progress may cost"
        if message.job == obj.job:
            s = s._replace(url=0, since=so_far(s))
        if is_same_call(obj.reset, self.m.records[message.intent]):
            s = s._replace(call=s.call | EXECUTED)
        wire = off_wire(s.wire, message)
        if message.proc >= 0:
            wire = tuple(sorted((*wire, message._replace(executed=True, expires=0))))
        s = s._replace(counts=counts, allowed=allowed, wire=wire, broken=broken)
        return Move("ESA executes a reset", -1, s, excuse)

    def _deliver(self, s: State, message: Message) -> State:
        obj = self.m.objs[s.obj]
        if is_same_call(obj.reset, self.m.records[message.intent]):
            s = s._replace(call=s.call | ANSWERED)
        s = s._replace(wire=off_wire(s.wire, message))
        answer = (Returned, RECEIVED) if message.refused else (Returned, EsaJob(id=message.job))
        return self._on(s, message.proc, answer)

    # Helpers.

    def _proc(self, s: State, p: int, proc: Proc) -> State:
        return s._replace(procs=(*s.procs[:p], proc, *s.procs[p + 1 :]))

    def _seen(self, s: State, p: int) -> State:
        """The process has seen the present version; an older event is no news to it."""
        if self.scope.rereads:
            return s
        return self._proc(s, p, s.procs[p]._replace(cache=self.m.view(s.obj), news=False))

    def _touch(self, s: State) -> State:
        """The object has got a new version: whatever anybody holds is an older one."""
        m = self.m
        procs = tuple(
            proc._replace(
                memory=m.older("memory", proc.memory),
                step=m.older("step", proc.step),
                cache=m.older("view", proc.cache),
            )
            for proc in s.procs
        )
        landing = tuple(w._replace(step=m.older("step", w.step)) for w in s.landing)
        return s._replace(procs=procs, landing=landing)

    def _fresh(self, proc: Proc) -> Proc:
        return Proc(True, proc.generation, self.m.fresh_memory, self.m.rest, -1, False, proc.lease, False, READY, False)

    def _crash(self, s: State, p: int, *, alive: bool) -> State:
        proc = s.procs[p]
        s = self._slow(s, p)
        wire = tuple(
            sorted(m._replace(proc=-1) if m.proc == p else m for m in s.wire if not (m.proc == p and m.executed))
        )
        fresh = self._fresh(proc)._replace(
            alive=alive, generation=proc.generation + alive, lease=proc.lease if alive else 0
        )
        return self._proc(s._replace(wire=wire), p, fresh)

    def _slow(self, s: State, p: int) -> State:
        record = self.m.objs[s.obj].reset
        mine = (
            record is not None and record.owner == f"p{p}.{s.procs[p].generation}" and record.phase == Phase.IN_FLIGHT
        )
        return s._replace(call=s.call | SLOW) if mine else s
