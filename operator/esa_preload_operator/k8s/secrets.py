"""Secrets by name, kept current by watches; their values never reach a log, an error or a repr."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from esa_preload_operator.domain.errors import StoreUnavailableError
from esa_preload_operator.domain.ports import SECRET_VALUE_LIMIT
from esa_preload_operator.k8s.connection import Connection, RequestError
from esa_preload_operator.k8s.feed import Backoff, Event, Feed, Interruption

ANY: Final = "*"
REMEMBERED: Final = 65_536
"""Secrets that somebody has asked for; of more, the one that was asked for the longest time ago is dropped."""
_log = logging.getLogger(__name__)

Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class _Entry:
    version: int
    data: Mapping[str, str] | None = field(repr=False)
    """The keys that are kept, in base64 as the API shows it; None: there is no such Secret."""


class SecretCache:
    """Reads the Secrets of some names; reports when one that was read has changed.

    Args:
        names: the names that may be read, or `*` for all; with `*` only those that were read are kept.
        namespaces: where; None means everywhere.
        keys: the keys that are kept of a Secret; the others are dropped at once.
        on_change: called with namespace and name when the data changed, appeared or disappeared.
        rest: seconds between two reports about one Secret; who changes it all the time causes no work all the time.
    """

    def __init__(
        self,
        connection: Connection,
        names: Sequence[str],
        namespaces: Sequence[str] | None = None,
        *,
        keys: Sequence[str],
        on_change: Callable[[str, str], None] = lambda _namespace, _name: None,
        timeout: float = 10.0,
        slowest: float = 60.0,
        rest: float = 5.0,
    ) -> None:
        self._connection = connection
        self._names = tuple(sorted(set(names)))
        self._namespaces = None if namespaces is None else frozenset(namespaces)
        self._keys = tuple(keys)
        self._on_change = on_change
        self._timeout = timeout
        self._slowest = slowest
        self._rest = rest
        self._resting: dict[Key, bool] = {}
        """Secrets that were reported a moment ago, and whether they have changed again."""
        self._entries: dict[Key, _Entry] = {}
        self._wanted: OrderedDict[Key, None] = OrderedDict()
        self._scopes = {
            (namespace, name): _Scope(self, namespace, name)
            for namespace in (sorted(self._namespaces) if self._namespaces is not None else [None])
            for name in ([ANY] if ANY in self._names else self._names)
        }

    async def run(self) -> None:
        """Keep the cache current until cancelled; returns at once if no names are given. Without it each read asks."""
        async with asyncio.TaskGroup() as group:
            for scope in self._scopes.values():
                feed = Feed(
                    self._connection,
                    scope.path,
                    scope.namespace or "",
                    scope,
                    what="Secrets" if scope.name == ANY else f"Secrets {scope.name}",
                    name="" if scope.name == ANY else scope.name,
                    hints={403: f"{scope.rule}; until then each use of one is a request"},
                    backoff=Backoff(slowest=self._slowest),
                )
                group.create_task(feed.run(scope.complete, scope.take))

    async def read(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Return the kept data of a Secret (key to base64 text), or None if there is none.

        A value above `SECRET_VALUE_LIMIT` is cut right behind the limit. The API server is asked before None is
        returned: the Secret may have been applied together with the resource that names it.

        Raises:
            StoreUnavailableError: it is none of those that may be read, or nothing is known.
        """
        scope = self._scope(namespace, name)
        key = namespace, name
        self._want(key)
        entry = self._entries.get(key)
        if scope.current and entry is not None and entry.data is not None:
            return entry.data
        return await self._get(key, scope)

    def _want(self, key: Key) -> None:
        self._wanted[key] = None
        self._wanted.move_to_end(key)
        if len(self._wanted) > REMEMBERED:
            oldest, _ = self._wanted.popitem(last=False)
            self._entries.pop(oldest, None)

    def _scope(self, namespace: str, name: str) -> "_Scope":
        place = None if self._namespaces is None else namespace
        scope = self._scopes.get((place, name)) or self._scopes.get((place, ANY))
        if scope is None:
            raise StoreUnavailableError(f"Secret {namespace}/{name} is not among those that the operator reads")
        return scope

    async def _get(self, key: Key, scope: "_Scope") -> Mapping[str, str] | None:
        before = self._entries.get(key)
        try:
            path = f"/api/v1/namespaces/{key[0]}/secrets/{key[1]}"
            answer = await self._connection.request("GET", path, timeout=self._timeout)
        except RequestError as error:
            raise StoreUnavailableError(str(error)) from None
        if answer.status == 403:
            raise StoreUnavailableError(f"{answer.explanation}; {scope.rule}")
        if answer.gone:
            return self._missing(key, before)
        if not answer.ok or not isinstance(answer.body, dict):
            raise StoreUnavailableError(answer.explanation, retry_after=answer.retry_after)
        data = self.kept(answer.body)
        try:
            version = _version(answer.body)
        except (KeyError, TypeError, ValueError):
            raise StoreUnavailableError("the API server's answer is no Secret") from None
        self.store(key, version, data, scope, first=True)
        entry = self._entries.get(key)
        return data if entry is None else entry.data

    def _missing(self, key: Key, before: _Entry | None) -> Mapping[str, str] | None:
        """Note that the API server knows no such Secret, unless something newer came while it was asked."""
        entry = self._entries.get(key)
        if entry is not before:
            return entry.data if entry is not None else None
        self._entries[key] = _Entry(0 if before is None else before.version, None)
        if before is not None and before.data is not None:
            self._changed(key)
        return None

    def kept(self, obj: Mapping[str, Any]) -> Mapping[str, str]:
        """Return what is kept of a Secret's data."""
        data = obj.get("data")
        values = {key: data.get(key) for key in self._keys} if isinstance(data, Mapping) else {}
        return {key: value[: SECRET_VALUE_LIMIT + 1] for key, value in values.items() if isinstance(value, str)}

    def store(
        self, key: Key, version: int, data: Mapping[str, str] | None, scope: "_Scope", *, first: bool = False
    ) -> None:
        """Keep what was seen unless something newer was; report the change to those who read it before.

        With `first` the reader gets it as an answer, so nothing is reported.
        """
        wanted = key in self._wanted
        if scope.name == ANY and not wanted:
            return
        before = self._entries.get(key)
        if before is not None and version <= before.version:
            return
        self._entries[key] = _Entry(version, data)
        if data is None and not wanted:
            del self._entries[key]
        if wanted and not (before is None and first) and data != (before.data if before else None):
            self._changed(key)

    def _changed(self, key: Key) -> None:
        if key in self._resting:
            self._resting[key] = True
            return
        self._resting[key] = False
        asyncio.get_running_loop().call_later(self._rest, self._rested, key)
        self._report(key)

    def _rested(self, key: Key) -> None:
        if self._resting.pop(key):
            self._changed(key)

    def _report(self, key: Key) -> None:
        try:
            self._on_change(*key)
        except Exception:  # noqa: BLE001 - a failing callback must not end the watch of all Secrets
            _log.exception("the change of Secret %s/%s was not handled", *key)

    def retain(self, keys: set[Key], version: int, scope: "_Scope") -> None:
        """Note that a complete list of a scope does not show the others; a late answer to an older GET must not win."""
        for key in [key for key in {*self._entries, *self._wanted} if key not in keys and self._scope(*key) is scope]:
            self.store(key, version, None, scope)

    def rewind(self, scope: "_Scope") -> None:
        """Let any version of what is known in a scope be newer: the API server counts anew from an older one."""
        for key in [key for key in self._entries if self._scope(*key) is scope]:
            self._entries[key] = replace(self._entries[key], version=0)


