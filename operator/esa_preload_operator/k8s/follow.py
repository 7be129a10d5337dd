"""Follows objects that resources refer to, Secrets and ConfigMaps, and reports their changes."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from esa_preload_operator.k8s.connection import Connection
from esa_preload_operator.k8s.feed import Backoff, Event, Feed, Interruption

ANY: Final = "*"
REMEMBERED: Final = 65_536
"""Objects of one kind that somebody has asked for; of more, the one asked for the longest time ago is dropped."""
_log = logging.getLogger(__name__)

Key = tuple[str, str]
"""Namespace and name."""


class Changes:
    """Reports which objects have changed, each of them at once but not again within `rest` seconds.

    An object that changes all the time causes no work all the time.
    """

    def __init__(self, kind: str, on_change: Callable[[str, str], None], rest: float) -> None:
        self._kind = kind
        self._on_change = on_change
        self._rest = rest
        self.resting: dict[Key, bool] = {}
        """Objects that were reported a moment ago, and whether they have changed again."""

    def report(self, key: Key) -> None:
        """Report a change now or, if one was reported a moment ago, when the rest is over."""
        if key in self.resting:
            self.resting[key] = True
            return
        self.resting[key] = False
        asyncio.get_running_loop().call_later(self._rest, self._rested, key)
        try:
            self._on_change(*key)
        except Exception:  # noqa: BLE001 - a failing callback must not end the watch of all objects
            _log.exception("the change of %s %s/%s was not handled", self._kind, *key)

    def _rested(self, key: Key) -> None:
        if self.resting.pop(key):
            self.report(key)


class Follower(Protocol):
    """Knows some objects of one kind and gets what the watches see."""

    def known(self, scope: "Scope", /) -> Iterable[Key]:
        """Return the objects of a scope that are known or were asked for."""
        ...

    def seen(self, key: Key, version: int, obj: Mapping[str, Any] | None, scope: "Scope", /) -> None:
        """Take an object as it was at a version; None if it did not exist then."""
        ...

    def rewind(self, scope: "Scope", /) -> None:
        """Let any version of what is known in a scope be newer: the API server counts anew from an older one."""
        ...


class Scope:
    """What one watch is for: one name or all, in one namespace or all."""

    def __init__(self, follower: Follower, kind: str, namespace: str | None, name: str = ANY) -> None:
        self.namespace = namespace
        self.name = name
        self.current = False
        """Whether the API server is followed here: it was listed, and the watch was opened."""
        self._follower = follower
        self._kind = kind
        self._unlisted: set[Key] = set()
        """Objects that were known when the list under way began and that it has not shown yet."""

    @property
    def path(self) -> str:
        """Path of the collection."""
        within = f"namespaces/{self.namespace}/" if self.namespace else ""
        return f"/api/v1/{within}{self._kind.lower()}s"

    @property
    def rule(self) -> str:
        """What the operator must be allowed to do, for messages."""
        names = "" if self.name == ANY else f" with resourceNames [{self.name}]"
        where = f"in namespace {self.namespace}" if self.namespace else "in all namespaces"
        return f"the operator needs a role that allows get, list and watch of {self._kind.lower()}s{names} {where}"

    async def follow(
        self, connection: Connection, *, without: str, slowest: float, metadata_only: bool = False
    ) -> None:
        """List and watch until cancelled; `without` says what a missing right to do so means."""
        feed = Feed(
            connection,
            self.path,
            self.namespace or "",
            self,
            what=f"{self._kind}s" if self.name == ANY else f"{self._kind}s {self.name}",
            name="" if self.name == ANY else self.name,
            metadata_only=metadata_only,
            hints={403: f"{self.rule}; {without}"},
            backoff=Backoff(slowest=slowest),
        )
        await feed.run(self.complete, self.take)

    def alive(self) -> None:
        """Do nothing: the watch of the resources tells whether the API server is there."""

    def listed(self, _scope: str, page: Sequence[Mapping[str, Any]], /, *, begins: bool, ends: bool) -> None:  # noqa: ARG002 - `complete` gets the end with its version
        """Take some objects of a list."""
        if begins:  # who asks for an object from here on sees what is newer than the list
            self._unlisted = set(self._follower.known(self))
        for obj in page:
            self._unlisted.discard(key_of(obj))
            self._show(obj)

    def complete(self, version: str) -> None:
        """Note that a complete list does not show the others; a late answer to an older request must not win."""
        for key in self._unlisted:
            self._follower.seen(key, int(version), None, self)
        self._unlisted = set()

    def take(self, event: Event) -> None:
        """Take an event of the watch."""
        if event.kind == "DELETED":
            self._follower.seen(key_of(event.object), version_of(event.object), None, self)
        elif event.kind in {"ADDED", "MODIFIED"}:
            self._show(event.object)

    def interrupted(self, _scope: str, interruption: Interruption | None, /) -> None:
        """Note whether the watch runs; an outage leaves what is known in use, a missing right does not."""
        if interruption is None:
            self.current = True
        elif interruption.denied:
            self.current = False

    def rewound(self, _scope: str, /) -> None:
        """Forget the versions."""
        self._follower.rewind(self)

    def _show(self, obj: Mapping[str, Any]) -> None:
        self._follower.seen(key_of(obj), version_of(obj), obj, self)


def key_of(obj: Mapping[str, Any]) -> Key:
    """Return namespace and name of an object."""
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def version_of(obj: Mapping[str, Any]) -> int:
    """Return the resourceVersion of an object.

    Raises:
        KeyError, TypeError, ValueError: it has none.
    """
    return int(obj["metadata"]["resourceVersion"])
