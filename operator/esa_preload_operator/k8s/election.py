"""Who leads: decisions about a Lease as pure functions. No clock but the numbers that are given."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

LONGEST: Final = 3600.0
"""Seconds; a record that claims a lease for longer is not one of an elector."""

MOST_TRANSITIONS: Final = 2**31 - 1
"""What the API's int32 can hold; one more and the Lease could never be written again."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a Lease says, see Kubernetes API, coordination.k8s.io/v1 Lease. Wall-clock times in it are for people."""

    version: str
    holder: str
    duration: float | None
    """Seconds, or None where the record names no usable one."""
    transitions: int
    acquired: str | None


@dataclass(frozen=True, slots=True)
class Sighting:
    """Since when, on the reader's own monotonic clock in seconds, the Lease has looked like this."""

    record: Record
    since: float
    gone: bool = False
    """Whether the Lease was deleted since; `record` is what it said last."""


@dataclass(frozen=True, slots=True)
class Create:
    """There is no Lease: make one."""


@dataclass(frozen=True, slots=True)
class Take:
    """Nobody holds the Lease, or its holder has let it run out: write my name, conditional on this record's version."""

    record: Record


@dataclass(frozen=True, slots=True)
class Renew:
    """The Lease is mine: write it again, conditional on this record's version."""

    record: Record


@dataclass(frozen=True, slots=True)
class Wait:
    """Somebody else may hold the Lease up to this moment on the reader's monotonic clock."""

    until: float


Step = Create | Take | Renew | Wait


def parse_record(lease: Mapping[str, Any]) -> Record:
    """Read a Lease leniently: whatever is missing or strange there must not end the operator."""
    spec = lease.get("spec")
    spec = spec if isinstance(spec, Mapping) else {}
    duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    usable = isinstance(duration, int) and 0 < duration <= LONGEST
    return Record(
        version=str(lease["metadata"]["resourceVersion"]),
        holder=str(spec.get("holderIdentity") or ""),
        duration=float(duration) if usable and duration is not None else None,
        transitions=transitions if isinstance(transitions, int) and transitions >= 0 else 0,
        acquired=spec.get("acquireTime") if isinstance(spec.get("acquireTime"), str) else None,
    )


def look(before: Sighting | None, record: Record | None, now: float) -> Sighting | None:
    """Combine what was seen before with what is there at `now`: any write to the Lease starts its time anew.

    Comparing versions and not renewal times makes an unrelated write prolong the lease, never shorten it. Its deletion
    starts the time anew too, because the last holder may still lead.
    """
    if record is None:
        return before if before is None or before.gone else Sighting(before.record, now, gone=True)
    if before is not None and not before.gone and before.record.version == record.version:
        return replace(before, record=record)
    return Sighting(record, now)


def decide_step(sighting: Sighting | None, me: str, duration: float, now: float, *, leading: bool = False) -> Step:
    """Say what to do about the Lease.

    A process that has led (`leading`) renews its Lease, or makes it again after a deletion, but never takes one that
    bears another name or none: somebody else has led since. `duration` is the seconds that a holder is given whose
    record names no usable one; `now` is the reader's monotonic clock in seconds.
    """
    if sighting is None:
        return Create()
    record = sighting.record
    mine = record.holder == me
    until = sighting.since + (record.duration or duration)
    if sighting.gone:
        return Create() if (leading and mine) or (not leading and now >= until) else Wait(until)
    if mine:
        return Renew(record)
    if leading:
        return Wait(until)
    return Take(record) if not record.holder or now >= until else Wait(until)


def lease_spec(step: Create | Take | Renew, me: str, duration: float, wall_time: str) -> dict[str, Any]:
    """Return the spec that a step writes; `wall_time` is a MicroTime in UTC."""
    spec: dict[str, Any] = {
        "holderIdentity": me,
        "leaseDurationSeconds": math.ceil(duration),
        "renewTime": wall_time,
    }
    if isinstance(step, Renew) and step.record.acquired:
        return spec
    transitions = 0 if isinstance(step, Create) else min(step.record.transitions + 1, MOST_TRANSITIONS)
    return {**spec, "acquireTime": wall_time, "leaseTransitions": transitions}
