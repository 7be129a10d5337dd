"""What is remembered of each resource while it is idle: a small record, never its body."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from esa_preload_operator.domain.errors import Problem
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.domain.reset_values import LocalState, Write
from esa_preload_operator.resources.job import ScheduledPreloadJob, Status
from esa_preload_operator.services.tombstones import Tombstones

_IDLE = LocalState()


@dataclass(slots=True)
class TrackedResource:
    """One resource. Everything here may be lost in a crash."""

    ref: ObjectRef
    uid: str
    created: str
    job_id: str
    version: int = 0
    """The newest version that was seen or written; older events are ignored (read your writes)."""
    writing: tuple[ScheduledPreloadJob, Status] | None = None
    """What is being written, and to what; the watch may show it before the answer comes."""
    secret_name: str | None = None
    memory: LocalState = _IDLE
    unannounced: Write | None = None
    """A write whose answer was lost: if it was stored after all, its Event and its count are still due."""
    booked: float = 0.0
    """From when on, on the monotonic clock, the account's rate has room for the calls that were booked; 0 for none."""
    pending_refresh: EsaJob | None = None
    """What a refresh found and the status does not show yet."""
    needs_verification: bool = False
    """A refresh missed the job, or something failed: look at it again."""
    credentials_verified: bool = False
    """ESA has told about the job with these credentials, so that another change of the spec needs no look."""
    retry_at: float = 0.0
    failures: int = 0
    site_problem: Problem | None = None
    """Why the refresh of the resource's site fails, if its account's owner has to act."""

    def is_writing(self, body: Mapping[str, Any]) -> bool:
        """Say whether an object shows just what is being written, so that it tells nothing new."""
        if self.writing is None:
            return False
        job, status = self.writing
        meta = body["metadata"]
        found = (meta.get("generation"), meta.get("deletionTimestamp"), meta.get("annotations") or {})
        if found != (job.metadata.generation, job.metadata.deletion_timestamp, job.metadata.annotations):
            return False
        try:
            return Status.model_validate(body.get("status") or {}) == status
        except ValidationError:
            return False


@dataclass(slots=True)
class Registry:
    """All resources, found by name and by the job that they are about."""

    _by_ref: dict[ObjectRef, TrackedResource] = field(default_factory=dict)
    _by_job: dict[str, list[TrackedResource]] = field(default_factory=dict)
    tombstones: Tombstones = field(default_factory=Tombstones)

    def __iter__(self) -> Iterator[TrackedResource]:
        """All records, in no order."""
        return iter(tuple(self._by_ref.values()))

    def __len__(self) -> int:
        """Count the resources."""
        return len(self._by_ref)

    def get(self, ref: ObjectRef) -> TrackedResource | None:
        """Return the record of a resource."""
        return self._by_ref.get(ref)

    def put(self, record: TrackedResource) -> TrackedResource:
        """Remember a resource, in the place of one that had its name."""
        self.drop(record.ref)
        self._by_ref[record.ref] = record
        if record.job_id:
            self._by_job.setdefault(record.job_id, []).append(record)
        return record

    def drop(self, ref: ObjectRef) -> TrackedResource | None:
        """Forget a resource; return what was known of it."""
        record = self._by_ref.pop(ref, None)
        if record is not None and record.job_id:
            others = [other for other in self._by_job[record.job_id] if other is not record]
            if others:
                self._by_job[record.job_id] = others
            else:
                del self._by_job[record.job_id]
        return record

    def owner_of(self, job_id: str) -> TrackedResource | None:
        """Return the oldest resource about a job: it alone acts on it. Equal age is decided by the uid."""
        return min(self._by_job.get(job_id, ()), key=lambda record: (record.created, record.uid), default=None)

    def rivals_of(self, job_id: str) -> tuple[ObjectRef, ...]:
        """Return all resources about a job."""
        return tuple(record.ref for record in self._by_job.get(job_id, ()))
