"""The steps of the reset protocol in the plainest way, for comparison: look, intent, call, outcome, Event.

kopf's event handler feeds a queue with 16 workers; each write carries the version that it replaces, and older events
are ignored. What a crash leaves behind, a lost answer, an election and all else but the good case are left out.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from typing import Any, Final

import kopf

from esa_preload_operator.domain.cleaning import format_micro_time, format_time
from esa_preload_operator.domain.errors import Reason
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.ports import Involved, ObjectRef
from esa_preload_operator.domain.status import progress
from esa_preload_operator.esa.client import EsaClient
from esa_preload_operator.esa.credentials import Credentials
from esa_preload_operator.esa.throttle import Throttle
from esa_preload_operator.esa.transport import Connections
from esa_preload_operator.k8s.connection import Connection, connect
from esa_preload_operator.k8s.events import EventRecorder
from esa_preload_operator.resources.job import GROUP, PLURAL, RESET_KEY, VERSION

JSON_PATCH: Final = "application/json-patch+json"


class Prototype:
    """The queue, what is known of each resource, and the steps of one reset."""

    def __init__(self, connection: Connection, esa: EsaClient) -> None:
        self._connection = connection
        self._esa = esa
        self.events = EventRecorder(connection, "prototype")
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._bodies: dict[str, Mapping[str, Any]] = {}
        self._versions: dict[str, int] = {}
        self._busy: set[str] = set()

    def see(self, body: Mapping[str, Any]) -> None:
        """Put a resource into the queue, unless something newer is known."""
        name = body["metadata"]["name"]
        if self._is_new(body):
            if name not in self._bodies and name not in self._busy:
                self._queue.put_nowait(name)
            self._bodies[name] = body

    async def work(self) -> None:
        """Work on one resource after the other."""
        while True:
            name = await self._queue.get()
            self._busy.add(name)
            while name in self._bodies:
                body = self._bodies.pop(name)
                if self._is_new(body):
                    await self._reset(body)
            self._busy.discard(name)

    def _is_new(self, body: Mapping[str, Any]) -> bool:
        return int(body["metadata"]["resourceVersion"]) > self._versions.get(body["metadata"]["name"], 0)

    async def _reset(self, body: Mapping[str, Any]) -> None:
        token = body["metadata"].get("annotations", {}).get(RESET_KEY)
        status = body.get("status", {})
        if not token or status.get("handledResets", {}).get(RESET_KEY) == token:
            return
        job_id = body["spec"]["jobId"]
        job = await self._esa.get_job(job_id)
        intent = {
            "phase": "InFlight",
            "jobId": job_id,
            "tokens": {RESET_KEY: token},
            "trigger": "Annotation",
            "owner": "prototype",
            "startedAt": format_micro_time(time.time()),
            "submittedBefore": job.url_submitted,
            "attempts": 1,
        }
        body = await self._store(body, {**status, **shown(body, job, busy=True), "reset": intent})
        job = await self._esa.reset_job(job_id, lambda: True)
        done = {**intent, "phase": "Succeeded", "finishedAt": format_time(time.time()), "requestId": job.request_id}
        outcome = {"reset": done, "handledResets": {RESET_KEY: token}, "lastResetTime": done["finishedAt"]}
        body = await self._store(body, {**status, **shown(body, job, busy=False), **outcome})
        message = f"ESA job {job_id} was reset"
        meta = body["metadata"]
        involved = Involved(ObjectRef(meta["namespace"], meta["name"]), meta["uid"], meta["resourceVersion"])
        self.events.post(involved, Reason.RESET_SUCCEEDED, message, warning=False)

    async def _store(self, body: Mapping[str, Any], status: Mapping[str, Any]) -> Mapping[str, Any]:
        meta = body["metadata"]
        patch = [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]},
            {"op": "add", "path": "/status", "value": status},
        ]
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{meta['namespace']}/{PLURAL}/{meta['name']}/status"
        answer = await self._connection.request("PATCH", path, patch, content_type=JSON_PATCH)
        if not answer.ok:
            raise RuntimeError(answer.explanation)
        stored: Mapping[str, Any] = answer.body
        self._versions[meta["name"]] = int(stored["metadata"]["resourceVersion"])
        return stored


def shown(body: Mapping[str, Any], job: EsaJob, *, busy: bool) -> dict[str, Any]:
    """Return the fields of ESA's answer and the conditions, as many as the operator writes."""
    generation, now = body["metadata"]["generation"], format_time(time.time())
    truths = {"Ready": True, "Reconciling": busy, "Stalled": False, "UrlsAccepted": True}
    return {
        "observedGeneration": generation,
        "requestId": job.request_id,
        "aliUid": job.ali_uid,
        "createdAt": job.created_at,
        "fileId": job.file_id,
        "jobId": job.id,
        "insertWay": job.insert_way,
        "name": job.name,
        "siteId": job.site_id,
        "taskSubmitted": job.task_submitted,
        "taskType": job.task_type,
        "urlCount": job.url_count,
        "urlSubmitted": job.url_submitted,
        "progress": progress(job),
        "refreshedAt": now,
        "conditions": [
            {
                "type": kind,
                "status": str(truth),
                "observedGeneration": generation,
                "lastTransitionTime": now,
                "reason": "Ready",
                "message": f"ESA job {job.id} can be reset" if kind == "Ready" else "",
            }
            for kind, truth in truths.items()
        ],
    }


@kopf.on.startup()
async def start(memo: Any, settings: kopf.OperatorSettings, **_: Any) -> None:
    """Connect to ESA and the API server, and start the workers."""
    settings.posting.enabled = False
    settings.queueing.idle_timeout = 0.05
    settings.persistence.consistency_timeout = 0
    connections = Connections(os.environ["BENCH_ENDPOINT"], request_timeout=10)
    credentials = Credentials(os.environ["BENCH_KEY_ID"], os.environ["BENCH_KEY_SECRET"])
    memo.prototype = Prototype(await connect(), EsaClient(credentials, connections, Throttle(1e9)))
    memo.workers = [asyncio.create_task(memo.prototype.work()) for _ in range(16)]
    memo.events = asyncio.create_task(memo.prototype.events.run())


@kopf.on.event(GROUP, VERSION, PLURAL)
async def see(event: kopf.RawEvent, memo: Any, **_: Any) -> None:
    """Hand over what the watch delivers."""
    if event["type"] != "DELETED":
        memo.prototype.see(event["object"])
