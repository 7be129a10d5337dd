"""What the reset protocol stores: each function makes one write from what is known."""

from dataclasses import replace

from esa_preload_operator.domain.cleaning import cut, format_time
from esa_preload_operator.domain.errors import Delivery, ErrorClass, Problem, Reason
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.reset_values import Answer, Moment, Notice, Phase, ResetState, View, Write
from esa_preload_operator.domain.tokens import Tokens, handled_after, without

_MAX_MESSAGE = 1024


def claim(view: View, intent: ResetState, job: EsaJob, *, repeats: ResetState | None) -> Write:
    """Announce a call before it is made; the tokens count as open until its outcome is stored."""
    undecidable = False
    if repeats is not None:
        lost = f"the answer to attempt {repeats.attempts} was lost"
        undecidable = intent.signing is None or intent.signing != repeats.signing
        doubt = f"{lost} and the job's progress does not show a reset; called again"
        intent = replace(intent, message=doubt if undecidable else f"{lost}; the same signed request was sent again")
    return Write(view, intent, _still_handled(view, intent.tokens), job=job, undecidable=undecidable)


def outcome(view: View, answer: Answer, now: Moment) -> Write:
    """Store the answer to a call, for the tokens of its intent and never for newer ones."""
    result = answer.result
    if isinstance(result, EsaJob):
        told = answer.intent.message  # that a call was repeated without proof stays told
        record = _ended(answer.intent, Phase.SUCCEEDED, now, request_id=result.request_id, message=told)
        notice = Notice(
            Reason.RESET_SUCCEEDED, f"ESA reset job {record.job_id} for {_name(record.tokens)}{_request(result)}"
        )
        job = result if record.job_id == view.job_id else None  # the resource may be about another job by now
        return Write(view, record, _handled(view, record), job=job, notice=notice, outcome=Phase.SUCCEEDED)
    if answer.intent.signing is not None:
        if result.delivery is Delivery.RECEIVED:
            return _confirmed_by_nonce(view, answer.intent, result, now)
        if result.delivery is Delivery.UNKNOWN or (answer.again and result.error_class is not ErrorClass.TERMINAL):
            return _nonce_spent(view, answer.intent, result)
    if result.error_class is ErrorClass.TERMINAL:
        return _failed(view, answer.intent, result, now)
    intent = replace(answer.intent, signing=None)
    record = replace(intent, phase=Phase.RETRYING, message=_short(result), request_id=result.request_id)
    return Write(view, record, _still_handled(view, ()), problem=result, notice=_complaint(result))


def confirmed(view: View, intent: ResetState, job: EsaJob, now: Moment) -> Write:
    """Store that the job's progress shows the reset whose answer was lost."""
    message = (
        f"confirmed by progress: {job.url_submitted} URLs submitted now, {intent.submitted_before} before the call "
        "whose answer was lost"
    )
    record = _ended(intent, Phase.SUCCEEDED, now, request_id="", message=message)
    notice = Notice(Reason.RESET_CONFIRMED, f"ESA job {record.job_id}, {_name(record.tokens)}: {message}")
    return Write(view, record, _handled(view, record), job=job, notice=notice, outcome="Confirmed")


def _confirmed_by_nonce(view: View, intent: ResetState, problem: Problem, now: Moment) -> Write:
    message = "confirmed by nonce: ESA has already received the signed request whose answer was lost"
    record = _ended(intent, Phase.SUCCEEDED, now, request_id=problem.request_id, message=message)
    notice = Notice(Reason.RESET_CONFIRMED, f"ESA job {record.job_id}, {_name(record.tokens)}: {message}")
    return Write(view, record, _handled(view, record), notice=notice, outcome="Confirmed")


def _nonce_spent(view: View, intent: ResetState, problem: Problem) -> Write:
    """Leave open what became of the call, without the nonce, which this answer may have used up."""
    if problem.error_class is ErrorClass.TERMINAL:  # a server error with such a code: the author is not asked yet
        problem = replace(problem, error_class=ErrorClass.TRANSIENT)
    record = replace(intent, signing=None)
    return Write(view, record, _still_handled(view, ()), problem=problem, notice=_complaint(problem))


def failed_look(view: View, wanted: Tokens, problem: Problem, now: Moment) -> Write:
    """Store why the job could not be looked at before a call."""
    open_intent = view.record if view.record is not None and view.record.phase == Phase.IN_FLIGHT else None
    if problem.error_class is ErrorClass.TERMINAL:
        intent = open_intent or ResetState(phase=Phase.FAILED, job_id=view.job_id, tokens=wanted, trigger="Annotation")
        return _failed(view, intent, problem, now)
    if open_intent is not None:
        return Write(view, open_intent, _still_handled(view, ()), problem=problem, notice=_complaint(problem))
    attempts = view.record.attempts if view.record is not None and view.record.phase == Phase.RETRYING else 0
    record = ResetState(
        phase=Phase.RETRYING,
        job_id=view.job_id,
        tokens=wanted,
        trigger="Annotation",
        attempts=attempts,
        message=_short(problem),
    )
    return Write(view, record, _still_handled(view, wanted), problem=problem, notice=_complaint(problem))


