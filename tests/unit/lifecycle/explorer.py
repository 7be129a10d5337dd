"""Explores every interleaving of a resource's life in a scope, breadth first, and tells the shortest way to a fault.

The planner is the real one: `advance` and `may_send`. Run as a script for a table of all scopes of the tests, or of
those, also the large ones, whose name holds the first argument.
"""

from __future__ import annotations

import sys
import time
from array import array
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[3] / "operator")]

from unit.lifecycle.account import Job
from unit.lifecycle.ageing import QUIET
from unit.lifecycle.promises import Promised
from unit.lifecycle.words import words
from unit.lifecycle.world import Machine, Move, Proc, Rulebook, Scope, State

STRANGERS = (Job("J8", "p-0000000f-0000000f", "S"), Job("J9", "p-aaaaaaaa-1", "S"))
"""Jobs of another resource and of a person, whose names begin like ours."""


@dataclass
class Found:
    """What an exploration found."""

    scope: str
    states: int = 0
    moves: int = 0
    seconds: float = 0.0
    whole: bool = False
    """All states were reached."""
    fault: str = ""
    trace: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        line = f"{self.scope:<60}{self.states:>9,} states {self.moves:>10,} moves {self.seconds:6.1f} s"
        line += "" if self.whole or self.fault else "  (not all)"
        return "\n".join([line, *([f"  {self.fault}:"] if self.fault else []), *(f"    {step}" for step in self.trace)])


class Explorer:
    """One exploration."""

    def __init__(self, scope: Scope, rulebook: Rulebook | None = None, most: int = 1_000_000) -> None:
        self.machine = Machine(rulebook or Rulebook())
        self.moves = Promised(scope, self.machine)
        self.found = Found(scope.name)
        self._most = most
        self.start = self._start(scope)
        self._numbers = {self.start: 0}
        self._states = [self.start]
        self._parents = array("q", [-1])
        self._fair = array("q")
        self._names: list[tuple[str, int]] = [("start", -1)]

    def _start(self, scope: Scope) -> State:
        m = self.machine
        first = Proc(True, 0, m.fresh_memory, m.rest, led=0 if scope.new_leader else QUIET, lease=scope.lease)
        later = Proc(not scope.lease, 0, m.fresh_memory, m.rest, led=QUIET)
        state = State(
            obj=m.objs.id(scope.obj),
            jobs=tuple(sorted((*STRANGERS, *scope.jobs))),
            procs=(first._replace(heard=scope.obj.source),) + (later,) * (scope.owners - 1),
            left=scope.left,
            at=(0,) * len(scope.tracks),
        )
        if scope.endless_lag:
            state = state._replace(truth=state.truth._replace(excuses="a"))
        if scope.settled:
            state = self._settled(state)
        return self._settled(self.moves.next_epoch(state)) if scope.begun else state

    def _settled(self, state: State) -> State:
        while (move := next(self.moves.fair(state), None)) is not None:
            state = move.state
        return state

    def run(self) -> Found:
        """Explore all states; stop at the first fault."""
        begun = time.perf_counter()
        number = 0
        while number < len(self._states) < self._most and not self.found.fault:
            self._expand(number)
            number += 1
        self.found.whole = number == len(self._states)
        if not self.found.fault and self.found.whole:
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
        if fair < 0 and not self.found.fault and (fault := self.moves.fault(state)):
            self._blame(number, fault)
        for move in self.moves.disturbances(state):
            self._reach(number, move)

    def _reach(self, number: int, move: Move) -> int:
        self.found.moves += 1
        known = self._numbers.setdefault(move.state, len(self._states))
        if known == len(self._states):
            self._states.append(move.state)
            self._parents.append(number)
            self._names.append((move.name, move.proc))
            if move.state.broken and not self.found.fault:
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
                if onward < 0:
                    break
                if good[onward] == 2:
                    circle = way[way.index(onward) :]
                    if fault := self._circle(circle):
                        self._blame(onward, fault)
                        self.found.trace += ["the circle:", *(self._tell(n) for n in circle[1:])]
                        return
                    break
                number = onward
            for passed in way:
                good[passed] = 1

    def _circle(self, numbers: list[int]) -> str:
        """What is wrong with states that lead to each other; to try again at times is fine if others must act."""
        states = [self._states[number] for number in numbers]
        if not all(self.moves.waits_for_others(state) for state in states):
            return "a circle that nothing ends"
        slow = any("s pass" in self._names[number][0] for number in numbers)
        return "" if slow else "tried again at once, without end"

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
        what = words(self.machine.steps[before.procs[p].step]) if p >= 0 else ""
        ends = words(self.machine.steps[after.procs[p].step]) if p >= 0 else ""
        jobs = f"  [{_jobs(after)}]" if after.jobs != before.jobs else ""
        who = f"p{p} " if p >= 0 else ""
        return f"{who}{name}{f' ({what})' if what else ''}{f' -> {ends}' if ends else ''}{jobs}"


def _jobs(s: State) -> str:
    mine = [job for job in s.jobs if job not in STRANGERS]
    return ", ".join(
        f"{job.id}={job.text}:{job.url}" + "".join(f" {run.id}{'!' if run.stopped else ''}" for run in job.runs)
        for job in mine
    )


if __name__ == "__main__":
    from unit.lifecycle.scopes import LARGE, SCOPES

    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    for _scope in SCOPES + LARGE:
        if wanted in _scope.name and (wanted or _scope in SCOPES):
            sys.stdout.write(f"{Explorer(_scope).run()}\n")
            sys.stdout.flush()
