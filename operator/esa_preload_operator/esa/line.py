"""A line in which namespaces take turns: first come, first served within each of them."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Waiter:
    """Somebody who waits until `calls` calls may leave; `wake` tells that they may."""

    key: Hashable
    namespace: str
    calls: int
    wake: Callable[[], None]
    keeps_turn: bool = True
    """The turn lasts until it is taken, or for some seconds; otherwise `wake` itself takes it."""
    number: int = 0
    """Counts up within the namespace."""


@dataclass(slots=True)
class _Lane:
    waiters: "OrderedDict[Hashable, Waiter]" = field(default_factory=OrderedDict)
    joined: int = 0


@dataclass(slots=True)
class Line:
    """Waiters, each at most once. Joining, leaving and taking the first one take constant time."""

    _lanes: "OrderedDict[str, _Lane]" = field(default_factory=OrderedDict)
    _waiters: dict[Hashable, Waiter] = field(default_factory=dict)

    def __len__(self) -> int:
        """Count the waiters."""
        return len(self._waiters)

    def get(self, key: Hashable) -> Waiter | None:
        """Return a waiter."""
        return self._waiters.get(key)

    def join(self, waiter: Waiter) -> None:
        """Put a waiter, who is not in the line, at the end of its namespace's lane."""
        lane = self._lanes.setdefault(waiter.namespace, _Lane())
        waiter.number, lane.joined = lane.joined, lane.joined + 1
        lane.waiters[waiter.key] = self._waiters[waiter.key] = waiter

    def first(self) -> Waiter | None:
        """Return the waiter whose turn is next."""
        return next((next(iter(lane.waiters.values())) for lane in self._lanes.values()), None)

    def leave(self, waiter: Waiter) -> None:
        """Take a waiter out, without a turn for its namespace."""
        del self._waiters[waiter.key]
        lane = self._lanes[waiter.namespace]
        del lane.waiters[waiter.key]
        if not lane.waiters:
            del self._lanes[waiter.namespace]

    def take(self, waiter: Waiter) -> None:
        """Take the first waiter out; the other namespaces have their turns before its own has the next."""
        self.leave(waiter)
        if waiter.namespace in self._lanes:
            self._lanes.move_to_end(waiter.namespace)

    def ahead_of(self, waiter: Waiter) -> int:
        """Return about how many are served before a waiter; one who left its lane counts on for a while."""
        own = waiter.number - next(iter(self._lanes[waiter.namespace].waiters.values())).number
        count, turns = own, own + 1
        for namespace, lane in self._lanes.items():
            if namespace == waiter.namespace:
                turns = own
            else:
                count += min(len(lane.waiters), turns)
        return count
