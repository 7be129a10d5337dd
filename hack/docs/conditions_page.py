"""States, conditions, reasons and Events, from the table that makes conditions and the reasons that code may give.

What a reason means stands here, since an enumeration has no room for it; a reason without a meaning fails.
"""

from collections.abc import Mapping
from typing import Final

from esa_preload_operator.cli.plugin.advice import advice
from esa_preload_operator.domain.conditions import DEGRADED_AFTER, TABLE, State, finding_for
from esa_preload_operator.domain.errors import Reason
from tables import code, table

_CONDITIONS: Final = (
    ("Ready", "the job can be reset", "always"),
    ("Reconciling", "work is under way", "always"),
    ("Stalled", "only a change of the resource helps", "once the operator has looked at the resource"),
    ("UrlsAccepted", "ESA took all URLs of the list", "once ESA has answered about the job"),
    ("Effective", "a window of the spec waits, runs, or is about to be opened", "where it is known"),
)

_CREDENTIALS: Final = "See [credentials](../credentials.md#when-it-does-not-work)."

READY: Final[Mapping[Reason, tuple[State | None, str]]] = {
    Reason.READY: (
        State.READY,
        "The job can be reset. Other conditions that have nothing to report have this reason, too.",
    ),
    Reason.REFRESH_FAILING: (
        State.READY,
        "The job can be reset. The list of its site has failed for half an hour or more.",
    ),
    Reason.HELD: (State.HELD, "A request waits for `minResetInterval`, or for what the message says."),
    Reason.SUSPENDED: (State.SUSPENDED, "`spec.suspend` is true: windows are stopped and requests are held."),
    Reason.RESETTING: (State.RESETTING, "A reset is under way."),
    Reason.PENDING: (State.PENDING, "The operator has not looked at the resource yet."),
    Reason.CREATING: (State.CREATING, "The job is being created in ESA."),
    Reason.REPLACING: (State.CREATING, "A new job takes the place of one whose list has changed."),
    Reason.THROTTLED: (None, "Calls wait for a quota of calls, ESA's or the operator's."),
    Reason.SERVICE_UNAVAILABLE: (
        None,
        "ESA, the way to it, or a part of Kubernetes fails: the message begins with the code.",
    ),
    Reason.OUTCOME_UNKNOWN: (
        None,
        "Several answers were lost. The message says what came back and when the next call is made.",
    ),
    Reason.INTERNAL_ERROR: (None, "A fault of the operator with this one resource; its log has more."),
    Reason.ACCESS_DENIED: (None, f"The credentials lack a permission. {_CREDENTIALS}"),
    Reason.CREDENTIALS_INVALID: (None, f"The access key, or the role, does not work. {_CREDENTIALS}"),
    Reason.CREDENTIALS_MISSING: (None, f"A Secret, a key of it, or a variable does not exist. {_CREDENTIALS}"),
    Reason.CREDENTIALS_NOT_ALLOWED: (
        None,
        "This namespace may not use these. See [who may use which](../credentials.md#who-may-use-which).",
    ),
    Reason.QUOTA_EXCEEDED: (
        None,
        "There is no room for another job. See [replacing](../replacing.md#when-there-is-no-room).",
    ),
    Reason.ACCOUNT_UNUSABLE: (None, "The Alibaba Cloud account is in arrears or disabled."),
    Reason.ESA_ERROR: (None, "The message has code, text and request id. The call is tried again every few minutes."),
    Reason.SOURCE_NOT_FOUND: (
        None,
        "The ConfigMap, or the key, that `source.configMapKeyRef` names does not exist or can't be read.",
    ),
    Reason.WINDOW_REFUSED: (None, "`message` of the window in `status.executions` says what ESA objects to."),
    Reason.JOB_NOT_FOUND: (None, "ESA does not have the adopted job. A created one is made again."),
    Reason.INVALID_JOB_ID: (None, "ESA does not take `spec.jobId`."),
    Reason.INVALID_SPEC: (
        None,
        "The message names the field, the lines of the list that can't be sent, or ESA's code for what it has refused.",
    ),
    Reason.JOB_CLAIMED: (State.STALLED, "ESA has shown the same job to an older resource, which acts on it."),
    Reason.CRD_OUTDATED: (State.STALLED, "The installed CRD lacks fields, which the message names. Nothing is called."),
    Reason.STATUS_UNREADABLE: (
        State.STALLED,
        "The operator can't read a field of the status. Nothing is called, and the rest of the status stays as it is.",
    ),
}
"""Reasons of Ready; without a state it is the one that the code finds for the reason."""

