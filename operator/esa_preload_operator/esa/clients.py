"""One client for each set of credentials in use, and one rate for each place that credentials come from."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from esa_preload_operator.esa.client import EsaClient, Observe
from esa_preload_operator.esa.credentials import Credentials
from esa_preload_operator.esa.throttle import Throttle
from esa_preload_operator.esa.transport import Connections

MAX_PER_NAMESPACE: Final = 100
"""Places of credentials in one namespace; of more, the one that was used the longest time ago is dropped."""
_FORGET_AFTER: Final = 3600.0
"""Seconds without use; longer than a throttled rate takes to recover."""


@dataclass(slots=True)
class _Shared:
    client: EsaClient
    throttle: Throttle
    places: int = 0
    """How many places hold these credentials now."""


@dataclass(slots=True)
class _Place:
    """What was found last in a Secret, or in the operator's own surroundings."""

    id: str
    used: float


class Clients:
    """Clients by credentials as a whole, so that equal ones share a rate wherever they come from.

    A place whose credentials change keeps its rate, so that changing them often neither collects clients nor lets more
    calls leave. Who holds a client that is dropped here can go on using it.
    """

    def __init__(self, connections: Connections, max_rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._connections = connections
        self._max_rate = max_rate
        self._clock = clock
        self._shared: dict[str, _Shared] = {}
        self._places: OrderedDict[str, OrderedDict[str, _Place]] = OrderedDict()
        """By namespace and name, each in the order of its last use."""

    def __len__(self) -> int:
        """Count the clients."""
        return len(self._shared)

    def client(self, namespace: str, name: str, credentials: Credentials, observe: Observe) -> EsaClient:
        """Return the client of what this place holds now; a new one tells `observe` of its calls."""
        now, key = self._clock(), credentials.id
        places = self._places.setdefault(namespace, OrderedDict())
        self._places.move_to_end(namespace)
        place = places.get(name)
        if place is None or place.id != key:
            shared = self._shared.get(key)
            if shared is None:
                throttle = self._throttle(place, crowded=len(places) >= MAX_PER_NAMESPACE)
                client = EsaClient(credentials, self._connections, throttle, observe=observe)
                shared = self._shared[key] = _Shared(client, throttle)
            shared.places += 1
            if place is not None:
                self._leave(place)
            places[name] = place = _Place(key, now)
        place.used = now
        places.move_to_end(name)
        self._forget(places, now)
        return self._shared[key].client

    def _throttle(self, before: _Place | None, *, crowded: bool) -> Throttle:
        """Return the rate of new credentials: where others keep the old one, or dropped one before, it starts empty."""
        if before is not None and self._shared[before.id].places == 1:
            return self._shared[before.id].throttle
        return Throttle(self._max_rate, clock=self._clock, full=before is None and not crowded)

    def _leave(self, place: _Place) -> None:
        shared = self._shared[place.id]
        shared.places -= 1
        if not shared.places:
            del self._shared[place.id]

    def _forget(self, places: OrderedDict[str, _Place], now: float) -> None:
        """Drop what is too much in this namespace, and what nobody has asked for in a long time."""
        while len(places) > MAX_PER_NAMESPACE or now - next(iter(places.values())).used > _FORGET_AFTER:
            self._leave(places.popitem(last=False)[1])
        while now - next(reversed(next(iter(self._places.values())).values())).used > _FORGET_AFTER:
            for place in self._places.popitem(last=False)[1].values():
                self._leave(place)
