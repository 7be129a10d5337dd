"""The open call: an answer that is not stored yet, and the recovery of an intent whose answer is not here."""

from dataclasses import dataclass, replace
from typing import Final

from esa_preload_operator.domain import reset_writes as writes
from esa_preload_operator.domain.errors import Delivery, Problem, Reason
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.local import (
    IDLE,
    Answered,
    LocalState,
    Looking,
    Orphaned,
    Settled,
    Storing,
    Unsent,
    settled,
)
from esa_preload_operator.domain.signing import Signing, is_valid
from esa_preload_operator.domain.steps import Ask, Call, Create, LookFirst, Read, Step, Wait, Write
from esa_preload_operator.domain.tokens import SCHEDULE_KEY, Tokens, token_time, without
from esa_preload_operator.domain.values import Moment, Phase, ResetState, Rules
from esa_preload_operator.domain.view import View, requested

FIRST_NO_SUCCESS: Final = 300
"""HTTP status from which on an answer, though it leaves open what was done, may have used up a nonce."""
LONGEST_REPEAT: Final = 6 * 3600.0
"""Seconds between two repetitions without a proof, at most."""
NOT_SENT: Final = "NotSent"
"""Code of the problem that says: the sender itself decided not to send, as it was too late or no longer leads."""


def may_send(step: Call | Create, now_monotonic: float, leads_until: float, wall: float = float("inf")) -> bool:
    """Return whether the call may still leave: asked right before the first byte, with no await in between.

    A scheduled reset does not leave before its time (`wall`, epoch seconds), should the clock have been set back.
    """
    if isinstance(step, Call):
        scheduled = token_time(dict(step.intent.tokens).get(SCHEDULE_KEY, ""))
        if scheduled is not None and len(step.intent.tokens) == 1 and wall < scheduled:
            return False
    return now_monotonic <= step.not_after and now_monotonic < leads_until


def storing(write: Write, base: Settled) -> Storing:
    """Return the state of a write under way, and what remains to be known once it is stored."""
    then: Settled = IDLE
    if write.reset == write.view.reset:
        then = base
    elif isinstance(base, Orphaned) and write.reset is not None and write.reset.phase == Phase.IN_FLIGHT:
        then = replace(base, intent=write.reset, looked=True)
    return Storing(write, base, then)


def store_answer(
    local: LocalState, view: View, now: Moment, rules: Rules, fresh: bool
) -> tuple[LocalState, Step | None]:
    """Store an answer in memory if its intent still stands; else drop it."""
    del rules
    answer = local.call
    if not isinstance(answer, Answered) or view.damaged:
        return local, None
    if view.reset == answer.intent or _wiped(view, answer.intent):
        if view.owned is not None and is_gone(answer.result):
            return local, writes.hold_open(view, _GONE.format(answer.intent.job_id))
        return local, writes.outcome(view, answer, now)
    if not fresh:  # an older version may have been seen: only a read tells that the intent is another one's now
        return local, Read()
    return replace(local, call=IDLE), None


_GONE: Final = "ESA job {} does not exist any more; the new one submits every URL"


def is_gone(result: object) -> bool:
    """Return whether ESA has answered that a job does not exist."""
    return isinstance(result, Problem) and result.reason is Reason.JOB_NOT_FOUND


def _wiped(view: View, intent: ResetState) -> bool:
    """Return whether the status was wiped while the request still stands: then the outcome is not lost with it."""
    return view.reset is None and bool(intent.tokens) and set(intent.tokens) <= set(without(view.asked, view.handled))


def recover(local: LocalState, view: View, now: Moment, rules: Rules, fresh: bool) -> tuple[LocalState, Step | None]:
    """Meet an intent whose answer is not in memory: wait until its call is over, read, look."""
    intent = view.reset
    if intent is None or intent.phase != Phase.IN_FLIGHT:
        return replace(local, call=IDLE) if isinstance(local.call, Orphaned | Unsent) else local, None
    if not (isinstance(local.call, Unsent) and local.call.intent == intent):
        known = isinstance(local.call, Orphaned) and local.call.intent == intent
        orphan = local.call if isinstance(local.call, Orphaned) and known else Orphaned(intent, now.monotonic)
        local = replace(local, call=orphan)
        due = repeats_at(orphan, rules) if orphan.looked else call_is_over_at(orphan, rules)
        if now.monotonic < due:
            return local, Wait(due, exclusive=True)
    if now.monotonic < local.reset_backoff.not_before:
        return local, Wait(local.reset_backoff.not_before, exclusive=True)
    if not fresh:
        return local, Read()
    if view.owned is not None and view.job_id != intent.job_id:
        return local, writes.hold_open(view, _GONE.format(intent.job_id))
    if view.owned is not None and local.seen.job_id == view.job_id and is_gone(local.seen.problem):
        return local, writes.hold_open(view, _GONE.format(intent.job_id))
    if view.job_id != intent.job_id:
        message = f"the resource is about job {view.job_id} now; the call about job {intent.job_id} is not repeated"
        return local, writes.withdraw(view, now, message)
    return replace(local, call=Looking(view, settled(local.call))), Ask(LookFirst(view.job_id))


