"""The whole world of one resource as small values, and the real planner on numbers instead of values.

As in `unit.protocol`, monotonic clocks stand at 0 and what is remembered ages, and versions are 1 or 0. The wall
clock counts epochs: it moves when the next bound of a window or of the schedule passes.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from esa_preload_operator.domain import call, cron, entries, executions, plan, schedule
from esa_preload_operator.domain.local import LocalState
from esa_preload_operator.domain.steps import (
    Call,
    Conflicted,
    Create,
    Input,
    Observed,
    Returned,
    Step,
    Stored,
    Told,
    Wait,
    WriteLost,
)
from esa_preload_operator.domain.values import Moment, Rules
from unit.lifecycle.ageing import (
    EPOCH,
    LIST_GRACE,
    NEVER,
    QUIET,
    canonical,
    later_step,
    mentions,
    next_epoch,
    older_step,
    shift,
    small_step,
)
from unit.lifecycle.resource import Obj, view_of
from unit.protocol.ageing import GRACE, REPEAT, TIMEOUT, aged
from unit.protocol.world import Interner

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator
    from types import ModuleType

    from esa_preload_operator.domain.view import View
    from unit.lifecycle.account import Account, Job

T = TypeVar("T")

NOON: Final = 1_800_014_400 - 1_800_014_400 % 86_400 + 43_200
"""Epoch seconds of the wall clock in epoch 0: noon, so that a daily schedule is due between two epochs."""


AHEAD: Final = 20_000
"""Seconds that a start which nobody names lies ahead: within the epoch."""


@contextmanager
def coarse() -> Iterator[None]:
    """Let windows open so far ahead that a clock of epochs shows it, and expressions be computed once."""
    with changed(_COARSE):
        yield


@contextmanager
def changed(places: Iterable[tuple[ModuleType, str, Any]]) -> Iterator[None]:
    """Put other values into some places for a while."""
    before = [(module, name, getattr(module, name)) for module, name, _ in places]
    for module, name, value in places:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


_COARSE: Final = (
    (entries, "AHEAD", AHEAD),
    (executions, "AHEAD", AHEAD),
    (schedule, "latest_time", lru_cache(None)(cron.latest_time)),
    (schedule, "time_after", lru_cache(None)(cron.time_after)),
)


def wall_of(epoch: int) -> int:
    return NOON + epoch * EPOCH


class Edit(NamedTuple):
    """What a user does to the resource."""

    name: str
    change: Callable[[Obj], Obj]
    anew: bool = False
    """It makes another resource of the same name once the first one is gone."""


class Left(NamedTuple):
    """How often each disturbance may still happen."""

    crash: int = 0
    lose: int = 0
    """Calls whose answer is lost, executed or not, at once or late."""
    refuse: int = 0
    """Calls that ESA refuses for now."""
    deny: int = 0
    """Calls that ESA refuses until the account's owner acts."""
    write_lost: int = 0
    late_write: int = 0
    pause: int = 0
    touch: int = 0
    """Edits of the resource that change nothing of its spec."""
    job_gone: int = 0
    run_gone: int = 0
    run_stopped: int = 0
    run_changed: int = 0
    partial: int = 0
    """Windows that ESA does not open although the call succeeds."""
    epoch: int = 0
    """Bounds that the wall clock passes."""
    ask_fails: int = 0
    """Questions that fail, and lists that change while they are read."""
    behind: int = 0
    """The clock of the processes is an epoch behind for a while."""
    ahead: int = 0
    """It is two epochs ahead for a while."""


