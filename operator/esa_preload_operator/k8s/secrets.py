"""Secrets by name, kept current by watches; their values never reach a log, an error or a repr."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from esa_preload_operator.domain.errors import StoreUnavailableError
from esa_preload_operator.domain.ports import SECRET_VALUE_LIMIT
from esa_preload_operator.k8s.connection import Connection, RequestError
from esa_preload_operator.k8s.follow import ANY, REMEMBERED, Changes, Key, Scope, version_of


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
        self._changes = Changes("Secret", on_change, rest)
        self._timeout = timeout
        self._slowest = slowest
        self._entries: dict[Key, _Entry] = {}
        self._wanted: OrderedDict[Key, None] = OrderedDict()
        self._scopes = {
            (namespace, name): Scope(self, "Secret", namespace, name)
            for namespace in (sorted(self._namespaces) if self._namespaces is not None else [None])
            for name in ([ANY] if ANY in self._names else self._names)
        }

    async def run(self) -> None:
        """Keep the cache current until cancelled; returns at once if no names are given. Without it each read asks."""
        async with asyncio.TaskGroup() as group:
            for scope in self._scopes.values():
                without = "until then each use of one is a request"
                group.create_task(scope.follow(self._connection, without=without, slowest=self._slowest))

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

    def _scope(self, namespace: str, name: str) -> Scope:
        place = None if self._namespaces is None else namespace
        scope = self._scopes.get((place, name)) or self._scopes.get((place, ANY))
        if scope is None:
            raise StoreUnavailableError(f"Secret {namespace}/{name} is not among those that the operator reads")
        return scope

    async def _get(self, key: Key, scope: Scope) -> Mapping[str, str] | None:
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
            version = version_of(answer.body)
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
            self._changes.report(key)
        return None

    def kept(self, obj: Mapping[str, Any]) -> Mapping[str, str]:
        """Return what is kept of a Secret's data."""
        data = obj.get("data")
        values = {key: data.get(key) for key in self._keys} if isinstance(data, Mapping) else {}
        return {key: value[: SECRET_VALUE_LIMIT + 1] for key, value in values.items() if isinstance(value, str)}

    def store(
        self, key: Key, version: int, data: Mapping[str, str] | None, scope: Scope, *, first: bool = False
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
            self._changes.report(key)

    def known(self, scope: Scope) -> list[Key]:
        """Return the Secrets of a scope that are known or were asked for."""
        return [key for key in {*self._entries, *self._wanted} if self._scope(*key) is scope]

    def seen(self, key: Key, version: int, obj: Mapping[str, Any] | None, scope: Scope) -> None:
        """Take a Secret as it was at a version; None if it did not exist then."""
        self.store(key, version, None if obj is None else self.kept(obj), scope)

    def rewind(self, scope: Scope) -> None:
        """Let any version of what is known in a scope be newer: the API server counts anew from an older one."""
        for key in [key for key in self._entries if self._scope(*key) is scope]:
            self._entries[key] = replace(self._entries[key], version=0)
