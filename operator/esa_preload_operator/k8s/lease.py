"""Leader election by a Lease, so that two processes never act at once."""

import asyncio
import contextlib
import logging
import math
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from esa_preload_operator.domain.cleaning import format_micro_time
from esa_preload_operator.k8s.connection import JSON, MERGE_PATCH, Answer, Connection, RequestError
from esa_preload_operator.k8s.election import (
    Create,
    Record,
    Renew,
    Sighting,
    Take,
    Wait,
    decide_step,
    lease_spec,
    look,
    parse_record,
)

NOBODY: Final = -math.inf
_NO_NAMESPACE: Final = "; create the namespace, or name another one by LEASE_NAMESPACE (--lease-namespace)"
_NO_RIGHTS: Final = "; grant get, create and patch of leases in that namespace, or name another one by LEASE_NAMESPACE"
_log = logging.getLogger(__name__)


class NotRenewedError(Exception):
    """A try to write or read the Lease failed; the text says why."""


class Elector:
    """`Leadership` by one Lease: `await acquire()`, then run `keep()` beside the work, at the end `release()`.

    **Once `keep` returns the lease is lost, and the process must exit at once**: it does not lead again, and what it
    had begun belongs to its successor. Between two awaits only `valid_until` tells whether it still leads; it ends
    `renew_deadline` seconds after the *start* of the last successful renewal, while others wait `lease_duration`
    seconds after they have *seen* that renewal. Both are counted on monotonic clocks, wall clocks are never compared.
    A Lease that is deleted by hand is made again by its holder. What breaks this: clocks of very different speed, such
    as that of a suspended machine, and a process that starts while a deleted Lease is missing.

    Args:
        identity: names this process and no other, so with a part that is new at each start.
        lease_duration: seconds that others wait for a silent holder, rounded up in the Lease.
        renew_deadline: seconds that this process leads without a renewal.
        retry_period: seconds between two tries.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        namespace: str,
        name: str,
        identity: str,
        lease_duration: float = 15.0,
        renew_deadline: float = 10.0,
        retry_period: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 < retry_period < renew_deadline < lease_duration:
            raise ValueError("the retry period must be below the renew deadline, and that below the lease duration")
        self._connection = connection
        self._folder = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._namespace = namespace
        self._name = name
        self._me = identity
        self._lease_duration = lease_duration
        self._renew_deadline = renew_deadline
        self._retry_period = retry_period
        self._request_timeout = (renew_deadline - retry_period) / 2
        self._clock = clock
        self._sighting: Sighting | None = None
        self._valid_until = NOBODY
        self._named = False
        """Whether this process' name may stand in the Lease."""
        self._released = False

    def valid_until(self) -> float:
        """Return the moment on the monotonic clock (seconds) up to which this process leads for sure."""
        return self._valid_until

    async def acquire(
        self, stopping: asyncio.Event | None = None, report: Callable[[str | None], None] = lambda _: None
    ) -> bool:
        """Wait until this process leads; return False if `stopping` was set first.

        Outages and refusals are waited out, and logged when they change. A try that is under way is never cut, so that
        `release` finds what came of it.

        Args:
            stopping: ends the waiting.
            report: told after each try what keeps this process from ever leading, or None.
        """
        stopping = stopping or asyncio.Event()
        said = ""
        while not stopping.is_set():
            try:
                step = await self._try(self._request_timeout, fresh=True)
            except NotRenewedError as error:
                news, level = f"the lease {self._namespace}/{self._name} can't be taken: {error}", logging.WARNING
                report(news)
            else:
                news, level = f"waiting for the lease {self._namespace}/{self._name}", logging.INFO
                report(None)
                if not isinstance(step, Wait):
                    _log.info("%s leads by the lease %s/%s", self._me, self._namespace, self._name)
                    return True
            if news != said:
                _log.log(level, "%s", news)
                said = news
            # A little sooner than asked, so that a released lease is taken within the period.
            pause = self._retry_period * random.uniform(0.8, 1.0)  # noqa: S311 - spreads tries, no secret
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause)
        return False

    async def keep(self) -> None:
        """Renew the lease; return when it is lost, at the latest when `valid_until` has passed."""
        why, fresh = "its time ran out", False
        while (left := self._valid_until - self._clock()) > 0:
            await asyncio.sleep(min(self._retry_period, left))
            left = self._valid_until - self._clock()
            if left <= 0:
                break
            try:
                step = await self._try(min(self._request_timeout, left), fresh=fresh)
            except NotRenewedError as error:
                why, fresh = str(error), True
                _log.info("the lease %s/%s was not renewed: %s", self._namespace, self._name, error)
                continue
            if not isinstance(step, Wait):
                fresh = False
                if isinstance(step, Create):
                    _log.warning("the lease %s/%s was deleted; it is made again", self._namespace, self._name)
                continue
            why = "another process has taken it"
            break
        self._valid_until = NOBODY
        if not self._released:
            _log.error("%s has lost the lease %s/%s: %s", self._me, self._namespace, self._name, why)

    async def release(self) -> None:
        """Stop leading and let a successor in at once, if the lease is still ours. A failure is logged, not raised.

        Call it when all work has ended, or when `acquire` has returned False; `keep` then returns or may be cancelled.
        """
        self._released = True
        self._valid_until = NOBODY
        if not self._named:
            return
        for _ in range(2):  # a renewal that was under way may come between
            try:
                record = await self._read(self._request_timeout)
                if record is None or record.holder != self._me:
                    return
                spec = {"holderIdentity": "", "renewTime": format_micro_time(time.time())}
                await self._write("PATCH", f"/{self._name}", _body(spec, record), self._request_timeout)
            except NotRenewedError as error:
                _log.info("the lease %s/%s was not released: %s", self._namespace, self._name, error)
            else:
                _log.info("%s has released the lease %s/%s", self._me, self._namespace, self._name)
                return

    async def _try(self, timeout: float, *, fresh: bool) -> Create | Take | Renew | Wait:  # noqa: ASYNC109 - see `Connection`
        """Take one step; where that is a successful write, this process leads from the start of that request on.

        Args:
            timeout: seconds for all of it.
            fresh: read the Lease first, in place of trusting what the last write returned.
        """
        deadline = self._clock() + timeout
        if fresh or self._sighting is None:
            record = await self._read(timeout)
            self._sighting = look(self._sighting, record, self._clock())
        leading = self._valid_until != NOBODY
        step = decide_step(self._sighting, self._me, self._lease_duration, self._clock(), leading=leading)
        if isinstance(step, Wait):
            return step
        started = self._clock()
        left = max(deadline - started, 0.01)
        spec = lease_spec(step, self._me, self._lease_duration, format_micro_time(time.time()))
        self._named = True
        if isinstance(step, Create):
            stored = await self._write("POST", "", _body(spec, None, self._name), left)
        else:
            stored = await self._write("PATCH", f"/{self._name}", _body(spec, step.record), left)
        self._sighting = look(self._sighting, stored, self._clock())
        if not self._released:
            self._valid_until = started + self._renew_deadline
        return step

    async def _read(self, timeout: float) -> Record | None:  # noqa: ASYNC109 - see `Connection`
        answer = await self._ask("GET", f"/{self._name}", timeout)
        return None if answer.gone else self._record(answer)

    async def _write(self, method: str, tail: str, body: Mapping[str, Any], timeout: float) -> Record:  # noqa: ASYNC109 - see `Connection`
        return self._record(
            await self._ask(method, tail, timeout, body), missing=_NO_NAMESPACE if method == "POST" else ""
        )

    async def _ask(self, method: str, tail: str, timeout: float, body: Mapping[str, Any] | None = None) -> Answer:  # noqa: ASYNC109 - see `Connection`
        # Not PUT: aiohttp would repeat it on its own when the connection breaks.
        content_type = MERGE_PATCH if method == "PATCH" else JSON
        try:
            return await self._connection.request(
                method, f"{self._folder}{tail}", body, content_type=content_type, timeout=timeout
            )
        except RequestError as error:
            raise NotRenewedError(str(error)) from None

    def _record(self, answer: Answer, *, missing: str = "") -> Record:
        if not answer.ok:
            hint = {403: _NO_RIGHTS, 404: missing}.get(answer.status, "")
            raise NotRenewedError(self._connection.explain(answer) + hint)
        try:
            return parse_record(answer.body)
        except (KeyError, TypeError, AttributeError):
            raise NotRenewedError("the API server's answer is no Lease") from None


class NoElection:
    """`Leadership` where leader election is off: this process is told that it is the only one."""

    def valid_until(self) -> float:
        """Return a moment that never comes."""
        return math.inf


def _body(spec: Mapping[str, Any], record: Record | None, name: str | None = None) -> dict[str, Any]:
    metadata = {"resourceVersion": record.version} if record else {"name": name}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": dict(spec)}
