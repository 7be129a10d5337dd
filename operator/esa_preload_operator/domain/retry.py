"""How long to wait before an error is met again."""

from typing import Final

from esa_preload_operator.domain.errors import Healer, Problem

_FIRST: Final = {Healer.TIME: 1.0, Healer.ACCOUNT: 10.0, Healer.AUTHOR: 600.0}
_LONGEST: Final = {Healer.TIME: 300.0, Healer.ACCOUNT: 600.0, Healer.AUTHOR: 600.0}


def retry_delay(problem: Problem, failures: int, chance: float) -> float:
    """Return seconds to wait: exponential with jitter, never sooner than ESA's own hint.

    Args:
        problem: what went wrong.
        failures: how often in a row, from 1 on.
        chance: a random number from 0 to 1; the delay is spread over its upper half.
    """
    longest = _LONGEST[problem.healer]
    delay = min(longest, _FIRST[problem.healer] * 2.0 ** min(failures - 1, 20)) * (0.5 + chance / 2)
    return max(delay, problem.retry_after or 0.0)
