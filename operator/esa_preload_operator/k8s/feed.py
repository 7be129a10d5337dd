"""Lists and watches one collection of objects, and tries again whatever the API server answers."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from pydantic_core import from_json

from esa_preload_operator.domain.cleaning import printable
from esa_preload_operator.k8s.connection import (
    JSON,
    METADATA,
    METADATA_LIST,
    Connection,
    NotSentError,
    RequestError,
    StreamRefusedError,
)
from esa_preload_operator.k8s.lists import ListReader

RENEW_WATCH: Final = 60
"""Seconds after which the API server ends a watch, so that a silent one shows."""
_LIST_SILENCE: Final = 120.0
"""An API server under load takes half a minute to begin a list of 10,000."""
_WATCH_SILENCE: Final = RENEW_WATCH + 10.0
_SHORT: Final = 1.0
"""Seconds below which a watch that has ended counts as a failure."""
_KINDS: Final = frozenset({"ADDED", "MODIFIED", "DELETED", "BOOKMARK"})
_IN_STREAM: Final = "event "
_BUG: Final = "error"
_CUT: Final = "cut"
_ROUTINE: Final = (_CUT, _IN_STREAM + "410", "HTTP 410")
_TEXT: Final = 300

logger = logging.getLogger(__name__)


class Event(NamedTuple):
    """One line of a watch."""

    kind: str
    """ADDED, MODIFIED, DELETED, BOOKMARK, or ERROR for: list anew."""
    object: Mapping[str, Any]
    version: str
    """The object's resourceVersion, "" where it has none."""
    size: int
    """Bytes of the line."""


RELIST: Final = Event("ERROR", {"kind": "Status", "code": 410}, "", 0)


class Interruption(NamedTuple):
    """Why a collection is not watched at present."""

    cause: str
    """The kind of interruption: the same one is logged once."""
    text: str
    denied: bool = False
    """Whether the operator has no right to list or watch."""
    retry_after: float = 0.0


class Sink(Protocol):
    """Takes what a `Feed` sees; the first argument is its namespace, or the empty string for all of them."""

    def alive(self) -> None:
        """The API server has answered."""
        ...

    def listed(self, scope: str, page: Sequence[Mapping[str, Any]], /, *, begins: bool, ends: bool) -> None:
        """Some objects of a list were read."""
        ...

    def interrupted(self, scope: str, interruption: Interruption | None, /) -> None:
        """The collection is not watched; None whenever a watch of it has begun."""
        ...

    def rewound(self, scope: str, /) -> None:
        """The API server has gone back to an older state, so that versions seen before mean nothing."""
        ...


class _RelistError(Exception):
    """The watch can't go on from its version."""

    def __init__(self, cause: str, text: str) -> None:
        super().__init__(text)
        self.cause = cause


@dataclass(slots=True)
class Backoff:
    """Seconds between tries: they double from the fastest to the slowest, with jitter."""

    fastest: float = 0.1
    slowest: float = 30.0
    jitter: Callable[[float, float], float] = random.uniform
    _longest: float = 0.0

    def wait(self, at_least: float = 0.0) -> float:
        """Return how long to wait after another failure."""
        self._longest = min(max(self.fastest, self._longest * 2), self.slowest)
        return max(self.jitter(self._longest / 2, self._longest), min(at_least, self.slowest))

    def lasted(self, seconds: float) -> None:
        """Begin anew if a watch lasted clearly longer than the wait before it."""
        if seconds > 1 + 2 * self._longest:
            self._longest = 0.0


