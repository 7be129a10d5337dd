"""What ESA's error codes mean: the class of an error, the reason that people see, and advice where a code is a riddle.

Sources: ESA API, error codes of ResetScheduledPreloadJob; Alibaba Cloud OpenAPI, common error codes.
"""

from typing import Final

from esa_preload_operator.domain.errors import ErrorClass, Reason

Meaning = tuple[ErrorClass, Reason]

_THROTTLED: Final = ErrorClass.TRANSIENT, Reason.THROTTLED
_UNAVAILABLE: Final = ErrorClass.TRANSIENT, Reason.SERVICE_UNAVAILABLE
_DENIED: Final = ErrorClass.BLOCKED, Reason.ACCESS_DENIED
_CREDENTIALS: Final = ErrorClass.BLOCKED, Reason.CREDENTIALS_INVALID
_ACCOUNT: Final = ErrorClass.BLOCKED, Reason.ACCOUNT_UNUSABLE
_QUOTA: Final = ErrorClass.BLOCKED, Reason.QUOTA_EXCEEDED
_UNKNOWN: Final = ErrorClass.BLOCKED, Reason.ESA_ERROR

TERMINAL: Final[dict[str, Reason]] = {
    "InvalidJob.NotFound": Reason.JOB_NOT_FOUND,
    "InvalidParameter.ObjectId": Reason.INVALID_JOB_ID,
    "InvalidEndTime.Mismatch": Reason.INVALID_SPEC,
    "MissingOssUrl": Reason.INVALID_SPEC,
    "MissingUrlList": Reason.INVALID_SPEC,
}
"""The only codes that end a request: for these ESA documents that the resource itself is wrong."""
EXACT: Final[dict[str, Meaning]] = {
    "TooManyRequests": _THROTTLED,
    "ServiceUnavailable": _UNAVAILABLE,
    "InternalError": _UNAVAILABLE,
    "InternalException": _UNAVAILABLE,
    "LockFailed": _UNAVAILABLE,
    "SignatureNonceUsed": _UNAVAILABLE,
    "InvalidUid.PermissionDenied": _DENIED,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "IncompleteSignature": _CREDENTIALS,
    "MissingSecurityToken": _CREDENTIALS,
    "InvalidJob.JobCountOfSiteFull": _QUOTA,
    "InvalidExecution.NotFound": _UNKNOWN,  # the client counts it as done in calls on executions
    "LogNotFound": _UNKNOWN,
    **{code: (ErrorClass.TERMINAL, reason) for code, reason in TERMINAL.items()},
}
ENDINGS: Final[tuple[tuple[str, Meaning], ...]] = (
    (".Throttling", _THROTTLED),
    (".ServiceBusy", _UNAVAILABLE),
    ("Arrearage", _ACCOUNT),
    ("Arrears", _ACCOUNT),
    ("InDebt", _ACCOUNT),
    ("NotEnoughBalance", _ACCOUNT),
    ("InsufficientBalance", _ACCOUNT),
)
"""They are asked before `BEGINNINGS`, since an account in arrears may be told `Forbidden.Arrearage`."""
BEGINNINGS: Final[tuple[tuple[str, Meaning], ...]] = (
    ("Throttling", _THROTTLED),
    ("Forbidden", _DENIED),
    ("NoPermission", _DENIED),
    ("AccessDenied", _DENIED),
    ("InvalidAccessKeyId", _CREDENTIALS),
    ("InvalidSecurityToken", _CREDENTIALS),
    ("InvalidTimeStamp", _CREDENTIALS),
    ("InvalidAccountStatus", _ACCOUNT),
    ("UserDisable", _ACCOUNT),
    ("InvalidAction", _UNKNOWN),
)
_CLOCK: Final = (
    "the clock of the operator's machine is off, since ESA refuses requests dated more than 15 minutes off: "
    "synchronise it by NTP"
)
_ENDPOINT: Final = "the endpoint is wrong, since ESA knows this action: correct the operator's setting ENDPOINT"
_ADVICE: Final = (("InvalidTimeStamp.Expired", _CLOCK), ("InvalidAction", _ENDPOINT))


def classify(code: str, http_status: int) -> Meaning:
    """Return class and reason of an error; the HTTP status only decides about codes that say nothing.

    ESA throttles with HTTP 400, so the code comes first. A code that is not known never is `TERMINAL`: a request must
    not end because ESA has a new word for an outage, and neither does a server error end one.
    """
    meaning = _known(code)
    if meaning is None or (meaning[0] is ErrorClass.TERMINAL and _is_no_verdict(http_status)):
        return _by_status(http_status)
    return meaning


def is_known(code: str) -> bool:
    """Say whether the code alone tells what kind of error it is."""
    meaning = _known(code)
    return meaning is not None and meaning[1] is not Reason.ESA_ERROR


def advice(code: str) -> str:
    """Return what a person should do about a code whose own text doesn't say it, or an empty text."""
    return next((text for beginning, text in _ADVICE if code.startswith(beginning)), "")


def _known(code: str) -> Meaning | None:
    if code in EXACT:
        return EXACT[code]
    for ending, meaning in ENDINGS:
        if code.endswith(ending):
            return meaning
    return next((meaning for beginning, meaning in BEGINNINGS if code.startswith(beginning)), None)


def _is_no_verdict(http_status: int) -> bool:
    return http_status in {408, 429} or http_status >= 500


def _by_status(http_status: int) -> Meaning:
    if http_status == 408 or http_status >= 500:
        return _UNAVAILABLE
    return {401: _CREDENTIALS, 403: _DENIED, 429: _THROTTLED}.get(http_status, _UNKNOWN)