def close(view: View, phase: Phase, now: Moment) -> Write:
    """Close a request without a call: it disappeared (Withdrawn), or the job is another one now (Replaced)."""
    before = view.record or ResetState(phase=phase, job_id=view.job_id)
    if phase is Phase.REPLACED:
        message = f"the resource is about job {view.job_id} now; job {before.job_id} is not reset"
        record = _ended(before, phase, now, request_id="", message=message)
        return Write(view, record, _handled(view, record), outcome=phase)
    record = _ended(before, phase, now, request_id="", message="the request disappeared before ESA was called")
    if before.phase == Phase.IN_FLIGHT:
        record = replace(
            record, message="the request disappeared while the answer to its call was lost; not called again"
        )
    return Write(view, record, _still_handled(view, ()), outcome=phase)


def stale(view: View, tokens: Tokens, wanted: Tokens, now: Moment) -> Write:
    """Record wanted tokens that are older than the object as handled, without a call; the others stay open."""
    message = f"{Reason.STALE_TOKEN}: {_name(tokens)} reads as a time before this object was created; ESA is not called"
    record = ResetState(
        phase=Phase.WITHDRAWN,
        job_id=view.job_id,
        tokens=tokens,
        trigger="Annotation",
        finished_at=format_time(now.wall),
        message=cut(message, _MAX_MESSAGE),
    )
    handled = handled_after(without(view.handled, wanted), view.asked, tokens)
    return Write(view, record, handled, notice=Notice(Reason.STALE_TOKEN, record.message), outcome=Reason.STALE_TOKEN)


def hold(view: View, tokens: Tokens, due: float) -> Write:
    """Hold a request that came too soon after the last reset; `due` is in epoch seconds."""
    message = f"held by minResetInterval until {format_time(due)}"
    record = ResetState(phase=Phase.HELD, job_id=view.job_id, tokens=tokens, trigger="Annotation", message=message)
    return Write(view, record, _still_handled(view, tokens), due=due)


def forget(view: View) -> Write:
    """Drop handled tokens whose annotation is gone, so that they can be asked for again."""
    return Write(view, view.record, _still_handled(view, ()))


def outdated(view: View) -> Write:
    """Say that the installed CRD drops what the protocol has to remember; nothing was called."""
    problem = Problem(
        code="CRDOutdated",
        message="the API server did not keep status.reset as written; install the CRD of this operator's version",
        error_class=ErrorClass.BLOCKED,
        reason=Reason.CRD_OUTDATED,
    )
    return Write(view, None, _still_handled(view, ()), problem=problem, notice=_complaint(problem))


def _failed(view: View, intent: ResetState, problem: Problem, now: Moment) -> Write:
    record = _ended(intent, Phase.FAILED, now, request_id=problem.request_id, message=_short(problem))
    notice = Notice(Reason.RESET_FAILED, f"{_name(record.tokens)}: {problem}", warning=True)
    return Write(view, record, _handled(view, record), problem=problem, notice=notice, outcome=Phase.FAILED)


def _ended(intent: ResetState, phase: Phase, now: Moment, *, request_id: str, message: str) -> ResetState:
    message = cut(message, _MAX_MESSAGE)
    ended = replace(intent, phase=phase, finished_at=format_time(now.wall), request_id=request_id, message=message)
    return replace(ended, signing=None)


def _handled(view: View, record: ResetState) -> Tokens:
    return handled_after(view.handled, view.asked, record.tokens)


def _still_handled(view: View, opened: Tokens) -> Tokens:
    """Return what stays handled while `opened` asks: every write forgets tokens whose annotation is gone."""
    return handled_after(without(view.handled, opened), view.asked, ())


def _complaint(problem: Problem) -> Notice:
    return Notice(problem.reason, str(problem), warning=True)


def _short(problem: Problem) -> str:
    return cut(str(problem), _MAX_MESSAGE)


def _name(tokens: Tokens) -> str:
    """Name tokens for people: quoted, without line breaks, cut."""
    return ", ".join(f"{key}={cut(token, 80)!r}" for key, token in tokens) or "no token"


def _request(job: EsaJob) -> str:
    return f" (request {job.request_id})" if job.request_id else ""
