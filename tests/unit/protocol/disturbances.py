"""What users, faults and strangers do to the world around the reset protocol, as long as the scope has some left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.steps import Ask, Call, Returned, Write, WriteLost
from esa_preload_operator.domain.values import Phase
from unit.protocol import nonces
from unit.protocol.moves import Moves
from unit.protocol.parts import (
    NOT_FOUND,
    REFUSED_CONNECTION,
    SERVER_ERROR,
    THROTTLED,
    Move,
    bits,
    more,
    off_wire,
    so_far,
)
from unit.protocol.world import AWAITING, BROKEN, KEYS, READY, Landing, Message, Obj, Proc, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esa_preload_operator.domain.tokens import Tokens


class Disturbed(Moves):
    """The moves of users, faults and strangers, as long as the scope has some left."""

    def disturbances(self, s: State) -> Iterator[Move]:
        """Everything that the scope still allows."""
        yield from self._users(s)
        yield from self._strangers(s)
        for p, proc in enumerate(s.procs):
            if proc.alive and not proc.paused:
                yield from self._to_process(s, p, proc)
                yield from self._to_writes(s, p, proc)
                yield from self._to_calls(s, p, proc)

    def _spend(self, s: State, name: str) -> State:
        return s._replace(left=s.left._replace(**{name: getattr(s.left, name) - 1}))

    def _edit(self, s: State, obj: Obj) -> State:
        return self._touch(s._replace(obj=self.m.objs.id(obj)))

    def _users(self, s: State) -> Iterator[Move]:
        obj = self.m.objs[s.obj]
        if s.script < len(self.scope.script):
            key, token = self.scope.script[s.script]
            if dict(obj.asked).get(KEYS[key]) != token:
                yield self._set(s, obj, key, token)
        if s.left.remove:
            for gone, _ in obj.asked:
                asks = tuple(-1 if KEYS[i] == gone else ask for i, ask in enumerate(s.asks))
                asked = tuple(entry for entry in obj.asked if entry[0] != gone)
                s2 = self._spend(s, "remove")._replace(asks=asks)
                yield Move("the user removes the token", -1, self._edit(s2, obj._replace(asked=asked)))
        if s.left.edit:
            yield Move("somebody edits a label", -1, self._touch(self._spend(s, "edit")))
        if s.left.spec:
            failed = obj.reset.tokens if obj.reset is not None and obj.reset.phase == Phase.FAILED else ()
            again = bits(tuple(ask for name, ask in zip(KEYS, s.asks, strict=True) if name in dict(failed)))
            s2 = self._spend(s, "spec")._replace(allowed=more(s.allowed, again))
            yield Move("the spec changes", -1, self._edit(s2, obj._replace(generation=obj.generation + 1)))

    def _set(self, s: State, obj: Obj, key: int, token: str) -> Move:
        entry = (KEYS[key], token)
        record = obj.reset
        number, excuse = s.script, ""
        if entry in obj.handled or (record is not None and record.phase == Phase.IN_FLIGHT and entry in record.tokens):
            number, excuse = self.scope.script.index((key, token)), "e"
        asks = tuple(number if i == key else ask for i, ask in enumerate(s.asks))
        asked: Tokens = tuple(sorted({**dict(obj.asked), KEYS[key]: token}.items()))
        state = self._edit(s._replace(asks=asks, script=s.script + 1), obj._replace(asked=asked))
        return Move(f"the user sets token {token}", -1, state, excuse)

    def _strangers(self, s: State) -> Iterator[Move]:
        left = s.left
        if left.foreign:
            yield Move("somebody else resets the job", -1, self._spend(s, "foreign")._replace(url=0, since=so_far(s)))
        if left.regrow and not s.url:
            yield Move("ESA submits a URL", -1, self._spend(s, "regrow")._replace(url=1))
        if left.fall and s.url:
            yield Move("the counter falls without a reset", -1, self._spend(s, "fall")._replace(url=0, fell=True))
        obj = self.m.objs[s.obj]
        if left.wipe and (obj.reset is not None or obj.handled):
            wiped = self._spend(s, "wipe")._replace(allowed=more(s.allowed, bits(s.asks)), serves=0, call=0)
            yield Move(
                "somebody wipes the status",
                -1,
                self._edit(
                    wiped, obj._replace(reset=None, handled=(), conditions=(), told=EsaJob(""), observed=obj.generation)
                ),
                "d",
            )
        if left.rekey:
            yield Move("the access key changes", -1, self._spend(s, "rekey")._replace(key=1))
        if left.new_job:
            s2 = self._spend(s, "new_job")._replace(url=0, since=0, allowed=more(s.allowed, s.serves))
            yield Move("the source changes: job J2", -1, self._edit(s2, obj._replace(job="J2")))

    def _to_process(self, s: State, p: int, proc: Proc) -> Iterator[Move]:
        if s.left.crash:
            yield Move("crashes and starts again", p, self._crash(self._spend(s, "crash"), p, alive=True))
        if s.left.pause:
            stands = self._slow(self._spend(s, "pause"), p)
            yield Move("is paused", p, self._proc(stands, p, proc._replace(paused=True)))

    def _to_writes(self, s: State, p: int, proc: Proc) -> Iterator[Move]:
        step = self.m.steps[proc.step]
        if not isinstance(step, Write):
            return
        if s.left.write_lost:
            lost = self._spend(s, "write_lost")
            yield Move("writes: 500, not stored", p, self._on(lost, p, (WriteLost,)))
            if step.view.version:
                lost, excuse = self._store(lost, step, doubt=proc.doubt)
                yield Move("writes, the answer is lost", p, self._on(lost, p, (WriteLost,)), excuse)
        if s.left.late_write:
            late = self._spend(s, "late_write")
            landing = tuple(sorted((*s.landing, Landing(p, proc.step, proc.doubt))))
            yield Move("writes, gives up", p, self._on(late, p, (WriteLost,))._replace(landing=landing))

    def _to_calls(self, s: State, p: int, proc: Proc) -> Iterator[Move]:
        step, left = self.m.steps[proc.step], s.left
        if isinstance(step, Ask) and left.look_fails:
            yield Move("looks: 503", p, self._on(self._spend(s, "look_fails"), p, (Returned, THROTTLED)))
        if isinstance(step, Ask) and left.author:
            yield Move("looks: 404", p, self._on(self._spend(s, "author"), p, (Returned, NOT_FOUND)))
        if not isinstance(step, Call):
            return
        if proc.sub == READY and left.refuse:
            refused = self._on(self._spend(s, "refuse"), p, (Returned, REFUSED_CONNECTION))
            yield Move("cannot connect", p, refused)
        message = next((m for m in s.wire if m.proc == p), None)
        if message is None or proc.sub != AWAITING:
            return
        if left.lose:
            wire = off_wire(s.wire, message)
            if not message.executed:
                wire = tuple(sorted((*wire, message._replace(proc=-1))))
            broken = self._spend(s, "lose")._replace(wire=wire)
            yield Move("loses the connection", p, self._proc(broken, p, proc._replace(sub=BROKEN)))
        yield from self._answers(s, p, message)

    def _answers(self, s: State, p: int, message: Message) -> Iterator[Move]:
        """ESA refuses, or does not know; where nonces are named this may use one up."""
        for name, problem in (("throttle", THROTTLED), ("author", NOT_FOUND), ("server", SERVER_ERROR)):
            if getattr(s.left, name) and (not message.executed or name == "server"):
                said = self._spend(s, name)._replace(wire=off_wire(s.wire, message))
                yield Move(f"ESA says {problem.code}", p, self._on(said, p, (Returned, problem)))
                signing = self.m.records[message.intent].signing
                if signing is not None and not message.executed:
                    burnt = nonces.burn(said, signing, executed=False)
                    told = f"ESA says {problem.code}, the nonce is used up"
                    yield Move(told, p, self._on(burnt, p, (Returned, problem)))
