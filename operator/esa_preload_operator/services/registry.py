"""What is remembered of each resource while it is idle: a small record, never its body."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from esa_preload_operator.domain.esa import ListedJob
from esa_preload_operator.domain.identity import UID, maker_of
from esa_preload_operator.domain.local import LocalState
from esa_preload_operator.domain.ports import EsaAccount, ObjectRef
from esa_preload_operator.domain.steps import Ask, LookFirst, Step, Told, Write
from esa_preload_operator.domain.tokens import asked_tokens
from esa_preload_operator.domain.view import View
from esa_preload_operator.services.counting import AT_REST, Tally
from esa_preload_operator.services.tombstones import Tombstones

_NEW = LocalState()


@dataclass(slots=True)
class SiteList:
    """A list of a site that answers the looks of those who waited when it began."""

    began: float
    """On the monotonic clock."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    jobs: Mapping[str, ListedJob] = field(default_factory=dict)
    """By their ids, once it has ended; none if it has failed."""


@dataclass(slots=True)
class TrackedResource:
    """One resource. Everything here may be lost in a crash."""

    ref: ObjectRef
    uid: str
    created: float
    job_id: str
    version: int = 0
    """The newest version that was seen or written; older events are ignored (read your writes)."""
    seen_at: float = 0.0
    """When that version was seen first, on the monotonic clock."""
    local: LocalState = _NEW
    told: tuple[Told, ...] = ()
    """Facts that the next turn takes in."""
    decided: tuple[View, Step] | None = None
    """The step that the newest event asks for, until a worker takes it."""
    in_line: tuple[View, Step] | None = None
    """The step that waits for its turn under the account's rate."""
    line: EsaAccount | None = None
    """The account in whose line it stands."""
    listed: SiteList | None = None
    """The list that answers its look."""
    waits_among: "dict[ObjectRef, TrackedResource] | None" = None
    """Those whose looks no list answers yet, while it is one of them."""
    gone: bool = False
    """The object was deleted, or made anew."""
    busy: bool = False
    """A worker has it."""
    writing: tuple[View, Mapping[str, Any]] | None = None
    """The status that is being written, and to what; the watch may show it before the answer comes."""
    unannounced: Write | None = None
    """A write whose answer was lost: if it was stored after all, its Event and its count are still due."""
    confirmed: bool = False
    """ESA has shown the job to this resource's own credentials."""
    creates: bool = False
    """The operator creates the job for this resource."""
    source: str = ""
    """Name of the ConfigMap with its list of URLs; "" for none."""
    tally: Tally = AT_REST
    """What /metrics tells of it."""

    @property
    def secret(self) -> str | None:
        """Name of the Secret with the credentials, as the newest version that was judged says; None for no Secret."""
        return self.local.seen.secret

    @property
    def looks_next(self) -> bool:
        """Whether the step that waits in line is a look at the job."""
        return (
            self.in_line is not None
            and isinstance(self.in_line[1], Ask)
            and isinstance(self.in_line[1].query, LookFirst)
        )

    @property
    def still_waits(self) -> bool:
        """Whether the resource is the one that lined up: one that has changed since may need no turn any more."""
        return self.in_line is None or self.in_line[0].version == self.version

    @property
    def seniority(self) -> tuple[bool, bool, float, str]:
        """What decides between several resources about one job.

        First the one that it was created for, then those that ESA has shown it to, of these the oldest.
        """
        return not self.creates, not self.confirmed, self.created, self.uid

    def saw(self, version: int, now: float) -> None:
        """Note that a version was seen or written, at a moment on the monotonic clock."""
        if version > self.version:
            self.version, self.seen_at = version, now

    def leave_line(self) -> None:
        """Wait no longer under the rate of any account; a turn that was given goes to the next."""
        line, self.line = self.line, None
        self.leave_looks()
        if line is not None:
            line.withdraw(self.ref)

    def leave_looks(self) -> None:
        """Wait no longer for a list that answers its look."""
        among, self.waits_among, self.listed = self.waits_among, None, None
        if among is not None:
            among.pop(self.ref, None)

    def take(self, seen: View | None) -> tuple[tuple[View, Step] | None, tuple[Told, ...]]:
        """Return the step that was decided for `seen`, or that has waited in line, and the facts to take in first.

        A step counts only while no newer version was seen or written.
        """
        decided, self.decided = self.decided, None
        in_line, self.in_line = self.in_line, None
        told, self.told = self.told, ()
        ready: tuple[View, Step] | None = decided if decided is not None and decided[0] is seen else None
        if seen is None:
            ready = in_line
        return (ready if ready is not None and ready[0].version == self.version else None), told

    def is_writing(self, body: Mapping[str, Any]) -> bool:
        """Return whether an object shows just what is being written, so that it is no news."""
        if self.writing is None or body.get("status") != self.writing[1]:
            return False
        view, meta = self.writing[0], body["metadata"]
        asked = asked_tokens(meta.get("annotations") or {})
        found = meta.get("generation"), meta.get("deletionTimestamp") is not None, asked
        return found == (view.generation, view.deleting, view.asked)


