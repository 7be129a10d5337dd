"""What can go wrong, sorted by who heals it and by what it says about the call that failed."""

import enum
from dataclasses import dataclass
from typing import Final


class Healer(enum.Enum):
    """Who has to move for an error to go away."""

    TIME = "time"
    """Throttling, outages, lost connections: wait and try again."""
    ACCOUNT = "account"
    """Permissions, credentials, quota: the account's owner acts, the operator keeps trying slowly."""
    AUTHOR = "author"
    """The resource itself is wrong: only a change of it helps."""


class Delivery(enum.Enum):
    """What an error says about the work that was asked for."""

    NEVER_SENT = "never sent"
    """No byte of the request left: the connection never opened, or the sender decided against it."""
    REFUSED = "refused"
    """ESA answered that it did not do it."""
    RECEIVED = "received before"
    """ESA answered that it did not do it, because it has received this very request, by its nonce, before."""
    UNKNOWN = "unknown"
    """It may have been done: the answer was lost, late, unreadable or a server error."""


class Reason(enum.StrEnum):
    """Reasons of conditions and Events; part of the interface, never renamed."""

    READY = "Ready"
    PENDING = "Pending"
    RESETTING = "Resetting"
    HELD = "Held"
    THROTTLED = "Throttled"
    SERVICE_UNAVAILABLE = "ServiceUnavailable"
    ACCESS_DENIED = "AccessDenied"
    CREDENTIALS_INVALID = "CredentialsInvalid"
    CREDENTIALS_MISSING = "CredentialsMissing"
    CREDENTIALS_NOT_ALLOWED = "CredentialsNotAllowed"
    QUOTA_EXCEEDED = "QuotaExceeded"
    JOB_NOT_FOUND = "JobNotFound"
    JOB_CLAIMED = "JobClaimed"
    INVALID_JOB_ID = "InvalidJobId"
    INVALID_SPEC = "InvalidSpec"
    CRD_OUTDATED = "CRDOutdated"
    ESA_ERROR = "EsaError"
    URLS_ACCEPTED = "UrlsAccepted"
    INVALID_URL = "InvalidUrl"
    INVALID_DOMAIN = "InvalidDomain"
    QUOTA_EXCESS = "QuotaExcess"
    OTHER_ERRORS = "OtherErrors"
    RESET_SUCCEEDED = "ResetSucceeded"
    RESET_CONFIRMED = "ResetConfirmed"
    RESET_FAILED = "ResetFailed"
    STALE_TOKEN = "StaleToken"  # noqa: S105 - a reason, no password
    URLS_REJECTED = "UrlsRejected"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a call to ESA, or the search for its credentials, failed: a value, to compare and to keep.

    `code`, `message` and `request_id` are shown to people: they never hold a credential, a signature or a query string.
    `retry_after` is in seconds and comes from the header `x-acs-retry-after` (there in milliseconds).
    """

    code: str
    message: str
    healer: Healer
    reason: Reason
    delivery: Delivery = Delivery.REFUSED
    request_id: str = ""
    http_status: int = 0
    retry_after: float | None = None

    def __str__(self) -> str:
        """Code, message and request id, as conditions, Events and logs show them."""
        tail = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.code}: {self.message}{tail}"


class EsaError(Exception):
    """A call to ESA, or the search for its credentials, failed; `problem` says why and who heals it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


_TIME: Final = Healer.TIME
_ACCOUNT: Final = Healer.ACCOUNT
_AUTHOR: Final = Healer.AUTHOR

_CODES: Final[dict[str, tuple[Healer, Reason]]] = {
    "TooManyRequests": (_TIME, Reason.THROTTLED),
    "ServiceUnavailable": (_TIME, Reason.SERVICE_UNAVAILABLE),
    "InternalError": (_TIME, Reason.SERVICE_UNAVAILABLE),
    "InternalException": (_TIME, Reason.SERVICE_UNAVAILABLE),
    "LockFailed": (_TIME, Reason.SERVICE_UNAVAILABLE),
    "SignatureNonceUsed": (_TIME, Reason.SERVICE_UNAVAILABLE),
    "InvalidUid.PermissionDenied": (_ACCOUNT, Reason.ACCESS_DENIED),
    "NoPermission": (_ACCOUNT, Reason.ACCESS_DENIED),
    "SignatureDoesNotMatch": (_ACCOUNT, Reason.CREDENTIALS_INVALID),
    "IncompleteSignature": (_ACCOUNT, Reason.CREDENTIALS_INVALID),
    "InvalidTimeStamp.Expired": (_ACCOUNT, Reason.CREDENTIALS_INVALID),
    "InvalidJob.JobCountOfSiteFull": (_ACCOUNT, Reason.QUOTA_EXCEEDED),
    "InvalidJob.NotFound": (_AUTHOR, Reason.JOB_NOT_FOUND),
    "InvalidParameter.ObjectId": (_AUTHOR, Reason.INVALID_JOB_ID),
    "InvalidEndTime.Mismatch": (_AUTHOR, Reason.INVALID_SPEC),
    "MissingOssUrl": (_AUTHOR, Reason.INVALID_SPEC),
    "MissingUrlList": (_AUTHOR, Reason.INVALID_SPEC),
}
_PREFIXES: Final[tuple[tuple[str, tuple[Healer, Reason]], ...]] = (
    ("Throttling", (_TIME, Reason.THROTTLED)),
    ("Forbidden", (_ACCOUNT, Reason.ACCESS_DENIED)),
    ("NoPermission", (_ACCOUNT, Reason.ACCESS_DENIED)),
    ("InvalidAccessKeyId", (_ACCOUNT, Reason.CREDENTIALS_INVALID)),
    ("InvalidSecurityToken", (_ACCOUNT, Reason.CREDENTIALS_INVALID)),
)


def classify(code: str, http_status: int) -> tuple[Healer, Reason]:
    """Say who heals an error code; the HTTP status only fills the gaps, because ESA throttles with 400.

    Source: ESA API, common error codes and the error codes of ResetScheduledPreloadJob.
    """
    if code in _CODES:
        return _CODES[code]
    for prefix, verdict in _PREFIXES:
        if code.startswith(prefix):
            return verdict
    if code.endswith(".ServiceBusy") or http_status >= 500:
        return _TIME, Reason.SERVICE_UNAVAILABLE
    return _AUTHOR, Reason.ESA_ERROR


class StoreError(Exception):
    """The API server did not take a write, or could not be read; the message names no secret.

    `retry_after` is the API server's wish in seconds, from its header Retry-After.
    """

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class VersionConflictError(StoreError):
    """Somebody else wrote first (HTTP 409): nothing was stored."""


class ObjectGoneError(StoreError):
    """The object does not exist any more, or another one has taken its name."""


class WriteRefusedError(StoreError):
    """The API server answered that it did not store the write (4xx other than 404 and 409)."""


class WriteUnknownError(StoreError):
    """The write may have been stored: 5xx, a time-out, or a lost answer."""


class StoreUnavailableError(StoreError):
    """A read failed; nothing is known."""
