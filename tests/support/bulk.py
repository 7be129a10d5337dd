"""Many resources at once: one connection, one request each."""

from __future__ import annotations

import contextlib
import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from esa_preload_operator.resources.job import RESET_KEY
from support.api import job_body, jobs_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    from support.world import World


class Bulk:
    """The resources of a world, made and read together."""

    def __init__(self, world: World) -> None:
        self._world = world

    def create(self, numbers: Iterable[int], token: str | None = None) -> None:
        """Make the resources of these jobs, each with its request if there is a token."""
        plane = self._world.control_plane
        host = urlsplit(plane.url)
        context = plane.ssl_context()
        connection = http.client.HTTPSConnection(host.hostname or "", host.port, context=context, timeout=30)
        with contextlib.closing(connection):
            for number in numbers:
                body = job_body(f"j{number}", jobId=self._world.esa_id(number))
                body["metadata"]["annotations"] = {RESET_KEY: token} if token else {}
                path = jobs_path(self._world.namespace)
                connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                content = answer.read()
                assert answer.status == 201, content

    def items(self) -> list[dict[str, Any]]:
        """Read all resources."""
        listed: list[dict[str, Any]] = self._world.api.call("GET", jobs_path(self._world.namespace)).body["items"]
        return listed

    def handled(self, token: str) -> set[str]:
        """Names of the resources for which a token counts as handled."""
        return {
            item["metadata"]["name"]
            for item in self.items()
            if item.get("status", {}).get("handledResets", {}).get(RESET_KEY) == token
        }

    def owners(self) -> set[str]:
        """Identities of the processes that made the resets."""
        return {item["status"]["reset"]["owner"] for item in self.items()}
