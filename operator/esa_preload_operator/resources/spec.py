"""What users write: the spec of a `ScheduledPreloadJob`. Its rules stand here or below, never on the whole object.

Only the API server judges lengths, patterns and rules; later versions may loosen them, and never tighten them.
"""

from typing import Final, Literal

from pydantic import ConfigDict, Field
from pydantic.config import JsonValue

from esa_preload_operator.resources.parts import DURATION, OBJECT_NAME, Int32, Int64, Part, Time, rule

MAX_URLS: Final = 1000
"""URLs in a spec: the cost of its rules and the annotation of `kubectl apply` (256 KiB) set the bound."""
MAX_URL: Final = 2048
MAX_LIST: Final = 128 * 1024
"""Characters of all URLs of a spec."""
MIN_DEADLINE: Final = 60
"""Seconds; it must outlast the recovery of a lost answer."""
DEFAULT_DEADLINE: Final = 3600
MAX_DEADLINE: Final = 7 * 24 * 3600
MAX_JITTER: Final = 3600
MAX_PREFIX: Final = 80
"""Characters of the name's prefix; ESA documents no limit."""

_TIME: Final = (
    r"^2[0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
_CRON: Final = r"^(@(hourly|daily|midnight|weekly|monthly|yearly|annually)|[0-9A-Za-z*,/#-]+( +[0-9A-Za-z*,/#-]+){4})$"
_ZONE: Final = r"^[A-Za-z][A-Za-z0-9]*([/_+-][A-Za-z0-9]+)*$"


class SecretRef(Part):
    """Names a Secret in the namespace of the resource."""

    name: str = Field(
        description="Name of a Secret in the same namespace with the keys accessKeyId, accessKeySecret and, for "
        "temporary credentials, securityToken.",
        json_schema_extra={"minLength": 1, "maxLength": 253, "pattern": OBJECT_NAME},
    )


class ConfigMapKeyRef(Part):
    """Names a key of a ConfigMap in the namespace of the resource."""

    name: str = Field(
        description="Name of a ConfigMap in the same namespace.",
        json_schema_extra={"minLength": 1, "maxLength": 253, "pattern": OBJECT_NAME},
    )
    key: str = Field(
        description="Key of the ConfigMap that holds the URLs.",
        json_schema_extra={"minLength": 1, "maxLength": 253, "pattern": r"^[-._a-zA-Z0-9]+$"},
    )


class SourceSpec(Part):
    """Where the URLs come from: exactly one of urls, configMapKeyRef and ossUrl."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                rule(
                    "[has(self.urls), has(self.configMapKeyRef), has(self.ossUrl)].exists_one(given, given)",
                    "source must have exactly one of urls, configMapKeyRef and ossUrl",
                )
            ]
        }
    )

    revision: str | None = Field(
        default=None,
        description="Any text. A new value replaces the ESA job, for a list in OSS that has changed in place.",
        json_schema_extra={"maxLength": 256},
    )
    urls: list[str] | None = Field(
        default=None,
        description="URLs to prefetch, at most 1000 of 2048 characters and 128 KiB in all. Longer lists belong in a "
        "ConfigMap or in OSS.",
        json_schema_extra={
            "minItems": 1,
            "maxItems": MAX_URLS,
            # As a set, with an owner for each of 1,000 URLs, a write of the status takes ten times as long; so the
            # operator finds duplicates.
            "x-kubernetes-list-type": "atomic",
            "x-kubernetes-validations": [
                rule(
                    f"self.map(url, url.size()).sum() <= {MAX_LIST}",
                    f"urls must have at most {MAX_LIST} characters in all; use configMapKeyRef or ossUrl for more",
                )
            ],
            "items": {"type": "string", "minLength": 8, "maxLength": MAX_URL, "pattern": r"^https?://[^\s/]+(/\S*)?$"},
        },
    )
    config_map_key_ref: ConfigMapKeyRef | None = Field(
        default=None,
        description="Key of a ConfigMap that holds one URL per line. Blank lines and lines that begin with # do not "
        "count.",
    )
    oss_url: str | None = Field(
        default=None,
        description="Address of an object in OSS that holds one URL per line. ESA fetches it, the operator never does.",
        json_schema_extra={"maxLength": MAX_URL, "pattern": r"^https://[^\s/?#@]+/\S+$"},
    )


class ExecutionSpec(Part):
    """A window: from its start to its end, every intervalSeconds, ESA submits the next sliceLen URLs."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                rule(
                    "has(self.endTime) != has(self.duration)",
                    "exactly one of endTime and duration must be set",
                    "endTime",
                ),
                rule(
                    "!has(self.startTime) || !has(self.endTime) || self.startTime < self.endTime",
                    "startTime must be before endTime",
                    "startTime",
                ),
                rule(
                    "!has(self.onReset) || !self.onReset || (has(self.duration) && !has(self.startTime))",
                    "onReset needs a duration and no startTime",
                    "onReset",
                ),
            ]
        }
    )

    name: str = Field(
        description="Name of the window, unique in the list.",
        json_schema_extra={"minLength": 1, "maxLength": 63, "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
    )
    start_time: Time | None = Field(
        default=None,
        description="When the window opens, RFC 3339. Without it the window opens when it is first handled.",
        json_schema_extra={"pattern": _TIME},
    )
    end_time: Time | None = Field(
        default=None,
        description="When the window closes, RFC 3339. Either endTime or duration.",
        json_schema_extra={"pattern": _TIME},
    )
    duration: str | None = Field(
        default=None,
        description="How long the window is open, from 1s to 720h, such as 90s, 30m or 2h. Either endTime or duration.",
        json_schema_extra={
            "maxLength": 32,
            "x-kubernetes-validations": [
                rule(
                    f"self.matches('{DURATION}') && duration(self) >= duration('1s') "
                    "&& duration(self) <= duration('720h')",
                    "duration must be a duration from 1s to 720h, such as 90s, 30m or 2h",
                )
            ],
        },
    )
    on_reset: bool = Field(
        default=False,
        description="Whether every reset opens this window anew, from then on for its duration.",
    )
    interval_seconds: Int32 = Field(
        description="Seconds between two batches of URLs.", json_schema_extra={"minimum": 1, "maximum": 86400}
    )
    slice_len: Int32 = Field(description="URLs per batch.", json_schema_extra={"minimum": 1, "maximum": 100_000})


class ResetSchedule(Part):
    """When the job is reset without a request."""

    cron: str = Field(
        description="Minute, hour, day of month, month and day of week, such as 0 2 * * *, or one of @hourly, @daily, "
        "@midnight, @weekly, @monthly, @yearly and @annually.",
        json_schema_extra={"maxLength": 100, "pattern": _CRON},
    )
    time_zone: str = Field(
        default="UTC",
        description="Time zone of cron by its IANA name, such as Asia/Shanghai.",
        json_schema_extra={
            "maxLength": 64,
            "pattern": _ZONE,
            "x-kubernetes-validations": [
                rule("self != 'Local'", "timeZone must be the name of a time zone, such as Asia/Shanghai")
            ],
        },
    )
    starting_deadline_seconds: Int64 = Field(
        default=DEFAULT_DEADLINE,
        description="How long after its time a reset may still be made, from 60 to 604800 seconds; then it is skipped.",
        json_schema_extra={"minimum": MIN_DEADLINE, "maximum": MAX_DEADLINE},
    )
    jitter_seconds: Int32 | None = Field(
        default=None,
        description="Up to so many seconds, from 0 to 3600, does the reset come after its time; how many is fixed for "
        "each resource, so that many of one schedule do not come at once.",
        json_schema_extra={"minimum": 0, "maximum": MAX_JITTER},
    )


_ONE_OF_BOTH: Final[list[JsonValue]] = [
    rule(
        "has(self.jobId) != (has(self.siteId) || has(self.source))",
        "exactly one of jobId (adopts a job) and siteId with source (creates a job) must be set",
        "jobId",
    ),
    rule(
        "has(self.siteId) == has(self.source)",
        "siteId and source must be set together",
        "siteId",
    ),
]
_IMMUTABLE: Final[list[JsonValue]] = [  # a rule on the field alone is bypassed by leaving the field out
    rule(
        f"has(self.{field}) == has(oldSelf.{field})",
        f"{field} can't be added or removed: make a new resource for another {what}",
        field,
    )
    for field, what in (("jobId", "job"), ("siteId", "site"), ("name", "name"))
]
_OF_CREATED_JOBS: Final[list[JsonValue]] = [
    rule("!has(self.jobId) || !has(self.name)", "name is only for a job that is created", "name"),
    rule(
        "!has(self.jobId) || !has(self.replacePolicy) || self.replacePolicy != 'DeleteFirst'",
        "replacePolicy DeleteFirst is only for a job that is created",
        "replacePolicy",
    ),
    rule(
        "!has(self.jobId) || !has(self.deletionPolicy) || self.deletionPolicy == 'Retain'",
        "deletionPolicy must be Retain for a job that is adopted",
        "deletionPolicy",
    ),
]


class Spec(Part):
    """The wanted job: either jobId, which adopts a job that exists, or siteId and source, which create one."""

    model_config = ConfigDict(
        json_schema_extra={"x-kubernetes-validations": [*_ONE_OF_BOTH, *_IMMUTABLE, *_OF_CREATED_JOBS]}
    )

    job_id: str | None = Field(
        default=None,
        description="Id of an ESA scheduled preload job that exists, as the console shows it, such as "
        "665d3af3621bccf3fe29e1a4. Immutable: make a new resource for another job.",
        json_schema_extra={
            "minLength": 1,
            "maxLength": 64,
            "pattern": r"^[0-9A-Za-z_-]+$",
            "x-kubernetes-validations": [
                rule("self == oldSelf", "jobId is immutable: make a new resource for another job")
            ],
        },
    )
    site_id: Int64 | None = Field(
        default=None,
        description="Id of the ESA site in which the job is created. Immutable: make a new resource for another site.",
        json_schema_extra={
            "minimum": 1,
            "maximum": 2**53 - 1,  # what a JSON number can say everywhere
            "x-kubernetes-validations": [
                rule("self == oldSelf", "siteId is immutable: make a new resource for another site")
            ],
        },
    )
    name: str | None = Field(
        default=None,
        description="Beginning of the created job's name in ESA, at most 80 characters; namespace-name of the "
        "resource if it is not set. Immutable: make a new resource for another name.",
        json_schema_extra={
            "minLength": 1,
            "maxLength": MAX_PREFIX,
            "x-kubernetes-validations": [
                rule("self == oldSelf", "name is immutable: make a new resource for another name"),
                rule(  # as a rule, because not every dialect of JSON schema knows classes of characters
                    r"self.matches(r'^[^\s\p{C}\p{Z}]+( [^\s\p{C}\p{Z}]+)*$')",
                    "name must be words of visible characters with one space between two",
                ),
            ],
        },
    )
    source: SourceSpec | None = Field(
        default=None,
        description="URLs of the job that is created. ESA can't change them, so a change replaces the job by a new "
        "one.",
    )
    replace_policy: Literal["CreateFirst", "DeleteFirst"] | None = Field(
        default=None,
        description="Whether a changed source creates the new job before it deletes the old one (CreateFirst, the "
        "default) or after it (DeleteFirst, for a site that has no room for both).",
    )
    executions: list[ExecutionSpec] = Field(
        default_factory=list,
        description="Windows in which ESA submits URLs, at most 64. The operator leaves other windows of the job "
        "alone.",
        json_schema_extra={
            "maxItems": 64,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
    )
    reset_schedule: ResetSchedule | None = Field(default=None, description="When the job is reset without a request.")
    min_reset_interval: str = Field(
        default="0s",
        description="Shortest time between two resets, from 0s to 720h, such as 30s, 5m or 1h30m. Requests that come "
        "sooner are held and become one reset.",
        json_schema_extra={
            "maxLength": 32,
            "x-kubernetes-validations": [
                rule(  # duration() alone may fail, and a failure, unlike a no, stops every write to a stored object
                    f"self.matches('{DURATION}') && duration(self) <= duration('720h')",
                    "minResetInterval must be a duration from 0s to 720h, such as 30s, 5m or 1h30m",
                )
            ],
        },
    )
    suspend: bool = Field(
        default=False,
        description="Whether the job rests: running windows are stopped, none is opened, and resets are held until it "
        "goes on.",
    )
    deletion_policy: Literal["Delete", "Retain"] | None = Field(
        default=None,
        description="Whether the job in ESA is deleted with the resource. Without it a created job is deleted; an "
        "adopted one is always retained.",
    )
    credentials_secret_ref: SecretRef | None = Field(
        default=None,
        description="Secret with the credentials for this job. Without it the operator's own credentials are used, "
        "where the operator allows them for this namespace.",
    )
