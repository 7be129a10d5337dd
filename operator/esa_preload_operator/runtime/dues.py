"""When resources are due: one moment for each, however often it changes."""

import heapq
from dataclasses import dataclass, field
from typing import Final

from esa_preload_operator.domain.ports import ObjectRef

_SPARE: Final = 64
"""Outdated entries of the heap that are not worth a compaction."""


@dataclass(slots=True)
class Dues:
    """Moments at which resources are due; takes memory for each resource, and not for each change."""

    _dues: dict[ObjectRef, tuple[float, bool]] = field(default_factory=dict)
    """When each is due, and whether it is urgent."""
    _heap: list[tuple[float, ObjectRef]] = field(default_factory=list)
    """In it are also moments that have been replaced; they are skipped when they come up."""

    def __len__(self) -> int:
        """Count the resources that are due at some time."""
        return len(self._dues)

    def add(self, ref: ObjectRef, moment: float, *, urgent: bool) -> None:
        """Let a resource be due at a moment, unless it is due earlier; urgent stays urgent."""
        known = self._dues.get(ref)
        if known is not None and known[0] <= moment:
            self._dues[ref] = known[0], urgent or known[1]
            return
        self._dues[ref] = moment, urgent or (known is not None and known[1])
        heapq.heappush(self._heap, (moment, ref))
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
            _, ref = heapq.heappop(self._heap)
            taken.append((ref, self._dues.pop(ref)[1]))
        return taken

    def _counts(self, entry: tuple[float, ObjectRef]) -> bool:
        moment, ref = entry
        return ref in self._dues and self._dues[ref][0] == moment

    def _compact(self) -> None:
        """Throw outdated entries away once they are the larger part."""
        if len(self._heap) > 2 * len(self._dues) + _SPARE:
            self._heap = [(moment, ref) for ref, (moment, _) in self._dues.items()]
            heapq.heapify(self._heap)
