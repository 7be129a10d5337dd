"""What has become of a request: the outcome is the token in `status.handledResets` and the phase in `status.reset`."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from esa_preload_operator.cli.plugin.jobs import Job, text
from esa_preload_operator.domain.cleaning import format_micro_time
from esa_preload_operator.domain.tokens import is_stale, newest_times, normalise
from esa_preload_operator.domain.values import OPEN_PHASES, Phase
from esa_preload_operator.resources.names import RESET_KEY

STALE_AFTER: Final = 3600.0
"""Seconds; the operator's own default of STALE_TOKEN_AFTER."""
_MADE: Final = frozenset({Phase.SUCCEEDED, Phase.REPLACED})


class End(enum.Enum):
    """How far a request is."""

    OPEN = "open"
    MADE = "made"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be told about a request; `word` is a phase of the reset, or one of ours."""

    end: End
    word: str
    message: str = ""


def verdict(job: Job, token: str) -> Verdict:
    """Return what has become of a token that was set as the annotation resetRequested."""
    shown, handled = normalise(token), job.handled.get(RESET_KEY)
    mine = job.reset is not None and dict(job.reset.tokens).get(RESET_KEY) == shown
    if job.reset is not None and mine and job.reset.phase in OPEN_PHASES:
        return Verdict(End.OPEN, job.reset.phase, job.reset.message)
    if handled == shown:
        return _handled(job, mine=mine)
    asked = job.annotations.get(RESET_KEY)
    if asked is None:
        return Verdict(End.FAILED, "Withdrawn", "the annotation was removed before the operator acted on it")
    if asked != token:
        return Verdict(End.FAILED, "Overtaken", "another request took its place before the operator acted on it")
    return _waiting(job)


def _handled(job: Job, *, mine: bool) -> Verdict:
    reset = job.reset
    if reset is None:
        return Verdict(End.FAILED, "Unknown", "the token counts as handled, and the status shows no reset")
    if mine:
        return Verdict(End.MADE if reset.phase in _MADE else End.FAILED, reset.phase, reset.message)
    if reset.phase in {Phase.FAILED, Phase.WITHDRAWN}:
        return Verdict(End.FAILED, reset.phase, f"by a newer request, which took its place: {reset.message}")
    return Verdict(End.MADE, "Satisfied", "by a newer request: no reset of its own was made")


def _waiting(job: Job) -> Verdict:
    if job.deleting:
        return Verdict(End.FAILED, "Deleted", "the resource is being deleted")
    if job.suspended:
        return Verdict(End.OPEN, Phase.HELD, "the job is suspended: the reset waits for `resume`")
    ready = job.conditions.get("Ready")
    if ready is not None and ready.status == "False":
        return Verdict(End.OPEN, "Requested", ready.why)
    return Verdict(End.OPEN, "Requested")


GONE: Final = Verdict(End.FAILED, "Deleted", "the resource was deleted before its outcome was seen")


def fresh_token(jobs: Iterable[Job], now: float) -> str:
    """Return a time as a token that is a new request for each of these jobs, also if this machine's clock is slow.

    A time is protected against being repeated by a rollback or a restored cluster, as no other token is.
    """
    least = now
    for job in jobs:
        times = newest_times(tuple(job.newest.items()), tuple(job.handled.items()))
        least = max(least, times.get(RESET_KEY, now - 1) + 1, job.created or 0.0)
    return format_micro_time(least)


def token_problem(token: str, jobs: Iterable[Job]) -> str:
    """Return why a token that its user chose asks for nothing, or nothing."""
    if not token:
        return "an empty token asks for nothing"
    if token.startswith("ey") and token.count(".") == 2:
        return "that looks like a login's token: kubectl's own --token stands before the word reset"
    if len(token.encode("utf-8", "replace")) > 100_000:
        return "that token is too long for an annotation"
    for job in jobs:
        if job.created is not None and is_stale(token, job.created, STALE_AFTER):
            return f"{shown_token(token)} is a time before {text(job.ref.name)} was created: the operator ignores it"
    return ""


def shown_token(token: str) -> str:
    """Return a token as the status shows it: above 256 bytes as its hash."""
    return text(normalise(token))