def call_is_over_at(orphan: Orphaned, rules: Rules) -> float:
    """Return from when on a look tells whether the call was made, on this process's own monotonic clock."""
    return orphan.since + rules.deadline


def repeats_at(orphan: Orphaned, rules: Rules) -> float:
    """Return from when on the call may be repeated without a proof, on the same clock.

    The first repetition follows once the call is over; each further one waits longer, so that nobody is charged at
    speed. Where nothing had been submitted, a repetition costs nothing.
    """
    pause = rules.deadline
    if orphan.intent.unproven and orphan.intent.submitted_before != 0:
        pause = max(pause, min(LONGEST_REPEAT, rules.repeat_after * 2.0 ** min(orphan.intent.unproven - 1, 10)))
    return orphan.since + pause


@dataclass(frozen=True, slots=True)
class Look:
    """What ESA told before a call, of which version of the resource, and how the call would be signed."""

    view: View
    job: EsaJob
    signing: Signing | None


@dataclass(frozen=True, slots=True)
class Claim:
    """The write of an intent; `again` if its call is the same signed request as before."""

    write: Write
    intent: ResetState
    again: bool = False


def after_look(base: Settled, look: Look, now: Moment, rules: Rules, obstacle: str = "") -> Claim | Write | Orphaned:
    """Return what to store after the look that precedes a call, or the orphan whose call is not repeated yet.

    `obstacle` says why a call is not repeated although it is not proved: it holds the request instead.
    """
    view, before = look.view, look.view.reset
    wanted = requested(view)
    first = replace(writes.intent(view, wanted, look.job, now, rules), signing=look.signing)
    if before is None or before.phase != Phase.IN_FLIGHT:
        return Claim(writes.claim(view, first, look.job), first)
    unsent = isinstance(base, Unsent)
    if not unsent and proves_reset(before, look.job, rules):
        return writes.confirmed(view, before, look.job, now)
    if not wanted:
        return writes.withdraw(view, now, _WITHDRAWN)
    if obstacle:
        return writes.hold_open(view, f"the answer to attempt {before.attempts} was lost, and {obstacle}")
    again = before.signing if can_send_again(before, wanted, look.signing, now, rules) else None
    orphan = base if isinstance(base, Orphaned) else None
    if orphan is not None and again is None and now.monotonic < repeats_at(orphan, rules):
        return _not_yet(orphan, look, now, rules)
    claimed = writes.repetition(first, before, orphan, again=again)
    undecidable = not unsent and (claimed.signing is None or claimed.signing != before.signing)
    write = writes.claim(view, claimed, look.job, undecidable=undecidable)
    return Claim(write, claimed, again=again is not None)


def _not_yet(orphan: Orphaned, look: Look, now: Moment, rules: Rules) -> Write | Orphaned:
    """Tell once that it is not known what became of the calls, and when the next one is made."""
    if orphan.intent.reason == Reason.OUTCOME_UNKNOWN:
        return replace(orphan, looked=True)
    due = now.wall + repeats_at(orphan, rules) - now.monotonic
    return writes.unknown(look.view, orphan.intent, orphan.failure, due)


_WITHDRAWN: Final = "the request disappeared while the answer to its call was lost; not called again"


def proves_reset(intent: ResetState, job: EsaJob, rules: Rules) -> bool:
    """Return whether the job's progress shows that the intent's call was executed.

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


def can_send_again(intent: ResetState, wanted: Tokens, signing: Signing | None, now: Moment, rules: Rules) -> bool:
    """Return whether the intent's call can be made again as the same signed request, and is still asked for.

    That ESA refuses a nonce that it has executed is inferred from the gateway's error codes, hence experimental.
    """
    return (
        intent.signing is not None
        and signing is not None
        and bool(set(intent.tokens) & set(wanted))
        and is_valid(intent.signing, signing.signer, now.wall, rules.deadline)
    )


def after_failed_call(intent: ResetState, problem: Problem, now: Moment, *, again: bool) -> Settled:
    """Return what remains of a call that was not answered with success."""
    if problem.code == NOT_SENT or (again and problem.delivery is Delivery.NEVER_SENT):
        return Unsent(intent)
    answered = intent.signing is not None and problem.http_status >= FIRST_NO_SUCCESS
    if problem.delivery is Delivery.UNKNOWN and not answered and not _is_satisfied(intent):
        return Orphaned(intent, now.monotonic, problem)
    return Answered(intent, problem, again)


def _is_satisfied(intent: ResetState) -> bool:
    """Return whether a repeated call may stay unanswered: nothing had been submitted, so nothing is left to reset."""
    return intent.signing is None and intent.submitted_before == 0 and intent.unproven > 0
