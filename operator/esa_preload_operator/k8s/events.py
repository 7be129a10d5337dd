"""Events that people see in `kubectl describe`, by the API events.k8s.io/v1."""

import asyncio
import contextlib
import hashlib
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from esa_preload_operator.domain.cleaning import cut, format_micro_time, printable
from esa_preload_operator.domain.line import Line
from esa_preload_operator.domain.ports import Involved
from esa_preload_operator.k8s.connection import JSON, MERGE_PATCH, Answer, Connection, RequestError
from esa_preload_operator.k8s.event_limits import EventLimits
from esa_preload_operator.resources.job import API_VERSION, KIND

CONTROLLER: Final = "esa-preload-operator"
ACTION: Final = "Reconcile"
NOTE_BYTES: Final = 1024
SERIES_SECONDS: Final = 3600.0
"""As long as the API server keeps an Event by default; later the same one is news again."""
REMEMBERED: Final = 2048
WAITING: Final = 4096
"""Events that wait to be posted; beyond that the oldest one of the namespace with the most is dropped."""
_LOG_EVERY: Final = 60.0

_Key = bytes
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Waiting:
    """An Event that is not posted yet, and how often it has happened meanwhile."""

    involved: Involved
    kind: str
    reason: str
    note: str
    first: float
    last: float
    times: int = 1


@dataclass(slots=True)
class _Posted:
    """An Event that the API server has, and how often it has happened so far."""

    name: str
    count: int
    at: float


class EventRecorder:
    """`EventLog` over the raw API: `post` only notes an Event, and `run` posts what was noted, one after the other.

    An Event that equals one of the last hour is counted up in its `series`, see Kubernetes API, events.k8s.io/v1 Event.
    """

    def __init__(
        self,
        connection: Connection,
        instance: str,
        *,
        timeout: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        on_drop: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the connection, the name of this process (its pod) and the seconds that one request may last."""
        self._connection = connection
        self._instance = (instance or CONTROLLER)[:128]
        self._timeout = timeout
        self._clock = clock
        self._on_drop = on_drop
        self._limits = EventLimits(clock)
        self._outbox: Line[_Key, _Waiting] = Line()
        self._posted: OrderedDict[_Key, _Posted] = OrderedDict()
        self._news = asyncio.Event()
        self._one = asyncio.Lock()
        self._failing = False
        self._pause = 0.0
        """Seconds of the last Retry-After, before the next Event."""
        self._logged_at = -_LOG_EVERY

    def post(self, involved: Involved, reason: str, message: str, *, warning: bool) -> None:
        """Have an Event posted soon, or counted up if the same one was; beyond the limits it is dropped."""
        kind = "Warning" if warning else "Normal"
        note = cut(printable(message), NOTE_BYTES)
        namespace = involved.ref.namespace
        key = hashlib.sha256(repr((involved.uid, kind, str(reason), note)).encode()).digest()
        now = time.time()
        waiting = self._outbox.get(namespace, key)
        if waiting is not None:
            waiting.item.times += 1
            waiting.item.last = now
        elif not self._limits.allow(namespace, involved.uid):
            posted = self._recent(key)
            if posted is None:
                self._drop(involved, "there were too many")
            else:
                posted.count += 1  # shown by the next one that is allowed
        else:
            self._outbox.join(namespace, key, _Waiting(involved, kind, str(reason), note, now, now))
            if len(self._outbox) > WAITING:
                dropped = self._outbox.longest()
                self._outbox.leave(dropped)
                self._drop(dropped.item.involved, "the API server is too slow")
            self._news.set()

    async def run(self) -> None:
        """Post what is noted, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            more = True
            while more:
                more = await self._post_next()
                await asyncio.sleep(self._pause)

    async def drain(self, timeout: float) -> None:  # noqa: ASYNC109 - what is left at the end of the process is lost
        """Post what is noted by now, for so many seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while await self._post_next():
                    pass

    async def _post_next(self) -> bool:
        async with self._one:
            place = self._outbox.first()
            if place is None:
                return False
            self._outbox.take(place)
            try:
                await self._deliver(place.key, place.item)
            except Exception:  # noqa: BLE001 - an Event that can't be posted must not keep the others from being posted
                _log.exception("%s: an Event could not be posted", place.item.involved.ref)
            return True

    async def _deliver(self, key: _Key, event: _Waiting) -> None:
        posted = self._recent(key)
        if posted is not None and await self._count(event, posted):
            self._posted.move_to_end(key)
            return
        body = self._event(event)
        answer = await self._request(event.involved, "POST", "", body, JSON)
        if answer is not None and answer.ok:
            self._posted[key] = _Posted(body["metadata"]["name"], event.times, self._clock())
            self._posted.move_to_end(key)
            while len(self._posted) > REMEMBERED:
                self._posted.popitem(last=False)

    def _recent(self, key: _Key) -> _Posted | None:
        posted = self._posted.get(key)
        return posted if posted is not None and self._clock() - posted.at < SERIES_SECONDS else None

    async def _count(self, event: _Waiting, posted: _Posted) -> bool:
        """Return whether the Event is dealt with: only one that is gone is posted anew."""
        posted.count += event.times
        body = {"series": _series(posted.count, event.last)}
        answer = await self._request(
            event.involved, "PATCH", f"/{posted.name}", body, MERGE_PATCH, missing_is_fine=True
        )
        if answer is not None and answer.gone:
            return False
        if answer is not None and answer.ok:
            posted.at = self._clock()
        return True

    async def _request(
        self, involved: Involved, method: str, tail: str, body: Any, kind: str, *, missing_is_fine: bool = False
    ) -> Answer | None:
        path = f"/apis/events.k8s.io/v1/namespaces/{involved.ref.namespace}/events{tail}"
        try:
            answer = await self._connection.request(method, path, body, content_type=kind, timeout=self._timeout)
        except RequestError as error:
            self._report(involved, str(error))
            return None
        self._pause = answer.retry_after or 0.0
        if answer.ok:
            self._failing = False
        elif not (answer.gone and missing_is_fine):
            self._report(involved, answer.explanation)
        return answer

    def _report(self, involved: Involved, why: str) -> None:
        # Once per outage: thousands of resources may have something to say meanwhile.
        level = logging.DEBUG if self._failing else logging.WARNING
        _log.log(level, "%s: an Event could not be posted: %s", involved.ref, why)
        self._failing = True

    def _drop(self, involved: Involved, why: str) -> None:
        self._on_drop()
        if self._clock() - self._logged_at >= _LOG_EVERY:
            self._logged_at = self._clock()
            _log.warning("%s: Events are dropped, because %s", involved.ref, why)

    def _event(self, event: _Waiting) -> dict[str, Any]:
        ref = event.involved.ref
        name = f"{ref.name[:236].rstrip('-.')}.{secrets.token_hex(8)}"
        series = {"series": _series(event.times, event.last)} if event.times > 1 else {}
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": ref.namespace},
            "eventTime": format_micro_time(event.first),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "action": ACTION,
            "reason": event.reason,
            "type": event.kind,
            "note": event.note,
            **series,
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "namespace": ref.namespace,
                "name": ref.name,
                "uid": event.involved.uid,
                "resourceVersion": event.involved.version,
            },
        }


def _series(count: int, last: float) -> dict[str, Any]:
    return {"count": count, "lastObservedTime": format_micro_time(last)}
