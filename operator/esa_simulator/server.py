"""The simulator as an HTTP server: ESA's gateway at `/`, the control API under `/_sim/`."""

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

from aiohttp import web

from esa_simulator import errors
from esa_simulator.actions import Call, Operation
from esa_simulator.calls import Calls, Entry
from esa_simulator.control import Control
from esa_simulator.errors import ConnectionCut, EsaError
from esa_simulator.execution_actions import OPERATIONS
from esa_simulator.faults import Bucket, Fault, Faults, Garbage, Plan, Subject, override
from esa_simulator.progress import SECOND, Clock
from esa_simulator.signature import Credential, NonceMemory, SignedRequest, verify
from esa_simulator.state import Settings, State
from esa_simulator.wire import Body

API_VERSION = "2024-09-10"
_MAX_BODY = 256 * 1024 * 1024  # a seed of 10,000 jobs comes in one body


def _wall_micros() -> int:
    return time.time_ns() * SECOND // 1_000_000_000


class Simulator:
    """One ESA, with its own accounts and jobs; `async with Simulator() as sim` serves it at `sim.url`.

    Attributes:
        state: accounts, jobs and settings.
        faults: the rules in force.
        calls: the log.
        control: the control API, whose methods take and return the same JSON in-process.
        url: `http://host:port` once it is started.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        settings: Settings | None = None,
        now: Callable[[], int] = _wall_micros,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Take the clocks: `now` (integer microseconds) for progress, `wall` (seconds) for the dates of signatures."""
        self.state = State(Clock(now), settings or Settings())
        self.faults = Faults()
        self.calls = Calls()
        self.control = Control(self.state, self.faults, self.calls)
        self.url = ""
        self._host, self._port, self._wall = host, port, wall
        self._nonces = NonceMemory()
        self._buckets: dict[str, Bucket] = {}
        self._late: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen; `url` is known then."""
        app = web.Application(client_max_size=_MAX_BODY)
        self.control.add_routes(app.router)
        app.router.add_route("*", "/{anything:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, backlog=1024)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def stop(self) -> None:
        """Cut what hangs, drop late work and stop listening."""
        self.faults.clear(abandon=True)
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def _handle(self, request: web.Request) -> web.Response:
        path, _, query = request.raw_path.partition("?")
        headers = {name.lower(): value for name, value in request.headers.items()}
        answer = await self.serve(SignedRequest(request.method, path, query, headers, await request.read()))
        if answer is not None:
            return answer
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def serve(self, signed: SignedRequest) -> web.Response | None:
        """Answer a request as it stands on the wire; None cuts its connection."""
        headers = signed.headers
        nonce = headers.get("x-acs-signature-nonce", "")
        entry = self.calls.begin(self._wall(), headers.get("x-acs-action", ""), _parameters(signed), nonce)
        request_id = str(uuid.uuid4()).upper()
        try:
            answer = await self._answer(signed, entry)
        except EsaError as error:
            self.calls.end(entry, error.code, error.status)
            return _refusal(error, request_id, headers.get("host", ""))
        except ConnectionCut:
            self.calls.end(entry, "ConnectionCut", None)
            return None
        if isinstance(answer, Garbage):
            self.calls.end(entry, "Garbage", answer.status)
            return web.Response(status=answer.status, text=answer.text, content_type="text/html")
        self.calls.end(entry, "OK", 200)
        return _json(200, answer | {"RequestId": answer.get("RequestId", request_id)}, request_id, {})

    async def _answer(self, signed: SignedRequest, entry: Entry) -> Body | Garbage:
        operation = _find_operation(signed)
        credential = verify(signed, self.state.credentials, self._wall())
        entry.access_key_id, entry.ali_uid = credential.access_key_id, credential.ali_uid
        named = entry.params.get("Id")
        entry.job_id = None if named is None else self.state.job_id_of(named)
        subject = Subject(entry.action, entry.job_id, entry.access_key_id, entry.ali_uid)
        plan = self.faults.plan(subject, time.monotonic())
        await self.faults.pause(plan, "before")
        try:
            if garbage := plan.ends("before"):
                return garbage if not garbage.truncated else Garbage(garbage.status, "{", truncated=True)
        except EsaError:
            self._nonces.claim(entry.access_key_id, entry.nonce, self._wall())
            raise
        self._nonces.claim(entry.access_key_id, entry.nonce, self._wall())
        self._admit(credential, entry.action)
        call = Call(self.state, entry.ali_uid, entry.params, round(plan.lag * SECOND), plan.failing)
        if plan.late is not None:
            self._do_later(plan.late, operation, call, entry)
            raise ConnectionCut
        try:
            body = operation(call)
        except EsaError as error:
            return await self._after_work(plan, {}, error)
        entry.executed = True
        return await self._after_work(plan, override(body, plan.overrides), None)

    def _do_later(self, late: Fault, operation: Operation, call: Call, entry: Entry) -> None:
        async def work() -> None:
            with contextlib.suppress(EsaError, ConnectionCut):  # nobody waits for the answer
                await self.faults.linger(late)
                operation(call)
                entry.executed = True

        task = asyncio.create_task(work())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _after_work(self, plan: Plan, body: Body, error: EsaError | None) -> Body | Garbage:
        """What comes between the work, which may have ended in an error, and its answer."""
        await self.faults.pause(plan, "after")
        if garbage := plan.ends("after"):
            text = json.dumps(body)
            return garbage if not garbage.truncated else Garbage(garbage.status, text[: len(text) // 2], truncated=True)
        if error is not None:
            raise error
        return body

    def _admit(self, credential: Credential, action: str) -> None:
        """Throttle the account, and ask RAM."""
        settings = self.state.settings
        if settings.calls_per_second is not None:
            bucket = self._buckets.get(credential.ali_uid)
            if bucket is None or bucket.rate != settings.calls_per_second:
                bucket = self._buckets[credential.ali_uid] = Bucket(settings.calls_per_second, time.monotonic())
            if not bucket.take(time.monotonic()):
                raise errors.throttled(settings.retry_after_ms)
        if action in credential.deny:
            raise errors.no_permission(action)


def _parameters(signed: SignedRequest) -> dict[str, str]:
    """Query and form; the gateway takes a parameter from either."""
    params = dict(parse_qsl(signed.query, keep_blank_values=True))
    if signed.body and signed.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form = parse_qsl(signed.body.decode("utf-8", "replace"), keep_blank_values=True)
        params = dict(form) | params
    return params


def _find_operation(signed: SignedRequest) -> Operation:
    action = signed.headers.get("x-acs-action", "")
    found = OPERATIONS.get(action)
    if found is None or signed.path != "/":
        raise EsaError(404, "InvalidAction.NotFound", "Specified api is not found, please check your url and method.")
    if signed.headers.get("x-acs-version") != API_VERSION:
        raise EsaError(400, "NoSuchVersion", "The specified version does not exist.")
    method, operation = found
    if signed.method != method:
        raise EsaError(405, "UnsupportedHTTPMethod", "This http method is not supported.")
    return operation


def _refusal(error: EsaError, request_id: str, host: str) -> web.Response:
    body: dict[str, Any] = {
        "RequestId": request_id,
        "HostId": host,
        "Code": error.code,
        "Message": error.message,
        "Recommend": f"https://api.alibabacloud.com/troubleshoot?q={error.code}&product=ESA",
    }
    return _json(error.status, body | error.detail, request_id, error.headers)


def _json(status: int, body: Body, request_id: str, headers: Mapping[str, str]) -> web.Response:
    return web.Response(
        status=status,
        body=json.dumps(body, ensure_ascii=False).encode(),
        headers={"x-acs-request-id": request_id, "content-type": "application/json;charset=utf-8", **headers},
    )
