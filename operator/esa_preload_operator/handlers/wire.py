"""kopf's HTTP session. It answers by itself what kopf asks, so that kopf meets no error and parses no object.

Lists go to the intake as they arrive. Of an event kopf gets no more than the object's name; the object, parsed once,
waits in a stash until kopf calls the handler.
"""

from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any, Final, Self

from pydantic_core import to_json
from yarl import URL

from esa_preload_operator.k8s.connection import Connection
from esa_preload_operator.k8s.feed import Event, Feed
from esa_preload_operator.resources.job import API_VERSION, GROUP, KIND, PLURAL, VERSION
from esa_preload_operator.runtime.crd import MISSING_CRD
from esa_preload_operator.runtime.intake import ALL, Identity, Intake, identify

SERVER: Final = "http://kubernetes"
"""What kopf takes for the address of the API server; requests go where the connection leads."""

_RESOURCES: Final = f"/apis/{API_VERSION}"
_STASH: Final = 8 << 20
"""Bytes of JSON whose objects wait for kopf; beyond that an object is read when its turn comes."""


def _kind(plural: str, kind: str, *, namespaced: bool) -> dict[str, Any]:
    return {"name": plural, "singularName": kind.lower(), "kind": kind, "namespaced": namespaced, "verbs": _VERBS}


_VERBS: Final = ["get", "list", "watch", "patch"]
_DISCOVERY: Final[Mapping[str, Any]] = {
    "/api": {"versions": ["v1"]},
    "/api/v1": {"resources": [_kind("namespaces", "Namespace", namespaced=False)]},
    "/apis": {
        "groups": [{"name": GROUP, "versions": [{"version": VERSION}], "preferredVersion": {"version": VERSION}}],
    },
    _RESOURCES: {"resources": [_kind(PLURAL, KIND, namespaced=True)]},
}
"""What kopf learns about the API server: a CRD that is missing is waited for where the list is made."""


class Stash:
    """Objects on their way through kopf: of each one the latest."""

    def __init__(self, room: int = _STASH) -> None:
        self._room = room
        self._objects: dict[str, tuple[Mapping[str, Any], int]] = {}

    def put(self, uid: str, obj: Mapping[str, Any], size: int) -> None:
        """Keep an object if there is room for it."""
        self.pop(uid)
        if size <= self._room:
            self._objects[uid] = obj, size
            self._room -= size

    def pop(self, uid: str) -> Mapping[str, Any] | None:
        """Return an object and forget it; None if it is not here."""
        obj, size = self._objects.pop(uid, (None, 0))
        self._room += size
        return obj


class Wire:
    """Acts like the `aiohttp.ClientSession` that kopf asks for."""

    closed: Final = False

    def __init__(self, connection: Connection, intake: Intake) -> None:
        self.headers: dict[str, str] = {}
        self._connection = connection
        self._intake = intake
        self._stash = Stash()
        self._feeds: dict[str, Feed] = {}

    async def request(self, *, method: str, url: str, **_: Any) -> "Answer":
        """Answer one request of kopf once that can be done well, however long it takes.

        Raises:
            LookupError: kopf asks for something that it should not need.
        """
        asked = URL(url)
        if method.upper() == "GET" and asked.path in _DISCOVERY:
            return Answer(_DISCOVERY[asked.path])
        if method.upper() != "GET" or not asked.path.endswith(f"/{PLURAL}"):
            raise LookupError(f"kopf asks for {method} {asked.path}")
        feed = self._feed(asked.path)
        if asked.query.get("watch") == "true":
            return Answer(None, self._sifted(feed, asked.query["resourceVersion"]))
        return Answer({"items": [], "metadata": {"resourceVersion": await feed.list()}})

    async def close(self) -> None:
        """Do nothing: the connection is not kopf's."""

    def take(self, event: Mapping[str, Any]) -> None:
        """Hand to the intake what an event of kopf stands for."""
        identity = identify(event["object"])
        obj = self._stash.pop(identity.uid)
        if event["type"] == "DELETED":
            self._intake.deleted(identity)
        elif obj is None:
            self._intake.missed(identity)
        else:
            self._intake.observe(obj)

    def _feed(self, path: str) -> Feed:
        if path not in self._feeds:
            within = path.removeprefix(f"{_RESOURCES}/namespaces/")
            scope = ALL if within == path else within.removesuffix(f"/{PLURAL}")
            self._feeds[path] = Feed(self._connection, path, scope, self._intake, hints={404: MISSING_CRD})
        return self._feeds[path]

    async def _sifted(self, feed: Feed, since: str) -> AsyncIterator[bytes]:
        async for event in feed.events(since):
            if line := self._stub(event):
                yield line + b"\n"

    def _stub(self, event: Event) -> bytes:
        """Return what kopf gets to know of an event.

        What tells nothing new becomes a bookmark, for which kopf starts no worker and calls no handler: of the three
        events of a reset two are echoes of the operator's own writes.
        """
        if event.kind == "ERROR":
            return to_json({"type": event.kind, "object": event.object})
        if event.kind == "BOOKMARK":
            return _bookmark(event.version)
        try:
            identity = identify(event.object)
        except ValueError:
            self._intake.observe(event.object)
            return _bookmark(event.version)
        if event.kind == "DELETED":
            self._intake.bury(identity)
        elif self._intake.knows(event.object):
            return _bookmark(event.version)
        else:
            self._stash.put(identity.uid, event.object, event.size)
        return _name_of(event.kind, identity, event.version)


class Answer:
    """Acts like the `aiohttp.ClientResponse` that kopf reads."""

    status: Final = HTTPStatus.OK

    def __init__(self, body: Any, lines: AsyncIterator[bytes] | None = None) -> None:
        self._body = body
        self._lines = lines

    @property
    def content(self) -> Self:
        """The body as a stream."""
        return self

    async def json(self) -> Any:
        """Return the body."""
        return self._body

    async def iter_chunked(self, _size: int) -> AsyncIterator[bytes]:
        """Yield the lines of a watch."""
        if self._lines is not None:
            async for line in self._lines:
                yield line

    def close(self) -> None:
        """Do nothing: a watch ends with the task that reads it."""

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Do nothing."""


def _bookmark(version: str) -> bytes:
    if not version:
        return b""
    return to_json({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}})


def _name_of(kind: str, identity: Identity, version: str) -> bytes:
    meta = {
        "namespace": identity.ref.namespace,
        "name": identity.ref.name,
        "uid": identity.uid,
        "resourceVersion": version,
    }
    return to_json({"type": kind, "object": {"apiVersion": API_VERSION, "kind": KIND, "metadata": meta}})
