"""What services count, kept to be looked at."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class FakeObserver:
    """What is counted for /metrics."""

    ended: Counter[str] = field(default_factory=Counter)
    undecidable: int = 0
    creates: Counter[str] = field(default_factory=Counter)
    surplus: int = 0
    retired: int = 0
    skipped: int = 0

    def create_ended(self, outcome: str) -> None:
        self.creates[outcome] += 1

    def surplus_found(self, number: int) -> None:
        self.surplus += number

    def retired_deleted(self, number: int) -> None:
        self.retired += number

    def schedule_skipped(self, number: int) -> None:
        self.skipped += number

    def reset_ended(self, outcome: str, trigger: str) -> None:
        assert trigger
        self.ended[str(outcome)] += 1

    def reset_undecidable(self, why: str) -> None:
        assert why
        self.undecidable += 1
