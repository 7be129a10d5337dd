"""`ScheduledPreloadJob`: the custom resource as types. The CRD is made from them, see `resources.crd`.

Reading is lenient: an unknown field is ignored, and lengths, patterns and rules stand in the schema only, because the
API server has already judged what users write, perhaps by another version of the CRD. Times in the status are text, so
that a status written by hand can be read as far as possible.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from esa_preload_operator.resources.names import (
    API_VERSION,
    CATEGORY,
    FINALIZER,
    GROUP,
    KIND,
    PLURAL,
    RESET_KEY,
    RESET_KEY_PREFIXED,
    RESET_KEYS,
    SHORT_NAME,
    SINGULAR,
    VERSION,
)
from esa_preload_operator.resources.parts import Int32, Int64, Part, Time
from esa_preload_operator.resources.spec import Spec

__all__ = [
    "API_VERSION",
    "CATEGORY",
    "FINALIZER",
    "GROUP",
    "KIND",
    "PLURAL",
    "RESET_KEY",
    "RESET_KEYS",
    "RESET_KEY_PREFIXED",
    "SHORT_NAME",
    "SINGULAR",
    "VERSION",
    "Condition",
    "CreatingStatus",
    "ExecutionStatus",
    "Metadata",
    "ResetStatus",
    "ScheduledPreloadJob",
    "SigningStatus",
    "Status",
]


class SigningStatus(Part):
    """How a call is signed, apart from the key: with it the same request can be made again."""

    nonce: str = Field(default="", description="Nonce of the signed request.")
    date: str = Field(default="", description="Date of the signed request, in its own form.")
    signer: str = Field(
        default="",
        description="Short hash of access key id and endpoint: other credentials can't make the same request.",
    )


class ResetStatus(Part):
    """The reset that is under way, or the last one."""

    phase: str = Field(
        default="",
        description="Held (waits for minResetInterval, or until the job is no longer suspended), InFlight (asked for, "
        "not answered yet), Retrying (refused, will be tried again), Succeeded, Failed (the resource must change), "
        "Withdrawn (the request disappeared) or Replaced (a new job has satisfied the request).",
    )
    job_id: str = Field(default="", description="Id of the ESA job that is reset.")
    tokens: dict[str, str] = Field(
        default_factory=dict,
        description="Annotations and tokens that this reset answers; under the key schedule its scheduled time. A "
        "token above 256 bytes is shown as sha256:….",
    )
    trigger: str = Field(default="", description="What asked for the reset: Annotation or Schedule.")
    generation: Int64 | None = Field(default=None, description="metadata.generation that this reset was decided for.")
    owner: str | None = Field(default=None, description="Process of the operator that wrote this request.")
    started_at: Time | None = Field(default=None, description="When this attempt was written down, before the call.")
    finished_at: Time | None = Field(default=None, description="When the outcome was known.")
    submitted_before: Int64 | None = Field(
        default=None, description="URLs that were already submitted right before the call."
    )
    request_id: str | None = Field(default=None, description="ESA's id of the reset request, for its support.")
    attempts: Int32 = Field(default=0, description="How often the call was prepared for these tokens.")
    unproven: Int32 | None = Field(
        default=None, description="Earlier calls for these tokens whose answers were lost and which nothing proves."
    )
    reason: str | None = Field(
        default=None, description="Why it is tried again, has failed, or is not known, in one CamelCase word."
    )
    message: str | None = Field(default=None, description="What happened, for people.")
    signing: SigningStatus | None = Field(
        default=None,
        description="Where RESET_CONFIRMATION is nonce: how the call under way is signed. It holds no signature and no "
        "key.",
    )


class CreatingStatus(Part):
    """A job that is being created. It is written before the call, and the job is looked for by its name."""

    name: str = Field(default="", description="Name of the job in ESA, new for each call.")
    source: str = Field(default="", description="Hash of the source that the job is made from.")
    tokens: dict[str, str] = Field(
        default_factory=dict, description="Annotations and tokens of the requests that the new job satisfies."
    )
    since: str = Field(default="", description="When it was written down, before the call.")


class ExecutionStatus(Part):
    """A window of the spec, as it was sent to ESA or is about to be."""

    name: str = Field(description="Name of the window in the spec.")
    id: str = Field(default="", description="Id of the execution in ESA, once it is known.")
    state: str = Field(
        default="",
        description="ESA's word (waiting, running, finished, failed or stopped), Pending (not opened yet), Missed (its "
        "end passed before it was opened), Refused (by ESA, see the message) or Suspended.",
    )
    start_time: str = Field(default="", description="When the window opens, RFC 3339.")
    end_time: str = Field(default="", description="When the window closes, RFC 3339.")
    interval_seconds: Int64 | None = Field(default=None, description="Seconds between two batches of URLs.")
    slice_len: Int64 | None = Field(default=None, description="URLs per batch.")
    stopped: bool | None = Field(
        default=None, description="Whether the operator has stopped it, to be started again once the job goes on."
    )
    message: str = Field(default="", description="What happened, for people.")


def _known_or_unknown(value: object) -> object:
    return value if value in ("True", "False") else "Unknown"


class Condition(Part):
    """A condition as metav1.Condition defines it."""

    type: str = Field(
        description="Ready, Reconciling, Stalled, UrlsAccepted or Effective.",
        json_schema_extra={
            "maxLength": 316,
            "pattern": r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
            r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
        },
    )
    status: Annotated[Literal["True", "False", "Unknown"], BeforeValidator(_known_or_unknown)] = Field(
        description="True, False or Unknown."
    )
    observed_generation: Int64 | None = Field(
        default=None, description="metadata.generation that was looked at.", json_schema_extra={"minimum": 0}
    )
    last_transition_time: Time = Field(description="When the status of the condition changed last.")
    reason: str = Field(
        description="Why, in one CamelCase word.",
        json_schema_extra={
            "minLength": 1,
            "maxLength": 1024,
            "pattern": r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        },
    )
    message: str = Field(description="Why, for people.", json_schema_extra={"maxLength": 32768})


def _pending(kind: str, status: str) -> dict[str, Any]:
    """What the API server shows before the operator has written anything, so that nobody takes silence for success."""
    return {
        "type": kind,
        "status": status,
        "reason": "Pending",
        "message": "waiting for the operator",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    }


class Status(Part):
    """What the operator saw and did. Written by the operator alone."""

    observed_generation: Int64 | None = Field(default=None, description="metadata.generation that was looked at last.")
    request_id: str | None = Field(default=None, description="ESA's id of the request that the fields below come from.")
    ali_uid: str | None = Field(default=None, description="Id of the Alibaba Cloud account.")
    created_at: str | None = Field(default=None, description="When the ESA job was created, RFC 3339.")
    domains: str | None = Field(default=None, description="Domain names whose URLs are prefetched.")
    error_info: str | None = Field(default=None, description="What ESA objects to in the list of URLs.")
    failed_file_oss: str | None = Field(
        default=None, description="OSS object that lists the URLs ESA refused, without its query string."
    )
    file_id: str | None = Field(default=None, description="Id of the file with the list of URLs.")
    job_id: str | None = Field(default=None, description="Id of the ESA job.")
    insert_way: str | None = Field(default=None, description="How the URLs were given: textBox or oss.")
    name: str | None = Field(default=None, description="Name of the task in ESA.")
    site_id: Int64 | None = Field(default=None, description="ESA site of the job.")
    task_submitted: Int64 | None = Field(default=None, description="URLs submitted for prefetch tasks.")
    task_type: str | None = Field(default=None, description="Type of the task, usually preload.")
    url_count: Int64 | None = Field(default=None, description="URLs in the list.")
    url_submitted: Int64 | None = Field(default=None, description="URLs submitted since the last reset.")
    progress: Int32 | None = Field(default=None, description="Percent of the URLs submitted.")
    refreshed_at: Time | None = Field(default=None, description="When the fields above were read from ESA.")
    source: str | None = Field(
        default=None, description="Hash of the source that the job of jobId was made from, where the operator made it."
    )
    creating: CreatingStatus | None = Field(
        default=None, description="The job that is being created, as long as it is not known whether it was."
    )
    retired_jobs: list[str] = Field(
        default_factory=list,
        description="Ids of ESA jobs that the operator made and is about to delete.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    executions: list[ExecutionStatus] = Field(
        default_factory=list,
        description="The windows of the spec, and those that are about to be removed.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    reset: ResetStatus | None = Field(default=None, description="The reset that is under way, or the last one.")
    handled_resets: dict[str, str] = Field(
        default_factory=dict,
        description="Annotation key to the last token dealt with, and schedule to the last scheduled time. A token "
        "above 256 bytes is shown as sha256:….",
    )
    handled_times: dict[str, str] = Field(
        default_factory=dict,
        description="Annotation key to the newest time that was dealt with, where handledResets holds another token "
        "now: it is not repeated, and neither is an older one.",
    )
    schedule_seen: str | None = Field(
        default=None,
        description="Time zone and cron of the schedule that handledResets.schedule belongs to.",
    )
    last_reset_time: Time | None = Field(default=None, description="When the job was reset last.")
    next_reset_time: Time | None = Field(
        default=None, description="When a reset is due next: a held one, or the next one of the schedule."
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        description="Ready (the job can be reset), Reconciling (work is under way), Stalled (only a change of the "
        "resource helps), UrlsAccepted (ESA took all URLs), Effective (a window is open, or will be).",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "default": [_pending("Ready", "Unknown"), _pending("Reconciling", "True")],
        },
    )


class Metadata(Part):
    """The part of the object's metadata that the operator reads."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    generation: int = 0
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    finalizers: list[str] = Field(default_factory=list)
    annotations: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)


class ScheduledPreloadJob(Part):
    """One ESA scheduled preload job. Annotate it with resetRequested=<token> to reset its progress exactly once."""

    metadata: Metadata
    spec: Spec
    status: Status = Field(
        default_factory=Status,
        json_schema_extra={
            "default": {},  # so that the default of its conditions shows from the creation on
            "x-kubernetes-map-type": "atomic",  # with an owner of each field a write costs more (`make bench`)
        },
    )
