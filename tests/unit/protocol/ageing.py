"""The same values after time has passed, or with older versions in them, cut to what makes a difference."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from esa_preload_operator.domain.local import Claiming, LocalState, Orphaned, Storing
from esa_preload_operator.domain.steps import Call, Step, Wait, Write
from esa_preload_operator.domain.values import Backoff, Phase, ResetState
from esa_preload_operator.domain.view import View

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT, GRACE = 1, 1
DEADLINE = TIMEOUT + GRACE
REPEAT = 3
"""Time from a lost answer to the second repetition without a proof."""


def old_view(view: View) -> View:
    return view if view.version == 0 else replace(view, version=0)


def aged(value: Any) -> Any:
    """The same value with each version in it an older one."""
    if isinstance(value, View):
        return old_view(value)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    changes = {}
    for item in fields(value):
        before = getattr(value, item.name)
        if (new := aged(before)) is not before:
            changes[item.name] = new
    return replace(value, **changes) if changes else value


def shift(memory: LocalState, ticks: int) -> LocalState:
    open_call = memory.call
    if isinstance(open_call, Claiming):
        open_call = replace(open_call, begun=open_call.begun - ticks)
    return replace(
        memory,
        call=_orphans(open_call, lambda orphan: replace(orphan, since=orphan.since - ticks)),
        seen=replace(memory.seen, changed_at=memory.seen.changed_at - ticks),
        reset_backoff=_sooner(memory.reset_backoff, ticks),
        look_backoff=_sooner(memory.look_backoff, ticks),
        write_backoff=_sooner(memory.write_backoff, ticks),
    )


def _sooner(backoff: Backoff, ticks: int) -> Backoff:
    return replace(backoff, not_before=backoff.not_before - ticks)


def _orphans(open_call: Any, change: Callable[[Orphaned], Orphaned]) -> Any:
    """The same open call with each orphan in it changed."""
    if isinstance(open_call, Orphaned):
        return change(open_call)
    parts = {name: getattr(open_call, name) for name in ("base", "then") if hasattr(open_call, name)}
    changed = {name: new for name, old in parts.items() if (new := _orphans(old, change)) is not old}
    return replace(open_call, **changed) if changed else open_call


def shift_step(step: Step, ticks: int) -> Step:
    if isinstance(step, Wait) and step.until is not None:
        return replace(step, until=max(0.0, step.until - ticks))
    if isinstance(step, Call):
        return replace(step, not_after=max(-DEADLINE - 1.0, step.not_after - ticks))
    return step


def canonical(memory: LocalState) -> LocalState:
    """Cut what is so long ago that its age makes no difference."""
    open_call = memory.call
    if isinstance(open_call, Claiming):
        open_call = replace(open_call, begun=max(open_call.begun, -DEADLINE - 1.0))
    if isinstance(open_call, Claiming | Storing):
        open_call = replace(open_call, write=small(open_call.write))
    return replace(
        memory,
        call=_orphans(open_call, _canonical_orphan),
        seen=replace(memory.seen, changed_at=float("-inf") if memory.seen.changed_at < 0 else 0.0),
        reset_backoff=_canonical_backoff(memory.reset_backoff),
        look_backoff=_canonical_backoff(memory.look_backoff),
        write_backoff=_canonical_backoff(memory.write_backoff),
    )


def small(write: Write) -> Write:
    """A write as the model keeps it."""
    return replace(write, reset=kept(write.reset), notice=None)


def _canonical_orphan(orphan: Orphaned) -> Orphaned:
    longest = max(DEADLINE, REPEAT * 2.0 ** max(0, orphan.intent.unproven - 1))
    return replace(orphan, since=max(-longest, orphan.since))


def _canonical_backoff(backoff: Backoff) -> Backoff:
    return Backoff(min(backoff.failures, 2), max(0.0, backoff.not_before))


def kept(record: ResetState | None) -> ResetState | None:
    """A record as the model keeps it: an intent whole, of a closed one what decides about later requests."""
    if record is None or record.phase == Phase.IN_FLIGHT:
        return record
    small = ResetState(phase=record.phase)
    if record.phase in (Phase.HELD, Phase.RETRYING, Phase.FAILED):
        small = replace(
            small,
            tokens=record.tokens,
            attempts=min(record.attempts, 2),
            generation=record.generation,
            unproven=record.unproven,
            reason=record.reason,
            message=record.message,
        )
    return small
