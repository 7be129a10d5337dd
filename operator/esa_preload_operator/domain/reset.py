"""The reset protocol: one request, one reset, whatever crashes.

`advance` is a pure state machine. It is given what happened and returns what to do; the service does it and comes back
with what happened then. Nobody calls ESA on an intent that he did not write himself, every write is conditional on the
version that the decision was made on, and after a conflict nothing is reused.
"""

from dataclasses import replace

from esa_preload_operator.domain.cleaning import format_micro_time
from esa_preload_operator.domain.errors import Delivery, ErrorClass, Problem, Reason
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.reset_values import (
    Answer,
    Answered,
    CallFailed,
    Conflicted,
    Input,
    LocalState,
    Look,
    Looked,
    LookFailed,
    Moment,
    Observed,
    Phase,
    Read,
    ResetState,
    Rules,
    Send,
    Stage,
    Step,
    Stored,
    View,
    Wait,
    Write,
    WriteLost,
    WriteRefused,
)
from esa_preload_operator.domain.reset_writes import (
    claim,
    close,
    confirmed,
    failed_look,
    forget,
    hold,
    outcome,
    outdated,
    stale,
)
from esa_preload_operator.domain.retry import retry_delay
from esa_preload_operator.domain.signing import is_valid
from esa_preload_operator.domain.tokens import Tokens, handled_after, is_stale, without

TRIGGER = "Annotation"

Next = tuple[LocalState, Step]


def requested(view: View) -> Tokens:
    """Return the tokens that ask for a reset: not handled, or handled as a failure before the spec was changed."""
    tokens = without(view.asked, view.handled)
    if view.changed and view.record is not None and view.record.phase == Phase.FAILED:
        again = set(view.record.tokens) & set(view.asked)
        return tuple(sorted(set(tokens) | again))
    return tokens


