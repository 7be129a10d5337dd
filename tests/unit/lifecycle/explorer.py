"""Explores every interleaving of a resource's life in a scope, breadth first, and tells the shortest way to a fault.

The planner is the real one: `advance` and `may_send`. Run as a script for a table of all scopes of the tests, or of
those, also the large ones, whose name holds the first argument.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[3] / "operator")]

from support.exploring import Found, Search
from unit.lifecycle.account import Job
from unit.lifecycle.ageing import QUIET
from unit.lifecycle.promises import Promised
from unit.lifecycle.words import words
from unit.lifecycle.world import Machine, Move, Proc, Rulebook, Scope, State

STRANGERS = (Job("J8", "p-0000000f-0000000f", "S"), Job("J9", "p-aaaaaaaa-1", "S"))
"""Jobs of another resource and of a person, whose names begin like ours."""


class Explorer(Search[State, Move]):
    """One exploration."""

    def __init__(self, scope: Scope, rulebook: Rulebook | None = None, most: int = 1_000_000) -> None:
        self.machine = Machine(rulebook or Rulebook())
        self.moves = Promised(scope, self.machine)
        self.start = self._start(scope)
        super().__init__(self.moves, self.start, Found(scope.name), most)

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
        self.explore()
        return self.found

    def expand(self, number: int) -> int:
        """Judge a state at once from which nothing leads on, so that the shortest way to it is told."""
        fair = super().expand(number)
        if fair < 0 and not self.found.fault and (fault := self.moves.fault(self.states[number])):
            self.blame(number, fault)
        return fair

    def circle(self, numbers: list[int]) -> str:
        """What is wrong with states that lead to each other; to try again at times is fine if others must act."""
        if not all(self.moves.waits_for_others(self.states[number]) for number in numbers):
            return "a circle that nothing ends"
        slow = any("s pass" in self.names[number][0] for number in numbers)
        return "" if slow else "tried again at once, without end"

    def tell(self, number: int) -> str:
        """The move to a state, in words."""
        name, p = self.names[number]
        before, after = self.states[self.parents[number]], self.states[number]
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
