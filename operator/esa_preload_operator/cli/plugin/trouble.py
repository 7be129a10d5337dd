"""What is the matter with a job, in one word and a rank: what needs somebody comes first."""

import enum
from dataclasses import dataclass
from typing import Final

from esa_preload_operator.cli.plugin.jobs import Condition, Job
from esa_preload_operator.domain.errors import Reason
from esa_preload_operator.domain.hints import ignored_requests
from esa_preload_operator.domain.values import OPEN_PHASES, Phase


class Level(enum.IntEnum):
    """How much a job needs somebody; the least comes first."""

    STALLED = 0
    FAILED = 1
    BLOCKED = 2
    WARNED = 3
    UNSEEN = 4
    RETRIED = 5
    BUSY = 6
    HELD = 7
    RESTING = 8
    FINE = 9


STYLE: Final = {
    Level.STALLED: "bad",
    Level.FAILED: "bad",
    Level.BLOCKED: "bad",
    Level.WARNED: "busy",
    Level.UNSEEN: "busy",
    Level.RETRIED: "busy",
    Level.BUSY: "name",
    Level.HELD: "dim",
    Level.RESTING: "dim",
    Level.FINE: "good",
}
_PASSING: Final = frozenset(
    {
        *(Reason.THROTTLED, Reason.SERVICE_UNAVAILABLE, Reason.OUTCOME_UNKNOWN, Reason.DELETING, Reason.RESETTING),
        Reason.JOB_NOT_FOUND,  # of a created job, which is made again; an adopted one is Stalled
    }
)
"""Reasons of Ready=False that end by themselves."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A level, one word and, if there is one, what the condition says."""

    level: Level
    word: str
    why: str = ""


def trouble(job: Job) -> Trouble:
    """Return what is to be said first about a job."""
    return _wrong(job) or _warned(job) or _at_work(job)


def _wrong(job: Job) -> Trouble | None:
    stalled, ready = job.conditions.get("Stalled"), job.conditions.get("Ready")
    if stalled is not None and stalled.status == "True":
        told = ready if ready is not None and ready.status == "False" else stalled
        return Trouble(Level.STALLED, told.reason, told.message)
    if ready is not None and ready.status == "False":
        level = Level.RETRIED if ready.reason in _PASSING else Level.BLOCKED
        return Trouble(
            Level.BUSY if ready.reason in {Reason.CREATING, Reason.REPLACING} else level, ready.reason, ready.message
        )
    if job.reset is not None and job.reset.phase == Phase.FAILED:
        return Trouble(Level.FAILED, "ResetFailed", job.reset.message)
    if ready is None or ready.status == "Unknown":
        return Trouble(Level.UNSEEN, "Unseen", "the operator has not looked at it yet")
    return None


def _warned(job: Job) -> Trouble | None:
    for kind in ("UrlsAccepted", "Effective"):
        said = job.conditions.get(kind)
        if said is not None and said.status == "False" and not (kind == "Effective" and job.suspended):
            return Trouble(Level.WARNED, said.reason, said.message)
    ready = job.conditions.get("Ready")
    if ready is not None and ready.reason == Reason.REFRESH_FAILING:
        return Trouble(Level.WARNED, ready.reason, ready.message)
    ignored = ignored_requests(job.annotations, job.labels)
    return Trouble(Level.WARNED, Reason.REQUEST_IGNORED, ignored[0]) if ignored else None


def _at_work(job: Job) -> Trouble:
    ready = job.conditions.get("Ready", Condition("Ready", "Unknown"))
    if job.deleting:
        return Trouble(Level.BUSY, Reason.DELETING)
    if job.reset is not None and job.reset.phase in OPEN_PHASES:
        held = job.reset.phase == Phase.HELD
        return Trouble(Level.HELD if held else Level.BUSY, job.reset.phase, job.reset.message)
    if job.suspended:
        return Trouble(Level.RESTING, Reason.SUSPENDED, ready.message)
    return Trouble(Level.FINE, Reason.READY, ready.message)