@dataclass(slots=True)
class Registry:
    """All resources, found by name and by the job that they are about."""

    tombstones: Tombstones = field(default_factory=Tombstones)
    _by_ref: dict[ObjectRef, TrackedResource] = field(default_factory=dict)
    _owners: dict[str, TrackedResource] = field(default_factory=dict)
    """Of each job the resource that acts."""
    _rivals: dict[str, dict[ObjectRef, TrackedResource]] = field(default_factory=dict)
    """Of each job that several resources are about all of them."""
    _makers: dict[str, TrackedResource] = field(default_factory=dict)
    """Resources for which jobs are created, by the beginning of their uid."""

    def __iter__(self) -> Iterator[TrackedResource]:
        """Return all resources, in no order."""
        return iter(tuple(self._by_ref.values()))

    def __len__(self) -> int:
        """Count the resources."""
        return len(self._by_ref)

    def get(self, ref: ObjectRef) -> TrackedResource | None:
        """Return what is known of a resource."""
        return self._by_ref.get(ref)

    def put(self, tracked: TrackedResource) -> TrackedResource:
        """Remember a resource, in the place of one that had its name."""
        self.drop(tracked.ref)
        self._by_ref[tracked.ref] = tracked
        if tracked.creates:
            self._makers[tracked.uid[:UID]] = tracked
        self._claim(tracked)
        return tracked

    def move(self, tracked: TrackedResource, job_id: str) -> TrackedResource | None:
        """Let a resource be about another job; return the one that acts on its former job now, if it was its own."""
        acted = self._owners.get(tracked.job_id) is tracked
        former = tracked.job_id
        self._unclaim(tracked)
        tracked.job_id = job_id
        self._claim(tracked)
        return self._owners.get(former) if acted else None

    def maker_of(self, name: str | None) -> TrackedResource | None:
        """Return the resource that a job of this name was created for, if it exists."""
        return self._makers.get(maker_of(name))

    def _claim(self, tracked: TrackedResource) -> None:
        if not tracked.job_id:
            return
        owner = self._owners.setdefault(tracked.job_id, tracked)
        if owner is not tracked:
            self._rivals.setdefault(tracked.job_id, {owner.ref: owner})[tracked.ref] = tracked
            if tracked.seniority < owner.seniority:
                self._owners[tracked.job_id] = tracked

    def drop(self, ref: ObjectRef) -> TrackedResource | None:
        """Forget a resource; return what was known of it."""
        tracked = self._by_ref.pop(ref, None)
        if tracked is not None:
            self._unclaim(tracked)
            if self._makers.get(tracked.uid[:UID]) is tracked:
                del self._makers[tracked.uid[:UID]]
        return tracked

    def _unclaim(self, tracked: TrackedResource) -> None:
        if not tracked.job_id:
            return
        rivals = self._rivals.get(tracked.job_id)
        if rivals is None:
            del self._owners[tracked.job_id]
            return
        del rivals[tracked.ref]
        if self._owners[tracked.job_id] is tracked:
            self._owners[tracked.job_id] = min(rivals.values(), key=lambda other: other.seniority)
        if len(rivals) == 1:
            del self._rivals[tracked.job_id]

    def crd_incomplete(self) -> bool:
        """Return whether a write has come back without what was written."""
        return any(tracked.local.pruned for tracked in self._by_ref.values())

    def owner_of(self, job_id: str) -> TrackedResource | None:
        """Return the one resource that acts on a job."""
        return self._owners.get(job_id)

    def confirm(self, tracked: TrackedResource) -> TrackedResource | None:
        """Note that ESA has shown the job to a resource's credentials; return the owner that it replaces."""
        if tracked.confirmed or self._by_ref.get(tracked.ref) is not tracked:
            return None
        tracked.confirmed = True
        owner = self._owners.get(tracked.job_id)
        if owner is None or owner is tracked or owner.seniority < tracked.seniority:
            return None
        self._owners[tracked.job_id] = tracked
        return owner
