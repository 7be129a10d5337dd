"""How much is measured: the numbers that the limits are about, and small ones to try the measurement itself."""

from dataclasses import dataclass, replace
from typing import Final

QUIET_MS: Final = 14.0
"""Milliseconds that five bare requests take on a quiet machine, for which `FULL` is made."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rounds do not count the first one, which warms up. `FULL` takes a quarter of an hour on a quiet machine."""

    store_rounds: int = 5
    store_jobs: int = 30
    store_writes: int = 20
    """Writes to each job in a round."""
    latency_rounds: int = 5
    latency_jobs: int = 62
    bursts: int = 2
    burst: int = 2000
    """Resets that are asked for at once."""
    compared: int = 2000
    """The same where other operators are asked, too."""
    many: int = 10_000
    """Resources at a start."""
    starts: int = 3
    scales: tuple[int, ...] = (1_000, 10_000, 50_000)
    """Resources whose number must not matter more than in proportion."""
    some: int = 1_000
    """Resources that are refreshed again and again."""
    refreshes: int = 4
    refresh_idle: int = 20
    """Seconds between two refreshes of a site when there are many resources."""
    soak_jobs: int = 200
    soak_resets: int = 6_000
    soak_secrets: int = 1_000
    """Updates of one Secret."""
    soak_objects: int = 1_000
    """Resources that come and go."""
    soak_cuts: int = 50
    """Cuts of all watches."""
    client_rounds: int = 5
    client_calls: int = 400


FULL: Final = Sizes()
LONG_SOAK: Final = Sizes(soak_resets=20_000, soak_secrets=2_000, soak_objects=2_000, soak_cuts=100)
"""For the soak alone."""
TRIAL: Final = Sizes(
    store_rounds=1,
    store_jobs=2,
    store_writes=50,
    latency_rounds=1,
    latency_jobs=3,
    bursts=1,
    burst=10,
    compared=10,
    many=40,
    starts=1,
    scales=(100, 200, 400),
    some=40,
    refreshes=1,
    refresh_idle=5,
    soak_jobs=4,
    soak_resets=40,
    soak_secrets=20,
    soak_objects=20,
    soak_cuts=10,
    client_rounds=1,
    client_calls=20,
)


def fitted(sizes: Sizes, bare_ms: float) -> Sizes:
    """Return fewer rounds and smaller comparisons for a machine on which five bare requests take so long.

    What the exact limits and those with a number in their name are about stays as it is.
    """
    slow = max(1.0, bare_ms / QUIET_MS)
    if slow < _NOTABLY:
        return sizes
    return replace(
        sizes,
        store_rounds=_fewer(sizes.store_rounds, slow),
        latency_rounds=_fewer(sizes.latency_rounds, slow),
        bursts=1,
        compared=min(sizes.compared, max(_LEAST, int(sizes.compared * 1.5 / slow))),
        starts=1,
        refreshes=_fewer(sizes.refreshes, slow),
        soak_resets=max(10 * sizes.soak_jobs, int(sizes.soak_resets / slow)),
        soak_objects=max(_LEAST, int(sizes.soak_objects / slow)),
        soak_secrets=max(_LEAST, int(sizes.soak_secrets / slow)),
        client_rounds=_fewer(sizes.client_rounds, slow),
    )


_NOTABLY: Final = 1.25
_LEAST: Final = 200


def _fewer(rounds: int, slow: float) -> int:
    return max(1, round(rounds / slow))
