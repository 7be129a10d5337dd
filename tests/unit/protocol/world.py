"""The world around the reset protocol as small values that can be compared, kept and counted.

The clock stands at 0 in every state: when time passes, all moments that somebody remembers move into the past. Versions
are 1 (the present one) or 0 (an older one), which is all that a conditional write asks. So states that differ by age
alone are one state.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from esa_preload_operator.domain import call, plan
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.local import LocalState
from esa_preload_operator.domain.steps import (
    Call,
    CredentialsChanged,
    Input,
    JobMissing,
    JobTold,
    Observed,
    SiteFailed,
    SiteListed,
    Step,
    Told,
    Wait,
    Write,
)
from esa_preload_operator.domain.values import Moment, ResetState, Rules
from esa_preload_operator.domain.view import Shown, View
from support.protocol import after, ready
from unit.protocol.ageing import (
    GRACE,
    REPEAT,
    TIMEOUT,
    aged,
    canonical,
    kept,
    old_view,
    shift,
    shift_step,
    small,
)
from unit.protocol.nonces import stamps_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from esa_preload_operator.domain.tokens import Tokens
    from esa_preload_operator.resources.job import Condition

KEYS = ("esa.preload-operator.io/resetRequested", "resetRequested")

V = TypeVar("V", bound=Hashable)


class Interner(Generic[V]):
    """Gives each value a small number, so that states are cheap to compare."""

    def __init__(self) -> None:
        self._ids: dict[V, int] = {}
        self._values: list[V] = []

    def id(self, value: V) -> int:
        known = self._ids.setdefault(value, len(self._values))
        if known == len(self._values):
            self._values.append(value)
        return known

    def __getitem__(self, number: int) -> V:
        return self._values[number]


class Obj(NamedTuple):
    """What the API server keeps."""

    job: str
    asked: Tokens
    handled: Tokens
    reset: ResetState | None
    generation: int
    observed: int
    conditions: tuple[Condition, ...]
    told: EsaJob
    """What the status shows of the job."""
    secret: str = "k1"
    deleting: bool = False


def new_obj() -> Obj:
    """A resource whose job was seen to work, and nobody has asked for anything."""
    return Obj("J1", (), (), None, 1, 1, tuple(_timeless(item) for item in ready().conditions), _told("J1"))


def _told(job_id: str, url: int | None = None) -> EsaJob:
    return EsaJob(job_id, site_id=1, url_submitted=url or None)


def _timeless(condition: Condition) -> Condition:
    return condition.model_copy(update={"last_transition_time": "", "observed_generation": 0})


def obj_after(old: Obj, write: Write) -> Obj:
    """What the API server keeps after a write."""
    stored = after(write.view, write)
    conditions = tuple(_timeless(item) for item in stored.shown.conditions)
    shown = stored.shown.job
    return old._replace(
        handled=write.handled,
        reset=kept(write.reset),
        observed=old.generation if stored.observed is None else stored.observed,
        conditions=conditions,
        told=_told(shown.id, shown.url_submitted) if write.job is not None else old.told,
    )


class Proc(NamedTuple):
    """One process: `memory` and `step` are the protocol's, the rest is the world's."""

    alive: bool
    generation: int
    memory: int
    step: int
    cache: int
    """The view that the watch delivered last, -1 before the first one."""
    news: bool
    lease: int
    paused: bool
    sub: int
    doubt: bool
    """When it looked, the open intent's call had been executed, its answer was lost, and the look proved nothing."""
    listing: Listing | None = None
    """A list of the site that is under way."""
    told: Listing | None = None
    """What the last list told."""
    woken: bool = False
    """Something around the resource has changed, so that it gets another turn."""


class Listing(NamedTuple):
    """What a list of the site says, and by which credentials."""

    says: str
    url: int
    secret: str
    stale: bool = False
    """The process has looked at the job, or stored what it saw, since the list began."""


READY, CHECKED, AWAITING, BROKEN = 0, 1, 2, 3


class Message(NamedTuple):
    """One reset call between a process and ESA; `proc` -1: nobody waits for its answer any more."""

    intent: int
    job: str
    serves: int
    proc: int
    expires: int
    executed: bool
    refused: bool = False
    """ESA did not execute it because it has received the same signed request before."""


class Landing(NamedTuple):
    """One status write that the API server has yet to judge although its client has given up."""

    proc: int
    step: int
    doubt: bool


class Left(NamedTuple):
    """How often each disturbance may still happen."""

    edit: int = 0
    remove: int = 0
    crash: int = 0
    lose: int = 0
    write_lost: int = 0
    late_write: int = 0
    pause: int = 0
    look_fails: int = 0
    throttle: int = 0
    refuse: int = 0
    author: int = 0
    foreign: int = 0
    regrow: int = 0
    fall: int = 0
    wipe: int = 0
    new_job: int = 0
    spec: int = 0
    server: int = 0
    rekey: int = 0
    deny: int = 0
    rival: int = 0
    vanish: int = 0
    secret: int = 0
    delete: int = 0
    forge: int = 0


EXECUTED, ANSWERED, SLOW = 1, 2, 4


