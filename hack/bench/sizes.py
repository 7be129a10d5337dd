"""How much is measured: the numbers that the limits are about, and small ones to try the measurement itself."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rounds do not count the first one, which warms up."""

    store_rounds: int = 5
    store_jobs: int = 30
    store_writes: int = 20
    """Writes to each job in a round."""
    latency_rounds: int = 5
    latency_jobs: int = 62
    bursts: int = 4
    burst: int = 2000
    """Resets that are asked for at once."""
    many: int = 10_000
    """Resources at a start."""
    starts: int = 3
    some: int = 1_000
    """Resources that are refreshed again and again."""
    refreshes: int = 4
    refresh_idle: int = 20
    """Seconds between two refreshes of a site when there are many resources."""
    soak_jobs: int = 200
    soak_resets: int = 20_000
    soak_secrets: int = 2_000
    """Updates of one Secret."""
    soak_objects: int = 2_000
    """Resources that come and go."""
    soak_cuts: int = 100
    """Cuts of all watches."""
    client_rounds: int = 5
    client_calls: int = 400


FULL: Final = Sizes()
TRIAL: Final = Sizes(
    store_rounds=1,
    store_jobs=2,
    store_writes=50,
    latency_rounds=1,
    latency_jobs=3,
    bursts=1,
    burst=10,
    many=40,
    starts=1,
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
