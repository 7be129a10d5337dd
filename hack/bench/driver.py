"""Asks for resets over kept-alive connections and sees their outcomes by a watch."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Final

import aiohttp
from pydantic_core import from_json

from control_plane import ControlPlane
from esa_preload_operator.resources.job import RESET_KEY
from support.api import MERGE_PATCH, job_body, jobs_path

CONNECTIONS: Final = 32
DEADLINE: Final = 900.0
"""Seconds after which a missing outcome ends the measurement."""


class Driver:
    """A client with all rights in one namespace; the resource of job 7 is named j7. Get one from `open_driver`."""

    def __init__(self, session: aiohttp.ClientSession, url: str, namespace: str) -> None:
        self.session = session
        self.namespace = namespace
        self._url = url
        self._outcomes: dict[str, tuple[str, float]] = {}
        self._counts: Counter[str] = Counter()
        self._news = asyncio.Condition()

    async def request(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> Any:
        """Send one request and return the JSON of its answer."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type}
        while True:
            async with self.session.request(method, self._url + path, data=data, headers=headers) as response:
                content = await response.read()
            if response.status < 400:
                return json.loads(content)
            if response.status != 429:  # it means: not carried out, come back
                message = f"{method} {path}: {response.status} {content[:500]!r}"
                raise RuntimeError(message)
            await asyncio.sleep(0.2)

    async def create(self, number: int, esa_id: str, token: str | None = None) -> Any:
        """Make a resource; return it."""
        body = job_body(f"j{number}", jobId=esa_id)
        body["metadata"]["annotations"] = {} if token is None else {RESET_KEY: token}
        return await self.request("POST", jobs_path(self.namespace), body)

    async def replace_status(self, stored: Mapping[str, Any], status: Mapping[str, Any]) -> Any:
        """Write the whole status, as the operator does; return the resource."""
        meta = {key: stored["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
        body = {"apiVersion": stored["apiVersion"], "kind": stored["kind"], "metadata": meta, "status": status}
        group = stored["apiVersion"].partition("/")[0]
        return await self.request("PUT", jobs_path(self.namespace, meta["name"], group=group) + "/status", body)

    async def annotate(self, number: int, token: str) -> Any:
        """Ask for a reset; return the resource."""
        patch = {"metadata": {"annotations": {RESET_KEY: token}}}
        return await self.request("PATCH", jobs_path(self.namespace, f"j{number}"), patch, MERGE_PATCH)

    async def seen(self, number: int, wanted: Callable[[Mapping[str, Any]], bool]) -> Mapping[str, Any]:
        """Read the status of a resource until it is as wanted."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            status: Mapping[str, Any] = (await self.request("GET", jobs_path(self.namespace, f"j{number}")))["status"]
            if wanted(status):
                return status
            await asyncio.sleep(0.1)
        raise TimeoutError

    async def list_versions(self) -> dict[str, str]:
        """Return the version of each resource."""
        items = (await self.request("GET", jobs_path(self.namespace)))["items"]
        return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in items}

    async def outcome(self, number: int, token: str) -> float:
        """Wait until the status shows that a token was handled; return when the watch told so (`perf_counter`)."""
        name = f"j{number}"
        async with asyncio.timeout(DEADLINE), self._news:
            await self._news.wait_for(lambda: self._outcomes.get(name, ("",))[0] == token)
        return self._outcomes[name][1]

    async def outcomes(self, numbers: Iterable[int], token: str) -> float:
        """Wait for the outcomes of all resources with this token; return when the last one came."""
        names = [f"j{number}" for number in numbers]
        async with asyncio.timeout(DEADLINE), self._news:
            await self._news.wait_for(lambda: self._counts[token] >= len(names))
        return max(self._outcomes[name][1] for name in names if self._outcomes[name][0] == token)

    async def watch(self, started: asyncio.Event) -> None:
        """Note the outcomes until cancelled; whenever the API server ends the watch, list anew."""
        while True:
            listed = await self.request("GET", jobs_path(self.namespace))
            await self._take(listed["items"], time.perf_counter())
            version = listed["metadata"]["resourceVersion"]
            query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "3600"}
            limits = aiohttp.ClientTimeout(total=None)
            path = self._url + jobs_path(self.namespace)
            async with self.session.get(path, params=query, timeout=limits) as response:
                started.set()
                rest = b""
                async for chunk in response.content.iter_any():
                    now = time.perf_counter()
                    *lines, rest = (rest + chunk).split(b"\n")
                    events = [from_json(line) for line in lines]
                    await self._take([event["object"] for event in events if event["type"] != "ERROR"], now)

    async def _take(self, objects: Iterable[Mapping[str, Any]], now: float) -> None:
        async with self._news:
            for seen in objects:
                self._note(seen, now)
            self._news.notify_all()

    def _note(self, seen: Mapping[str, Any], now: float) -> None:
        token = seen.get("status", {}).get("handledResets", {}).get(RESET_KEY)
        name = seen["metadata"]["name"]
        if token is not None and self._outcomes.get(name, ("",))[0] != token:
            self._outcomes[name] = (token, now)
            self._counts[token] += 1


@contextlib.asynccontextmanager
async def open_driver(control_plane: ControlPlane, namespace: str, *, watch: bool = True) -> AsyncIterator[Driver]:
    """Connect to the API server as its administrator."""
    connector = aiohttp.TCPConnector(ssl=control_plane.ssl_context(), limit=0, keepalive_timeout=300)
    timeout = aiohttp.ClientTimeout(total=DEADLINE)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        driver = Driver(session, control_plane.url, namespace)
        if not watch:
            yield driver
            return
        started = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:  # so that the end of the watch ends the measurement
            task = tasks.create_task(driver.watch(started))
            await started.wait()
            yield driver
            task.cancel()


async def in_parallel(works: Iterable[Any], at_once: int = CONNECTIONS) -> None:
    """Run coroutines, some at a time."""
    left = iter(works)

    async def worker() -> None:
        for work in left:
            await work

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(worker())
