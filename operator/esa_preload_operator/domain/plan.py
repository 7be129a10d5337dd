"""Decides the one next step for a resource, whatever the occasion: event, answer, restart, refresh.

`advance` is a pure state machine. It takes what happened and returns what to do; the runner does it and reports
what happened then. Every write is conditional on the version that the decision was made on, a process calls ESA only on
intents that it wrote itself, and after a conflict nothing is reused.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from esa_preload_operator.domain import call, reset, upkeep
from esa_preload_operator.domain.conditions import Finding, State, worst
from esa_preload_operator.domain.errors import Delivery, ErrorClass, Problem, Reason
from esa_preload_operator.domain.local import (
    Answered,
    Calling,
    Claiming,
    LocalState,
    Looking,
    Orphaned,
    Storing,
    Unsent,
    settled,
)
from esa_preload_operator.domain.retry import failed_again, lost_write_delay
from esa_preload_operator.domain.status import is_kept, is_news
from esa_preload_operator.domain.steps import (
    Call,
    Conflicted,
    Input,
    Observed,
    Read,
    Returned,
    Step,
    Stored,
    Tell,
    Told,
    Wait,
    Write,
    WriteLost,
    WriteRefused,
)
from esa_preload_operator.domain.values import Backoff, Moment, Notice, Rules
from esa_preload_operator.domain.view import View

Next = tuple[LocalState, Step]


def advance(local: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    """Take in what happened and return the one next step."""
    match happened:
        case Observed(view, fresh, claimed):
            local = upkeep.about(_settle(local, view), view)
            if local.claimed != claimed:
                local = replace(local, claimed=claimed)
            return plan(local, view, now, rules, fresh=fresh)
        case Told():
            return upkeep.learn(local, happened), Read()
        case Stored(view):
            return _after_write(local, view, now, rules)
        case Conflicted():
            return replace(local, call=settled(local.call), write_backoff=Backoff()), Read()
        case WriteLost(retry_after):
            return _after_lost_write(local, now, retry_after)
        case WriteRefused(problem):
            backoff = failed_again(local.write_backoff, problem, now)
            local = replace(local, call=settled(local.call), write_backoff=backoff)
            return local, Wait(backoff.not_before)
        case Returned():
            return _after_answer(local, happened, now, rules)


def _settle(local: LocalState, view: View) -> LocalState:
    """Return what remains of the local state for a version that was seen between two steps."""
    if local.uid != view.uid:
        return LocalState(uid=view.uid)
    rest = settled(local.call)
    return local if rest is local.call else replace(local, call=rest)


Concern = Callable[[LocalState, View, Moment, Rules, bool], tuple[LocalState, Step | None]]


def plan(local: LocalState, view: View, now: Moment, rules: Rules, *, fresh: bool) -> Next:
    """Ask the concerns; if there is nothing to do but to wait, bring the conditions in line with the facts."""
    if now.monotonic < local.write_backoff.not_before:
        return local, Wait(local.write_backoff.not_before)
    if view.hints != local.hinted:
        local = replace(local, hinted=view.hints)
        if view.hints:
            return local, Tell(view, Notice(Reason.REQUEST_IGNORED, "; ".join(view.hints), warning=True))
    local, step = _consult(local, view, now, rules, fresh=fresh)
    if isinstance(step, Write):
        return _begin_write(local, step, rules)
    if not isinstance(step, Wait):
        return local, step
    job = local.seen.job if not view.damaged else None
    report = _sealed(Write(view, view.reset, view.handled, view.newest, job=job), local, rules)
    if not view.deleting and not local.mute and is_news(report):
        return _begin_write(local, report, rules)
    if local.seen.job is not None:  # the status says all of it
        local = replace(local, seen=replace(local.seen, job=None))
    return local, step


def _consult(local: LocalState, view: View, now: Moment, rules: Rules, *, fresh: bool) -> Next:
    """Ask one concern after the other; the first step wins, a wait that is exclusive ends the round."""
    waits: list[float | None] = []
    for concern in CONCERNS:
        local, step = concern(local, view, now, rules, fresh)
        if isinstance(step, Wait):
            waits.append(step.until)
            if step.exclusive:
                break
        elif step is not None:
            return local, step
    return local, Wait(soonest(*waits))


def _blocked(local: LocalState, view: View, now: Moment, rules: Rules, fresh: bool) -> tuple[LocalState, Step | None]:
    """Wait while nothing may be done: the resource is being deleted, can't be read, or is another one's business."""
    del now, fresh
    nothing = view.deleting or view.damaged or view.invalid or lacking(local, rules) or local.claimed
    return local, Wait(exclusive=True) if nothing else None


def lacking(local: LocalState, rules: Rules) -> str:
    """Return the status fields that the API server does not keep, so that nothing may be called."""
    return rules.crd_lacks or local.pruned


CONCERNS: Final[tuple[Concern, ...]] = (call.store_answer, _blocked, call.recover, reset.plan, upkeep.plan)


def _begin_write(local: LocalState, write: Write, rules: Rules) -> Next:
    write = _sealed(write, local, rules)
    return replace(local, call=call.storing(write, settled(local.call))), write


def _begin_claim(local: LocalState, claim: call.Claim, now: Moment, rules: Rules) -> Next:
    write = _sealed(claim.write, local, rules)
    claiming = Claiming(write, claim.intent, settled(local.call), now.monotonic, claim.again)
    return replace(local, call=claiming), write


def _sealed(write: Write, local: LocalState, rules: Rules) -> Write:
    """Return the write with what the conditions are to say, from the facts as they are once it is stored."""
    return replace(write, finding=assess(write, local, rules))


def assess(write: Write, local: LocalState, rules: Rules) -> Finding | None:
    """Return the worst of what the concerns find; None if nothing is known that the status does not say."""
    view = replace(write.view, reset=write.reset, handled=write.handled)
    works = upkeep.finding(local, view)
    ready = works is not None and works.state is State.READY
    about_reset = reset.finding(view, works=ready)
    found = [about_reset, works] if ready else [works, about_reset]  # of a job that works the last request is told
    decided = worst([*_obstacles(local, view, rules), *(finding for finding in found if finding is not None)])
    if works is None and decided is not None and decided.state in _GOOD:
        return None
    return decided


_GOOD: Final = frozenset({State.READY, State.HELD, State.RESETTING})
"""States that say Ready, which nobody may say of a job that was not seen."""


def _obstacles(local: LocalState, view: View, rules: Rules) -> list[Finding]:
    found = []
    if view.damaged:
        found.append(Finding(State.STALLED, Reason.STATUS_UNREADABLE, _DAMAGED.format(view.damaged)))
    if lacking(local, rules):
        found.append(Finding(State.STALLED, Reason.CRD_OUTDATED, _OUTDATED.format(lacking(local, rules))))
    if view.invalid:
        found.append(Finding(State.STALLED, Reason.INVALID_SPEC, f"InvalidSpec: cannot read {view.invalid}"))
    if local.claimed:
        message = f"spec.jobId {view.job_id} belongs to an older resource; delete one of the two resources"
        found.append(Finding(State.STALLED, Reason.JOB_CLAIMED, message))
    return found


_DAMAGED: Final = (
    "cannot read {}; nothing is called and nothing else of the status is changed, so that no request is repeated. "
    "Restore the field, or remove it"
)
_OUTDATED: Final = (
    "CRDOutdated: the API server does not keep {}; install the CRD of this operator's version, until then nothing is "
    "called"
)


def _after_write(local: LocalState, view: View, now: Moment, rules: Rules) -> Next:
    if local.write_backoff.failures:
        local = replace(local, write_backoff=Backoff())
    match local.call:
        case Claiming(write, intent, _, begun, again):
            seen = upkeep.stored(local.seen, write, now)
            if not is_kept(write, view):
                local = replace(local, call=Unsent(intent), pruned=_pruned(write, view), seen=seen)
                return plan(local, view, now, rules, fresh=True)
            local = replace(local, call=Calling(view, intent, again), seen=seen)
            return local, Call(intent, not_after=begun + rules.deadline - rules.request_timeout)
        case Storing(write, _, then):
            if not is_kept(write, view):
                local = replace(local, pruned=_pruned(write, view))
            mute = not write.decides and is_news(replace(write, view=view))
            backoff = Backoff() if write.outcome else local.reset_backoff
            seen = upkeep.stored(local.seen, write, now)
            local = replace(local, call=then, seen=seen, mute=local.mute or mute, reset_backoff=backoff)
            return plan(local, view, now, rules, fresh=True)
        case _:
            return plan(_settle(local, view), view, now, rules, fresh=True)


def _pruned(write: Write, view: View) -> str:
    """Name the status fields that the API server has dropped."""
    lost = {
        "status.reset": write.reset != view.reset,
        "status.handledResets": write.handled != view.handled,
        "status.handledTimes": write.newest != view.newest,
    }
    return ", ".join(name for name, is_lost in lost.items() if is_lost) or "status.lastResetTime"


def _after_lost_write(local: LocalState, now: Moment, retry_after: float) -> Next:
    """After an intent's write whose answer was lost nothing was sent: if the intent is there, it is mine and unsent.

    The first time the next read tells at once what was stored; an API server that keeps failing is given time.
    """
    base = Unsent(local.call.intent) if isinstance(local.call, Claiming) else settled(local.call)
    failures = local.write_backoff.failures + 1
    delay = max(retry_after, lost_write_delay(failures))
    backoff = Backoff(failures, now.monotonic + delay if delay else 0.0)
    return replace(local, call=base, write_backoff=backoff), Wait(backoff.not_before) if delay else Read()


def _after_answer(local: LocalState, happened: Returned, now: Moment, rules: Rules) -> Next:
    result = happened.result
    match local.call:
        case Looking(view, base, resets):
            seen = upkeep.saw(local.seen, result, now)
            if isinstance(result, Problem):
                local = replace(local, call=base, seen=seen)
                return _after_failed_look(local, view, result, now, rules, resets=resets)
            local = replace(local, call=base, seen=seen, look_backoff=Backoff())
            if not resets:
                return plan(local, view, now, rules, fresh=True)
            decided = call.after_look(base, call.Look(view, result, happened.signing), now, rules)
            if isinstance(decided, Write):
                return _begin_write(local, decided, rules)
            if isinstance(decided, Orphaned):
                return plan(replace(local, call=decided), view, now, rules, fresh=True)
            return _begin_claim(local, decided, now, rules)
        case Calling(view, intent, again):
            if isinstance(result, Problem):
                seen = replace(local.seen, changed_at=now.monotonic)
                if result.error_class is ErrorClass.TERMINAL and result.delivery is Delivery.REFUSED:
                    seen = upkeep.saw(seen, result, now)  # what it says of the job is newer than the look
                backoff = failed_again(local.reset_backoff, result, now)
                left = call.after_failed_call(intent, result, now, again=again)
                local = replace(local, seen=seen, reset_backoff=backoff, call=left)
                return (local, Read()) if isinstance(left, Unsent) else plan(local, view, now, rules, fresh=True)
            local = replace(local, seen=upkeep.saw(local.seen, None, now), call=Answered(intent, result, again))
            return plan(local, view, now, rules, fresh=True)
        case _:
            return local, Read()


def _after_failed_look(
    local: LocalState, view: View, problem: Problem, now: Moment, rules: Rules, *, resets: bool
) -> Next:
    local = replace(local, look_backoff=failed_again(local.look_backoff, problem, now))
    if resets:
        local = replace(local, reset_backoff=failed_again(local.reset_backoff, problem, now))
        write = reset.after_failed_look(view, problem, now)
        if write is not None:
            return _begin_write(local, write, rules)
    return plan(local, view, now, rules, fresh=True)


def soonest(*moments: float | None) -> float | None:
    """Return the earliest of some moments; None is never."""
    return min((moment for moment in moments if moment is not None), default=None)
