"""A resource as kubectl prints it, read leniently: a status by another version or by hand must still be shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from esa_preload_operator.domain.cleaning import clean_count, clean_text, parse_time
from esa_preload_operator.domain.tokens import Tokens

Json = Mapping[str, Any]


def part(value: Any, *path: str) -> Json:
    """Return the object at a path, an empty one where there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def entries(value: Any) -> list[Json]:
    """Return the objects of a list."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, Sequence) else []


def text(value: Any) -> str:
    """Return foreign text, fit to be shown."""
    return "" if value is None else clean_text(value)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of a resource."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    since: float | None = None

    @property
    def why(self) -> str:
        """Reason and message, which often begins with a code that is the reason."""
        return self.message if self.message.startswith(self.reason) else f"{self.reason}: {self.message}"


@dataclass(frozen=True, slots=True)
class Reset:
    """`status.reset`."""

    phase: str = ""
    tokens: Tokens = ()
    trigger: str = ""
    attempts: int = 0
    message: str = ""
    reason: str = ""
    started: float | None = None
    finished: float | None = None


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """Names a resource."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Job:
    """One resource at one version."""

    ref: Ref
    uid: str = ""
    version: int = 0
    """`metadata.resourceVersion`, a number to the API server that Kubernetes has; 0 where it is none."""
    created: float | None = None
    deleting: bool = False
    annotations: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    spec: Json = field(default_factory=dict)
    status: Json = field(default_factory=dict)
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    reset: Reset | None = None

    @property
    def suspended(self) -> bool:
        """Whether it is to rest."""
        return self.spec.get("suspend") is True

    @property
    def urls(self) -> int | None:
        """URLs in the list."""
        return clean_count(self.status.get("urlCount"))

    @property
    def submitted(self) -> int | None:
        """URLs submitted since the last reset."""
        return clean_count(self.status.get("urlSubmitted"))

    @property
    def handled(self) -> Mapping[str, str]:
        """The last token of each annotation that was dealt with."""
        return _texts(self.status.get("handledResets"))

    @property
    def newest(self) -> Mapping[str, str]:
        """The newest time of each annotation, where the token that was handled last is another one."""
        return _texts(self.status.get("handledTimes"))

    def when(self, name: str) -> float | None:
        """Return a time of the status."""
        return parse_time(text(self.status.get(name)))


def read_job(body: Any) -> Job:
    """Return a resource."""
    metadata, status = part(body, "metadata"), part(body, "status")
    return Job(
        ref=Ref(text(metadata.get("namespace")), text(metadata.get("name"))),
        uid=text(metadata.get("uid")),
        version=clean_count(metadata.get("resourceVersion")) or 0,
        created=parse_time(text(metadata.get("creationTimestamp"))),
        deleting=bool(metadata.get("deletionTimestamp")),
        annotations=_texts(metadata.get("annotations")),
        labels=_texts(metadata.get("labels")),
        spec=part(body, "spec"),
        status=status,
        conditions={each.type: each for each in map(_condition, entries(status.get("conditions"))) if each.type},
        reset=_reset(part(status, "reset")) if status.get("reset") else None,
    )


def read_jobs(body: Any) -> list[Job]:
    """Return the resources of a list, or the one that it is."""
    if isinstance(body, Mapping) and "items" in body:
        return [read_job(each) for each in entries(body["items"])]
    return [read_job(body)]


def _texts(value: Any) -> dict[str, str]:
    return {str(key): str(each) for key, each in value.items()} if isinstance(value, Mapping) else {}


def _condition(body: Json) -> Condition:
    return Condition(
        type=text(body.get("type")),
        status=text(body.get("status")),
        reason=text(body.get("reason")),
        message=text(body.get("message")),
        since=parse_time(text(body.get("lastTransitionTime"))),
    )


def _reset(body: Json) -> Reset:
    return Reset(
        phase=text(body.get("phase")),
        tokens=tuple(sorted(_texts(body.get("tokens")).items())),
        trigger=text(body.get("trigger")),
        attempts=clean_count(body.get("attempts")) or 0,
        message=text(body.get("message")),
        reason=text(body.get("reason")),
        started=parse_time(text(body.get("startedAt"))),
        finished=parse_time(text(body.get("finishedAt"))),
    )
