"""A resource in memory and processes that play the reset protocol on it, one step at a time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar

from esa_preload_operator.domain.errors import Delivery, ErrorClass, Problem, Reason
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.reset import advance
from esa_preload_operator.domain.reset_values import (
    Conflicted,
    Input,
    LocalState,
    Look,
    Looked,
    Moment,
    Observed,
    Rules,
    Send,
    Step,
    Stored,
    View,
    Write,
)
from esa_preload_operator.resources.job import RESET_KEY

WALL = 1_800_000_000.0
"""Epoch seconds at which the monotonic clock stands at 0."""
CREATED = WALL - 86_400.0

S = TypeVar("S", bound=Step)


def problem(
    code: str = "TooManyRequests", error_class: ErrorClass = ErrorClass.TRANSIENT, delivery: Delivery = Delivery.REFUSED
) -> Problem:
    """An error as ESA's adapter reports it."""
    return Problem(code=code, message="said so", error_class=error_class, reason=Reason.ESA_ERROR, delivery=delivery)


LOST = problem("Timeout", delivery=Delivery.UNKNOWN)
NOT_FOUND = problem("InvalidJob.NotFound", error_class=ErrorClass.TERMINAL)


def job(url_submitted: int = 0, job_id: str = "J1") -> EsaJob:
    """A job as ESA tells about it."""
    return EsaJob(id=job_id, url_count=2, url_submitted=url_submitted, request_id="R1")


@dataclass
class Resource:
    """The resource as the API server keeps it."""

    view: View = field(default_factory=lambda: View(uid="u", version=1, job_id="J1", created=CREATED))

    def edit(self, **changes: object) -> None:
        """Change fields of the view, or none: a label."""
        self.view = replace(self.view, version=self.view.version + 1, **changes)  # type: ignore[arg-type]

    def ask(self, token: str = "A", key: str = RESET_KEY) -> None:
        """Set the annotation; an empty token removes it."""
        asked = dict(self.view.asked) | {key: token}
        self.edit(asked=tuple(sorted(entry for entry in asked.items() if entry[1])))

    def take(self, write: Write) -> Input:
        """Store a status if the version is still the one that the writer saw."""
        if write.view.version != self.view.version:
            return Conflicted()
        self.edit(record=write.record, handled=write.handled, changed=False)
        return Stored(self.view)


@dataclass
class Process:
    """One process with its memory."""

    name: str = "p0"
    memory: LocalState = field(default_factory=LocalState)
    rules: Rules = field(default_factory=lambda: Rules(owner="p0"))
    at: float = 0.0
    """The monotonic clock in seconds."""

    def __post_init__(self) -> None:
        self.rules = replace(self.rules, owner=self.name)

    def on(self, happened: Input) -> Step:
        """Tell the process what happened."""
        now = Moment(wall=WALL + self.at, monotonic=self.at)
        self.memory, step = advance(self.memory, happened, now, self.rules)
        return step

    def sees(self, resource: Resource | View, *, fresh: bool = False) -> Step:
        """Show the resource, or an older version of it."""
        return self.on(Observed(resource if isinstance(resource, View) else resource.view, fresh=fresh))

    def writes(self, resource: Resource, step: Step) -> Step:
        """Carry out a write."""
        assert isinstance(step, Write), step
        return self.on(resource.take(step))


def expect(kind: type[S], step: Step) -> S:
    """Return the step as what it has to be."""
    assert isinstance(step, kind), step
    return step


def sent(process: Process, resource: Resource, submitted: int = 1) -> Send:
    """Bring a process from a new request to the call."""
    expect(Look, process.sees(resource))
    return expect(Send, process.writes(resource, process.on(Looked(job(submitted)))))
