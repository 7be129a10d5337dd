"""A resource in memory and processes that play the reset protocol on it, one step at a time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar

from esa_preload_operator.domain.cleaning import parse_time
from esa_preload_operator.domain.conditions import Finding, State, judged, with_effective, with_urls
from esa_preload_operator.domain.errors import Delivery, ErrorClass, Problem, Reason
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.local import LocalState
from esa_preload_operator.domain.plan import advance
from esa_preload_operator.domain.status import made_a_reset, merged
from esa_preload_operator.domain.steps import Ask, Call, Conflicted, Input, Observed, Returned, Step, Stored, Write
from esa_preload_operator.domain.values import Moment, Rules
from esa_preload_operator.domain.view import Shown, View
from esa_preload_operator.resources.job import RESET_KEY

WALL = 1_800_000_000.0
"""Epoch seconds at which the monotonic clock stands at 0."""
CREATED = WALL - 86_400.0

S = TypeVar("S", bound=Step)


def problem(
    code: str = "TooManyRequests", error_class: ErrorClass = ErrorClass.TRANSIENT, delivery: Delivery = Delivery.REFUSED
) -> Problem:
    """An error as ESA's adapter reports it."""
    return Problem(
        code=code, message="said so", error_class=error_class, reason=_REASONS[error_class], delivery=delivery
    )


_REASONS = {
    ErrorClass.TRANSIENT: Reason.SERVICE_UNAVAILABLE,
    ErrorClass.BLOCKED: Reason.ACCESS_DENIED,
    ErrorClass.TERMINAL: Reason.JOB_NOT_FOUND,
}


LOST = problem("Timeout", delivery=Delivery.UNKNOWN)
NOT_FOUND = problem("InvalidJob.NotFound", error_class=ErrorClass.TERMINAL)


def job(url_submitted: int = 0, job_id: str = "J1") -> EsaJob:
    """A job as ESA tells about it."""
    return EsaJob(id=job_id, url_count=2, url_submitted=url_submitted, request_id="R1")


def ready(job_id: str = "J1") -> Shown:
    """What the status of a resource shows whose job was seen to work."""
    says = Finding(State.READY, Reason.READY, f"ESA job {job_id} can be reset")
    return Shown(EsaJob(job_id, site_id=1), conditions=tuple(judged((), says, 1, "")))


def after(view: View, write: Write) -> View:
    """The view of what the API server keeps after a write."""
    shown = view.shown
    conditions = list(shown.conditions)
    if write.finding is not None:
        conditions = judged(conditions, write.finding, view.generation, "")
    if write.job is not None:
        told = merged(shown.job, write.job, view.job_id)
        conditions = with_urls(conditions, told, view.generation, "")
        shown = replace(shown, job=told)
    if write.effective is not None:
        conditions = with_effective(conditions, write.effective, view.generation, "")
    observed = view.generation if write.finding is not None else view.observed
    last = parse_time(write.reset.finished_at) if made_a_reset(write) and write.reset is not None else view.last_reset
    return replace(
        view,
        version=view.version + 1,
        reset=write.reset,
        handled=write.handled,
        newest=write.newest,
        observed=observed,
        last_reset=last,
        shown=replace(shown, conditions=tuple(conditions)),
    )


@dataclass
class Resource:
    """The resource as the API server keeps it."""

    view: View = field(
        default_factory=lambda: View(
            uid="u", version=1, job_id="J1", generation=1, observed=1, created=CREATED, shown=ready()
        )
    )

    def edit(self, **changes: object) -> None:
        """Change fields of the view, or none: a label."""
        self.view = replace(self.view, version=self.view.version + 1, **changes)  # type: ignore[arg-type]

    def change_spec(self) -> None:
        """Change the spec in some way that no field of the view shows."""
        self.edit(generation=self.view.generation + 1)

    def ask(self, token: str = "A", key: str = RESET_KEY) -> None:
        """Set the annotation; an empty token removes it."""
        asked = dict(self.view.asked) | {key: token}
        self.edit(asked=tuple(sorted(entry for entry in asked.items() if entry[1])))

    def take(self, write: Write) -> Input:
        """Store a status if the version is still the one that the writer saw."""
        if write.view.version != self.view.version:
            return Conflicted()
        self.view = after(self.view, write)
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


def sent(process: Process, resource: Resource, submitted: int = 1) -> Call:
    """Bring a process from a new request to the call."""
    expect(Ask, process.sees(resource))
    return expect(Call, process.writes(resource, process.on(Returned(job(submitted)))))
