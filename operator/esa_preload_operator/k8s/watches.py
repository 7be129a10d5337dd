"""Follow a collection of objects by list and watch, through cut connections, expired versions and outages."""

import asyncio
import json
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from esa_preload_operator.domain.cleaning import printable
from esa_preload_operator.k8s.connection import Answer, Connection, RequestError, StreamRefusedError
from esa_preload_operator.k8s.lists import ListReader

PAGE: Final = 100
_LIST_SILENCE: Final = 30.0
_TEXT: Final = 300
_log = logging.getLogger(__name__)

Key = tuple[str, str]
"""Namespace and name."""


class Sink(Protocol):
    """Takes what a `Watch` sees."""

    def changed(self, obj: Mapping[str, Any]) -> None:
        """An object is there as shown, from a list or an event."""
        ...

    def deleted(self, obj: Mapping[str, Any]) -> None:
        """An object is gone; `obj` is its last state, with the version of the deletion."""
        ...

    def listed(self, keys: set[Key], version: str) -> None:
        """A list is complete: at that version there were these objects and no others."""
        ...

    def following(self) -> None:
        """The watch is open: what happens from now on will be shown."""
        ...

    def forbidden(self) -> str:
        """The API server does not allow to list or to watch; returns what to do about it."""
        ...


class _ExpiredError(Exception):
    """The version to go on from is too old (HTTP 410): list anew."""


class _FailedError(Exception):
    """The API server answered something else; try again later."""


class Watch:
    """Follows the objects at one path for as long as `run` runs.

    Args:
        selector: fieldSelector, such as `metadata.name=x`.
        silence: seconds without a byte after which the connection counts as dead; kube-apiserver 1.37 sends a quiet
            watch its first bookmark after 120 s (Kubernetes API concepts, Watch bookmarks).
        slowest: the longest pause between two tries, in seconds.
    """

    def __init__(
        self,
        connection: Connection,
        path: str,
        sink: Sink,
        *,
        selector: str | None = None,
        silence: float = 180.0,
        fastest: float = 0.5,
        slowest: float = 60.0,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._connection = connection
        self._path = path
        self._sink = sink
        self._selector = {"fieldSelector": selector} if selector else {}
        self._silence = silence
        self._fastest = fastest
        self._slowest = slowest
        self._jitter = jitter
        self._failures = 0
        self._version: str | None = None
        """The version to go on from; None: list anew."""
        self._cause = ""
        """Why it does not work, as it was logged; it is logged again only when it changes."""

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            pause = await self._once()
            await asyncio.sleep(max(pause, self._pause()))

    async def _once(self) -> float:
        """List if needed and watch until that ends; return the shortest pause before the next try."""
        try:
            if self._version is None:
                self._version = await self._list()
            await self._follow(self._version)
        except _ExpiredError:
            self._version = None
        except StreamRefusedError as error:
            self._version = None
            return self._refused(error.answer)
        except (RequestError, _FailedError) as error:
            self._report(str(error))
        except Exception as error:  # noqa: BLE001 - no object may end the watch of the others, or the process
            self._version = None
            self._report(f"unexpected {type(error).__name__}", error)
        return 0.0

    def _refused(self, answer: Answer) -> float:
        if answer.status == 403:
            self._report(f"{answer.explanation}; {self._sink.forbidden()}")
            return self._slowest
        self._report(answer.explanation)
        return min(answer.retry_after or 0.0, self._slowest)

    def _report(self, cause: str, error: Exception | None = None) -> None:
        if cause != self._cause:
            _log.warning("the watch of %s is interrupted: %s", self._path, cause, exc_info=error)
        self._cause = cause

    def _works(self) -> None:
        self._failures = 0
        if self._cause:
            _log.info("the watch of %s works again", self._path)
        self._cause = ""

    def _pause(self) -> float:
        """Seconds until the next try; also keeps a server that ends each watch at once from being flooded."""
        longest = min(self._fastest * 2.0 ** min(self._failures, 16), self._slowest)
        self._failures += 1
        return self._jitter(longest / 2, longest)

    async def _list(self) -> str:
        keys: set[Key] = set()
        query = {**self._selector, "limit": str(PAGE)}
        while True:
            metadata = await self._page(query, keys)
            following = metadata.get("continue")
            if not following:
                version: str = metadata["resourceVersion"]
                self._sink.listed(keys, version)
                return version
            query["continue"] = following

    async def _page(self, query: Mapping[str, str], keys: set[Key]) -> Mapping[str, Any]:
        """Pass on the objects of a page while it arrives, never all in memory together; return its metadata."""
        reader = ListReader()
        try:
            async with self._connection.stream(self._path, query, _LIST_SILENCE, by_line=False) as chunks:
                async for chunk in chunks:
                    self._listed(reader.feed(chunk), keys)
        except StreamRefusedError as error:
            if error.answer.status == 410:
                raise _ExpiredError from None
            raise
        self._listed(reader.end(), keys)
        metadata: Mapping[str, Any] = reader.rest()["metadata"]
        return metadata

    def _listed(self, objects: Sequence[Mapping[str, Any]], keys: set[Key]) -> None:
        for each in objects:
            keys.add(key_of(each))
            self._sink.changed(each)

    async def _follow(self, version: str) -> None:
        """Watch from a version until the API server ends the watch."""
        query = {
            **self._selector,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(int(self._jitter(240, 360))),
        }
        opened = False
        try:
            async with self._connection.stream(self._path, query, self._silence) as lines:
                opened = True
                self._sink.following()
                async for line in lines:
                    self._version = self._take(line)
                    self._works()
        except RequestError as error:
            if not opened:
                raise
            # What was seen so far stays seen; the next watch goes on from there.
            _log.debug("the watch of %s is cut: %s", self._path, error)

    def _take(self, line: bytes) -> str:
        """Pass an event on; return its version."""
        try:
            event = json.loads(line)
            kind, obj = event["type"], event["object"]
        except (ValueError, KeyError, TypeError):
            raise _FailedError("an event can't be read") from None
        if kind == "ERROR":
            if obj.get("code") == 410:
                raise _ExpiredError
            raise _FailedError(printable(f"HTTP {obj.get('code')} {obj.get('reason')}"[:_TEXT]))
        if kind in {"ADDED", "MODIFIED"}:
            self._sink.changed(obj)
        elif kind == "DELETED":
            self._sink.deleted(obj)
        return str(obj["metadata"]["resourceVersion"])


def key_of(obj: Mapping[str, Any]) -> Key:
    """Return namespace and name of an object."""
    return obj["metadata"]["namespace"], obj["metadata"]["name"]
