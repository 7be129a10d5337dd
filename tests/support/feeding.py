"""An API server that answers lists and watches by a script, and a feed that reads from it."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml
from aiohttp import web

from esa_preload_operator.k8s.connection import Connection, connect
from esa_preload_operator.k8s.feed import Backoff, Event, Feed, Interruption
from esa_preload_operator.runtime.crd import MISSING_CRD

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

PATH = "/apis/esa.preload-operator.io/v1alpha1/scheduledpreloadjobs"


@dataclass
class Reply:
    """An answer; one with `cut` ends without its last chunk."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


def refusal(status: int, message: str = "no", **headers: str) -> Reply:
    told = {"kind": "Status", "code": status, "reason": "Refused", "message": message}
    return Reply(json.dumps(told).encode(), status, {name.replace("_", "-"): each for name, each in headers.items()})


def listed(version: int | str, *items: Any) -> Reply:
    return Reply(json.dumps({"items": list(items), "metadata": {"resourceVersion": str(version)}}).encode())


def lines(*events: tuple[str, Any], cut: bool = False) -> Reply:
    texts = [json.dumps({"type": kind, "object": obj}).encode() + b"\n" for kind, obj in events]
    return Reply(b"".join(texts), cut=cut)


def bookmark(version: int) -> tuple[str, Any]:
    return "BOOKMARK", {"metadata": {"resourceVersion": str(version)}}


def error(code: int, message: str = "etcdserver: no leader") -> tuple[str, Any]:
    return "ERROR", {"kind": "Status", "code": code, "reason": "X", "message": message}


@dataclass
class Recorder:
    """Takes what the feed sees."""

    scope: str
    objects: list[Any] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    signs_of_life: int = 0

    def alive(self) -> None:
        self.signs_of_life += 1

    def listed(self, scope: str, page: Sequence[Mapping[str, Any]], *, begins: bool, ends: bool) -> None:
        assert scope == self.scope
        self.objects += page
        self.told += ["begins"] * begins + ["ends"] * ends

    def interrupted(self, scope: str, interruption: Interruption | None) -> None:
        assert scope == self.scope
        self.told.append("well" if interruption is None else interruption.cause)

    def rewound(self, scope: str) -> None:
        assert scope == self.scope
        self.told.append("rewound")


@contextlib.asynccontextmanager
async def serving(
    path: str, answer: Callable[[web.Request], Awaitable[web.StreamResponse]], folder: Path
) -> AsyncIterator[Connection]:
    """Serve one path of an API server, and connect to it by a kubeconfig in the folder."""
    application = web.Application()
    application.router.add_route("GET", path, answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    config = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{runner.addresses[0][1]}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    try:
        async with await connect(str(kubeconfig)) as connection:
            yield connection
    finally:
        await runner.cleanup()


class Server:
    """Answers each list, watch and look for the newest version with the next reply; the last one is repeated."""

    def __init__(self) -> None:
        self.lists: list[Reply] = [listed(10)]
        self.watches: list[Reply] = [lines(bookmark(10))]
        self.looks: list[Reply] = [listed(10)]
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        kind = "watch" if "watch" in request.query else "look" if "limit" in request.query else "list"
        self.asked.append(kind + request.query.get("resourceVersion", ""))
        replies = {"watch": self.watches, "look": self.looks, "list": self.lists}[kind]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        response = web.StreamResponse(status=reply.status, headers={**reply.headers})
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(reply.body)
        if reply.cut and request.transport is not None:
            request.transport.abort()
        else:
            await response.write_eof()
        return response

    def running(self, folder: Path) -> contextlib.AbstractAsyncContextManager[Connection]:
        return serving(PATH, self.answer, folder)


@dataclass
class Fed:
    """A feed, the server that it reads from, and what became of it. Pauses are recorded and take no time."""

    server: Server
    sink: Recorder
    feed: Feed
    pauses: list[float]

    async def watch(self, since: str) -> list[Event]:
        return [event async for event in self.feed.events(since)]


@contextlib.asynccontextmanager
async def fed(folder: Path) -> AsyncIterator[Fed]:
    server, sink, pauses = Server(), Recorder("team"), list[float]()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async with server.running(folder) as connection:
        backoff = Backoff(jitter=lambda _, high: high)
        feed = Feed(connection, PATH, "team", sink, hints={404: MISSING_CRD}, backoff=backoff, pause=pause)
        yield Fed(server, sink, feed, pauses)
