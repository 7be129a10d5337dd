"""The outside of a walk: an API server in memory and ESA as the simulator plays it, at the wire, on a turned clock."""

from __future__ import annotations

import asyncio
import copy
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx

from esa_preload_operator.domain.cleaning import format_time
from esa_preload_operator.domain.errors import WriteUnknownError
from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.domain.values import Moment
from esa_preload_operator.esa.client import EsaClient
from esa_preload_operator.esa.credentials import Credentials
from esa_preload_operator.esa.throttle import Throttle
from esa_preload_operator.esa.transport import Connections
from esa_preload_operator.resources.job import API_VERSION, KIND
from esa_preload_operator.services.clock import Clock
from esa_simulator.server import Simulator
from esa_simulator.signature import Credential, SignedRequest
from support.counting import FakeObserver
from support.fakes import NAMESPACE, WALL, FakeEvents, FakeJobs, FakeSources

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from support.queueing import Loop

    Body = dict[str, Any]

REQUEST_TIMEOUT: Final = 10.0
NETWORK_GRACE: Final = 5.0
LATENCY: Final = 0.02
"""Seconds that a request and its answer take each."""
KEY: Final = Credential("walker-key-id", "walker-key-secret", "1000000000000001")


@dataclass
class TurnedClock(Clock):
    """The loop's clock; names are counted, so that a walk can be walked again."""

    loop: Loop
    _unique: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def monotonic(self) -> float:
        return self.loop.time()

    def wall(self) -> float:
        return WALL + self.loop.time()

    def now(self) -> Moment:
        return Moment(wall=self.wall(), monotonic=self.monotonic(), jitter=0.5, unique=next(self._unique))


@dataclass(kw_only=True)
class Cluster(FakeJobs):
    """The API server, with finalizers; its watch tells `listener` a moment later."""

    loop: Loop
    listener: Callable[[str, Body], None] = lambda _kind, _body: None
    watch_delay: float = LATENCY
    _told_at: float = 0.0
    _uids: itertools.count[int] = field(default_factory=lambda: itertools.count(0xA0000001))

    def make(self, name: str, spec: Mapping[str, Any]) -> ObjectRef:
        """Create a resource with a uid as Kubernetes gives it."""
        ref = ObjectRef(NAMESPACE, name)
        uid = f"{next(self._uids):08x}-1111-4222-8333-444444444444"
        meta = {"name": name, "namespace": NAMESPACE, "uid": uid, "generation": 1, "creationTimestamp": self._now()}
        self.objects[ref] = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": meta | {"annotations": {}, "finalizers": []},
            "spec": copy.deepcopy(dict(spec)),
            "status": {},
        }
        self._touch("ADDED", ref)
        return ref

    def remove(self, ref: ObjectRef) -> None:
        """Delete a resource, or mark it where a finalizer stands."""
        meta = self.objects[ref]["metadata"]
        if not meta["finalizers"]:
            self.delete(ref)
        elif "deletionTimestamp" not in meta:
            meta["deletionTimestamp"] = self._now()
            self._touch("MODIFIED", ref)

    def put_spec(self, ref: ObjectRef, spec: Mapping[str, Any]) -> None:
        if self.objects[ref]["spec"] != spec:
            self.objects[ref]["spec"] = copy.deepcopy(dict(spec))
            self.objects[ref]["metadata"]["generation"] += 1
            self._touch("MODIFIED", ref)

    def _touch(self, kind: str, ref: ObjectRef) -> None:
        super()._touch(kind, ref)
        self._told_at = max(self._told_at, self.loop.time() + self.watch_delay)  # events keep their order
        for change in self.changes:
            self.loop.call_at(self._told_at, self._tell, *change)
        self.changes.clear()

    def _tell(self, kind: str, body: Body) -> None:
        self.listener(kind, body)

    def _now(self) -> str:
        return format_time(WALL + self.loop.time())


@dataclass
class Brake:
    """Holds up all requests of a walk that never comes to rest, so that the test ends and says so."""

    requests: int = 0
    most: int = 4000

    @property
    def holds(self) -> bool:
        return self.requests > self.most

    async def passes(self) -> None:
        self.requests += 1
        if self.holds:
            await asyncio.Event().wait()


