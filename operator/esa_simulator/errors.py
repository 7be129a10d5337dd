"""The refusals that ESA and its gateway document, as values that are raised."""

from dataclasses import dataclass, field


@dataclass(eq=False)
class EsaError(Exception):
    """An answer that is not a success.

    Attributes:
        status: HTTP status of the answer.
        code: ESA's error code, e.g. `InvalidJob.NotFound`; clients classify by it, never by the status.
        message: text for people.
        headers: further headers of the answer, e.g. `x-acs-retry-after` in milliseconds.
        detail: further fields of the answer's body, e.g. `AccessDeniedDetail`.
    """

    status: int
    code: str
    message: str
    headers: dict[str, str] = field(default_factory=dict)
    detail: dict[str, object] = field(default_factory=dict)


class ConnectionCut(Exception):  # noqa: N818 - not an error of the simulator: the call is meant to end this way
    """The connection is to be cut without an answer."""


def malformed_id(value: str) -> EsaError:
    """The id is not 24 hexadecimal digits."""
    return EsaError(400, "InvalidParameter.ObjectId", f"The task ID or execution ID {value!r} is invalid.")


def job_not_found() -> EsaError:
    """The job was deleted or never existed."""
    return EsaError(404, "InvalidJob.NotFound", "The prefetch task does not exist.")


def execution_not_found() -> EsaError:
    """The execution was deleted or never existed."""
    return EsaError(404, "InvalidExecution.NotFound", "The prefetch plan does not exist.")


def permission_denied() -> EsaError:
    """The resource belongs to another account."""
    return EsaError(403, "InvalidUid.PermissionDenied", "You do not have permission to perform this operation.")


def end_before_start() -> EsaError:
    """A window would end before it starts."""
    return EsaError(400, "InvalidEndTime.Mismatch", "The end time is earlier than the start time.")


def site_is_full() -> EsaError:
    """The site has as many jobs as it may have."""
    return EsaError(
        400, "InvalidJob.JobCountOfSiteFull", "The number of prefetch tasks of the site has reached the upper limit."
    )


def missing_url_list() -> EsaError:
    """A text box job came without URLs."""
    return EsaError(400, "MissingUrlList", "The URL list is missing.")


def missing_oss_url() -> EsaError:
    """A job from OSS came without a usable address."""
    return EsaError(400, "MissingOssUrl", "The OSS URL of the URL list is missing or invalid.")


def missing_parameter(name: str) -> EsaError:
    """A required parameter is absent."""
    return EsaError(400, "MissingParameter", f"The input parameter {name} that is mandatory is missing.")


def invalid_parameter(name: str) -> EsaError:
    """A parameter can't be read as what it should be."""
    return EsaError(400, "InvalidParameter", f"The specified parameter {name} is not valid.")


def throttled(retry_after_ms: int | None = None) -> EsaError:
    """ESA throttles with HTTP 400, not 429 (ESA API, error codes)."""
    headers = {} if retry_after_ms is None else {"x-acs-retry-after": str(retry_after_ms)}
    return EsaError(400, "TooManyRequests", "Too many requests.Please try again later.", headers)


def busy() -> EsaError:
    """The site has no time for it now."""
    return EsaError(400, "Site.ServiceBusy", "The site is busy. Please try again later.")


def no_permission(action: str) -> EsaError:
    """RAM does not allow the action to this identity."""
    detail = {
        "AuthAction": f"esa:{action}",
        "NoPermissionType": "ImplicitDeny",
        "PolicyType": "AccountLevelIdentityBasedPolicy",
    }
    return EsaError(
        403,
        "NoPermission",
        f"You are not authorized to do this action: esa:{action}.",
        {},
        {"AccessDeniedDetail": detail},
    )