OTHERS: Final[Mapping[Reason, tuple[str, str]]] = {
    Reason.URLS_ACCEPTED: ("UrlsAccepted=True", "ESA took all URLs."),
    Reason.INVALID_URL: ("UrlsAccepted=False", "ESA says `InvalidUrl`."),
    Reason.INVALID_DOMAIN: ("UrlsAccepted=False", "ESA says `InvalidDomain`: a URL is not of the site."),
    Reason.QUOTA_EXCESS: ("UrlsAccepted=False", "ESA says `QuotaExcess`."),
    Reason.OTHER_ERRORS: ("UrlsAccepted=False", "ESA objects by other words."),
    Reason.EFFECTIVE: ("Effective=True", "A window of the spec waits, runs, or is about to be opened."),
    Reason.NO_ACTIVE_EXECUTION: (
        "Effective=False",
        "The job was reset, has URLs left, and no window submits them.",
    ),
}
"""Reasons of the other conditions."""

EVENTS: Final[Mapping[Reason, tuple[str, str]]] = {
    Reason.RESET_SUCCEEDED: ("Normal", "ESA has answered that it made the reset."),
    Reason.RESET_CONFIRMED: (
        "Normal",
        "An answer was lost, and the job's progress, or the nonce, shows that the request is met.",
    ),
    Reason.RESET_FAILED: ("Warning", "A reset can't be made unless the resource changes."),
    Reason.OUTCOME_UNKNOWN: ("Warning", "Answers of several calls were lost, and nothing proves a reset."),
    Reason.STALE_TOKEN: ("Warning", "The token is a time before the resource was created; ESA is not called."),
    Reason.REQUEST_IGNORED: ("Warning", "An empty token, a mistyped annotation, or a label in place of an annotation."),
    Reason.URLS_REJECTED: ("Warning", "ESA did not take all URLs."),
    Reason.JOB_CREATED: ("Normal", "The job was created."),
    Reason.JOB_REPLACED: ("Normal", "Another job has taken the place of the one before."),
    Reason.JOB_DELETED: ("Normal", "A job that another one has replaced was deleted."),
    Reason.JOB_NOT_FOUND: ("Warning", "A created job is gone, and is made again."),
    Reason.SCHEDULE_SKIPPED: ("Warning", "Times of the schedule have passed their deadline."),
    Reason.NO_ACTIVE_EXECUTION: ("Warning", "After a reset no window submits the URLs."),
}
"""Events of their own; each failure above is one as well, with its reason."""

WORDS: Final = frozenset({Reason.DELETING})
"""Reasons that only the plugin shows."""


def made() -> str:
    """Return all of it.

    Raises:
        ValueError: a reason has no meaning here.
    """
    if missing := set(Reason) - READY.keys() - OTHERS.keys() - EVENTS.keys() - WORDS:
        raise ValueError(f"{__name__} does not say what these reasons mean: {sorted(missing)}")
    return f"{_states()}\n{_conditions()}\n{_reasons()}\n{_events()}"


def _states() -> str:
    rows = (
        (state.value, row.ready, row.reconciling, row.stalled, row.kstatus, _health(state))
        for state in State
        for row in (TABLE[state],)
    )
    head = ("State", "Ready", "Reconciling", "Stalled", "kstatus", "Argo CD")
    said = "If several states hold at once, the lowest of them in this table counts.\n\n"
    return f"## States\n\n{said}{table(head, rows)}"


def _health(state: State) -> str:
    late = state is State.BLOCKED
    return f"Degraded after {DEGRADED_AFTER // 60} minutes" if late else TABLE[state].argo_health


def _conditions() -> str:
    return "## Conditions\n\n" + table(("Condition", "True means", "Present"), _CONDITIONS)


def _reasons() -> str:
    rows = [
        (code(reason), (state or finding_for(reason, "").state).value.partition(":")[0], text, _todo(reason))
        for reason, (state, text) in READY.items()
    ]
    of_ready = table(("Reason of Ready", "State", "Meaning", "What to do"), rows)
    others = [(code(reason), code(where), text, _todo(reason)) for reason, (where, text) in OTHERS.items()]
    return f"## Reasons\n\n{of_ready}\n" + table(("Reason", "Condition", "Meaning", "What to do"), others)


def _todo(reason: Reason) -> str:
    """Return the plugin's advice; what stands in backquotes there, or is a command, is code here."""
    return advice(reason).replace("esa-preload-operator crd | kubectl apply --server-side -f -", _INSTALL)


_INSTALL: Final = "`esa-preload-operator crd | kubectl apply --server-side -f -`"


def _events() -> str:
    failures = (
        "A failure, that is a reason of Ready in one of the last three states, is a Warning with that reason too."
    )
    rows = [(code(reason), *said) for reason, said in EVENTS.items()]
    return f"## Events\n\n{failures}\n\n" + table(("Reason", "Type", "When"), rows)
