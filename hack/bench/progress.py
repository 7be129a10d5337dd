"""Says how far a measurement is, a line for each turn."""

import sys
import time


class Progress:
    """Counts the turns of one part of the measurement."""

    def __init__(self, part: str, turns: int) -> None:
        self._part, self._turns, self._done = part, turns, 0
        self._begun = time.perf_counter()

    def turn(self, found: str) -> None:
        """Say what a turn has found, and how long those that are left will take."""
        self._done += 1
        left = (time.perf_counter() - self._begun) / self._done * (self._turns - self._done)
        say(f"{self._part}: turn {self._done} of {self._turns}: {found}; {left:.0f} s left")


def say(text: str) -> None:
    """Print a line beside the results."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
