"""How many workers one namespace may hold, so that the others find one free and an API server that answers."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

RECENT: Final = 10.0
"""Seconds for which a namespace counts as active after a worker had something of it."""
REMEMBERED: Final = 4096
"""Namespaces whose writes are remembered; beyond that the one that wrote nothing for the longest time starts anew."""
_SLOW: Final = 1.5
"""A write that takes this many times as long as the quickest one has waited in the API server behind others."""
_FORGETS: Final = 60.0
"""Seconds after which the quickest write counts as twice as long: the API server may have become slower."""
_LONGEST_PAUSE: Final = 3600.0


@dataclass(slots=True)
class Reach:
    """How many of one namespace the API server serves at once without becoming slow, judged by its status writes."""

    most: int
    limit: float
    _quickest: float = float("inf")
    _at: float = float("-inf")

    def written(self, seconds: float, now: float) -> None:
        """Take in how long a write took: the limit moves to where about half of them are slow."""
        pause = min(now - self._at, _LONGEST_PAUSE)
        self._quickest = min(seconds, self._quickest * 2.0 ** (pause / _FORGETS))
        self._at = now
        step = 1 / self.limit
        if seconds > _SLOW * self._quickest:
            self.limit = max(1.0, self.limit - step)
        else:
            self.limit = min(float(self.most), self.limit + step)


@dataclass(slots=True)
class Shares:
    """What each namespace has in hand, and whether it may have more.

    A namespace that has nothing in hand may always begin. One that is alone may hold three quarters of the workers.
    While others are active, too, it may hold as many as the API server serves without becoming slow: what is in hand
    beyond that waits there, and the requests of the others wait behind it. Nothing that one namespace does or holds
    makes the limit of another one lower, but for the load on the API server.
    """

    workers: int = 16
    clock: Callable[[], float] = time.monotonic
    _in_hand: Counter[str] = field(default_factory=Counter)
    _reaches: OrderedDict[str, Reach] = field(default_factory=OrderedDict)
    _active: tuple[str, float] | None = None
    """The namespace that was active last, and when."""
    _other: tuple[str, float] | None = None
    """The one that was active last of the others."""

    @property
    def most(self) -> int:
        """How many workers one namespace may ever hold."""
        return self.workers - self.workers // 4

    def has_room(self, namespace: str) -> bool:
        """Return whether a worker may take something of a namespace."""
        reach = self._reaches.get(namespace) if self._others_than(namespace) else None
        return self._in_hand[namespace] < (self.most if reach is None else int(reach.limit))

    def begin(self, namespace: str) -> None:
        """Note that a worker takes something of a namespace."""
        self._in_hand[namespace] += 1
        self._note(namespace)

    def end(self, namespace: str) -> None:
        """Note that a worker is through with something of a namespace."""
        self._in_hand[namespace] -= 1
        if not self._in_hand[namespace]:
            del self._in_hand[namespace]
        self._note(namespace)

    def written(self, namespace: str, seconds: float) -> None:
        """Take in how long a status write in a namespace took."""
        reach = self._reaches.get(namespace)
        if reach is None:
            reach = self._reaches[namespace] = Reach(self.most, self.most)
            if len(self._reaches) > REMEMBERED:
                self._reaches.popitem(last=False)
        self._reaches.move_to_end(namespace)
        reach.written(seconds, self.clock())

    def _others_than(self, namespace: str) -> bool:
        """Return whether another namespace was active of late."""
        last = self._other if self._active is not None and self._active[0] == namespace else self._active
        return last is not None and self.clock() - last[1] < RECENT

    def _note(self, namespace: str) -> None:
        if self._active is not None and self._active[0] != namespace:
            self._other = self._active
        self._active = namespace, self.clock()
