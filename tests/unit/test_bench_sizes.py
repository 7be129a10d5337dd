"""How much the bench measures follows from how fast the machine is."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "hack" / "bench"))

from sizes import FULL, QUIET_MS, fitted


def test_a_quiet_machine_measures_everything() -> None:
    assert fitted(FULL, QUIET_MS) == FULL == fitted(FULL, QUIET_MS / 3)


def test_a_slow_machine_measures_fewer_rounds_of_what_is_compared() -> None:
    found = fitted(FULL, 3 * QUIET_MS)
    assert (found.bursts, found.starts, found.compared) == (1, 1, 1000)
    assert found.latency_rounds < FULL.latency_rounds


def test_on_no_machine_the_numbers_of_the_exact_limits_change() -> None:
    for factor in (2, 5, 20, 1000):
        found = fitted(FULL, factor * QUIET_MS)
        assert (found.burst, found.many, found.scales, found.some) == (FULL.burst, FULL.many, FULL.scales, FULL.some)
        assert min(found.store_rounds, found.latency_rounds, found.refreshes, found.client_rounds) == 1 or factor == 2
        assert found.compared >= 200
        assert found.soak_resets // found.soak_jobs >= 10
