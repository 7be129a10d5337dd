"""Explores all states that moves lead to, breadth first, and finds the shortest way to a fault."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from array import array
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class Reached(Hashable, Protocol):
    """A state of the world."""

    @property
    def broken(self) -> str:
        """Which promise it breaks; empty if none."""
        ...


S = TypeVar("S", bound=Reached)
S_co = TypeVar("S_co", covariant=True)


class Moved(Protocol[S_co]):
    """A move: what it is called, the process that makes it (-1 for none), and where it leads."""

    @property
    def name(self) -> str: ...

    @property
    def proc(self) -> int: ...

    @property
    def state(self) -> S_co: ...


M = TypeVar("M", bound=Moved[Any])
M_co = TypeVar("M_co", covariant=True)
S_contra = TypeVar("S_contra", contravariant=True)


class Moves(Protocol[S_contra, M_co]):
    """What may happen in a state."""

    def fair(self, s: S_contra, /) -> Iterable[M_co]:
        """Moves without any further disturbance; the first of them is the way on."""
        ...

    def disturbances(self, s: S_contra, /) -> Iterable[M_co]:
        """Moves that need not happen."""
        ...


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
        line = f"{self.scope:<60}{self.states:>9,} states {self.moves:>10,} moves {self.seconds:6.1f} s{self.remark()}"
        return "\n".join([line, *([f"  {self.fault}:"] if self.fault else []), *(f"    {step}" for step in self.trace)])

    def remark(self) -> str:
        """What else there is to say in the line."""
        return "" if self.whole or self.fault else "  (not all)"


class Search(ABC, Generic[S, M]):
    """One exploration from a start on; `found` tells what came of it."""

    def __init__(self, moves: Moves[S, M], start: S, found: Found, most: int = 1_000_000) -> None:
        self._moves = moves
        self._most = most
        self.found = found
        self.states = [start]
        self.names: list[tuple[str, int]] = [("start", -1)]
        self.parents = array("q", [-1])
        self._numbers = {start: 0}
        self._fair = array("q")

    @abstractmethod
    def circle(self, numbers: list[int]) -> str:
        """What is wrong with states that lead to each other; empty if nothing is."""

    @abstractmethod
    def tell(self, number: int) -> str:
        """The move to a state, in words."""

    def end(self, state: S) -> str:
        """What is wrong with a state from which nothing leads on undisturbed; empty if nothing is."""
        del state
        return ""

    def noted(self, move: M) -> None:
        """Take in a move."""

    def explore(self) -> None:
        """Explore all states; stop at the first fault."""
        begun = time.perf_counter()
        number = 0
        while number < len(self.states) < self._most and not self.found.fault:
            self.expand(number)
            number += 1
        self.found.whole = number == len(self.states)
        if not self.found.fault and self.found.whole:
            self._check_ends()
        self.found.states = len(self.states)
        self.found.seconds = time.perf_counter() - begun

    def expand(self, number: int) -> int:
        """Make all moves from a state; return where the undisturbed way on leads, -1 if there is none."""
        state = self.states[number]
        fair = -1
        for move in self._moves.fair(state):
            reached = self._reach(number, move)
            if fair < 0:
                fair = reached
        self._fair.append(fair)
        for move in self._moves.disturbances(state):
            self._reach(number, move)
        return fair

    def _reach(self, number: int, move: M) -> int:
        self.found.moves += 1
        self.noted(move)
        known = self._numbers.setdefault(move.state, len(self.states))
        if known == len(self.states):
            self.states.append(move.state)
            self.parents.append(number)
            self.names.append((move.name, move.proc))
            if move.state.broken and not self.found.fault:
                self.blame(known, move.state.broken)
        return known

    def blame(self, number: int, fault: str) -> None:
        """Note a fault, and the shortest way to it."""
        self.found.fault = fault
        self.found.trace = self.trace(number)

    def _check_ends(self) -> None:
        """From every state the undisturbed way on must lead to a state in which nothing is left to do."""
        good = bytearray(len(self.states))
        for first in range(len(self.states)):
            way: list[int] = []
            number = first
            while not good[number]:
                good[number] = 2
                way.append(number)
                onward = self._fair[number]
                if onward < 0:
                    if fault := self.end(self.states[number]):
                        return self.blame(number, fault)
                    break
                if good[onward] == 2:
                    circle = way[way.index(onward) :]
                    if fault := self.circle(circle):
                        self.blame(onward, fault)
                        self.found.trace += ["the circle:", *(self.tell(each) for each in circle[1:])]
                        return None
                    break
                number = onward
            for passed in way:
                good[passed] = 1
        return None

    def trace(self, number: int) -> list[str]:
        """The shortest way to a state, in words."""
        way: list[int] = []
        while number > 0:
            way.append(number)
            number = self.parents[number]
        return [self.tell(reached) for reached in reversed(way)]
