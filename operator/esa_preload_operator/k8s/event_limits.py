"""How many Events may be posted, about one resource and in one namespace."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

REMEMBERED: Final = 4096
"""Buckets that are kept, as in client-go; one that was not used for the longest time starts anew."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


@dataclass(slots=True)
class Buckets:
    """Token buckets by key: so many at once, then so many a second."""

    burst: float
    per_second: float
    clock: Callable[[], float] = time.monotonic
    _buckets: OrderedDict[str, _Bucket] = field(default_factory=OrderedDict)

    def has_room(self, key: str) -> bool:
        """Return whether one more is allowed."""
        return self._filled(key).tokens >= 1

    def take(self, key: str) -> None:
        """Count one that was allowed."""
        self._filled(key).tokens -= 1

    def _filled(self, key: str) -> _Bucket:
        now = self.clock()
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(self.burst, now)
            if len(self._buckets) > REMEMBERED:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        bucket.tokens = min(self.burst, bucket.tokens + (now - bucket.at) * self.per_second)
        bucket.at = now
        return bucket


class EventLimits:
    """The limits that a namespace can't exceed, so that it fills neither etcd nor the queue of the others.

    For a resource they are those of client-go's recorder (tools/record, defaultSpamBurst and defaultSpamQPS). A
    namespace may post 3,000 at once, such as the outcomes of a release that resets 2,000 jobs, and 10 a second.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._by_object = Buckets(burst=25, per_second=1 / 300, clock=clock)
        self._by_namespace = Buckets(burst=3000, per_second=10, clock=clock)

    def allow(self, namespace: str, uid: str) -> bool:
        """Return whether an Event may be posted now, and count it if so."""
        if not (self._by_object.has_room(uid) and self._by_namespace.has_room(namespace)):
            return False
        self._by_object.take(uid)
        self._by_namespace.take(namespace)
        return True