@dataclass
class Link:
    """`JobStore`: the way of one process to the API server. What has left arrives, even if the process dies."""

    cluster: Cluster
    faults: list[str]
    """What becomes of the next writes: conflict, lost, unanswered, late, or fine."""
    brake: Brake

    async def read(self, ref: ObjectRef) -> Mapping[str, Any] | None:
        await self.brake.passes()
        await asyncio.sleep(LATENCY)
        return await self.cluster.read(ref)

    async def write_status(self, ref: ObjectRef, version: str, status: Mapping[str, Any]) -> Mapping[str, Any]:
        sent = copy.deepcopy(dict(status))
        return await self._write(ref, lambda: self.cluster.write_status(ref, version, sent))

    async def write_finalizers(self, ref: ObjectRef, version: str, finalizers: Sequence[str]) -> Mapping[str, Any]:
        return await self._write(ref, lambda: self.cluster.write_finalizers(ref, version, finalizers))

    async def _write(self, ref: ObjectRef, store: Callable[[], Any]) -> Mapping[str, Any]:
        await self.brake.passes()
        fault = self.faults.pop(0) if self.faults else "fine"
        if fault == "lost":
            await asyncio.sleep(LATENCY)
            raise WriteUnknownError("the request was lost")

        async def arrive() -> Mapping[str, Any]:
            await asyncio.sleep(3.0 if fault == "late" else LATENCY)
            if fault == "conflict" and ref in self.cluster.objects:
                self.cluster.label(ref, str(self.cluster.version(ref)))
            stored: Mapping[str, Any] = await store()
            return stored

        arrival = asyncio.create_task(arrive())
        arrival.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody may be left to ask
        if fault == "late":
            await asyncio.sleep(1.0)
            raise WriteUnknownError("the request timed out")
        stored = await asyncio.shield(arrival)
        await asyncio.sleep(LATENCY)
        if fault == "unanswered":
            raise WriteUnknownError("the answer was lost")
        return stored


@dataclass
class Wire(httpx.AsyncBaseTransport):
    """Carries requests into the simulator as they stand on the wire; what has left arrives, whoever dies."""

    simulator: Simulator

    brake: Brake

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["gate"].enter()
        await self.brake.passes()
        path, _, query = request.url.raw_path.decode().partition("?")
        headers = {name.lower(): value for name, value in request.headers.items()}
        signed = SignedRequest(request.method, path, query, headers, request.content)
        arrival = asyncio.create_task(self._arrive(signed))
        answer = await asyncio.shield(arrival)
        await asyncio.sleep(LATENCY)
        if answer is None:
            raise ConnectionResetError(104, "cut")
        return answer

    async def _arrive(self, signed: SignedRequest) -> httpx.Response | None:
        await asyncio.sleep(LATENCY)
        answer = await self.simulator.serve(signed)
        if answer is None:
            return None
        body = answer.body if isinstance(answer.body, bytes) else b""
        return httpx.Response(answer.status, headers=dict(answer.headers), content=body)


@dataclass
class OneAccount:
    """`Accounts` with the operator's own credentials alone."""

    client: EsaClient

    async def account(self, namespace: str, secret_name: str | None) -> EsaClient:
        assert (namespace, secret_name) == (NAMESPACE, None)
        return self.client


class Outside:
    """What outlives a process."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.clock = TurnedClock(loop)
        self.cluster = Cluster(loop=loop)
        self.write_faults: list[str] = []
        self.brake = Brake()
        self.simulator = Simulator(now=lambda: round(self.clock.wall() * 1_000_000), wall=self.clock.wall)
        self.simulator.state.credentials[KEY.access_key_id] = KEY
        self.events = FakeEvents()
        self.observer = FakeObserver()
        self.sources = FakeSources()

    def accounts(self) -> OneAccount:
        """Return the account as a new process opens it."""
        connections = Connections("http://esa.test", request_timeout=REQUEST_TIMEOUT)
        connections.transport = Wire(self.simulator, self.brake)
        throttle = Throttle(1000.0, clock=self.clock.monotonic)
        credentials = Credentials(KEY.access_key_id, KEY.access_key_secret)
        return OneAccount(EsaClient(credentials, connections, throttle, wall_clock=self.clock.wall))
