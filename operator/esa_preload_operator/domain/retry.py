"""How long to wait before an error is met again."""

from typing import Final

from esa_preload_operator.domain.errors import ErrorClass, Problem, Reason

_THROTTLED: Final = 2.0
"""Seconds; short and always the same, because the account's throttle holds the rate."""
_FIRST: Final = {ErrorClass.TRANSIENT: 1.0, ErrorClass.BLOCKED: 10.0, ErrorClass.TERMINAL: 600.0}
_LONGEST: Final = {ErrorClass.TRANSIENT: 300.0, ErrorClass.BLOCKED: 600.0, ErrorClass.TERMINAL: 600.0}


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
