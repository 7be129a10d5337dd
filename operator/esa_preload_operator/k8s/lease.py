"""Leader election by a Lease, so that two processes never act at once."""

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from esa_preload_operator.domain.cleaning import format_micro_time
from esa_preload_operator.k8s.connection import MERGE_PATCH, Connection, RequestError
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
_log = logging.getLogger(__name__)


class NotRenewedError(Exception):
    """A try to write or read the Lease failed; the text says why."""


class Elector:
    """`Leadership` by one Lease: `await acquire()`, then run `keep()` beside the work, at the end `release()`.

    **Once `keep` returns the lease is lost, and the process must exit at once**: it does not lead again, and what it
    had begun belongs to its successor. Between two awaits only `valid_until` tells whether it still leads; it ends
    `renew_deadline` seconds after the *start* of the last successful renewal, while others wait `lease_duration`
    seconds after they have *seen* that renewal. Both are counted on monotonic clocks, wall clocks are never compared.
    What breaks this: clocks of very different speed, such as that of a suspended machine, and a Lease deleted by hand.

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
        self._released = False

    def valid_until(self) -> float:
        """Return the moment on the monotonic clock (seconds) up to which this process leads for sure."""
        return self._valid_until

    async def acquire(self) -> None:
        """Wait until this process leads. Outages and refusals are waited out, and logged when they change."""
        said = ""
        while True:
            try:
                step = await self._try(self._request_timeout, fresh=True)
            except NotRenewedError as error:
                news = f"the lease {self._namespace}/{self._name} can't be taken: {error}"
            else:
                if not isinstance(step, Wait):
                    _log.info("%s leads by the lease %s/%s", self._me, self._namespace, self._name)
                    return
                news = f"waiting for the lease {self._namespace}/{self._name}"
            if news != said:
                _log.info("%s", news)
                said = news
            # A little sooner than asked, so that a released lease is taken within the period.
            await asyncio.sleep(self._retry_period * random.uniform(0.8, 1.0))  # noqa: S311 - spreads tries, no secret

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
            if isinstance(step, Renew):
                fresh = False
                continue
            why = "another process has taken it"
            break
        self._valid_until = NOBODY
        if not self._released:
            _log.error("%s has lost the lease %s/%s: %s", self._me, self._namespace, self._name, why)

    async def release(self) -> None:
        """Stop leading and let a successor in at once, if the lease is still ours. A failure is logged, not raised.

        Call it when all work has ended; `keep` then returns or may be cancelled.
        """
        self._released = True
        self._valid_until = NOBODY
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
        step = decide_step(self._sighting, self._me, self._lease_duration, self._clock())
        if isinstance(step, Wait):
            return step
        if self._valid_until != NOBODY and not isinstance(step, Renew):
            return Wait(self._clock())  # who has led and finds the Lease without his name must not take it back
        started = self._clock()
        left = max(deadline - started, 0.01)
        spec = lease_spec(step, self._me, self._lease_duration, format_micro_time(time.time()))
        if isinstance(step, Create):
            stored = await self._write("POST", "", _body(spec, None, self._name), left)
        else:
            stored = await self._write("PATCH", f"/{self._name}", _body(spec, step.record), left)
        self._sighting = look(self._sighting, stored, self._clock())
        if not self._released:
            self._valid_until = started + self._renew_deadline
        return step

    async def _read(self, timeout: float) -> Record | None:  # noqa: ASYNC109 - see `Connection`
        try:
            answer = await self._connection.request("GET", f"{self._folder}/{self._name}", timeout=timeout)
        except RequestError as error:
            raise NotRenewedError(str(error)) from None
        if answer.gone:
            return None
        if not answer.ok:
            raise NotRenewedError(answer.explanation)
        return _parsed(answer.body)

    async def _write(self, method: str, tail: str, body: Mapping[str, Any], timeout: float) -> Record:  # noqa: ASYNC109 - see `Connection`
        try:
            answer = await self._connection.request(
                method,
                f"{self._folder}{tail}",
                body,
                # Not PUT: aiohttp would repeat it on its own when the connection breaks.
                content_type=MERGE_PATCH if method == "PATCH" else "application/json",
                timeout=timeout,
            )
        except RequestError as error:
            raise NotRenewedError(str(error)) from None
        if not answer.ok:
            raise NotRenewedError(answer.explanation)
        return _parsed(answer.body)


class NoElection:
    """`Leadership` where leader election is off: this process is told that it is the only one."""

    def valid_until(self) -> float:
        """Return a moment that never comes."""
        return math.inf


def _body(spec: Mapping[str, Any], record: Record | None, name: str | None = None) -> dict[str, Any]:
    metadata = {"resourceVersion": record.version} if record else {"name": name}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": dict(spec)}


def _parsed(body: Any) -> Record:
    try:
        return parse_record(body)
    except (KeyError, TypeError, AttributeError):
        raise NotRenewedError("the API server's answer is no Lease") from None
