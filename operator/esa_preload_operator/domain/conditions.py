"""One table from the state of a resource to what people and tools read: conditions, kstatus, Argo CD health."""

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from esa_preload_operator.domain.cleaning import clean_text, cut, printable
from esa_preload_operator.domain.errors import ErrorClass, Problem, Reason
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.resources.job import Condition

Truth = Literal["True", "False", "Unknown"]

READY: Final = "Ready"
RECONCILING: Final = "Reconciling"
STALLED: Final = "Stalled"
URLS_ACCEPTED: Final = "UrlsAccepted"
EFFECTIVE: Final = "Effective"

_MAX_MESSAGE: Final = 2048


class State(enum.Enum):
    """What is the matter with a resource, all told; of several the one that stands lower counts."""

    READY = "can be reset"
    HELD = "a reset waits for minResetInterval"
    SUSPENDED = "rests until spec.suspend is false"
    RESETTING = "a reset is under way"
    PENDING = "not looked at yet"
    CREATING = "the job is created, replaced or deleted"
    WAITING = "retried automatically: throttled, ESA is away, an outcome is not known"
    BLOCKED = "needs the account's owner: permission, credentials, quota"
    STALLED = "needs a change of the resource"


_RANK: Final = {state: number for number, state in enumerate(State)}


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
        Reason.SOURCE_NOT_FOUND,
        Reason.WINDOW_REFUSED,
    }
)
"""Reasons of a blocked resource: they tell it from one that is retried automatically, whose conditions are alike."""

TERMINAL: Final = frozenset({Reason.JOB_NOT_FOUND, Reason.INVALID_JOB_ID, Reason.INVALID_SPEC})
"""Reasons for which a request fails."""

TABLE: Final[dict[State, Row]] = {
    State.PENDING: Row("Unknown", "True", "False", "InProgress", "Progressing"),
    State.READY: Row("True", "False", "False", "Current", "Healthy"),
    State.RESETTING: Row("True", "True", "False", "InProgress", "Progressing"),
    State.HELD: Row("True", "False", "False", "Current", "Healthy"),
    State.SUSPENDED: Row("True", "False", "False", "Current", "Suspended"),
    State.CREATING: Row("False", "True", "False", "InProgress", "Progressing"),
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
class Finding:
    """What one concern says about a resource."""

    state: State
    reason: str
    message: str


def finding_of(problem: Problem) -> Finding:
    """Return what a problem makes of a resource."""
    state = State.STALLED if problem.reason is Reason.CRD_OUTDATED else _STATE_OF_CLASS[problem.error_class]
    return Finding(state, problem.reason, str(problem))


def finding_for(reason: str, message: str) -> Finding:
    """Return what a reason that the status keeps makes of a resource."""
    state = State.STALLED if reason in TERMINAL else State.BLOCKED if reason in BLOCKING else State.WAITING
    return Finding(state, reason, message)


def worst(findings: Sequence[Finding]) -> Finding | None:
    """Return the finding that decides; of equal ones the first."""
    return max(findings, key=lambda finding: _RANK[finding.state], default=None)


def find(conditions: Sequence[Condition], kind: str) -> Condition | None:
    """Return the condition of a type."""
    return next((condition for condition in conditions if condition.type == kind), None)


def shows(conditions: Sequence[Condition], finding: Finding) -> bool:
    """Return whether the conditions already say so."""
    row = TABLE[finding.state]
    told = {condition.type: condition for condition in conditions}
    wanted = {READY: row.ready, RECONCILING: row.reconciling, STALLED: row.stalled}
    if any(kind not in told or told[kind].status != truth for kind, truth in wanted.items()):
        return False
    ready = told[READY]
    return ready.reason == finding.reason and is_same_text(finding.state, ready.message, _shown(finding.message))


def is_same_text(state: State, shown: str, text: str) -> bool:
    """Return whether a text is no news: request ids differ each time, and texts about passing errors may vary."""
    if state is State.WAITING and code_of(text) != text:
        return code_of(shown) == code_of(text)
    return _REQUEST.sub("", shown) == _REQUEST.sub("", text)


_REQUEST: Final = re.compile(r" \(request [^()]{0,128}\)$")


def code_of(message: str) -> str:
    """Return the code with which the message of a problem begins."""
    return message.partition(":")[0]


def judged(conditions: Sequence[Condition], finding: Finding, generation: int, now: str) -> list[Condition]:
    """Return the conditions with Ready, Reconciling and Stalled as the finding says; the others stay."""
    row = TABLE[finding.state]
    truths: dict[str, Truth] = {READY: row.ready, RECONCILING: row.reconciling, STALLED: row.stalled}
    result = list(conditions)
    for kind, truth in truths.items():
        tells = kind == READY or truth == "True"
        reason: str = finding.reason if tells else Reason.READY
        message = finding.message if tells else ""
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


def urls_as_shown(conditions: Sequence[Condition], job: EsaJob) -> bool:
    """Return whether the conditions already say of the URLs what ESA does."""
    old, new = find(conditions, URLS_ACCEPTED), find(with_urls(conditions, job, 0, ""), URLS_ACCEPTED)
    return old is not None and new is not None and _said(old) == _said(new)


def _said(condition: Condition) -> tuple[str, str, str]:
    return condition.status, condition.reason, condition.message


def rejected(conditions: Sequence[Condition]) -> str | None:
    """Return why ESA has refused URLs, None if it has not."""
    said = find(conditions, URLS_ACCEPTED)
    return said.message if said is not None and said.status == "False" else None


def newly_rejected(before: Sequence[Condition], after: Sequence[Condition]) -> str | None:
    """Return what people must be told when ESA has refused URLs that nothing was known about."""
    old, new = find(before, URLS_ACCEPTED), find(after, URLS_ACCEPTED)
    if new is None or new.status != "False":
        return None
    return None if old is not None and (old.status, old.message) == (new.status, new.message) else new.message


NOTHING_OPEN: Final = (
    "no window of the job waits or runs, so nothing is prefetched: add one to spec.executions, such as one with onReset"
)


def with_effective(conditions: Sequence[Condition], said: str, generation: int, now: str) -> list[Condition]:
    """Return the conditions with Effective True or False, or without it."""
    if said == "True":
        return _put(conditions, EFFECTIVE, "True", Reason.EFFECTIVE, "", generation, now)
    if said == "False":
        return _put(conditions, EFFECTIVE, "False", Reason.NO_ACTIVE_EXECUTION, NOTHING_OPEN, generation, now)
    return [condition for condition in conditions if condition.type != EFFECTIVE]


def effective_as_shown(conditions: Sequence[Condition], said: str) -> bool:
    """Return whether the condition Effective already says so."""
    condition = find(conditions, EFFECTIVE)
    return said == (condition.status if condition is not None else "")


def rejection_reason(error_info: str) -> Reason:
    """Name what ESA objects to; it writes either one of four words or free text such as `invalid domain:test.com`.

    Source: ESA API, CreateScheduledPreloadJob and ResetScheduledPreloadJob, field ErrorInfo.
    """
    words = error_info.lower().replace(" ", "")
    for reason in (Reason.INVALID_DOMAIN, Reason.INVALID_URL, Reason.QUOTA_EXCESS):
        if reason.lower() in words:
            return reason
    return Reason.OTHER_ERRORS


def _shown(message: str) -> str:
    return cut(printable(message), _MAX_MESSAGE)


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
        message=_shown(message),
    )
    if old is None:
        return [*conditions, new]
    return [new if condition.type == kind else condition for condition in conditions]
