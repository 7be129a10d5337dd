"""When resources are due: one moment for each, however often it changes."""

import heapq
import itertools
from dataclasses import dataclass, field
from typing import Final

from esa_preload_operator.domain.ports import ObjectRef

_SPARE: Final = 64
"""Outdated entries of the heap that are not worth a compaction."""


@dataclass(frozen=True, slots=True)
class _Due:
    moment: float
    urgent: bool
    number: int
    """Tells the entry of the heap that counts from outdated ones."""


@dataclass(slots=True)
class Dues:
    """Moments at which resources are due; takes memory for each resource, and not for each change."""

    _dues: dict[ObjectRef, _Due] = field(default_factory=dict)
    _heap: list[tuple[float, int, ObjectRef]] = field(default_factory=list)
    """In it are also moments that have been replaced; they are skipped when they come up."""
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def __len__(self) -> int:
        """Count the resources that are due at some time."""
        return len(self._dues)

    def add(self, ref: ObjectRef, moment: float, *, urgent: bool) -> None:
        """Let a resource be due at a moment, unless it is due earlier; urgent stays urgent."""
        known = self._dues.get(ref)
        if known is not None:
            urgent = urgent or known.urgent
            if known.moment <= moment:
                self._dues[ref] = _Due(known.moment, urgent, known.number)
                return
        number = next(self._numbers)
        self._dues[ref] = _Due(moment, urgent, number)
        heapq.heappush(self._heap, (moment, number, ref))
        self._compact()

    def drop(self, ref: ObjectRef) -> None:
        """Let a resource be due at no time."""
        if self._dues.pop(ref, None) is not None:
            self._compact()

    def next(self) -> float | None:
        """Return the earliest moment, None if nothing is due at any time."""
        while self._heap and not self._counts(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, now: float) -> list[tuple[ObjectRef, bool]]:
        """Take the resources that are due by now, the earliest first, each with whether it is urgent."""
        taken = []
        while (moment := self.next()) is not None and moment <= now:
            _, _, ref = heapq.heappop(self._heap)
            taken.append((ref, self._dues.pop(ref).urgent))
        return taken

    def _counts(self, entry: tuple[float, int, ObjectRef]) -> bool:
        due = self._dues.get(entry[2])
        return due is not None and due.number == entry[1]

    def _compact(self) -> None:
        """Throw outdated entries away once they are the larger part."""
        if len(self._heap) > 2 * len(self._dues) + _SPARE:
            self._heap = [entry for entry in self._heap if self._counts(entry)]
            heapq.heapify(self._heap)
