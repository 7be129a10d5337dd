"""Texts that stand in ConfigMaps: read when they are asked for, and watched by metadata only."""

import asyncio
import contextlib
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from esa_preload_operator.domain.errors import StoreUnavailableError
from esa_preload_operator.k8s.connection import JSON, METADATA, Connection, RequestError
from esa_preload_operator.k8s.follow import REMEMBERED, Changes, Key, Scope, version_of
from esa_preload_operator.resources.parts import OBJECT_NAME

_NAME: Final = re.compile(OBJECT_NAME)
_LONGEST_NAME: Final = 253
_BETWEEN: Final = 0.05
"""Seconds between two requests of a poll, so that many ConfigMaps are no burst."""


@dataclass(frozen=True, slots=True)
class _Known:
    """Whether a ConfigMap exists, and the version that says so; 0 is older than any other."""

    version: int
    exists: bool


class ConfigMapSources:
    """`Sources` over the raw API: each read is one request, and no text is kept.

    Args:
        connection: where to ask.
        namespaces: where ConfigMaps may be read; None means everywhere.
        on_change: called with namespace and name when a ConfigMap that was read changed, appeared or disappeared. A
            change of its labels counts, too, and now and then there is a call without a change.
        timeout: seconds that one request may last.
        slowest: seconds between tries to list and watch, at most.
        rest: seconds between two reports about one ConfigMap.
        poll: seconds between looks at the ConfigMaps that were read, while they can't be watched.
    """

    def __init__(
        self,
        connection: Connection,
        namespaces: Sequence[str] | None,
        on_change: Callable[[str, str], None],
        *,
        timeout: float = 10.0,
        slowest: float = 60.0,
        rest: float = 5.0,
        poll: float = 60.0,
    ) -> None:
        self._connection = connection
        self._changes = Changes("ConfigMap", on_change, rest)
        self._timeout = timeout
        self._slowest = slowest
        self._poll = poll
        self._scopes = {
            namespace: Scope(self, "ConfigMap", namespace)
            for namespace in ([None] if namespaces is None else sorted(set(namespaces)))
        }
        self._needed = {namespace: asyncio.Event() for namespace in self._scopes}
        """Set by the first read: where nobody refers to a ConfigMap, none is listed and no right is needed."""
        self._known: OrderedDict[Key, _Known | None] = OrderedDict()
        """Those that were read; None: the first answer is still to come."""

    async def run(self) -> None:
        """Report changes until cancelled; each namespace is watched from the first read in it."""
        async with asyncio.TaskGroup() as group:
            for namespace, scope in self._scopes.items():
                group.create_task(self._follow(scope, self._needed[namespace]))

    async def read(self, namespace: str, name: str, key: str) -> str | None:
        """Return the text under a key of a ConfigMap; None if there is no such ConfigMap, or no such text in it.

        Raises:
            StoreUnavailableError: it is none of those that may be read, or nothing is known.
        """
        place = None if None in self._scopes else namespace
        scope = self._scopes.get(place)
        if scope is None:
            raise StoreUnavailableError(f"ConfigMap {namespace}/{name} is not among those that the operator reads")
        if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
            return None  # no object has such a name, and it must not lead to another path
        self._want((namespace, name))
        self._needed[place].set()
        body = await self._ask((namespace, name), scope, JSON)
        data = None if body is None else body.get("data")
        text = data.get(key) if isinstance(data, Mapping) else None
        return text if isinstance(text, str) else None

    def known(self, scope: Scope) -> list[Key]:
        """Return the ConfigMaps of a scope that were read."""
        return [key for key in self._known if scope.namespace in {None, key[0]}]

    def seen(self, key: Key, version: int, obj: Mapping[str, Any] | None, _scope: Scope) -> None:
        """Take a ConfigMap as it was at a version; None if it did not exist then."""
        before = self._known.get(key)
        if key not in self._known or (before is not None and version <= before.version):
            return
        self._known[key] = _Known(version, exists=obj is not None)
        if before is not None and (obj is not None or before.exists):
            self._changes.report(key)

    def rewind(self, scope: Scope) -> None:
        """Let any version of what is known in a scope be newer: the API server counts anew from an older one."""
        for key in self.known(scope):
            if known := self._known[key]:
                self._known[key] = replace(known, version=0)

    def _want(self, key: Key) -> None:
        self._known.setdefault(key)
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    async def _follow(self, scope: Scope, needed: asyncio.Event) -> None:
        await needed.wait()
        without = f"until then a change of one that is in use is found by a look every {self._poll:.0f} s"
        async with asyncio.TaskGroup() as group:
            group.create_task(
                scope.follow(self._connection, without=without, slowest=self._slowest, metadata_only=True)
            )
            group.create_task(self._look_now_and_then(scope))

    async def _look_now_and_then(self, scope: Scope) -> None:
        """Ask for what is known while it is not watched."""
        while True:
            await asyncio.sleep(self._poll)
            for key in self.known(scope):
                if scope.current:
                    break
                with contextlib.suppress(StoreUnavailableError):  # its next reader is told
                    await self._ask(key, scope, METADATA)
                await asyncio.sleep(_BETWEEN)

    async def _ask(self, key: Key, scope: Scope, accept: str) -> Mapping[str, Any] | None:
        """Return a ConfigMap, or its metadata, as it is now; None if there is none."""
        before = self._known.get(key)
        path = f"/api/v1/namespaces/{key[0]}/configmaps/{key[1]}"
        try:
            answer = await self._connection.request("GET", path, accept=accept, timeout=self._timeout)
        except RequestError as error:
            raise StoreUnavailableError(str(error)) from None
        if answer.status == 403:
            raise StoreUnavailableError(f"{answer.explanation}; {scope.rule}", retry_after=answer.retry_after)
        if answer.gone:
            self._answered(key, before, None)
            return None
        if not answer.ok or not isinstance(answer.body, dict):
            raise StoreUnavailableError(answer.explanation, retry_after=answer.retry_after)
        try:
            version = version_of(answer.body)
        except (KeyError, TypeError, ValueError):
            raise StoreUnavailableError("the API server's answer is no ConfigMap") from None
        self._answered(key, before, version)
        return answer.body

    def _answered(self, key: Key, before: _Known | None, version: int | None) -> None:
        """Note an answer; report it if others have read something else, or if it may be out of date already.

        If nothing came since the request began, the answer counts whatever its version: without a watch nobody else
        notices that the API server counts anew.
        """
        now = self._known.get(key)
        known_version = 0 if now is None else now.version
        told = _Known(known_version, exists=False) if version is None else _Known(version, exists=True)
        if key not in self._known or told == now:
            return
        if now is None or now is before or (told.exists and told.version > now.version):
            self._known[key] = told
        if now is not None:
            self._changes.report(key)
