"""What can go wrong, sorted by what ends it and by what it says about the call that failed."""

import enum
from dataclasses import dataclass


class ErrorClass(enum.Enum):
    """What kind of error it is, and so what ends it."""

    TRANSIENT = "transient"
    """Throttling, outages, lost connections: retried automatically."""
    BLOCKED = "blocked"
    """Permissions, credentials, quota, codes that are not known: needs the account's owner, retried slowly."""
    TERMINAL = "terminal"
    """The resource itself is wrong: needs a change of the resource."""


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
    ACCOUNT_UNUSABLE = "AccountUnusable"
    JOB_NOT_FOUND = "JobNotFound"
    JOB_CLAIMED = "JobClaimed"
    INVALID_JOB_ID = "InvalidJobId"
    INVALID_SPEC = "InvalidSpec"
    CRD_OUTDATED = "CRDOutdated"
    ESA_ERROR = "EsaError"
    OUTCOME_UNKNOWN = "OutcomeUnknown"
    REFRESH_FAILING = "RefreshFailing"
    STATUS_UNREADABLE = "StatusUnreadable"
    INTERNAL_ERROR = "InternalError"
    REQUEST_IGNORED = "RequestIgnored"
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
    CREATING = "Creating"
    REPLACING = "Replacing"
    SUSPENDED = "Suspended"
    DELETING = "Deleting"
    SOURCE_NOT_FOUND = "SourceNotFound"
    JOB_CREATED = "JobCreated"
    JOB_REPLACED = "JobReplaced"
    JOB_DELETED = "JobDeleted"
    WINDOW_REFUSED = "WindowRefused"
    SCHEDULE_SKIPPED = "ScheduleSkipped"
    EFFECTIVE = "Effective"
    NO_ACTIVE_EXECUTION = "NoActiveExecution"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a call to ESA, or the search for its credentials, failed: a value, to compare and to keep.

    `code`, `message` and `request_id` are shown to people: they never hold a credential, a signature or a query string.
    `retry_after` is in seconds and comes from the header `x-acs-retry-after` (there in milliseconds) or `Retry-After`.
    """

    code: str
    message: str
    error_class: ErrorClass
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
    """A call to ESA, or the search for its credentials, failed; `problem` says why, and what ends it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


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
