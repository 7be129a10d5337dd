"""How long to wait before an error is met again."""

from typing import Final

from esa_preload_operator.domain.errors import ErrorClass, Problem, Reason
from esa_preload_operator.domain.values import Backoff, Moment

_THROTTLED: Final = 2.0
"""Seconds; short and always the same, because the account's throttle holds the rate."""
_FIRST: Final = {ErrorClass.TRANSIENT: 1.0, ErrorClass.BLOCKED: 10.0, ErrorClass.TERMINAL: 600.0}
_LONGEST: Final = {ErrorClass.TRANSIENT: 300.0, ErrorClass.BLOCKED: 600.0, ErrorClass.TERMINAL: 600.0}
LONGEST_WRITE_DELAY: Final = 30.0
"""Seconds between two tries of a write that the API server keeps failing."""


def retry_delay(problem: Problem, failures: int, jitter: float) -> float:
    """Return seconds to wait: exponential with jitter, but short after throttling; never sooner than ESA's own hint.

    Args:
        problem: what went wrong.
        failures: how often in a row, from 1 on.
        jitter: a random number from 0 to 1; the delay is spread over its upper half.
    """
    if problem.reason is Reason.THROTTLED:
        delay = _THROTTLED
    else:
        longest = _LONGEST[problem.error_class]
        delay = min(longest, _FIRST[problem.error_class] * 2.0 ** min(failures - 1, 20))
    return max(delay * (0.5 + jitter / 2), problem.retry_after or 0.0)


def failed_again(backoff: Backoff, problem: Problem, now: Moment) -> Backoff:
    """Return the backoff after one more failure in a row."""
    failures = backoff.failures + 1
    return Backoff(failures, now.monotonic + retry_delay(problem, failures, now.jitter))


def lost_write_delay(failures: int) -> float:
    """Return seconds to wait after lost writes: none at first, since a read shows what was stored."""
    return 0.0 if failures <= 1 else min(2.0 ** min(failures - 2, 20), LONGEST_WRITE_DELAY)
