"""An API server that knows nothing but ConfigMaps, of all namespaces, and notes what it is asked."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from support.feeding import serving

if TYPE_CHECKING:
    import contextlib
    from pathlib import Path

    from esa_preload_operator.k8s.connection import Connection

COLLECTION: Final = "/api/v1/configmaps"


def config_map(name: str, version: int | str, **parts: Any) -> dict[str, Any]:
    """Return a ConfigMap of the namespace `team`."""
    return {"metadata": {"namespace": "team", "name": name, "resourceVersion": str(version)}, **parts}


@dataclass
class ConfigMapServer:
    """Shows `objects`; `put` and `drop` also tell the watches.

    Attributes:
        version: of the last change.
        refused: status of the answer to each get, list or watch, where it is not to be carried out.
        asked: what was asked for, with the header Accept.
        held: answers to gets wait for it.
    """

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    version: int = 10
    refused: dict[str, int] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    held: asyncio.Event | None = None
    watches: list[asyncio.Queue[bytes | None]] = field(default_factory=list)

    def put(self, name: str, text: str = "https://a/b", **metadata: Any) -> None:
        """Make or change a ConfigMap that has this text under the key `list`."""
        self.version += 1
        kind = "MODIFIED" if name in self.objects else "ADDED"
        self.objects[name] = config_map(name, self.version, data={"list": text})
        self.objects[name]["metadata"] |= metadata
        self._tell(kind, self.objects[name])

    def drop(self, name: str) -> None:
        """Delete a ConfigMap."""
        self.version += 1
        obj = self.objects.pop(name)
        obj["metadata"]["resourceVersion"] = str(self.version)
        self._tell("DELETED", obj)

    def end_watches(self) -> None:
        """End the running watches, as their timeout does."""
        for queue in self.watches:
            queue.put_nowait(None)

    def count(self, what: str) -> int:
        """Return how often something was asked for: get, list, watch or look (for the present version)."""
        return [each for each, _ in self.asked].count(what)

    def running(self, folder: Path) -> contextlib.AbstractAsyncContextManager[Connection]:
        """Serve, and connect by a kubeconfig in the folder."""
        return serving("/{path:.*}", self._answer, folder)

    def _tell(self, kind: str, obj: dict[str, Any]) -> None:
        for queue in self.watches:
            queue.put_nowait(json.dumps({"type": kind, "object": {"metadata": obj["metadata"]}}).encode() + b"\n")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        one = request.path != COLLECTION
        what = "get" if one else "watch" if "watch" in request.query else "look" if "limit" in request.query else "list"
        self.asked.append((what, request.headers["Accept"]))
        if status := self.refused.get(what):
            told = {"reason": "X", "message": f'configmaps "{request.path.rpartition("/")[2]}" is forbidden'}
            return web.json_response(told, status=status, headers={"Retry-After": "7"})
        if what == "watch":
            return await self._watched(request)
        if one:
            return await self._one(request.path.rpartition("/")[2])
        items = [{"metadata": each["metadata"]} for each in self.objects.values()]
        return web.json_response({"metadata": {"resourceVersion": str(self.version)}, "items": items})

    async def _one(self, name: str) -> web.Response:
        answer = web.json_response({"reason": "NotFound"}, status=404)
        if name in self.objects:
            answer = web.json_response(self.objects[name])
        if self.held is not None:
            await self.held.wait()
        return answer

    async def _watched(self, request: web.Request) -> web.StreamResponse:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        response = web.StreamResponse()
        await response.prepare(request)
        self.watches.append(queue)
        try:
            while line := await queue.get():
                await response.write(line)
        finally:
            self.watches.remove(queue)
        return response
