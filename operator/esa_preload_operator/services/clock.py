"""The clocks that services read and hand to decisions."""

import random
import time

from esa_preload_operator.domain.values import Moment


class Clock:
    """Wall and monotonic clock, and chance for jitter and names."""

    def monotonic(self) -> float:
        """Return seconds on the monotonic clock."""
        return time.monotonic()

    def wall(self) -> float:
        """Return epoch seconds."""
        return time.time()

    def now(self) -> Moment:
        """Read all of them once."""
        return Moment(
            wall=time.time(),
            monotonic=time.monotonic(),
            jitter=random.random(),  # noqa: S311 - jitter
            unique=random.getrandbits(32),
        )