@dataclass(frozen=True)
class Scope:
    """What is bounded, and by how much."""

    name: str
    tracks: tuple[tuple[Edit, ...], ...] = ()
    """What users do: each track in its order, the tracks in any."""
    left: Left = field(default_factory=Left)
    obj: Obj = field(default_factory=Obj)
    settled: bool = False
    """It begins when all that `obj` asks for is done."""
    begun: bool = False
    """And when the next bound of its windows has passed, too."""
    owners: int = 1
    lease: int = 0
    """Length of the lease; 0: one process without leader election."""
    lag: int = 0
    """Ticks for which lists may not show what is new."""
    unbounded: bool = False
    """Messages may outlive their deadlines."""
    endless_lag: bool = False
    """Lists may hide what is new for longer than the grace."""
    split: bool = False
    """A process can be paused between the check and the first byte."""
    jobs: tuple[Job, ...] = ()
    """Jobs that somebody else has made, beside those of every scope."""
    room: int = 0
    """Jobs that the site takes; 0 for any number."""
    new_leader: bool = False
    """The process has just become the leader when it begins."""


class Proc(NamedTuple):
    """A process: `memory` and `step` are the planner's, the rest is the world's."""

    alive: bool
    generation: int
    memory: int
    step: int
    news: bool = True
    """The watch has shown a version that the process has not taken in."""
    led: int = 0
    """Ticks since it became the leader, as far as they count."""
    lease: int = 0
    paused: bool = False
    checked: bool = False
    heard: str = ""
    """The list of the ConfigMap that the process was told of last."""
    told: tuple[Hashable, ...] = ()
    """What the last list of executions told that did not fit the status."""


class Message(NamedTuple):
    """A call whose answer nobody waits for; it may still be executed, or vanish."""

    step: int
    expires: int
    uid: str
    """The resource that it was for."""


class Ask(NamedTuple):
    """A request for a reset, and what was done about it."""

    token: str
    served: int = 0
    """Resets and creates that were executed for it."""
    allowed: int = 1
    jobs: tuple[str, ...] = ()
    """Jobs that were made or reset since it was set."""


class Truth(NamedTuple):
    """What really happened, which no process knows."""

    asks: tuple[Ask, ...] = ()
    resets: int = 0
    """Outcomes that made `onReset` windows due."""
    ends: tuple[int, ...] = ()
    """When the `onReset` windows that were opened end, each once."""
    noted: int = 0
    """The base with which the present schedule was noted, in epoch seconds."""
    since: int = -1
    """The epoch in which a user gave the resource its schedule: no time before is to be made."""
    excuses: str = ""
    """Letters of what excuses a promise."""


class State(NamedTuple):
    """One state of the world."""

    obj: int
    jobs: Account
    procs: tuple[Proc, ...]
    left: Left
    at: tuple[int, ...]
    """How far each track of edits is."""
    truth: Truth = Truth()
    wire: tuple[Message, ...] = ()
    landing: tuple[int, ...] = ()
    """Status writes that their processes have given up, and the API server has yet to judge."""
    epoch: int = 0
    skew: int = 0
    """Epochs by which the clock of the processes is wrong."""
    gone: bool = False
    """The resource does not exist."""
    broken: str = ""


class Move(NamedTuple):
    """One move by its name, the process that makes it (-1: somebody else), and where it leads."""

    name: str
    proc: int
    state: State


@dataclass(frozen=True)
class Rulebook:
    """The planner under exploration; a mutation replaces one of its parts."""

    name: str = "as it is"
    advance: Callable[[LocalState, Input, Moment, Rules], tuple[LocalState, Step]] = plan.advance
    may_send: Callable[[Call | Create, float, float, float], bool] = call.may_send
    heedless: bool = False
    """A process that has lost the lease goes on as if it had not."""


Event = tuple[Any, ...]