class State(NamedTuple):
    """One state of the world. Requests are bits: number n of the script is bit n."""

    obj: int
    asks: tuple[int, ...]
    """For each key the request that its annotation stands for, -1 without one."""
    serves: int
    """The requests that the open intent serves."""
    call: int
    """The open intent's call: EXECUTED, ANSWERED (its owner knows), SLOW (its owner crashed or stood)."""
    counts: tuple[int, ...]
    allowed: tuple[int, ...]
    since: int
    """The requests after which a reset was executed."""
    url: int
    wire: tuple[Message, ...]
    landing: tuple[Landing, ...]
    procs: tuple[Proc, ...]
    left: Left
    script: int
    fell: bool
    broken: str
    burnt: tuple[tuple[str, bool], ...] = ()
    """Nonces that ESA has received, and whether it executed their requests."""
    key: int = 0
    """The access key that calls are signed with."""
    denied: bool = False
    """ESA does not allow the list of the site."""
    gone: bool = False
    """The job does not exist."""
    rival: bool = False
    """An older resource acts on the same job."""


@dataclass(frozen=True)
class Rulebook:
    """The protocol under exploration; a mutation replaces one of its parts."""

    name: str = "as it is"
    advance: Callable[[LocalState, Input, Moment, Rules], tuple[LocalState, Step]] = plan.advance
    may_send: Callable[[Call, float, float], bool] = call.may_send


class Machine:
    """Drives the real state machine on numbers instead of values, and remembers its answers: it is pure."""

    def __init__(self, rulebook: Rulebook, *, nonce: bool = False) -> None:
        self.rulebook = rulebook
        self.rules = Rules(
            owner="", request_timeout=TIMEOUT, network_grace=GRACE, repeat_after=REPEAT, confirm_by_nonce=nonce
        )
        self.objs: Interner[Obj] = Interner()
        self.memories: Interner[LocalState] = Interner()
        self.steps: Interner[Step] = Interner()
        self.views: Interner[View] = Interner()
        self.records: Interner[ResetState] = Interner()
        self._known: dict[tuple[Hashable, ...], tuple[int, int]] = {}
        self._memo: dict[tuple[object, ...], int] = {}
        self._stamps: dict[tuple[str, int], frozenset[str]] = {}
        self.fresh_memory = self.memories.id(LocalState())
        self.rest = self.steps.id(Wait())

    def view(self, obj: int) -> int:
        """The present version of the object, as a process sees it."""
        key = ("shown", obj)
        if key not in self._memo:
            o = self.objs[obj]
            view = View(
                uid="u",
                version=1,
                job_id=o.job,
                generation=o.generation,
                observed=o.observed,
                asked=o.asked,
                handled=o.handled,
                reset=o.reset,
                last_reset=0.0,
                secret=o.secret,
                deleting=o.deleting,
                shown=Shown(o.told, conditions=o.conditions),
            )
            self._memo[key] = self.views.id(view)
        return self._memo[key]

    def advance(self, owner: str, memory: int, happened: tuple[Hashable, ...], stamp: int = 0) -> tuple[int, int]:
        """Advance by what happened; it is named by a tuple that `_happening` reads. `stamp` is the wall clock."""
        key = (owner, memory, happened, stamp)
        if key not in self._known:
            rules = replace(self.rules, owner=owner)
            now = Moment(wall=float(stamp), monotonic=0.0, jitter=1.0)
            after, step = self.rulebook.advance(self.memories[memory], self._happening(happened), now, rules)
            if isinstance(step, Write):
                step = small(step)
            self._known[key] = (self.memories.id(canonical(after)), self.steps.id(step))
        return self._known[key]

    def _happening(self, happened: tuple[Hashable, ...]) -> Input:
        match happened:
            case ("observed", int(view), bool(fresh), bool(claimed)):
                return Observed(self.views[view], fresh=fresh, claimed=claimed)
            case ("told", fact, str(job_id), str(secret), float(began)):
                assert isinstance(fact, JobTold | JobMissing | SiteFailed | SiteListed | CredentialsChanged)
                return Told(fact, job_id, secret, began)
            case (kind, *values):
                assert isinstance(kind, type)
                made: Input = kind(*(self.views[v] if isinstance(v, int) else v for v in values))
                return made
            case _:
                raise AssertionError(happened)

    def older(self, kind: str, number: int) -> int:
        """The same memory, step or view after the object has got a newer version."""
        key = (kind, number)
        if key not in self._memo:
            if kind == "memory":
                self._memo[key] = self.memories.id(aged(self.memories[number]))
            elif kind == "step":
                self._memo[key] = self.steps.id(aged(self.steps[number]))
            else:
                self._memo[key] = self.views.id(old_view(self.views[number])) if number >= 0 else number
        return self._memo[key]

    def later(self, kind: str, number: int, ticks: int) -> int:
        """The same memory or step after some time."""
        key = (kind, number, ticks)
        if key not in self._memo:
            if kind == "memory":
                self._memo[key] = self.memories.id(canonical(shift(self.memories[number], ticks)))
            else:
                self._memo[key] = self.steps.id(shift_step(self.steps[number], ticks))
        return self._memo[key]

    def stamps(self, kind: str, number: int) -> frozenset[str]:
        """The times that a memory or step remembers from intents."""
        key = (kind, number)
        if key not in self._stamps:
            self._stamps[key] = frozenset(_stamps(self.memories[number] if kind == "memory" else self.steps[number]))
        return self._stamps[key]


def _stamps(value: object) -> Iterator[str]:
    if isinstance(value, ResetState):
        yield from stamps_of(value)
    elif isinstance(value, tuple):
        for part in value:
            yield from _stamps(part)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            yield from _stamps(getattr(value, name))
