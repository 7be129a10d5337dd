"""Broken versions of the protocol: each leaves out one rule, and the explorer must find out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from unittest.mock import patch

from esa_preload_operator.domain import call, plan
from esa_preload_operator.domain.errors import ErrorClass, Problem, Reason
from esa_preload_operator.domain.esa import EsaJob, ListedJob
from esa_preload_operator.domain.local import IDLE, Answered, Calling, Claiming, LocalState, Looking, Orphaned, Storing
from esa_preload_operator.domain.steps import (
    Ask,
    Call,
    Conflicted,
    Input,
    JobMissing,
    Observed,
    Read,
    Returned,
    Step,
    Stored,
    Told,
    Wait,
    Write,
)
from esa_preload_operator.domain.tokens import handled_after
from esa_preload_operator.domain.values import Moment, Phase, Rules
from esa_preload_operator.domain.view import requested
from unit.protocol.world import Rulebook

Next = tuple[LocalState, Step]


def _no_claim(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    after, step = plan.advance(memory, happened, now, rules)
    looking = memory.call
    recovers = isinstance(looking, Looking) and isinstance(looking.base, Orphaned)
    if recovers and isinstance(after.call, Claiming) and isinstance(looking, Looking) and looking.view.reset:
        calling = replace(memory, call=Calling(looking.view, looking.view.reset))
        return calling, Call(looking.view.reset, not_after=now.monotonic + rules.network_grace)
    return after, step


def _always_send(step: Call, now_monotonic: float, leads_until: float) -> bool:
    del step, now_monotonic, leads_until
    return True


def _no_wait(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    with (
        patch.object(call, "call_is_over_at", lambda _orphan, _rules: now.monotonic),
        patch.object(call, "repeats_at", lambda _orphan, _rules: now.monotonic),
    ):
        return plan.advance(memory, happened, now, rules)


def _forget_answer(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    if isinstance(happened, Conflicted) and isinstance(memory.call, Storing):
        memory = replace(memory, call=replace(memory.call, base=IDLE))
    return plan.advance(memory, happened, now, rules)


def _writing(after: LocalState, step: Write) -> LocalState:
    """The local state with another write under way than the one that was decided."""
    open_call = after.call
    assert isinstance(open_call, Storing | Claiming)
    if isinstance(open_call, Claiming) and step.reset is not None:
        return replace(after, call=replace(open_call, write=step, intent=step.reset))
    return replace(after, call=replace(open_call, write=step))


def _record_present_tokens(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    after, step = plan.advance(memory, happened, now, rules)
    if isinstance(step, Write) and step.outcome == Phase.SUCCEEDED:
        asked = step.view.asked
        step = replace(step, handled=handled_after(step.handled, asked, asked))
        after = _writing(after, step)
    return after, step


@dataclass(frozen=True, slots=True)
class Reusing(LocalState):
    """A local state that keeps a look over a conflict."""

    look: EsaJob | None = None


def _reuse_look(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    kept = memory.look if isinstance(memory, Reusing) else None
    if isinstance(happened, Conflicted) and isinstance(memory.call, Claiming):
        kept = memory.call.write.job
    after, step = plan.advance(memory, happened, now, rules)
    if isinstance(step, Ask) and kept is not None:
        return _plain(plan.advance(after, Returned(kept), now, rules))
    values = {name: getattr(after, name) for name in LocalState.__dataclass_fields__}
    return (Reusing(**values, look=kept), step) if isinstance(happened, Conflicted) else (after, step)


def _plain(reached: Next) -> Next:
    after, step = reached
    return LocalState(**{name: getattr(after, name) for name in LocalState.__dataclass_fields__}), step


def _ignore_job(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    if isinstance(happened, Observed) and (reset := happened.view.reset) is not None:
        renamed = replace(reset, job_id=happened.view.job_id) if reset.phase == Phase.IN_FLIGHT else reset
        happened = replace(happened, view=replace(happened.view, reset=renamed))
    return plan.advance(memory, happened, now, rules)


def _no_plan_after_failure(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    after, step = plan.advance(memory, happened, now, rules)
    failed = isinstance(memory.call, Storing) and memory.call.write.outcome == Phase.FAILED
    return (replace(after, call=IDLE), Wait()) if isinstance(happened, Stored) and failed else (after, step)


def _claims_forever(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    after, step = plan.advance(memory, happened, now, rules)
    if isinstance(step, Call) and step.intent.attempts > 1:
        return replace(after, call=IDLE), Read()
    if isinstance(after.call, Claiming) and isinstance(step, Write) and step.reset is not None:
        step = replace(step, reset=replace(step.reset, attempts=min(step.reset.attempts, 2), unproven=0, message=""))
        after = _writing(after, step)
    return after, step


def _new_nonce(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    with patch.object(call, "can_send_again", return_value=False):
        return plan.advance(memory, happened, now, rules)


def _newer_tokens(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    after, step = plan.advance(memory, happened, now, rules)
    claiming = after.call
    if isinstance(claiming, Claiming) and claiming.again and isinstance(step, Write) and step.reset is not None:
        step = replace(step, reset=replace(step.reset, tokens=requested(step.view)))
        after = _writing(after, step)
    return after, step


def _old_nonce(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    after, step = plan.advance(memory, happened, now, rules)
    base = after.call.base if isinstance(after.call, Storing) else None
    spent = isinstance(step, Write) and step.reset is not None and step.reset.phase == Phase.IN_FLIGHT
    if spent and isinstance(step, Write) and step.reset is not None and isinstance(base, Answered):
        step = replace(step, reset=replace(step.reset, signing=base.intent.signing))
        after = _writing(after, step)
    return after, step


def _never_satisfied(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    with patch.object(call, "_is_satisfied", return_value=False):
        return plan.advance(memory, happened, now, rules)


def _ignores_credentials(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    if isinstance(happened, Told):
        happened = replace(happened, secret=memory.seen.secret)
    return plan.advance(memory, happened, now, rules)


def _ignores_age(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    if isinstance(happened, Told):
        happened = replace(happened, began=0.0)
    return plan.advance(memory, happened, now, rules)


def _believes_list(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    if isinstance(happened, Told) and isinstance(happened.fact, JobMissing):
        gone = Problem("InvalidJob.NotFound", "", ErrorClass.TERMINAL, Reason.JOB_NOT_FOUND)
        seen = replace(memory.seen, problem=gone, works=False, missing=False)
        return replace(memory, seen=seen), Read()
    return plan.advance(memory, happened, now, rules)


def _without_report(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    with patch.object(plan, "is_news", lambda write: write.decides):
        return plan.advance(memory, happened, now, rules)


def _sticky_problem(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    after, step = plan.advance(memory, happened, now, rules)
    if isinstance(happened, Told) and memory.seen.site is not None and after.seen.site is None:
        after = replace(after, seen=replace(after.seen, site=memory.seen.site))
    return after, step


def _remembers_claim(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    if isinstance(happened, Observed) and memory.claimed:
        happened = replace(happened, claimed=True)
    return plan.advance(memory, happened, now, rules)


def _never_blocked(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    concerns = tuple(concern for concern in plan.CONCERNS if concern.__name__ not in {"_blocked", "deletion"})
    with patch.object(plan, "CONCERNS", concerns):
        return plan.advance(memory, happened, now, rules)


def _believes_count(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    if isinstance(happened, Returned) and isinstance(happened.result, ListedJob):
        told = happened.result
        happened = replace(happened, result=EsaJob(told.id, url_submitted=told.url_submitted))
    return plan.advance(memory, happened, now, rules)


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
NEVER_SATISFIED = Rulebook("lost answers about a job without progress go on", advance=_never_satisfied)
IGNORES_CREDENTIALS = Rulebook("what other credentials tell counts", advance=_ignores_credentials)
IGNORES_AGE = Rulebook("a list counts though the job was looked at since it began", advance=_ignores_age)
BELIEVES_LIST = Rulebook("a job that a list lacks is gone", advance=_believes_list)
WITHOUT_REPORT = Rulebook("conditions change with resets only", advance=_without_report)
STICKY_PROBLEM = Rulebook("a problem of the site stays", advance=_sticky_problem)
REMEMBERS_CLAIM = Rulebook("a claim is remembered", advance=_remembers_claim)
BELIEVES_COUNT = Rulebook("progress that a list tells counts as a proof", advance=_believes_count)
NEVER_BLOCKED = Rulebook("nothing keeps a resource from acting", advance=_never_blocked)
