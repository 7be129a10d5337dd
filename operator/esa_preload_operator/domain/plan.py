"""Decides the one next step for a resource, whatever the occasion: event, answer, restart, refresh.

`advance` is a pure state machine. It takes what happened and returns what to do; the runner does it and reports
what happened then. Every write is conditional on the version that the decision was made on, a process calls ESA only on
intents that it wrote itself, and after a conflict nothing is reused.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from esa_preload_operator.domain import (
    answers,
    call,
    create,
    effective,
    removal,
    reset,
    scheduling,
    suspend,
    upkeep,
    windows,
    work,
)
from esa_preload_operator.domain.conditions import Finding, State, worst
from esa_preload_operator.domain.errors import Delivery, ErrorClass, Problem, Reason
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.local import (
    Announcing,
    Answered,
    Asking,
    Calling,
    Claiming,
    Creates,
    Doing,
    Finalizing,
    LocalState,
    Looking,
    NotCreated,
    Opening,
    Orphaned,
    Settled,
    Storing,
    Unsent,
    settled,
)
from esa_preload_operator.domain.retry import failed_again, lost_write_delay
from esa_preload_operator.domain.status import dropped, is_kept, is_news, job_id_after
from esa_preload_operator.domain.steps import (
    Admit,
    Call,
    Conflicted,
    Create,
    Done,
    Finalizer,
    Input,
    Observed,
    Read,
    Result,
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
            return _after_write(upkeep.about(local, view), view, now, rules)
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
    view = scheduling.with_due(view, now.wall)
    local, step = _consult(work.for_spec(local, view), view, now, rules, fresh=fresh)
    match step:
        case Write():
            return _begin_write(local, step, rules)
        case Finalizer():
            return replace(local, call=Finalizing(view, settled(local.call))), step
        case Wait():
            pass
        case _:
            return local, step
    job = local.seen.job if not view.damaged else None
    report = _sealed(Write(view, view.reset, view.handled, view.newest, job=job), local, rules)
    speaks = not view.deleting or removal.finding(local, view) is not None
    if speaks and not local.mute and is_news(report):
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
    unreadable = view.damaged or view.invalid or view.problem is not None
    nothing = view.deleting or unreadable or lacking(local, rules) or local.claimed
    return local, Wait(exclusive=True) if nothing else None


def lacking(local: LocalState, rules: Rules) -> str:
    """Return the status fields that the API server does not keep, so that nothing may be called."""
    return rules.crd_lacks or local.pruned


CONCERNS: Final[tuple[Concern, ...]] = (
    call.store_answer,
    create.store_answer,
    removal.deletion,
    _blocked,
    removal.finalizer,
    create.recover,
    call.recover,
    scheduling.note,
    suspend.plan,
    create.missing,
    create.plan,
    reset.plan,
    windows.plan,
    removal.retired,
    upkeep.plan,
)
"""In this order: the first step wins, so what stands first goes before what stands later."""


def _begin_write(local: LocalState, write: Write, rules: Rules) -> Next:
    write = _sealed(write, local, rules)
    return replace(local, call=call.storing(write, settled(local.call))), write


def _begin_claim(local: LocalState, claim: call.Claim, now: Moment, rules: Rules) -> Next:
    write = _sealed(claim.write, local, rules)
    claiming = Claiming(write, claim.intent, settled(local.call), now.monotonic, claim.again)
    return replace(local, call=claiming), write


def _sealed(write: Write, local: LocalState, rules: Rules) -> Write:
    """Return the write with what the conditions are to say, from the facts as they are once it is stored."""
    said = effective.judge(write, idle=local.seen.idle) if not write.view.damaged else None
    return replace(write, finding=assess(write, local, rules), effective=said)


def assess(write: Write, local: LocalState, rules: Rules) -> Finding | None:
    """Return the worst of what the concerns find; None if nothing is known that the status does not say."""
    view = replace(write.view, reset=write.reset, handled=write.handled, job_id=job_id_after(write))
    if write.recorded is not None:
        view = replace(view, recorded=write.recorded)
    works = _works(write, local, view)
    ready = works is not None and works.state is State.READY
    about_reset = reset.finding(view, works=ready)
    found = [about_reset, works] if ready else [works, about_reset]  # of a job that works the last request is told
    found += [
        create.finding(local, view),
        windows.finding(local, view),
        removal.finding(local, view),
        suspend.finding(view),
    ]
    decided = worst([*_obstacles(local, view, rules), *(finding for finding in found if finding is not None)])
    if works is None and decided is not None and decided.state in _GOOD:
        return None
    return decided


def _works(write: Write, local: LocalState, view: View) -> Finding | None:
    """Return what is known of the job; of one that was just made its answer tells."""
    if view.job_id != write.view.job_id and view.job_id:
        return Finding(State.READY, Reason.READY, upkeep.CAN_BE_RESET.format(view.job_id))
    return upkeep.finding(local, view) if view.job_id else None


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
    elif view.problem is not None:
        said = f"InvalidSpec: {view.problem.field}: {view.problem.message}"
        found.append(Finding(State.STALLED, Reason.INVALID_SPEC, said))
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
        case Announcing(write, intent, new, _, begun):
            if not is_kept(write, view):
                local = replace(local, call=NotCreated(intent), pruned=dropped(write, view))
                return plan(local, view, now, rules, fresh=True)
            not_after = begun + rules.deadline - rules.request_timeout
            return replace(local, call=Creates(view, intent)), Create(intent, new, not_after)
        case Claiming(write, intent, _, begun, again):
            seen = upkeep.stored(local.seen, write, now)
            if not is_kept(write, view):
                local = replace(local, call=Unsent(intent), pruned=dropped(write, view), seen=seen)
                return plan(local, view, now, rules, fresh=True)
            local = replace(local, call=Calling(view, intent, again), seen=seen)
            return local, Call(intent, not_after=begun + rules.deadline - rules.request_timeout)
        case Storing(write, _, then):
            if not is_kept(write, view):
                local = replace(local, pruned=dropped(write, view))
            mute = not write.decides and is_news(replace(write, view=view))
            backoff = Backoff() if write.outcome else local.reset_backoff
            seen = upkeep.stored(local.seen, write, now)
            local = replace(local, call=then, seen=seen, mute=local.mute or mute, reset_backoff=backoff)
            return plan(local, view, now, rules, fresh=True)
        case _:
            return plan(_settle(local, view), view, now, rules, fresh=True)


def _after_lost_write(local: LocalState, now: Moment, retry_after: float) -> Next:
    """After an intent's write whose answer was lost nothing was sent: if the intent is there, it is mine and unsent.

    The first time the next read tells at once what was stored; an API server that keeps failing is given time.
    """
    match local.call:
        case Claiming(intent=reset_intent):
            base: Settled = Unsent(reset_intent)
        case Announcing(intent=create_intent):
            base = NotCreated(create_intent)
        case _:
            base = settled(local.call)
    failures = local.write_backoff.failures + 1
    delay = max(retry_after, lost_write_delay(failures))
    backoff = Backoff(failures, now.monotonic + delay if delay else 0.0)
    return replace(local, call=base, write_backoff=backoff), Wait(backoff.not_before) if delay else Read()


def _after_answer(local: LocalState, happened: Returned, now: Moment, rules: Rules) -> Next:
    match local.call:
        case Looking() as looking:
            return _after_look(local, looking, happened, now, rules)
        case Calling() as calling:
            return _after_call(local, calling, happened.result, now, rules)
        case Asking(view, Admit()) if happened.result == Done():
            return _begin_create(local, view, now, rules)
        case Asking(view) as asked:
            local = answers.after_question(local, asked, happened.result, now)
        case Doing(view) as done:
            local = answers.after_command(local, done, happened.result, now)
        case Creates(view) as created:
            local = answers.after_create(local, created, happened.result, now)
        case Opening(view) as opening:
            local = answers.after_opening(local, opening, happened.result, now)
        case _:
            return local, Read()
    return plan(local, view, now, rules, fresh=True)


def _begin_create(local: LocalState, view: View, now: Moment, rules: Rules) -> Next:
    local = replace(local, call=settled(local.call))
    announced = create.announce(local, view, now)
    if announced is None:
        return plan(local, view, now, rules, fresh=True)
    announcing, write = announced
    write = _sealed(write, local, rules)
    return replace(local, call=replace(announcing, write=write)), write


def _after_look(local: LocalState, looking: Looking, happened: Returned, now: Moment, rules: Rules) -> Next:
    view, base, result = looking.view, looking.base, happened.result
    if not isinstance(result, EsaJob | Problem):
        return replace(local, call=base), Read()
    local = replace(local, call=base, seen=upkeep.saw(local.seen, result, now))
    if isinstance(result, Problem):
        return _after_failed_look(local, view, result, now, rules, resets=looking.resets)
    local = replace(local, look_backoff=Backoff())
    if not looking.resets:
        return plan(local, view, now, rules, fresh=True)
    look = call.Look(view, result, happened.signing)
    decided = call.after_look(base, look, now, rules, _obstacle(local, view))
    if isinstance(decided, Write):
        return _begin_write(local, decided, rules)
    if isinstance(decided, Orphaned):
        return plan(replace(local, call=decided), view, now, rules, fresh=True)
    return _begin_claim(local, decided, now, rules)


def _after_call(local: LocalState, calling: Calling, result: Result, now: Moment, rules: Rules) -> Next:
    view, intent = calling.view, calling.intent
    if not isinstance(result, Problem):
        if not isinstance(result, EsaJob):
            return local, Read()
        answered = Answered(intent, result, calling.again)
        return plan(replace(local, seen=upkeep.saw(local.seen, None, now), call=answered), view, now, rules, fresh=True)
    seen = replace(local.seen, changed_at=now.monotonic)
    if result.error_class is ErrorClass.TERMINAL and result.delivery is Delivery.REFUSED:
        seen = upkeep.saw(seen, result, now)  # what it says of the job is newer than the look
    backoff = failed_again(local.reset_backoff, result, now)
    left = call.after_failed_call(intent, result, now, again=calling.again)
    local = replace(local, seen=seen, reset_backoff=backoff, call=left)
    return (local, Read()) if isinstance(left, Unsent) else plan(local, view, now, rules, fresh=True)


def _obstacle(local: LocalState, view: View) -> str:
    """Return why a call whose answer was lost is not to be made again."""
    if view.suspended:
        return "spec.suspend is true"
    return "the list of URLs is another one now" if create.is_wanted(local, view) else ""


def _after_failed_look(
    local: LocalState, view: View, problem: Problem, now: Moment, rules: Rules, *, resets: bool
) -> Next:
    local = replace(local, look_backoff=failed_again(local.look_backoff, problem, now))
    if resets and not (view.owned is not None and call.is_gone(problem)):
        local = replace(local, reset_backoff=failed_again(local.reset_backoff, problem, now))
        write = reset.after_failed_look(view, problem, now)
        if write is not None:
            return _begin_write(local, write, rules)
    return plan(local, view, now, rules, fresh=True)


def soonest(*moments: float | None) -> float | None:
    """Return the earliest of some moments; None is never."""
    return min((moment for moment in moments if moment is not None), default=None)
