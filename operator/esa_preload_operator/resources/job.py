"""`ScheduledPreloadJob`: the custom resource as types. The CRD is made from them, see `resources.crd`.

Reading is lenient: an unknown field is ignored, and lengths, patterns and rules stand in the schema only, because the
API server has already judged what users write, perhaps by another version of the CRD. Times in the status are text, so
that a status written by hand can be read as far as possible.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP: Final = "esa.preload-operator.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "ScheduledPreloadJob"
PLURAL: Final = "scheduledpreloadjobs"
SINGULAR: Final = "scheduledpreloadjob"
SHORT_NAME: Final = "spj"
CATEGORY: Final = "esa"

RESET_KEY: Final = "resetRequested"
RESET_KEY_PREFIXED: Final = f"{GROUP}/resetRequested"
RESET_KEYS: Final = (RESET_KEY, RESET_KEY_PREFIXED)
"""The annotations that ask for a reset; the short one is for people, the prefixed one for tools."""

Int64 = Annotated[int, Field(json_schema_extra={"format": "int64"})]
Int32 = Annotated[int, Field(json_schema_extra={"format": "int32"})]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Part(BaseModel):
    """A part of the resource: lowerCamelCase on the wire, snake_case here."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


class SecretRef(Part):
    """Names a Secret in the namespace of the resource."""

    name: str = Field(
        description="Name of a Secret in the same namespace with the keys accessKeyId, accessKeySecret and, for "
        "temporary credentials, securityToken.",
        json_schema_extra={"minLength": 1, "maxLength": 253, "pattern": r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"},
    )


_DURATION: Final = r"^(0|([0-9]{1,3}([.][0-9]+)?h|[0-9]{1,7}([.][0-9]+)?(m|s|ms|us|ns))+)$"
"""Durations that are not negative and too short to overflow, as a regular expression of CEL."""


class Spec(Part):
    """The wanted job."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {  # a rule on the field alone is bypassed by leaving the field out
                    "rule": "has(self.jobId) == has(oldSelf.jobId)",
                    "message": "jobId can't be added or removed: make a new resource for another job",
                    "fieldPath": ".jobId",
                }
            ]
        }
    )

    job_id: str = Field(
        description="Id of an ESA scheduled preload job that exists, as the console shows it, such as "
        "665d3af3621bccf3fe29e1a4. Immutable: make a new resource for another job.",
        json_schema_extra={
            "minLength": 1,
            "maxLength": 64,
            "pattern": r"^[0-9A-Za-z_-]+$",
            "x-kubernetes-validations": [
                {"rule": "self == oldSelf", "message": "jobId is immutable: make a new resource for another job"}
            ],
        },
    )
    credentials_secret_ref: SecretRef | None = Field(
        default=None,
        description="Secret with the credentials for this job. Without it the operator's own credentials are used, "
        "where the operator allows them for this namespace.",
    )
    min_reset_interval: str = Field(
        default="0s",
        description="Shortest time between two resets, from 0s to 720h, such as 30s, 5m or 1h30m. Requests that come "
        "sooner are held and become one reset.",
        json_schema_extra={
            "maxLength": 32,
            "x-kubernetes-validations": [
                {  # duration() alone may fail, and a failure, unlike a no, stops every write to a stored object
                    "rule": f"self.matches('{_DURATION}') && duration(self) <= duration('720h')",
                    "message": "minResetInterval must be a duration from 0s to 720h, such as 30s, 5m or 1h30m",
                }
            ],
        },
    )


Phase = Literal["Held", "InFlight", "Retrying", "Succeeded", "Failed", "Withdrawn", "Replaced"]


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
        description="Held (waits for minResetInterval), InFlight (asked for, not answered yet), Retrying (refused, "
        "will be tried again), Succeeded, Failed (the resource must change), Withdrawn (the request disappeared) or "
        "Replaced (the job became another one).",
    )
    job_id: str = Field(default="", description="Id of the ESA job that is reset.")
    tokens: dict[str, str] = Field(
        default_factory=dict,
        description="Annotations and tokens that this reset answers. A token above 256 bytes is shown as sha256:….",
    )
    trigger: str = Field(default="", description="What asked for the reset: Annotation.")
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


def _known_or_unknown(value: object) -> object:
    return value if value in ("True", "False") else "Unknown"


class Condition(Part):
    """A condition as metav1.Condition defines it."""

    type: str = Field(
        description="Ready, Reconciling, Stalled or UrlsAccepted.",
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
    reset: ResetStatus | None = Field(default=None, description="The reset that is under way, or the last one.")
    handled_resets: dict[str, str] = Field(
        default_factory=dict,
        description="Annotation key to the last token dealt with. A token above 256 bytes is shown as sha256:….",
    )
    handled_times: dict[str, str] = Field(
        default_factory=dict,
        description="Annotation key to the newest time that was dealt with, where handledResets holds another token "
        "now: it is not repeated, and neither is an older one.",
    )
    last_reset_time: Time | None = Field(default=None, description="When the job was reset last.")
    next_reset_time: Time | None = Field(default=None, description="When a held reset will be made.")
    conditions: list[Condition] = Field(
        default_factory=list,
        description="Ready (the job can be reset), Reconciling (work is under way), Stalled (only a change of the "
        "resource helps), UrlsAccepted (ESA took all URLs).",
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