def advance(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    """Take in what happened and return the one next step."""
    match happened:
        case Observed(view, fresh):
            return _plan(memory, view, now, rules, fresh=fresh)
        case Looked():
            return _after_look(memory, happened, now, rules)
        case LookFailed(problem):
            return _after_failed_look(memory, problem, now)
        case Stored(view):
            return _after_write(memory, view, now, rules)
        case Conflicted():
            return replace(_idle(memory), lost_writes=0), Read()
        case WriteLost():
            return _after_lost_write(memory, now)
        case WriteRefused(problem):
            memory, delay = _count_failure(memory, problem, now)
            return _idle(memory), Wait(now.monotonic + delay, problem)
        case Answered(job):
            return _after_answer(memory, job, now, rules)
        case CallFailed(problem):
            return _after_failed_call(memory, problem, now, rules)


def _idle(memory: LocalState) -> LocalState:
    return replace(memory, stage=Stage.NOTHING, view=None, pending=None)


def _write(memory: LocalState, stage: Stage, write: Write) -> Next:
    return replace(memory, stage=stage, view=write.view, pending=write), write


def _plan(memory: LocalState, view: View, now: Moment, rules: Rules, *, fresh: bool) -> Next:
    memory = _idle(memory if memory.uid == view.uid else LocalState(uid=view.uid))
    if memory.answer is not None:
        if view.record == memory.answer.intent or _wiped(view, memory.answer.intent):
            return _write(memory, Stage.OUTCOME, outcome(view, memory.answer, now))
        if not fresh:  # an older version may have been seen: only a read tells that the intent is another one's now
            return memory, Read()
        memory = replace(memory, answer=None)
    if view.record is not None and view.record.phase == Phase.IN_FLIGHT:
        return _recover(memory, view, view.record, now, rules, fresh=fresh)
    memory = replace(memory, unsent=None, seen=None)
    wanted = requested(view)
    old = tuple(entry for entry in wanted if is_stale(entry[1], view.created, rules.stale_token_after))
    if old:
        return _write(memory, Stage.OUTCOME, stale(view, old, wanted, now))
    if wanted:
        return _begin_or_wait(memory, view, wanted, now, rules)
    memory = replace(memory, failures=0, not_before=0.0, reported=None)
    if view.record is not None and view.record.phase in (Phase.HELD, Phase.RETRYING):
        return _write(memory, Stage.OUTCOME, close(view, Phase.WITHDRAWN, now))
    if handled_after(view.handled, view.asked, ()) != view.handled:
        return _write(memory, Stage.OUTCOME, forget(view))
    return memory, Wait()


def _wiped(view: View, intent: ResetState) -> bool:
    """Say whether the status was wiped while the request still stands: then the outcome is not lost with it."""
    return view.record is None and set(intent.tokens) <= set(without(view.asked, view.handled)) and bool(intent.tokens)


def _begin_or_wait(memory: LocalState, view: View, wanted: Tokens, now: Moment, rules: Rules) -> Next:
    pause = max(view.min_interval, rules.min_interval)
    if view.last_reset is not None and now.wall < view.last_reset + pause:
        until = now.monotonic + (view.last_reset + pause - now.wall)
        held = view.record
        if held is not None and held.phase == Phase.HELD and held.tokens == wanted:
            return memory, Wait(until)
        return _write(memory, Stage.OUTCOME, hold(view, wanted, view.last_reset + pause))
    if now.monotonic < memory.not_before:
        return memory, Wait(memory.not_before)
    return replace(memory, stage=Stage.LOOK_TO_BEGIN, view=view), Look(view.job_id)


def _recover(memory: LocalState, view: View, intent: ResetState, now: Moment, rules: Rules, *, fresh: bool) -> Next:
    """Meet an intent whose answer is not in memory: wait until its call is over, read, look."""
    if intent != memory.unsent:
        if memory.seen is None or memory.seen[0] != intent:
            memory = replace(memory, seen=(intent, now.monotonic))
        due = call_is_over_at(memory, now, rules)
        if now.monotonic < due:
            return memory, Wait(due)
    if now.monotonic < memory.not_before:
        return memory, Wait(memory.not_before)
    if not fresh:
        return memory, Read()
    if view.job_id != intent.job_id:
        return _write(memory, Stage.OUTCOME, close(view, Phase.REPLACED, now))
    return replace(memory, stage=Stage.LOOK_TO_RECOVER, view=view), Look(view.job_id)


def call_is_over_at(memory: LocalState, now: Moment, rules: Rules) -> float:
    """Return when the call of the intent that was seen is over, on this process's own monotonic clock."""
    return (memory.seen[1] if memory.seen is not None else now.monotonic) + rules.deadline


def _after_look(memory: LocalState, looked: Looked, now: Moment, rules: Rules) -> Next:
    view, job = memory.view, looked.job
    if view is None:
        return memory, Read()
    wanted = requested(view)
    before = view.record
    recovers = memory.stage is Stage.LOOK_TO_RECOVER and before is not None
    attempts, again = 1, None
    if recovers and before is not None:
        if before != memory.unsent and proves_reset(before, job, rules):
            return _write(memory, Stage.OUTCOME, confirmed(view, before, job, now))
        if not wanted:
            return _write(memory, Stage.OUTCOME, close(view, Phase.WITHDRAWN, now))
        attempts = before.attempts + 1
        again = before if can_send_again(before, wanted, looked, now, rules) else None
    elif before is not None and before.phase == Phase.RETRYING:
        attempts = before.attempts + 1
    intent = ResetState(
        phase=Phase.IN_FLIGHT,
        job_id=view.job_id,
        tokens=wanted if again is None else again.tokens,  # what was asked for since is another request
        trigger=TRIGGER,
        owner=rules.owner,
        started_at=format_micro_time(now.wall),
        submitted_before=job.url_submitted,
        attempts=attempts,
        message="" if again is None else again.message,
        signing=looked.signing if again is None else again.signing,
    )
    repeats = recovers and before != memory.unsent
    memory = replace(memory, begun=now.monotonic, reported=None, again=again is not None)
    return _write(memory, Stage.INTENT, claim(view, intent, job, repeats=before if repeats else None))


def proves_reset(intent: ResetState, job: EsaJob, rules: Rules) -> bool:
    """Say whether the job's progress shows that the intent's call was executed.

    That a reset lowers `UrlSubmitted` is inferred from "resets the progress" (ESA API, ResetScheduledPreloadJob), so it
    can be switched off.
    """
    return (
        rules.confirm_by_progress
        and intent.submitted_before is not None
        and job.id in ("", intent.job_id)
        and job.url_submitted is not None
        and job.url_submitted < intent.submitted_before
    )


def can_send_again(intent: ResetState, wanted: Tokens, looked: Looked, now: Moment, rules: Rules) -> bool:
    """Say whether the intent's call can be made again as the same signed request, and is still asked for.

    That ESA refuses a nonce that it has executed is inferred from the gateway's error codes, hence experimental.
    """
    return (
        intent.signing is not None
        and looked.signing is not None
        and bool(set(intent.tokens) & set(wanted))
        and is_valid(intent.signing, looked.signing.signer, now.wall, rules.deadline)
    )


def _after_failed_look(memory: LocalState, problem: Problem, now: Moment) -> Next:
    view = memory.view
    if view is None:
        return memory, Read()
    if problem.error_class is ErrorClass.TERMINAL:
        return _write(memory, Stage.OUTCOME, failed_look(view, requested(view), problem, now))
    shown = (requested(view), problem.code)
    memory, delay = _count_failure(memory, problem, now)
    if memory.reported == shown and not view.changed:
        return _idle(memory), Wait(now.monotonic + delay, problem)
    return _write(memory, Stage.OUTCOME, failed_look(view, requested(view), problem, now))


def _count_failure(memory: LocalState, problem: Problem, now: Moment) -> tuple[LocalState, float]:
    failures = memory.failures + 1
    delay = retry_delay(problem, failures, now.jitter)
    return replace(memory, failures=failures, not_before=now.monotonic + delay), delay


def _after_write(memory: LocalState, view: View, now: Moment, rules: Rules) -> Next:
    write, stage = memory.pending, memory.stage
    memory = replace(memory, lost_writes=0)
    if write is None:
        return _plan(memory, view, now, rules, fresh=True)
    if stage is Stage.INTENT and write.record is not None:
        if view.record != write.record:
            return _write(replace(memory, unsent=write.record), Stage.OUTCOME, outdated(view))
        memory = replace(memory, stage=Stage.CALL, view=view, pending=None, unsent=None)
        return memory, Send(write.record, not_after=memory.begun + rules.deadline - rules.request_timeout)
    memory = replace(memory, answer=None)
    problem = write.problem
    if problem is None:
        return _plan(replace(memory, failures=0, not_before=0.0, reported=None), view, now, rules, fresh=True)
    memory = replace(memory, reported=(requested(view), problem.code))
    if problem.reason is Reason.CRD_OUTDATED:
        memory, _ = _count_failure(memory, problem, now)
    if problem.error_class is ErrorClass.TERMINAL:
        memory = _idle(replace(memory, failures=0, not_before=0.0))
        if without(view.asked, view.handled):  # a newer token than the one that failed
            return _plan(memory, view, now, rules, fresh=True)
        return memory, Wait(None, problem)
    return _idle(memory), Wait(memory.not_before, problem)


def _after_lost_write(memory: LocalState, now: Moment) -> Next:
    """After an intent's write whose answer was lost nothing was sent: if the intent is there, it is mine and unsent.

    The first time the next read tells at once what was stored; an API server that keeps failing is given time.
    """
    unsent = memory.pending.record if memory.stage is Stage.INTENT and memory.pending else memory.unsent
    lost = memory.lost_writes + 1
    memory = replace(_idle(memory), unsent=unsent, lost_writes=lost)
    return memory, Read() if lost == 1 else Wait(now.monotonic + min(2.0 ** (lost - 2), LONGEST_WRITE_DELAY))


def _after_answer(memory: LocalState, job: EsaJob, now: Moment, rules: Rules) -> Next:
    view = memory.view
    if view is None or view.record is None:
        return memory, Read()
    memory = replace(memory, answer=Answer(view.record, job))
    return _plan(memory, view, now, rules, fresh=True)


def _after_failed_call(memory: LocalState, problem: Problem, now: Moment, rules: Rules) -> Next:
    view = memory.view
    if view is None or view.record is None:
        return memory, Read()
    memory, _ = _count_failure(memory, problem, now)
    answered = view.record.signing is not None and problem.http_status >= FIRST_NO_SUCCESS
    if problem.delivery is Delivery.UNKNOWN and not answered:
        memory = replace(_idle(memory), seen=(view.record, now.monotonic))
        return memory, Wait(max(call_is_over_at(memory, now, rules), memory.not_before), problem)
    if problem.code == NOT_SENT or (memory.again and problem.delivery is Delivery.NEVER_SENT):
        return replace(_idle(memory), unsent=view.record), Read()
    memory = replace(memory, answer=Answer(view.record, problem, memory.again))
    return _plan(memory, view, now, rules, fresh=True)


FIRST_NO_SUCCESS = 300
"""HTTP status from which on an answer, though it leaves open what was done, may have used up a nonce."""

LONGEST_WRITE_DELAY = 30.0
"""Seconds between two tries of a write that the API server keeps failing."""

NOT_SENT = "NotSent"
"""Code of the problem that says: the sender itself decided not to send, as it was too late or no longer leads."""


def may_send(step: Send, now_monotonic: float, leads_until: float) -> bool:
    """Say whether the call may still leave: asked right before the first byte, with no await in between."""
    return now_monotonic <= step.not_after and now_monotonic < leads_until


def hurry(memory: LocalState) -> LocalState:
    """Forget the waiting time after a failure, because what it waited for may have changed."""
    return replace(memory, not_before=0.0, reported=None)
