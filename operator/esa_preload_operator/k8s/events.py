"""Events that people see in `kubectl describe`, by the API events.k8s.io/v1."""

import hashlib
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from esa_preload_operator.domain.cleaning import cut, format_micro_time
from esa_preload_operator.domain.errors import Reason
from esa_preload_operator.k8s.connection import JSON, MERGE_PATCH, Answer, Connection, RequestError
from esa_preload_operator.resources.job import API_VERSION, KIND, ScheduledPreloadJob

CONTROLLER: Final = "esa-preload-operator"
ACTION: Final = "Reconcile"
NOTE_BYTES: Final = 1024
SERIES_SECONDS: Final = 3600.0
"""As long as the API server keeps an Event by default; later the same one is news again."""
REMEMBERED: Final = 2048

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Posted:
    name: str
    count: int
    at: float


class EventRecorder:
    """`EventLog` over the raw API: one request per Event, nothing is queued.

    An Event that equals one of the last hour is counted up in its `series`, see Kubernetes API, events.k8s.io/v1 Event.
    """

    def __init__(
        self,
        connection: Connection,
        instance: str,
        *,
        timeout: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the connection, the name of this process (its pod) and the seconds that one request may last."""
        self._connection = connection
        self._instance = (instance or CONTROLLER)[:128]
        self._timeout = timeout
        self._clock = clock
        self._posted: OrderedDict[bytes, _Posted] = OrderedDict()
        self._failing = False

    async def post(self, job: ScheduledPreloadJob, reason: Reason, message: str, *, warning: bool) -> None:
        """Post an Event, or count it up if the same one was posted before. Never raises: an Event is no promise."""
        kind = "Warning" if warning else "Normal"
        note = cut(message, NOTE_BYTES)
        key = hashlib.sha256(repr((job.metadata.uid, kind, reason.value, note)).encode()).digest()
        posted = self._posted.get(key)
        if posted is not None and self._clock() - posted.at < SERIES_SECONDS and await self._count(job, posted):
            self._posted.move_to_end(key)
            return
        event = self._event(job, reason.value, kind, note)
        answer = await self._request(job, "POST", "", event, JSON)
        if answer is not None and answer.ok:
            self._posted[key] = _Posted(event["metadata"]["name"], 1, self._clock())
            self._posted.move_to_end(key)
            while len(self._posted) > REMEMBERED:
                self._posted.popitem(last=False)

    async def _count(self, job: ScheduledPreloadJob, posted: _Posted) -> bool:
        """Return whether the Event is dealt with: only one that is gone is posted anew."""
        body = {"series": {"count": posted.count + 1, "lastObservedTime": format_micro_time(time.time())}}
        answer = await self._request(job, "PATCH", f"/{posted.name}", body, MERGE_PATCH, missing_is_fine=True)
        if answer is not None and answer.gone:
            return False
        if answer is not None and answer.ok:
            posted.count += 1
            posted.at = self._clock()
        return True

    async def _request(
        self, job: ScheduledPreloadJob, method: str, tail: str, body: Any, kind: str, *, missing_is_fine: bool = False
    ) -> Answer | None:
        path = f"/apis/events.k8s.io/v1/namespaces/{job.metadata.namespace}/events{tail}"
        try:
            answer = await self._connection.request(method, path, body, content_type=kind, timeout=self._timeout)
        except RequestError as error:
            self._complain(job, str(error))
            return None
        if answer.ok:
            self._failing = False
        elif not (answer.gone and missing_is_fine):
            self._complain(job, answer.explanation)
        return answer

    def _complain(self, job: ScheduledPreloadJob, why: str) -> None:
        # Once per outage: thousands of resources may have something to say meanwhile.
        level = logging.DEBUG if self._failing else logging.WARNING
        _log.log(level, "%s/%s: an Event could not be posted: %s", job.metadata.namespace, job.metadata.name, why)
        self._failing = True

    def _event(self, job: ScheduledPreloadJob, reason: str, kind: str, note: str) -> dict[str, Any]:
        meta = job.metadata
        name = f"{meta.name[:236].rstrip('-.')}.{secrets.token_hex(8)}"
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": meta.namespace},
            "eventTime": format_micro_time(time.time()),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "action": ACTION,
            "reason": reason,
            "type": kind,
            "note": note,
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "namespace": meta.namespace,
                "name": meta.name,
                "uid": meta.uid,
                "resourceVersion": meta.resource_version,
            },
        }