class Feed:
    """Reads the collection at one path. Nothing but cancellation ends `list` before it has succeeded.

    Args:
        connection: where to ask.
        path: of the collection.
        scope: the namespace that the path is about; empty for all.
        sink: takes what is seen.
        what: names the objects in the log.
        name: the only object that is wanted, if not all are.
        metadata_only: whether the API server is to leave out all of an object but its metadata.
        hints: what to do about a refusal, by its HTTP status.
        backoff: how long to wait between tries.
        pause: waits.
    """

    def __init__(
        self,
        connection: Connection,
        path: str,
        scope: str,
        sink: Sink,
        *,
        what: str = "resources",
        name: str = "",
        metadata_only: bool = False,
        hints: Mapping[int, str] | None = None,
        backoff: Backoff | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._connection = connection
        self._path = path
        self._scope = scope
        self._sink = sink
        self._where = f"{what} in " + (f"namespace {scope}" if scope else "all namespaces")
        self._selector = {"fieldSelector": f"metadata.name={name}"} if name else {}
        self._list_accept, self._watch_accept = (METADATA_LIST, METADATA) if metadata_only else (JSON, JSON)
        self._hints = hints or {}
        self._backoff = backoff or Backoff()
        self._pause = pause
        self._interruption: Interruption | None = None
        self._newest = 0
        """The newest version that the API server has told; of a restored one the versions go back."""
        self._doubtful = False
        """The last watch was cut or told no version, so the API server may have been restored since."""

    async def list(self) -> str:
        """Hand over all objects, however often it must be tried; return the version of the list."""
        while True:
            try:
                return await self._list()
            except Exception as error:  # noqa: BLE001 - whatever a list raises, the next one may succeed
                await self._retry(error)

    async def _list(self) -> str:
        reader, begins = ListReader(), True
        async with self._connection.stream(
            self._path, self._selector, _LIST_SILENCE, by_line=False, accept=self._list_accept
        ) as chunks:
            async for chunk in chunks:
                self._sink.alive()
                self._sink.listed(self._scope, reader.feed(chunk), begins=begins, ends=False)
                begins = False
                await asyncio.sleep(0)  # what asks for a reset need not wait for the end of the list
        self._sink.listed(self._scope, reader.end(), begins=begins, ends=False)
        version = _version_of(reader.rest())
        if not version:
            raise _RelistError("list", "the answer is no list")
        self._newest = max(self._newest, self._checked(version, self._newest))
        if reader.skipped:
            logger.warning("%s: %d objects are too large to be read", self._where, reader.skipped)
        self._sink.listed(self._scope, (), begins=False, ends=True)
        self._doubtful = False
        return version

    async def events(self, since: str) -> AsyncGenerator[Event]:
        """Yield what a watch tells until it ends; RELIST comes last if it can't be continued from its last version."""
        begun = time.monotonic()
        try:
            async with contextlib.aclosing(self._follow(since)) as events:
                async for event in events:
                    yield event
        except RequestError as error:  # what was seen so far stays seen; the next watch goes on from there
            self._doubtful = True
            self._backoff.lasted(time.monotonic() - begun)
            await self._retry(error)
        except Exception as error:  # noqa: BLE001 - whatever a watch raises, the next one may succeed
            self._backoff.lasted(time.monotonic() - begun)
            await self._retry(error)
            yield RELIST
        else:
            lasted = time.monotonic() - begun
            self._backoff.lasted(lasted)
            if lasted < _SHORT:  # do not flood a server that ends each watch at once
                await self._pause(self._backoff.wait())

    async def run(self, complete: Callable[[str], None], take: Callable[[Event], None]) -> None:
        """List and watch until cancelled; give `complete` the version of each list, and `take` each event."""
        version = ""
        while True:
            try:
                if not version:
                    version = await self.list()
                    complete(version)
                async with contextlib.aclosing(self.events(version)) as events:
                    async for event in events:
                        take(event)
                        version = "" if event is RELIST else event.version or version
            except Exception as error:  # noqa: BLE001 - no object may end the watch of the others
                version = ""
                await self._retry(error)

    async def _follow(self, since: str) -> AsyncGenerator[Event]:
        if self._doubtful:
            await self._look_for_a_restore(since)
        self._doubtful = True
        newest = _number(since)
        query = {
            **self._selector,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": since,
            "timeoutSeconds": str(RENEW_WATCH),
        }
        async with self._connection.stream(self._path, query, _WATCH_SILENCE, accept=self._watch_accept) as lines:
            self._sink.alive()
            self._recovered(in_stream=False)
            async for line in lines:
                self._sink.alive()
                event = _read(line)
                newest = max(newest, self._checked(event.version, newest))
                self._newest = max(self._newest, newest)
                self._doubtful = self._doubtful and not event.version
                self._recovered(in_stream=True)
                yield event

    async def _look_for_a_restore(self, since: str) -> None:
        """Ask for the present version: a watch from a version to come would be silent until that is reached."""
        query = {**self._selector, "limit": "1"}
        answer = await self._connection.request("GET", self._path, query=query, accept=self._list_accept)
        if not answer.ok:
            raise StreamRefusedError(answer)
        self._checked(_version_of(answer.body), _number(since))

    def _checked(self, version: str, before: int) -> int:
        """Return the number of a version; 0 if it has none.

        Raises:
            _RelistError: it is older than one that was told before.
        """
        number = _number(version)
        if 0 < number < before:
            self._newest = number
            self._sink.rewound(self._scope)
            raise _RelistError(
                "restored", f"resourceVersion has gone back from {before} to {number}: etcd was restored"
            )
        return number

    async def _retry(self, error: Exception) -> None:
        """Tell the cause once, and wait."""
        interruption = _interruption_of(error, self._hints)
        if self._interruption is None or interruption.cause != self._interruption.cause:
            level = logging.INFO if interruption.cause in _ROUTINE else logging.WARNING
            bug = error if interruption.cause == _BUG else None
            logger.log(level, "%s: %s; trying again", self._where, interruption.text, exc_info=bug)
            self._sink.interrupted(self._scope, interruption)
            self._interruption = interruption
        if isinstance(error, StreamRefusedError):
            self._sink.alive()
        await self._pause(self._backoff.wait(interruption.retry_after))

    def _recovered(self, *, in_stream: bool) -> None:
        """Note that the watch runs; a failure in its stream is over with the first event, any other with its begin."""
        if self._interruption is not None:
            if self._interruption.cause.startswith(_IN_STREAM) and not in_stream:
                return
            logger.info("%s: watched again", self._where)
            self._interruption = None
        elif in_stream:
            return
        self._sink.interrupted(self._scope, None)


def _read(line: bytes) -> Event:
    """Return one line of a watch.

    Raises:
        _RelistError: it tells that the watch has failed, or can't be read.
    """
    try:
        parsed = from_json(line)
        kind, obj = parsed["type"], parsed["object"]
    except (ValueError, KeyError, TypeError):
        raise _RelistError(f"{_IN_STREAM}unreadable", "an event of the watch can't be read") from None
    if isinstance(kind, str) and kind in _KINDS and isinstance(obj, dict):
        return Event(kind, obj, _version_of(obj), len(line))
    told = obj if isinstance(obj, dict) else {}
    code, text = told.get("code"), f"{told.get('code')} {told.get('reason')}: {told.get('message')}"
    raise _RelistError(f"{_IN_STREAM}{code}"[:_TEXT], printable(f"the watch has failed: {text}"[:_TEXT]))


def _version_of(obj: Any) -> str:
    """Return the resourceVersion of a list or an object; "" if it has none."""
    meta = obj.get("metadata") if isinstance(obj, dict) else None
    version = meta.get("resourceVersion") if isinstance(meta, dict) else None
    return version if isinstance(version, str) else ""


def _number(version: str) -> int:
    """Return a version as a number, 0 if it is none."""
    return int(version) if version.isascii() and version.isdecimal() and len(version) < 30 else 0


def _interruption_of(error: Exception, hints: Mapping[int, str]) -> Interruption:
    match error:
        case StreamRefusedError(answer=answer):
            text = "; ".join(filter(None, (answer.explanation[:_TEXT], hints.get(answer.status))))
            return Interruption(f"HTTP {answer.status}", text, answer.status == 403, answer.retry_after or 0.0)
        case _RelistError():
            return Interruption(error.cause, str(error))
        case NotSentError():
            return Interruption("not sent", str(error))
        case RequestError():
            return Interruption(_CUT, str(error))
        case ValueError():
            return Interruption("unreadable", printable(f"an answer can't be read: {error}"[:_TEXT]))
        case _:
            return Interruption(_BUG, printable(f"{type(error).__name__}: {error}"[:_TEXT]))
