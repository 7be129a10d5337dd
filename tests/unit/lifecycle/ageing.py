"""What time makes of the values that processes keep, cut to what makes a difference, and the names that are in use."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from esa_preload_operator.domain.local import Announcing, Attempts, Executions, LocalState, Work
from esa_preload_operator.domain.steps import Call, Create, Finalizer, Step, Tell, Wait, Write
from esa_preload_operator.domain.values import Backoff
from esa_preload_operator.domain.view import View
from unit.protocol import ageing
from unit.protocol.ageing import DEADLINE, old_view, small

if TYPE_CHECKING:
    from collections.abc import Iterator

LIST_GRACE: Final = 1
QUIET: Final = DEADLINE + LIST_GRACE
EPOCH: Final = 43_200
"""Seconds by which the wall clock moves at once. It moves when the next bound of a window or schedule passes, which
may be at any time; the short spans of the protocol, in ticks, pass in between."""
LONG: Final = 3000.0
"""A wait from here on is for the wall clock."""
NEVER: Final = float("-inf")


_ATTEMPTS: Final = ("create", "windows", "removal", "site")
_REPEATED: Final = ("repairs", "losses")
_MOMENTS: Final = ("unknown_at", "made_at", "opened_at")


def shift(memory: LocalState, ticks: int) -> LocalState:
    """The same local state some ticks later."""
    memory = ageing.shift(memory, ticks)
    if isinstance(memory.call, Announcing):
        memory = replace(memory, call=replace(memory.call, begun=memory.call.begun - ticks))
    work = memory.work
    moved: dict[str, Any] = {name: getattr(work, name) - ticks for name in _MOMENTS}
    moved |= {name: _later(getattr(work, name), ticks) for name in _REPEATED}
    moved |= {name: _sooner(getattr(work, name), ticks) for name in _ATTEMPTS}
    return replace(memory, work=replace(work, **moved))


def _sooner(attempts: Attempts, ticks: int) -> Attempts:
    return replace(attempts, backoff=_later(attempts.backoff, ticks))


def _later(backoff: Backoff, ticks: int) -> Backoff:
    return replace(backoff, not_before=backoff.not_before - ticks)


def canonical(memory: LocalState) -> LocalState:
    """The local state without what is so long ago that its age makes no difference, and without lists' age."""
    memory = ageing.canonical(memory)
    call = memory.call
    if isinstance(call, Announcing):
        call = replace(call, write=small(call.write), begun=max(call.begun, -DEADLINE - 1.0))
    return replace(memory, call=call, seen=replace(memory.seen, changed_at=NEVER), work=_canonical(memory.work))


def _canonical(work: Work) -> Work:
    cut: dict[str, Any] = {name: NEVER if (at := getattr(work, name)) <= -QUIET else at for name in _MOMENTS}
    cut |= {name: _calm(getattr(work, name)) for name in _REPEATED}
    cut |= {name: _recent(getattr(work, name)) for name in _ATTEMPTS}
    listed = work.executions
    if listed is not None:
        listed = Executions(listed.job_id, tuple(sorted(listed.items, key=lambda one: one.id)), listed.touched)
    return replace(work, executions=listed, **cut)


def _calm(backoff: Backoff) -> Backoff:
    """How often something was repaired; what is long ago does not count."""
    return Backoff() if backoff.not_before < -600 else replace(backoff, failures=min(backoff.failures, 4))


def _recent(attempts: Attempts) -> Attempts:
    backoff = attempts.backoff
    return replace(attempts, backoff=Backoff(min(backoff.failures, 2), max(0.0, backoff.not_before)))


def later_step(step: Step, ticks: int) -> Step:
    """The same step some ticks later."""
    if isinstance(step, Wait) and step.until is not None and step.until < LONG:
        return replace(step, until=max(0.0, step.until - ticks))
    if isinstance(step, Call | Create):
        return replace(step, not_after=max(-DEADLINE - 1.0, step.not_after - ticks))
    return step


def older_step(step: Step) -> Step:
    """The same step after the resource has got a newer version."""
    if isinstance(step, Write | Finalizer | Tell) and step.view.version:
        return replace(step, view=old_view(step.view))
    return step


def next_epoch(step: Step) -> Step:
    """The same step once the wall clock has moved."""
    if isinstance(step, Wait) and step.until is not None and step.until >= LONG:
        return replace(step, until=max(0.0, step.until - EPOCH))
    return step


def small_step(step: Step) -> Step:
    """A step without what makes no difference: what people are told, and times of an hour that no clock shows."""
    if isinstance(step, Write):
        return small(step)
    return Wait(step.until) if isinstance(step, Wait) else step


_NAMES: Final = re.compile(r"^(?:[JE]\d+|p-[0-9a-f]{8}-[0-9a-f]{8})$")


def mentions(value: Any) -> frozenset[str]:
    """The ids and names that a value speaks of: new ones must differ from them."""
    return frozenset(_mentions(value))


def _mentions(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if _NAMES.match(value):
            yield value
    elif isinstance(value, View):
        yield from _mentions((value.job_id, value.recorded, value.reset, value.shown.job))
    elif isinstance(value, dict):
        yield from _mentions(tuple(value.items()))
    elif isinstance(value, tuple | frozenset):
        for part in value:
            yield from _mentions(part)
    elif is_dataclass(value) and not isinstance(value, type):
        for item in fields(value):
            yield from _mentions(getattr(value, item.name))
