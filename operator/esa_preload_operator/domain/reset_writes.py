"""What the reset protocol stores: each function makes one write from what is known."""

from dataclasses import replace
from typing import Final

from esa_preload_operator.domain.cleaning import cut, format_micro_time, format_time
from esa_preload_operator.domain.entries import on_reset
from esa_preload_operator.domain.errors import Delivery, ErrorClass, Problem, Reason
from esa_preload_operator.domain.esa import EsaJob, ListedJob
from esa_preload_operator.domain.local import Answered, Orphaned
from esa_preload_operator.domain.recorded import Recorded
from esa_preload_operator.domain.signing import Signing
from esa_preload_operator.domain.steps import Write
from esa_preload_operator.domain.tokens import SCHEDULE_KEY, Tokens, handled_after, newest_after, without
from esa_preload_operator.domain.values import Moment, Notice, Phase, ResetState, Rules
from esa_preload_operator.domain.view import View

TRIGGER: Final = "Annotation"
SCHEDULED: Final = "Schedule"
_MAX_MESSAGE: Final = 1024


def _write(view: View, reset: ResetState | None, handled: Tokens, opened: Tokens = ()) -> Write:
    """Return a write of the protocol; `opened` are tokens that ask although they were handled."""
    return Write(view, reset, handled, newest_after(without(view.handled, opened), view.newest, handled))


def trigger(tokens: Tokens) -> str:
    """Return what asks for a reset: a schedule, if nobody else does."""
    return SCHEDULED if tokens and all(key == SCHEDULE_KEY for key, _ in tokens) else TRIGGER


def attempt(view: View, tokens: Tokens) -> ResetState:
    """Return the reset of tokens for which nothing was called yet in this attempt."""
    before = view.reset
    retried = before is not None and before.phase == Phase.RETRYING
    same = before is not None and set(before.tokens) == set(tokens)
    return ResetState(
        phase=Phase.HELD,
        job_id=view.job_id,
        tokens=tokens,
        trigger=trigger(tokens),
        generation=view.generation,
        attempts=before.attempts if before is not None and retried else 0,
        unproven=before.unproven if before is not None and retried and same else 0,
    )


def intent(view: View, tokens: Tokens, job: EsaJob, now: Moment, rules: Rules) -> ResetState:
    """Return the intent of a first call for these tokens.

    A list that lags may show more than what had been submitted before the call, which would prove a reset that never
    was. So what a list tells is no base for a proof.
    """
    begun = attempt(view, tokens)
    return replace(
        begun,
        phase=Phase.IN_FLIGHT,
        owner=rules.owner,
        started_at=format_micro_time(now.wall),
        submitted_before=None if isinstance(job, ListedJob) else job.url_submitted,
        attempts=begun.attempts + 1,
    )


def repetition(first: ResetState, before: ResetState, orphan: Orphaned | None, *, again: Signing | None) -> ResetState:
    """Return the intent that repeats the call of `before`; `first` is how it would begin.

    Without an orphan nothing was sent for `before`. As long as nobody asked for more, what had been submitted before
    the first call counts: if that was nothing, every URL is submitted after the request.
    """
    same = set(first.tokens) == set(before.tokens)
    repeated = replace(first, attempts=before.attempts + 1)
    if same and before.submitted_before == 0 and (orphan is not None or before.unproven):
        repeated = replace(repeated, submitted_before=0)
    lost = f"the answer to attempt {before.attempts} was lost"
    if again is not None:
        message = f"{lost}; the same signed request was sent again" if orphan is not None else before.message
        return replace(repeated, tokens=before.tokens, message=message, signing=again)
    if orphan is None:
        return replace(repeated, unproven=before.unproven if same else 0, message=before.message if same else "")
    # Of one crash it is not known whether it came before the call, so only a second one counts like a lost answer.
    lost_calls = 1 if orphan.failure is not None or before.attempts > 1 else 0
    came = f" ({_short(orphan.failure)})" if orphan.failure is not None else ""
    message = f"{lost}{came} and the job's progress does not show a reset; called again"
    unproven = before.unproven + lost_calls if same else 0
    return replace(repeated, unproven=unproven, message=cut(message, _MAX_MESSAGE))


def claim(view: View, announced: ResetState, job: EsaJob, *, undecidable: bool = False) -> Write:
    """Announce a call before it is made; the tokens count as open until its outcome is stored."""
    return replace(
        _write(view, announced, _still_handled(view, announced.tokens), announced.tokens),
        job=job,
        undecidable=undecidable,
    )


