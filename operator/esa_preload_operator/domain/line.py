"""A line in which namespaces take turns: first come, first served within each, but for those who go last."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Place(NamedTuple, Generic[K, T]):
    """A place in the line, and what waits there."""

    namespace: str
    key: K
    item: T
    number: int
    """Counts up within its part of the lane."""
    last: bool = False
    """It is served after the others of its namespace."""


_ROUND: Final = 4


@dataclass(slots=True)
class _Lane(Generic[K, T]):
    """What waits in one namespace: those who came, in their order, and those who are served after them."""

    parts: "tuple[OrderedDict[K, Place[K, T]], OrderedDict[K, Place[K, T]]]" = field(
        default_factory=lambda: (OrderedDict(), OrderedDict())
    )
    taken: int = 0
    """Turns of this namespace so far: each fourth is for those who are served last, lest they wait for ever."""

    def __len__(self) -> int:
        return len(self.parts[0]) + len(self.parts[1])

    def get(self, key: K) -> Place[K, T] | None:
        return self.parts[0].get(key) or self.parts[1].get(key)

    def first(self) -> Place[K, T]:
        ahead, behind = self.parts if (self.taken + 1) % _ROUND else reversed(self.parts)
        return next(iter((ahead or behind).values()))

    def before(self, place: Place[K, T]) -> int:
        """Return about how many are served before a place; one who left counts on for a while."""
        number = place.number - next(iter(self.parts[place.last].values())).number
        if place.last:
            return number + min(len(self.parts[0]), (number + 1) * (_ROUND - 1))
        return number + min(len(self.parts[1]), number // (_ROUND - 1))


@dataclass(slots=True)
class Line(Generic[K, T]):
    """What waits, each key at most once. Joining, leaving and taking the first one take constant time."""

    _lanes: "OrderedDict[str, _Lane[K, T]]" = field(default_factory=OrderedDict)
    """Namespaces with something that waits, the next one first."""
    _size: int = 0

    def __len__(self) -> int:
        """Count what waits."""
        return self._size

    def get(self, namespace: str, key: K) -> Place[K, T] | None:
        """Return the place of a key, None if it does not wait."""
        lane = self._lanes.get(namespace)
        return None if lane is None else lane.get(key)

    def join(self, namespace: str, key: K, item: T, *, last: bool = False) -> None:
        """Put a key that does not wait yet at the end of its namespace's lane, or of its first part."""
        lane = self._lanes.get(namespace)
        if lane is None:
            lane = self._lanes[namespace] = _Lane()
        part = lane.parts[last]
        number = next(reversed(part.values())).number + 1 if part else 0
        part[key] = Place(namespace, key, item, number, last)
        self._size += 1

    def first(self, namespace: str | None = None) -> Place[K, T] | None:
        """Return the place whose turn is next, of all or within one namespace; None if nothing waits there."""
        lane = next(iter(self._lanes.values()), None) if namespace is None else self._lanes.get(namespace)
        return None if lane is None else lane.first()

    def first_of(self, may: Callable[[str], bool]) -> Place[K, T] | None:
        """Return the place whose turn is next of the namespaces that may; None if nothing waits there."""
        lane = next((lane for namespace, lane in self._lanes.items() if may(namespace)), None)
        return None if lane is None else lane.first()

    def longest(self) -> Place[K, T]:
        """Return the first place in the namespace in which the most wait."""
        return max(self._lanes.values(), key=len).first()

    def leave(self, place: Place[K, T]) -> None:
        """Give up a place, without a turn for its namespace."""
        lane = self._lanes[place.namespace]
        del lane.parts[place.last][place.key]
        if not lane:
            del self._lanes[place.namespace]
        self._size -= 1

    def take(self, place: Place[K, T]) -> None:
        """Give up a place as a turn: the other namespaces have theirs before its own has the next."""
        self._lanes[place.namespace].taken += 1
        self.leave(place)
        if place.namespace in self._lanes:
            self._lanes.move_to_end(place.namespace)

    def ahead_of(self, place: Place[K, T]) -> int:
        """Return about how many are served before a place; one who left its lane counts on for a while."""
        own = self._lanes[place.namespace]
        before = own.before(place)
        count, turns = before, before + 1
        for lane in self._lanes.values():
            if lane is own:
                turns = before
            else:
                count += min(len(lane), turns)
        return count
