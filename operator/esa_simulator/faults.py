"""Faults on request: which calls go wrong, how, and how often.

A rule is plain data. All rules that match a call are applied in their order: pauses and overrides add up; the first one
that ends the call wins, and the others of its sort wait for their turn.
"""

import asyncio
import contextlib
import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from esa_simulator import errors
from esa_simulator.errors import ConnectionCut, EsaError

Kind = Literal[
    "refuse", "throttle", "delay", "drop_before", "drop_after", "garbage", "hang", "override", "limit", "lag", "late",
    "partial",
]  # fmt: skip
When = Literal["before", "after"]
KINDS: tuple[Kind, ...] = (
    "refuse", "throttle", "delay", "drop_before", "drop_after", "garbage", "hang", "override", "limit", "lag",
    "late", "partial",
)  # fmt: skip
_ENDING = frozenset({"refuse", "throttle", "drop_before", "drop_after", "garbage", "limit", "late"})


@dataclass(slots=True, eq=False)
class Fault:
    """One rule.

    Attributes:
        kind: what goes wrong. `lag`: what was created within the last `seconds` does not show in lists of jobs and of
            executions, nor, if the rule is for it, in GetScheduledPreloadJob. `late`: no answer, and the work is done
            `seconds` later or when the rule is lifted. `partial`: of the windows that a call is to open, those at
            `positions` fail.
        action: only calls of this operation; None = all. The same for `job_id`, `access_key_id` and `ali_uid`.
        times: calls that it still hits; None = for ever.
        skip: matching calls that pass first.
        probability: that it hits a matching call.
        when: before or after the work is done; for refuse, throttle, delay, garbage and hang.
        status: HTTP status, for refuse and garbage.
        code: ESA error code, for refuse.
        message: text, for refuse.
        retry_after_ms: `x-acs-retry-after`, for refuse, throttle and limit.
        seconds: length of a delay, a lag, or until late work is done.
        body: for garbage, instead of an HTML page; `truncated` cuts the true answer (or an empty one) in the middle.
        fields: for override: merged into the answer.
        item_fields: for override: merged into each of Jobs, Executions, SuccessExecutions (of `job_id` only, if given).
        calls_per_second: for limit, per account.
        positions: for partial, counted from 0.
        hits: calls that it did hit.
    """

    kind: Kind
    id: int = 0
    action: str | None = None
    job_id: str | None = None
    access_key_id: str | None = None
    ali_uid: str | None = None
    times: int | None = 1
    skip: int = 0
    probability: float = 1.0
    when: When = "before"
    status: int = 500
    code: str = "InternalError"
    message: str = "The request processing has failed due to some unknown error."
    retry_after_ms: int | None = None
    seconds: float = 0.0
    body: str | None = None
    truncated: bool = False
    fields: dict[str, Any] = field(default_factory=dict)
    item_fields: dict[str, Any] = field(default_factory=dict)
    calls_per_second: float = 0.0
    positions: list[int] = field(default_factory=list)
    hits: int = 0


@dataclass(frozen=True, slots=True)
class Subject:
    """What rules are matched against; `job_id` is the job of an execution where the call names one."""

    action: str
    job_id: str | None
    access_key_id: str
    ali_uid: str


@dataclass(frozen=True, slots=True)
class Garbage:
    """An answer that is not ESA's; `truncated` cuts the true answer instead."""

    status: int
    text: str
    truncated: bool


@dataclass(slots=True)
class Plan:
    """What goes wrong with one call."""

    pauses: list[Fault] = field(default_factory=list)
    overrides: list[Fault] = field(default_factory=list)
    lag: float = 0.0
    failing: frozenset[int] = frozenset()
    ending: Fault | None = None

    @property
    def late(self) -> Fault | None:
        """The rule by which the call gets no answer and the work is done later, if there is one."""
        return self.ending if self.ending is not None and self.ending.kind == "late" else None

    def ends(self, when: When) -> Garbage | None:
        """Raise or return how the call ends at this point; None if it goes on.

        Raises:
            EsaError: it is refused
            ConnectionCut: it gets no answer
        """
        fault = self.ending
        if fault is None:
            return None
        if fault.kind in {"drop_before", "drop_after", "late"}:
            if fault.kind == f"drop_{when}":
                raise ConnectionCut
            return None
        if fault.when != when:
            return None
        if fault.kind == "garbage":
            return Garbage(
                fault.status, "<html><h1>Bad gateway</h1></html>" if fault.body is None else fault.body, fault.truncated
            )
        if fault.kind == "refuse":
            headers = errors.throttled(fault.retry_after_ms).headers
            raise EsaError(fault.status, fault.code, fault.message, headers)
        raise errors.throttled(fault.retry_after_ms)


