"""The reset: what is asked for, when it may begin, and what a reset makes of the conditions."""

from dataclasses import replace

from esa_preload_operator.domain import create, entries
from esa_preload_operator.domain import reset_writes as writes
from esa_preload_operator.domain.conditions import Finding, State, finding_for, finding_of, is_same_text
from esa_preload_operator.domain.errors import ErrorClass, Problem, Reason
from esa_preload_operator.domain.local import Held, LocalState, Looking, settled
from esa_preload_operator.domain.steps import Ask, LookFirst, Step, Wait, Write
from esa_preload_operator.domain.tokens import Tokens, handled_after, is_stale, satisfied, without
from esa_preload_operator.domain.values import Backoff, Moment, Phase, Rules
from esa_preload_operator.domain.view import View, failed_for_another_spec, requested


def plan(local: LocalState, view: View, now: Moment, rules: Rules, fresh: bool) -> tuple[LocalState, Step | None]:
    """Begin, hold or close a request."""
    del fresh
    if view.suspended or create.is_wanted(local, view) or entries.owes_window(view, now.wall):
        return local, None
    wanted = requested(view)
    old = tuple(entry for entry in wanted if is_stale(entry[1], view.created, rules.stale_token_after))
    if old:
        return local, writes.stale(view, old, wanted, now)
    known = satisfied(without(view.asked, view.handled), view.handled, view.newest)
    if known and not set(known) & set(wanted):
        return local, writes.record(view, known)
    if wanted:
        return _begin(local, view, wanted, now, rules)
    if local.reset_backoff.failures:
        local = replace(local, reset_backoff=Backoff())
    if view.reset is not None and view.reset.phase in (Phase.HELD, Phase.RETRYING):
        return local, writes.withdraw(view, now, "the request disappeared before ESA was called")
    if handled_after(view.handled, view.asked, ()) != view.handled:
        return local, writes.forget(view)
    return local, None


def _begin(local: LocalState, view: View, wanted: Tokens, now: Moment, rules: Rules) -> tuple[LocalState, Step | None]:
    local, due = _held_until(local, view, now, rules)
    if due is not None:
        hold, before = writes.hold(view, wanted, due), view.reset
        held = before is not None and before.phase == Phase.HELD and before.tokens == wanted
        bound = view.last_reset is not None and due == view.last_reset + interval(view, rules)
        if held and (hold.reset == before or not bound):
            return local, Wait(now.monotonic + due - now.wall)
        return local, hold
    if now.monotonic < local.reset_backoff.not_before:
        return local, Wait(local.reset_backoff.not_before, exclusive=True)
    return replace(local, call=Looking(view, settled(local.call))), Ask(_look(view, wanted, rules))


def _look(view: View, wanted: Tokens, rules: Rules) -> LookFirst:
    """Return the look before a first call, which a list of the site may answer if the status names the site."""
    shown = view.shown.job
    site = shown.site_id if rules.shared_looks and shown.id == view.job_id else None
    return LookFirst(view.job_id, site or None, scheduled=writes.trigger(wanted) == writes.SCHEDULED)


def interval(view: View, rules: Rules) -> float:
    """Return the shortest time between two resets, in seconds."""
    return max(view.min_interval, rules.min_interval)


def _held_until(local: LocalState, view: View, now: Moment, rules: Rules) -> tuple[LocalState, float | None]:
    """Return until when (epoch seconds) a request is held; None if it may begin.

    The last reset's time may come from another clock, so nothing is held longer than the interval from when this
    process first knew of that reset.
    """
    if view.last_reset is None or interval(view, rules) <= 0:
        return local if local.held is None else replace(local, held=None), None
    held = local.held
    if held is None or held.last != view.last_reset:
        held = Held(view.last_reset, now.monotonic)
    by_clock = view.last_reset + interval(view, rules)
    by_process = now.wall + held.since + interval(view, rules) - now.monotonic
    due = min(by_clock, by_process)
    return replace(local, held=held), due if due > now.wall else None


def after_failed_look(view: View, problem: Problem, now: Moment) -> Write | None:
    """Return what to store after a look before a call failed; None if the status says so already."""
    before, wanted = view.reset, requested(view)
    attempt = writes.attempt(view, wanted)
    if problem.error_class is ErrorClass.TERMINAL:
        return writes.failed(view, before if before is not None and view.in_flight else attempt, problem, now)
    if view.in_flight:
        return None
    told = before is not None and before.phase == Phase.RETRYING and before.tokens == wanted
    write = writes.retrying(view, attempt, problem)
    said = finding_of(problem)
    if told and before is not None and write.reset is not None and before.reason == problem.reason:
        return None if is_same_text(said.state, before.message, write.reset.message) else write
    return write


def finding(view: View, *, works: bool) -> Finding | None:
    """Return what the reset says about the resource; `works` if ESA has told about the job since."""
    reset = view.reset
    if reset is None:
        return None
    match reset.phase:
        case Phase.HELD:
            return Finding(State.HELD, Reason.HELD, reset.message)
        case Phase.IN_FLIGHT if reset.reason == Reason.OUTCOME_UNKNOWN:
            return Finding(State.WAITING, reset.reason, reset.message)
        case Phase.IN_FLIGHT if reset.reason:
            return finding_for(reset.reason, reset.message)
        case Phase.IN_FLIGHT:
            return Finding(State.RESETTING, Reason.RESETTING, f"resetting ESA job {reset.job_id}")
        case Phase.RETRYING if reset.reason:
            return finding_for(reset.reason, reset.message)
        case Phase.FAILED if not failed_for_another_spec(view, reset):
            if works and reset.reason != Reason.INVALID_SPEC:
                asked = writes.name_tokens(reset.tokens)
                message = f"ESA job {view.job_id} can be reset; the last request ({asked}) failed: {reset.message}"
                message += "; set a new token to ask again"
                return Finding(State.READY, Reason.READY, message)
            return finding_for(reset.reason, reset.message) if reset.reason else None
        case _:
            return None
