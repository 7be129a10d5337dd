"""One table from the state of a resource to what people and tools read: conditions, kstatus, Argo CD health."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from esa_preload_operator.domain.cleaning import clean_text, cut
from esa_preload_operator.domain.errors import ErrorClass, Problem, Reason
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.resources.job import Condition

Truth = Literal["True", "False", "Unknown"]

READY: Final = "Ready"
RECONCILING: Final = "Reconciling"
STALLED: Final = "Stalled"
URLS_ACCEPTED: Final = "UrlsAccepted"

_MAX_MESSAGE: Final = 2048


class State(enum.Enum):
    """What is the matter with a resource, all told."""

    PENDING = "not looked at yet"
    READY = "can be reset"
    RESETTING = "a reset is under way"
    HELD = "a reset waits for minResetInterval"
    WAITING = "time heals: throttled or ESA is away"
    BLOCKED = "the account's owner heals: permission, credentials, quota"
    STALLED = "only a change of the resource helps"


@dataclass(frozen=True, slots=True)
class Row:
    """What a state looks like from outside."""

    ready: Truth
    reconciling: Truth
    stalled: Truth
    kstatus: str
    argo_health: str


DEGRADED_AFTER: Final = 600
"""Seconds after which a blocked resource is Degraded in Argo CD; until then it is Progressing."""

BLOCKING: Final = frozenset(
    {
        Reason.ACCESS_DENIED,
        Reason.CREDENTIALS_INVALID,
        Reason.CREDENTIALS_MISSING,
        Reason.CREDENTIALS_NOT_ALLOWED,
        Reason.QUOTA_EXCEEDED,
        Reason.ACCOUNT_UNUSABLE,
        Reason.ESA_ERROR,
    }
)
"""Reasons of a blocked resource: they tell it from one that waits for time to heal, whose conditions are alike."""

TABLE: Final[dict[State, Row]] = {
    State.PENDING: Row("Unknown", "True", "False", "InProgress", "Progressing"),
    State.READY: Row("True", "False", "False", "Current", "Healthy"),
    State.RESETTING: Row("True", "True", "False", "InProgress", "Progressing"),
    State.HELD: Row("True", "False", "False", "Current", "Healthy"),
    State.WAITING: Row("False", "True", "False", "InProgress", "Progressing"),
    State.BLOCKED: Row("False", "True", "False", "InProgress", "Degraded"),
    State.STALLED: Row("False", "False", "True", "Failed", "Degraded"),
}

_STATE_OF_CLASS: Final = {
    ErrorClass.TRANSIENT: State.WAITING,
    ErrorClass.BLOCKED: State.BLOCKED,
    ErrorClass.TERMINAL: State.STALLED,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of a resource and why."""

    state: State
    reason: Reason
    message: str


def verdict_of(problem: Problem) -> Verdict:
    """Say what a problem makes of a resource."""
    state = State.STALLED if problem.reason is Reason.CRD_OUTDATED else _STATE_OF_CLASS[problem.error_class]
    return Verdict(state, problem.reason, str(problem))


def find(conditions: Sequence[Condition], kind: str) -> Condition | None:
    """Return the condition of a type."""
    return next((condition for condition in conditions if condition.type == kind), None)


def shows(conditions: Sequence[Condition], verdict: Verdict) -> bool:
    """Say whether the conditions already tell the verdict's state, reason and code; the rest of a message may differ.

    A message begins with the code of its problem; what follows, such as a request id, is new with each try.
    """
    row = TABLE[verdict.state]
    told = {condition.type: condition for condition in conditions}
    wanted = {READY: row.ready, RECONCILING: row.reconciling, STALLED: row.stalled}
    return all(kind in told and told[kind].status == truth for kind, truth in wanted.items()) and (
        told[READY].reason == verdict.reason
        and code_of(told[READY].message) == code_of(cut(verdict.message, _MAX_MESSAGE))
    )


def code_of(message: str) -> str:
    """Return the code with which the message of a problem begins."""
    return message.partition(":")[0]


def judged(conditions: Sequence[Condition], verdict: Verdict, generation: int, now: str) -> list[Condition]:
    """Return the conditions with Ready, Reconciling and Stalled as the verdict says; the others stay."""
    row = TABLE[verdict.state]
    truths: dict[str, Truth] = {READY: row.ready, RECONCILING: row.reconciling, STALLED: row.stalled}
    result = list(conditions)
    for kind, truth in truths.items():
        tells = kind == READY or truth == "True"
        reason: str = verdict.reason if tells else Reason.READY
        message = verdict.message if tells else ""
        result = _put(result, kind, truth, reason, message, generation, now)
    return result


def with_urls(conditions: Sequence[Condition], job: EsaJob, generation: int, now: str) -> list[Condition]:
    """Return the conditions with UrlsAccepted as the job's ErrorInfo says: after HTTP 200 ESA may lack URLs."""
    if not job.error_info:
        return _put(conditions, URLS_ACCEPTED, "True", Reason.URLS_ACCEPTED, "", generation, now)
    message = job.error_info
    if job.failed_file_oss:
        message += f"; the refused URLs are listed in {clean_text(job.failed_file_oss)}"
    return _put(conditions, URLS_ACCEPTED, "False", rejection_reason(job.error_info), message, generation, now)


def newly_rejected(before: Sequence[Condition], after: Sequence[Condition]) -> str | None:
    """Return what people must be told when ESA has refused URLs that nothing was known about."""
    old, new = find(before, URLS_ACCEPTED), find(after, URLS_ACCEPTED)
    if new is None or new.status != "False":
        return None
    return None if old is not None and (old.status, old.message) == (new.status, new.message) else new.message


def rejection_reason(error_info: str) -> Reason:
    """Name what ESA objects to; it writes either one of four words or free text such as `invalid domain:test.com`.

    Source: ESA API, CreateScheduledPreloadJob and ResetScheduledPreloadJob, field ErrorInfo.
    """
    words = error_info.lower().replace(" ", "")
    for reason in (Reason.INVALID_DOMAIN, Reason.INVALID_URL, Reason.QUOTA_EXCESS):
        if reason.lower() in words:
            return reason
    return Reason.OTHER_ERRORS


def _put(  # noqa: PLR0917 - a condition has that many parts
    conditions: Sequence[Condition], kind: str, truth: Truth, reason: str, message: str, generation: int, now: str
) -> list[Condition]:
    old = find(conditions, kind)
    new = Condition(
        type=kind,
        status=truth,
        observed_generation=generation,
        last_transition_time=old.last_transition_time if old is not None and old.status == truth else now,
        reason=reason,
        message=cut(message, _MAX_MESSAGE),
    )
    if old is None:
        return [*conditions, new]
    return [new if condition.type == kind else condition for condition in conditions]