class Machine:
    """Drives the real planner on numbers instead of values, and remembers its answers: it is pure."""

    def __init__(self, rulebook: Rulebook) -> None:
        self.rulebook = rulebook
        self.objs: Interner[Obj] = Interner()
        self.memories: Interner[LocalState] = Interner()
        self.steps: Interner[Step] = Interner()
        self.views: Interner[View] = Interner()
        self._known: dict[Hashable, tuple[int, int]] = {}
        self._memo: dict[Hashable, Any] = {}
        self.fresh_memory = self.memories.id(canonical(LocalState()))
        self.rest = self.steps.id(Wait())

    def view(self, obj: int) -> int:
        """The present version of the resource, as a process sees it."""
        return self._once(("view", obj), lambda: self.views.id(view_of(self.objs[obj])))

    def advance(self, proc: Proc, p: int, event: Event, epoch: int, unique: int) -> tuple[int, int]:
        """Return memory and step of a process after an event."""
        key = (p, proc.generation, proc.memory, proc.led, event, epoch, unique)
        known = self._known.get(key)
        if known is None:
            rules = Rules(
                owner=f"p{p}.{proc.generation}",
                request_timeout=TIMEOUT,
                network_grace=GRACE,
                list_grace=LIST_GRACE,
                leading_since=NEVER if proc.led >= QUIET else -proc.led,
                repeat_after=REPEAT,
            )
            now = Moment(wall=float(wall_of(epoch)), monotonic=0.0, jitter=1.0, unique=unique)
            with coarse():
                after, step = self.rulebook.advance(self.memories[proc.memory], self._input(event), now, rules)
            known = self.memories.id(canonical(after)), self.steps.id(small_step(step))
            self._known[key] = known
        return known

    def _input(self, event: Event) -> Input:
        match event:
            case ("observed", int(view), bool(fresh)):
                return Observed(self.views[view], fresh=fresh)
            case ("stored", int(view)):
                return Stored(self.views[view])
            case ("told", fact, str(job_id)):
                return Told(fact, job_id, None, 0.0)
            case ("returned", result):
                return Returned(result)
            case ("lost",):
                return WriteLost()
            case _:
                return Conflicted()

    def older_memory(self, number: int) -> int:
        """The same memory after the resource has got a newer version."""
        return self._once(("old memory", number), lambda: self.memories.id(aged(self.memories[number])))

    def older_step(self, number: int) -> int:
        """The same step after the resource has got a newer version."""
        return self._once(("old step", number), lambda: self.steps.id(older_step(self.steps[number])))

    def later_memory(self, number: int, ticks: int) -> int:
        """The same memory some ticks later."""
        make = lambda: self.memories.id(canonical(shift(self.memories[number], ticks)))  # noqa: E731
        return self._once(("memory", number, ticks), make)

    def later_step(self, number: int, ticks: int) -> int:
        """The same step some ticks later."""
        return self._once(("step", number, ticks), lambda: self.steps.id(later_step(self.steps[number], ticks)))

    def next_epoch(self, number: int) -> int:
        """The same step once the wall clock has moved."""
        return self._once(("epoch", number), lambda: self.steps.id(next_epoch(self.steps[number])))

    def used(self, s: State) -> frozenset[str]:
        """The ids and names that anybody could speak of."""
        steps = {proc.step for proc in s.procs} | {message.step for message in s.wire} | set(s.landing)
        found = [self._once(("names in step", n), lambda n=n: mentions(self.steps[n])) for n in steps]  # type: ignore[misc]
        memories = {proc.memory for proc in s.procs}
        found += [self._once(("names in memory", n), lambda n=n: mentions(self.memories[n])) for n in memories]  # type: ignore[misc]
        found.append(self._once(("names in object", s.obj), lambda: mentions(view_of(self.objs[s.obj]))))
        return frozenset().union(*found, mentions(s.jobs))

    def _once(self, key: Hashable, make: Callable[[], T]) -> T:
        known = self._memo.get(key)
        if known is None:
            known = self._memo[key] = make()
        return known


def fresh_name(used: frozenset[str], kind: str) -> str:
    """The first id of a kind that nobody speaks of."""
    return next(name for n in range(1, 1000) if (name := f"{kind}{n}") not in used)


def fresh_number(used: frozenset[str]) -> int:
    """The first number of a call that no name holds."""
    taken = {name[-8:] for name in used if name.startswith("p-")}
    return next(n for n in range(1, 1000) if f"{n:08x}" not in taken)
