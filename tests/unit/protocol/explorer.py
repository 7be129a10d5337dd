"""Explores every interleaving of the reset protocol in a scope, breadth first, and tells the shortest way to a fault.

The protocol is the real one: `advance` and `may_send`. Everything around it is in `moves`. Run as a script for a table
of all scopes of the tests, or of those, also the large ones, whose name holds the first argument.
"""

from __future__ import annotations

import sys
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[3] / "operator")]

from esa_preload_operator.domain.steps import Call, Step, Write
from esa_preload_operator.domain.tokens import without
from esa_preload_operator.domain.values import OPEN_PHASES
from unit.protocol.disturbances import Disturbed
from unit.protocol.scopes import LARGE, SCOPES, Scope
from unit.protocol.surroundings import Surrounded
from unit.protocol.world import Machine, Rulebook, State

if TYPE_CHECKING:
    from unit.protocol.parts import Move


@dataclass
class Found:
    """What an exploration found."""

    scope: str
    states: int = 0
    moves: int = 0
    seconds: float = 0.0
    excuses: Counter[str] = field(default_factory=Counter)
    """Moves into each undecidable situation, by its letter."""
    fault: str = ""
    trace: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        excuses = " ".join(f"{kind}:{n}" for kind, n in sorted(self.excuses.items())) or "none"
        numbers = f"{self.states:>9,} states {self.moves:>10,} moves {self.seconds:6.1f} s"
        line = f"{self.scope:<50}{numbers}  undecidable {excuses}"
        return "\n".join([line, *([f"  {self.fault}:"] if self.fault else []), *(f"    {step}" for step in self.trace)])


class Explorer:
    """One exploration."""

    def __init__(self, scope: Scope, rulebook: Rulebook | None = None) -> None:
        self.machine = Machine(rulebook or Rulebook(), nonce=scope.nonce)
        self.moves = Surrounded(scope, self.machine) if scope.site else Disturbed(scope, self.machine)
        self.found = Found(scope.name)
        start = self.moves.start()
        self._numbers = {start: 0}
        self._states = [start]
        self._parents = array("q", [-1])
        self._fair = array("q")
        self._names: list[tuple[str, int]] = [("start", -1)]

    def run(self) -> Found:
        """Explore all states; stop at the first fault."""
        begun = time.perf_counter()
        number = 0
        while number < len(self._states) and not self.found.fault:
            self._expand(number)
            number += 1
        if not self.found.fault:
            self._check_ends()
        self.found.states = len(self._states)
        self.found.seconds = time.perf_counter() - begun
        return self.found

    def _expand(self, number: int) -> None:
        state = self._states[number]
        fair = -1
        for move in self.moves.fair(state):
            reached = self._reach(number, move)
            if fair < 0:
                fair = reached
        self._fair.append(fair)
        for move in self.moves.disturbances(state):
            self._reach(number, move)

    def _reach(self, number: int, move: Move) -> int:
        found = self.found
        found.moves += 1
        if move.excuse:
            found.excuses[move.excuse] += 1
        known = self._numbers.setdefault(move.state, len(self._states))
        if known == len(self._states):
            self._states.append(move.state)
            self._parents.append(number)
            self._names.append((move.name, move.proc))
            if move.state.broken and not found.fault:
                self._blame(known, move.state.broken)
        return known

    def _blame(self, number: int, fault: str) -> None:
        self.found.fault = fault
        self.found.trace = self.trace(number)

    def _check_ends(self) -> None:
        """From every state the undisturbed way on must lead to a state in which nothing is left to do."""
        good = bytearray(len(self._states))
        for first in range(len(self._states)):
            way = []
            number = first
            while not good[number]:
                good[number] = 2
                way.append(number)
                onward = self._fair[number]
                if onward < 0 and (fault := self._restless(self._states[number])):
                    return self._blame(number, fault)
                if onward >= 0 and good[onward] == 2:
                    if fault := self._circle(way[way.index(onward) :]):
                        return self._blame(onward, fault)
                    break
                number = onward if onward >= 0 else number
            for passed in way:
                good[passed] = 1
        return None

    def _circle(self, numbers: list[int]) -> str:
        """What is wrong with states that lead to each other; to try again at times is fine if others must act."""
        states = [self._states[number] for number in numbers]
        waits = isinstance(self.moves, Surrounded) and all(self.moves.waits_for_others(state) for state in states)
        if not waits or len({state.obj for state in states}) > 1:
            return "a circle that nothing ends"
        return self._restless(states[0])

    def _restless(self, state: State) -> str:
        """What is wrong with a state in which nobody does anything any more."""
        obj = self.machine.objs[state.obj]
        if obj.deleting:
            return ""
        if isinstance(self.moves, Surrounded) and self.moves.shown(state) != self.moves.expected(state):
            return f"Ready says {self.moves.shown(state)}, not {self.moves.expected(state)}"
        blocked = state.rival or (isinstance(self.moves, Surrounded) and self.moves.waits_for_others(state))
        phase = obj.reset.phase if obj.reset is not None else ""
        done = not without(obj.asked, obj.handled) and phase not in OPEN_PHASES
        return "" if done or blocked else "a dead end"

    def trace(self, number: int) -> list[str]:
        """The shortest way to a state, in words."""
        way: list[int] = []
        while number > 0:
            way.append(number)
            number = self._parents[number]
        return [self._tell(reached) for reached in reversed(way)]

    def _tell(self, number: int) -> str:
        name, p = self._names[number]
        before, after = self._states[self._parents[number]], self._states[number]
        who = f"p{p} " if p >= 0 else ""
        what = ""
        if p >= 0 and name.startswith(("writes", "sends", "checks", "late")):
            what = f" ({_words(self.machine.steps[before.procs[p].step])})"
        elif name == "looks":
            what = f" (submitted {before.url})"
        counts = f"  [executed {after.counts}]" if after.counts != before.counts else ""
        return f"{who}{name}{what}{counts}"


def _words(step: Step) -> str:
    match step:
        case Write(reset=record, handled=handled):
            values = ",".join(token for _, token in record.tokens) if record is not None else ""
            what = f"{record.phase} {values} before={record.submitted_before}" if record is not None else "nothing"
            return f"{what}, handled {','.join(token for _, token in handled) or 'none'}"
        case Call(intent=intent, not_after=moment):
            return f"{','.join(token for _, token in intent.tokens)}, not after {moment:g}"
        case _:
            return type(step).__name__


if __name__ == "__main__":
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    for _scope in SCOPES + LARGE:
        if wanted in _scope.name and (wanted or _scope in SCOPES):
            sys.stdout.write(f"{Explorer(_scope).run()}\n")
            sys.stdout.flush()
