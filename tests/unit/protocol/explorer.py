"""Explores every interleaving of the reset protocol in a scope, breadth first, and tells the shortest way to a fault.

The protocol is the real one: `advance` and `may_send`. Everything around it is in `moves`. Run as a script for a table
of all scopes of the tests, or of those, also the large ones, whose name holds the first argument.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[3] / "operator")]

from esa_preload_operator.domain.steps import Call, Step, Write
from esa_preload_operator.domain.tokens import without
from esa_preload_operator.domain.values import OPEN_PHASES
from support.exploring import Found, Search
from unit.protocol.disturbances import Disturbed
from unit.protocol.parts import Move
from unit.protocol.scopes import LARGE, SCOPES, Scope
from unit.protocol.surroundings import Surrounded
from unit.protocol.world import Machine, Rulebook, State


@dataclass
class Excused(Found):
    """What an exploration found."""

    excuses: Counter[str] = field(default_factory=Counter)
    """Moves into each undecidable situation, by its letter."""

    def remark(self) -> str:
        """Which situations were undecidable."""
        return f"  undecidable {' '.join(f'{kind}:{n}' for kind, n in sorted(self.excuses.items())) or 'none'}"


class Explorer(Search[State, Move]):
    """One exploration."""

    found: Excused

    def __init__(self, scope: Scope, rulebook: Rulebook | None = None) -> None:
        self.machine = Machine(rulebook or Rulebook(), nonce=scope.nonce)
        self.moves = Surrounded(scope, self.machine) if scope.site else Disturbed(scope, self.machine)
        super().__init__(self.moves, self.moves.start(), Excused(scope.name), sys.maxsize)

    def run(self) -> Excused:
        """Explore all states; stop at the first fault."""
        self.explore()
        return self.found

    def noted(self, move: Move) -> None:
        """Count what is excused."""
        if move.excuse:
            self.found.excuses[move.excuse] += 1

    def end(self, state: State) -> str:
        """What is wrong with a state in which nobody does anything any more."""
        return self._restless(state)

    def circle(self, numbers: list[int]) -> str:
        """What is wrong with states that lead to each other; to try again at times is fine if others must act."""
        states = [self.states[number] for number in numbers]
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

    def tell(self, number: int) -> str:
        """The move to a state, in words."""
        name, p = self.names[number]
        before, after = self.states[self.parents[number]], self.states[number]
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