NO_PLAN = Plan()


class Bucket:
    """A token bucket that holds one second's worth of calls."""

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._tokens = max(1.0, rate)
        self._seen = now

    def take(self, now: float) -> bool:
        """Is one more call within the rate?"""
        self._tokens = min(max(1.0, self.rate), self._tokens + (now - self._seen) * self.rate)
        self._seen = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Faults:
    """The rules in force, and the calls that hang because of them."""

    def __init__(self) -> None:
        self.rules: list[Fault] = []
        self._ids = itertools.count(1)
        self._random = random.Random()  # noqa: S311 - chance of a fault, nothing secret
        self._buckets: dict[tuple[int, str], Bucket] = {}
        self._released = asyncio.Event()
        self._abandoned: set[int] = set()

    def add(self, fault: Fault) -> int:
        """Put a rule in force, after those that are; its id."""
        fault.id = next(self._ids)
        self.rules.append(fault)
        return fault.id

    def clear(self, fault_id: int | None = None, *, abandon: bool = False) -> None:
        """Lift one rule or all; calls that hang go on and late work is done, or with `abandon` both are dropped."""
        lifted = [rule for rule in self.rules if fault_id in {None, rule.id}]
        self.rules = [rule for rule in self.rules if rule not in lifted]
        if abandon:
            self._abandoned.update(rule.id for rule in lifted)
        self._released.set()
        self._released = asyncio.Event()

    def plan(self, subject: Subject, now: float) -> Plan:
        """What goes wrong with this call; uses the rules up. `now`: seconds of a clock that never goes back."""
        if not self.rules:
            return NO_PLAN
        plan = Plan()
        for rule in self.rules:
            if not _matches(rule, subject) or (rule.kind in _ENDING and plan.ending is not None):
                continue
            if not self._strikes(rule, subject, now):
                continue
            rule.hits += 1
            if rule.kind in {"delay", "hang"}:
                plan.pauses.append(rule)
            elif rule.kind == "override":
                plan.overrides.append(rule)
            elif rule.kind == "partial":
                plan.failing |= frozenset(rule.positions)
            elif rule.kind == "lag":
                plan.lag = max(plan.lag, rule.seconds)
            else:
                plan.ending = rule
        return plan

    def _strikes(self, rule: Fault, subject: Subject, now: float) -> bool:
        if rule.times == 0:
            return False
        if rule.skip > 0:
            rule.skip -= 1
            return False
        if rule.probability < 1 and self._random.random() >= rule.probability:
            return False
        if rule.kind == "limit":
            bucket = self._buckets.setdefault((rule.id, subject.ali_uid), Bucket(rule.calls_per_second, now))
            if bucket.take(now):
                return False
        if rule.times is not None:
            rule.times -= 1
        return True

    async def pause(self, plan: Plan, when: When) -> None:
        """Wait as the plan says.

        Raises:
            ConnectionCut: the call hung and was abandoned
        """
        for rule in plan.pauses:
            if rule.when != when:
                continue
            if rule.kind == "delay":
                await asyncio.sleep(rule.seconds)
            elif rule in self.rules:
                await self._hang(rule)

    async def linger(self, late: Fault) -> None:
        """Wait until late work is to be done.

        Raises:
            ConnectionCut: it was abandoned
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(late.seconds):
                await self._hang(late)

    async def _hang(self, rule: Fault) -> None:
        while rule in self.rules:
            await self._released.wait()
        if rule.id in self._abandoned:
            raise ConnectionCut


def _matches(rule: Fault, subject: Subject) -> bool:
    if rule.action not in {None, subject.action}:
        return False
    if rule.access_key_id not in {None, subject.access_key_id} or rule.ali_uid not in {None, subject.ali_uid}:
        return False
    if rule.kind == "lag" and rule.action is None and not subject.action.startswith("List"):
        return False
    of_items = rule.kind == "override" and bool(rule.item_fields)  # a list names no job; its items do
    return of_items or rule.job_id in {None, subject.job_id}


def override(body: dict[str, Any], rules: Iterable[Fault]) -> dict[str, Any]:
    """The answer as the rules want it."""
    for rule in rules:
        body = body | rule.fields
        if rule.item_fields:
            for name in ("Jobs", "Executions", "SuccessExecutions"):
                if name in body:
                    body[name] = [_override_item(item, rule) for item in body[name]]
    return body


def _override_item(item: dict[str, Any], rule: Fault) -> dict[str, Any]:
    if rule.job_id is not None and rule.job_id not in {item.get("Id"), item.get("JobId")}:
        return item
    return item | rule.item_fields
