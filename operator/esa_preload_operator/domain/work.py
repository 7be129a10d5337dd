"""What all work at ESA beyond resets shares: when nothing is on the wire any more, and how failures are met."""

from dataclasses import replace
from typing import Final

from esa_preload_operator.domain.errors import Delivery, ErrorClass, Problem, Reason
from esa_preload_operator.domain.local import NO_ATTEMPTS, Asking, Attempts, Doing, LocalState, Work, settled
from esa_preload_operator.domain.retry import failed_again
from esa_preload_operator.domain.steps import Ask, Command, Do, Query, Step, Wait
from esa_preload_operator.domain.values import Backoff, Moment, Rules
from esa_preload_operator.domain.view import View

Asked = tuple[LocalState, Step | None]


def quiet_at(local: LocalState, rules: Rules) -> float:
    """Return from when on nothing that another process or a lost call has sent is on the wire, on the monotonic clock.

    Until then no intent of another process is recovered, no call is made on executions, and nothing is concluded from
    what is not listed.
    """
    return max(rules.leading_since, local.work.unknown_at) + rules.quiet


def ask(local: LocalState, view: View, query: Query) -> Asked:
    """Ask a question on behalf of work that is no reset."""
    return replace(local, call=Asking(view, query, settled(local.call))), Ask(query)


def do(local: LocalState, view: View, command: Command) -> Asked:
    """Carry out a command."""
    return replace(local, call=Doing(view, command, settled(local.call))), Do(command)


def failed(attempts: Attempts, problem: Problem, now: Moment) -> Attempts:
    """Return the attempts after one more failure."""
    return Attempts(failed_again(attempts.backoff, problem, now), problem)


def refused_again(attempts: Attempts, message: str, now: Moment) -> Attempts:
    """Return the attempts after ESA has refused a part of what was asked for, without a code."""
    return failed(attempts, Problem("NotOpened", message, ErrorClass.BLOCKED, Reason.WINDOW_REFUSED), now)


def late_again(attempts: Attempts, now: Moment) -> Attempts:
    """Return the attempts after one more look that has not shown what should have happened by now."""
    failures = attempts.backoff.failures + 1
    pause_seconds = min(600.0, 15.0 * 2.0 ** min(failures - 1, 10))
    return replace(attempts, backoff=Backoff(failures, now.monotonic + pause_seconds))


def again(backoff: Backoff, now: Moment, *, free: int, first: float) -> Backoff:
    """Return the backoff after one more repair: who undoes things again and again is not answered at his speed.

    The first `free` repairs are followed by no pause, the next by `first` seconds; after some calm it begins anew.
    """
    calm = now.monotonic > backoff.not_before + _LONGEST_REPAIR
    failures = 1 if calm else backoff.failures + 1
    delay = 0.0 if failures <= free else min(_LONGEST_REPAIR, first * 2.0 ** min(failures - free - 1, 10))
    return Backoff(failures, now.monotonic + delay)


_LONGEST_REPAIR: Final = 600.0
"""Seconds between two repairs, at most."""


def carried_out(known: Work, command: Command, now: Moment, *, about_windows: bool) -> Work:
    """Return what is known once ESA has taken a command: one that has no effect is told, and repeated ever more slowly.

    ESA may carry a command out later, or not at all; whether it did shows in the next list.
    """
    counts = dict(known.done)
    counts[command] = times = counts.get(command, 0) + 1
    attempts = NO_ATTEMPTS
    if times > 1:
        said = f"ESA has taken {type(command).__name__} {times} times, and its list shows no effect"
        problem = Problem("NoEffect", said, ErrorClass.TRANSIENT, Reason.SERVICE_UNAVAILABLE)
        wait = min(_LONGEST_REPAIR, _FIRST_REPETITION * 2.0 ** min(times - 2, 10))
        attempts = Attempts(Backoff(times - 1, now.monotonic + wait), problem)
    known = replace(known, done=tuple(counts.items()))
    return replace(known, acted=True, windows=attempts) if about_windows else replace(known, removal=attempts)


_FIRST_REPETITION: Final = 5.0
"""Seconds from a command that was taken for the second time to the third."""


def pause(attempts: Attempts, now: Moment) -> Wait | None:
    """Return how long to wait before the next attempt."""
    until = attempts.backoff.not_before
    return Wait(until) if now.monotonic < until else None


def lost(local: LocalState, problem: Problem, now: Moment) -> LocalState:
    """Return the local state after a call of which it is not known whether ESA carried it out."""
    if problem.delivery is not Delivery.UNKNOWN:
        return local
    return replace(local, work=replace(local.work, unknown_at=now.monotonic))


def is_final(problem: Problem | None) -> bool:
    """Return whether only a change of the resource helps."""
    return problem is not None and problem.error_class is ErrorClass.TERMINAL and problem.delivery is Delivery.REFUSED


def for_spec(local: LocalState, view: View) -> LocalState:
    """Return the local state without what was refused or read for another spec."""
    if local.work.generation == view.generation or not (view.owned or view.windows or view.recorded.windows):
        return local
    fresh = renewed(local)
    return replace(fresh, work=replace(fresh.work, generation=view.generation, source=None))


def renewed(local: LocalState) -> LocalState:
    """Return the local state in which everything that failed is tried again at once."""
    known = local.work
    fresh = replace(
        known,
        create=NO_ATTEMPTS,
        windows=NO_ATTEMPTS,
        removal=NO_ATTEMPTS,
        site=NO_ATTEMPTS,
        repairs=Backoff(),
        acted=False,
        done=(),
    )
    return local if fresh == known else replace(local, work=fresh)
