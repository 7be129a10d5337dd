"""Broken versions of the protocol: each leaves out one rule, and the explorer must find out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from unittest.mock import patch

from esa_preload_operator.domain import reset
from esa_preload_operator.domain.reset_values import (
    Conflicted,
    Input,
    LocalState,
    Look,
    Looked,
    Moment,
    Observed,
    Phase,
    Read,
    Rules,
    Send,
    Stage,
    Step,
    Stored,
    Wait,
    Write,
)
from esa_preload_operator.domain.tokens import handled_after
from unit.protocol.world import Rulebook

if TYPE_CHECKING:
    from esa_preload_operator.domain.esa import EsaJob

Next = tuple[LocalState, Step]


def _no_claim(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    after, step = reset.advance(memory, happened, now, rules)
    view = memory.view
    if memory.stage is Stage.LOOK_TO_RECOVER and after.stage is Stage.INTENT and view is not None and view.record:
        calling = replace(memory, stage=Stage.CALL, pending=None, unsent=None)
        return calling, Send(view.record, not_after=now.monotonic + rules.network_grace)
    return after, step


def _always_send(step: Send, now_monotonic: float, leads_until: float) -> bool:
    del step, now_monotonic, leads_until
    return True


def _no_wait(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    with patch.object(reset, "call_is_over_at", lambda _memory, now, _rules: now.monotonic):
        return reset.advance(memory, happened, now, rules)


def _forget_answer(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    if isinstance(happened, Conflicted):
        memory = replace(memory, answer=None)
    return reset.advance(memory, happened, now, rules)


def _record_present_tokens(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    after, step = reset.advance(memory, happened, now, rules)
    if isinstance(step, Write) and step.outcome == Phase.SUCCEEDED:
        asked = step.view.asked
        step = replace(step, handled=handled_after(step.handled, asked, asked))
        after = replace(after, pending=step)
    return after, step


@dataclass(frozen=True, slots=True)
class Reusing(LocalState):
    """A memory that keeps a look over a conflict."""

    look: EsaJob | None = None


def _reuse_look(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    kept = memory.look if isinstance(memory, Reusing) else None
    if isinstance(happened, Conflicted) and memory.stage is Stage.INTENT and memory.pending is not None:
        kept = memory.pending.job
    after, step = reset.advance(memory, happened, now, rules)
    if isinstance(step, Look) and kept is not None:
        return _plain(reset.advance(after, Looked(kept), now, rules))
    values = {name: getattr(after, name) for name in LocalState.__dataclass_fields__}
    return (Reusing(**values, look=kept), step) if isinstance(happened, Conflicted) else (after, step)


def _plain(reached: Next) -> Next:
    after, step = reached
    return LocalState(**{name: getattr(after, name) for name in LocalState.__dataclass_fields__}), step


def _ignore_job(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    if isinstance(happened, Observed) and (record := happened.view.record) is not None:
        renamed = replace(record, job_id=happened.view.job_id) if record.phase == Phase.IN_FLIGHT else record
        happened = replace(happened, view=replace(happened.view, record=renamed))
    return reset.advance(memory, happened, now, rules)


def _no_plan_after_failure(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    after, step = reset.advance(memory, happened, now, rules)
    failed = memory.pending is not None and memory.pending.problem is not None
    return (replace(after, stage=Stage.NOTHING), Wait()) if isinstance(happened, Stored) and failed else (after, step)


def _claims_forever(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    after, step = reset.advance(memory, happened, now, rules)
    if isinstance(step, Send) and step.intent.attempts > 1:
        return replace(after, stage=Stage.NOTHING, unsent=None), Read()
    if memory.pending is None and isinstance(step, Write) and step.record is not None and step.record.attempts > 1:
        step = replace(step, record=replace(step.record, attempts=2))
        after = replace(after, pending=step)
    return after, step


def _new_nonce(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    with patch.object(reset, "can_send_again", return_value=False):
        return reset.advance(memory, happened, now, rules)


def _newer_tokens(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    after, step = reset.advance(memory, happened, now, rules)
    if after.again and after.stage is Stage.INTENT and isinstance(step, Write) and step.record is not None:
        step = replace(step, record=replace(step.record, tokens=reset.requested(step.view)))
        after = replace(after, pending=step)
    return after, step


def _old_nonce(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    after, step = reset.advance(memory, happened, now, rules)
    if isinstance(step, Write) and step.problem is not None and step.record is not None and after.answer is not None:
        step = replace(step, record=replace(step.record, signing=after.answer.intent.signing))
        after = replace(after, pending=step)
    return after, step


NO_CLAIM = Rulebook("recovery calls without writing a claim", advance=_no_claim)
NO_CHECK = Rulebook("no check before sending", may_send=_always_send)
NO_WAIT = Rulebook("recovery does not wait for the deadline", advance=_no_wait)
FORGETS_ANSWER = Rulebook("the answer is forgotten on a conflict", advance=_forget_answer)
PRESENT_TOKENS = Rulebook("the outcome records the present tokens", advance=_record_present_tokens)
REUSES_LOOK = Rulebook("the look is used again after a conflict", advance=_reuse_look)
IGNORES_JOB = Rulebook("recovery ignores which job the intent is about", advance=_ignore_job)
NO_PLAN_AFTER_FAILURE = Rulebook("nothing is planned after a failure of the author", advance=_no_plan_after_failure)
CLAIMS_FOREVER = Rulebook("a claim is claimed instead of called", advance=_claims_forever)
NEW_NONCE = Rulebook("recovery signs anew", advance=_new_nonce)
NEWER_TOKENS = Rulebook("a request that is sent again answers newer tokens", advance=_newer_tokens)
OLD_NONCE = Rulebook("a nonce is sent again after an answer", advance=_old_nonce)