def outcome(view: View, answer: Answered, now: Moment) -> Write:
    """Store the answer to a call, for the tokens of its intent and never for newer ones."""
    result = answer.result
    if isinstance(result, EsaJob):
        told = answer.intent.message  # that a call was repeated without a proof stays told
        reset = _ended(answer.intent, Phase.SUCCEEDED, now, request_id=result.request_id, message=told)
        message = f"ESA reset job {reset.job_id} for {name_tokens(reset.tokens)}{_request(result)}"
        job = result if reset.job_id == view.job_id else None  # the resource may be about another job by now
        write = _write(view, reset, _handled(view, reset))
        notice = Notice(Reason.RESET_SUCCEEDED, message)
        return replace(write, job=job, notice=notice, outcome=Phase.SUCCEEDED, recorded=_due_windows(view, now))
    if answer.intent.signing is not None:
        if result.delivery is Delivery.RECEIVED:
            said = "confirmed by nonce: ESA has already received the signed request whose answer was lost"
            return _confirmed(view, answer.intent, said, now, request_id=result.request_id)
        if result.delivery is Delivery.UNKNOWN or (answer.again and result.error_class is not ErrorClass.TERMINAL):
            return _nonce_spent(view, answer.intent, result)
    elif result.delivery is Delivery.UNKNOWN:
        calls = answer.intent.unproven + 1
        said = (
            "confirmed, because nothing had been submitted before the calls: every URL is submitted after the "
            f"request; the answers to {calls} calls were lost (last {_short(result)})"
        )
        return _confirmed(view, answer.intent, said, now, request_id=result.request_id)
    if result.error_class is ErrorClass.TERMINAL:
        return failed(view, answer.intent, result, now)
    return retrying(view, replace(answer.intent, signing=None), result)


def retrying(view: View, attempt: ResetState, problem: Problem) -> Write:
    """Store that a request is tried again, and why."""
    reset = replace(
        attempt,
        phase=Phase.RETRYING,
        generation=view.generation,
        reason=problem.reason,
        message=_short(problem),
        request_id=problem.request_id,
    )
    return replace(_write(view, reset, _still_handled(view, reset.tokens), reset.tokens), notice=warning(problem))


def confirmed(view: View, open_intent: ResetState, job: EsaJob, now: Moment) -> Write:
    """Store that the job's progress shows the reset whose answer was lost."""
    message = (
        f"confirmed by progress: {job.url_submitted} URLs submitted now, {open_intent.submitted_before} before the "
        "call whose answer was lost"
    )
    return replace(_confirmed(view, open_intent, message, now), job=job)


def _confirmed(view: View, open_intent: ResetState, message: str, now: Moment, *, request_id: str = "") -> Write:
    reset = _ended(open_intent, Phase.SUCCEEDED, now, request_id=request_id, message=message)
    notice = Notice(Reason.RESET_CONFIRMED, f"ESA job {reset.job_id}, {name_tokens(reset.tokens)}: {message}")
    write = _write(view, reset, _handled(view, reset))
    return replace(write, notice=notice, outcome="Confirmed", recorded=_due_windows(view, now))


def _due_windows(view: View, now: Moment) -> Recorded | None:
    """Return what is recorded once a reset was made: its `onReset` windows are due, in the same write."""
    if not any(window.on_reset for window in view.windows):
        return None
    return replace(view.recorded, windows=on_reset(view, now))


def _nonce_spent(view: View, open_intent: ResetState, problem: Problem) -> Write:
    """Leave open what became of the call, without the nonce, which this answer may have used up."""
    reason = Reason.SERVICE_UNAVAILABLE if problem.error_class is ErrorClass.TERMINAL else problem.reason
    reset = replace(open_intent, signing=None, reason=reason, message=_short(problem))
    return replace(_write(view, reset, _still_handled(view, ())), notice=warning(replace(problem, reason=reason)))


def unknown(view: View, open_intent: ResetState, failure: Problem | None, due: float) -> Write:
    """Show that it is not known what became of several calls, and when (epoch seconds) the next one is made."""
    last = _short(failure) if failure is not None else "the process that called ended before it stored an answer"
    calls = f"{open_intent.unproven + 1} calls for {name_tokens(open_intent.tokens)} were made"
    message = (
        f"{calls}, their answers were lost and the job's progress does not show a reset; the next call, unless "
        f"progress shows it, not before {format_time(due)}; last: {last}"
    )
    if open_intent.message:
        message += f"; before: {open_intent.message}"
    reset = replace(open_intent, reason=Reason.OUTCOME_UNKNOWN, message=cut(message, _MAX_MESSAGE))
    notice = Notice(Reason.OUTCOME_UNKNOWN, reset.message, warning=True)
    return replace(_write(view, reset, _still_handled(view, ())), notice=notice)