class _Scope:
    """What one watch is for: one name or all, in one namespace or all."""

    def __init__(self, cache: SecretCache, namespace: str | None, name: str) -> None:
        self.namespace = namespace
        self.name = name
        self.current = False
        """Whether the cache follows the API server here: it was listed, and the watch was opened."""
        self._cache = cache
        self._names: set[Key] = set()
        """Secrets of the list that is under way."""

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/secrets" if self.namespace else "/api/v1/secrets"

    @property
    def rule(self) -> str:
        names = "" if self.name == ANY else f" with resourceNames [{self.name}]"
        where = f"in namespace {self.namespace}" if self.namespace else "in all namespaces"
        return f"the operator needs a role that allows get, list and watch of secrets{names} {where}"

    def alive(self) -> None:
        """Do nothing: the watch of the resources tells whether the API server is there."""

    def listed(self, _scope: str, page: Sequence[Mapping[str, Any]], /, *, begins: bool, ends: bool) -> None:  # noqa: ARG002 - `complete` gets the end with its version
        if begins:
            self._names = set()
        for obj in page:
            self._names.add(_key_of(obj))
            self._show(obj)

    def complete(self, version: str) -> None:
        self._cache.retain(self._names, int(version), self)
        self._names = set()

    def take(self, event: Event) -> None:
        if event.kind == "DELETED":
            self._cache.store(_key_of(event.object), _version(event.object), None, self)
        elif event.kind in {"ADDED", "MODIFIED"}:
            self._show(event.object)

    def interrupted(self, _scope: str, interruption: Interruption | None, /) -> None:
        if interruption is None:
            self.current = True
        elif interruption.denied:
            self.current = False

    def rewound(self, _scope: str, /) -> None:
        self._cache.rewind(self)

    def _show(self, obj: Mapping[str, Any]) -> None:
        self._cache.store(_key_of(obj), _version(obj), self._cache.kept(obj), self)


def _key_of(obj: Mapping[str, Any]) -> Key:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _version(obj: Mapping[str, Any]) -> int:
    return int(obj["metadata"]["resourceVersion"])