def failed(view: View, attempt: ResetState, problem: Problem, now: Moment) -> Write:
    """Store that only a change of the resource, or a new token, helps."""
    ended = _ended(attempt, Phase.FAILED, now, request_id=problem.request_id, message=_short(problem))
    reset = replace(ended, reason=problem.reason, generation=view.generation)
    notice = Notice(Reason.RESET_FAILED, f"{name_tokens(reset.tokens)}: {problem}", warning=True)
    return replace(_write(view, reset, _handled(view, reset)), notice=notice, outcome=Phase.FAILED)


def withdraw(view: View, now: Moment, message: str) -> Write:
    """Close a request without a call, and without calling it handled."""
    before = view.reset or ResetState(phase=Phase.WITHDRAWN, job_id=view.job_id)
    reset = _ended(before, Phase.WITHDRAWN, now, request_id="", message=message)
    return replace(_write(view, reset, _still_handled(view, ())), outcome=Phase.WITHDRAWN)


def stale(view: View, tokens: Tokens, wanted: Tokens, now: Moment) -> Write:
    """Record wanted tokens that are older than the object as handled, without a call; the others stay open."""
    message = (
        f"{Reason.STALE_TOKEN}: {name_tokens(tokens)} reads as a time before this object was created; ESA is not "
        "called. To reset the job, set a newer time, or a token that is no time"
    )
    reset = replace(
        attempt(view, tokens),
        phase=Phase.WITHDRAWN,
        finished_at=format_time(now.wall),
        message=cut(message, _MAX_MESSAGE),
    )
    handled = handled_after(without(view.handled, wanted), view.asked, tokens)
    notice = Notice(Reason.STALE_TOKEN, reset.message, warning=True)
    return replace(_write(view, reset, handled, wanted), notice=notice, outcome=Reason.STALE_TOKEN)


def record(view: View, tokens: Tokens) -> Write:
    """Record times that a newer handled one satisfies as handled, without a call."""
    return _write(view, view.reset, handled_after(view.handled, view.asked, tokens))


def hold(view: View, tokens: Tokens, due: float) -> Write:
    """Hold a request that came too soon after the last reset; `due` is in epoch seconds."""
    message = f"held by minResetInterval until {format_time(due)}"
    reset = replace(attempt(view, tokens), phase=Phase.HELD, message=message)
    return replace(_write(view, reset, _still_handled(view, tokens), tokens), due=due)


def hold_suspended(view: View, tokens: Tokens) -> Write:
    """Hold a request until the resource goes on."""
    reset = replace(attempt(view, tokens), phase=Phase.HELD, message="held because spec.suspend is true")
    return _write(view, reset, _still_handled(view, tokens), tokens)


def hold_open(view: View, why: str) -> Write:
    """Close an open intent without a call and unhandled: the request is held until it can be met in another way."""
    before = view.reset or ResetState(phase=Phase.HELD, job_id=view.job_id)
    reset = replace(before, phase=Phase.HELD, owner="", reason="", message=cut(why, _MAX_MESSAGE), signing=None)
    return _write(view, reset, _still_handled(view, reset.tokens), reset.tokens)


def forget(view: View) -> Write:
    """Drop handled tokens whose annotation is gone, so that they can be asked for again."""
    return _write(view, view.reset, _still_handled(view, ()))


def _ended(attempt: ResetState, phase: Phase, now: Moment, *, request_id: str, message: str) -> ResetState:
    return replace(
        attempt,
        phase=phase,
        finished_at=format_time(now.wall),
        request_id=request_id,
        reason="",
        message=cut(message, _MAX_MESSAGE),
        signing=None,
    )


def _handled(view: View, reset: ResetState) -> Tokens:
    return handled_after(view.handled, view.asked, reset.tokens)


def _still_handled(view: View, opened: Tokens) -> Tokens:
    """Return what stays handled while `opened` asks: every write forgets tokens whose annotation is gone."""
    return handled_after(without(view.handled, opened), view.asked, ())


def warning(problem: Problem) -> Notice:
    """Return the Event about a problem."""
    return Notice(problem.reason, str(problem), warning=True)


def _short(problem: Problem) -> str:
    return cut(str(problem), _MAX_MESSAGE)


def name_tokens(tokens: Tokens) -> str:
    """Return tokens for people: quoted, without line breaks, cut."""
    return ", ".join(f"{key}={cut(token, 80)!r}" for key, token in tokens) or "no token"


def _request(job: EsaJob) -> str:
    return f" (request {job.request_id})" if job.request_id else ""
