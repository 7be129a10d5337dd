"""The spec as plain values, and what is wrong with it that the API server can't see."""

import enum
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from esa_preload_operator.domain.cleaning import parse_time
from esa_preload_operator.domain.cron import cron_problem, zone_problem
from esa_preload_operator.resources.durations import parse_duration
from esa_preload_operator.resources.job import Metadata
from esa_preload_operator.resources.spec import (
    DEFAULT_DEADLINE,
    MAX_DEADLINE,
    MAX_JITTER,
    MAX_PREFIX,
    MIN_DEADLINE,
    ExecutionSpec,
    ResetSchedule,
    SourceSpec,
    Spec,
)


@dataclass(frozen=True, slots=True)
class UrlSource:
    """URLs that stand in the resource."""

    urls: tuple[str, ...]
    revision: str = ""


@dataclass(frozen=True, slots=True)
class ConfigMapSource:
    """URLs that stand in a ConfigMap of the same namespace, one per line."""

    name: str
    key: str
    revision: str = ""


@dataclass(frozen=True, slots=True)
class OssSource:
    """URLs that ESA reads from OSS."""

    url: str
    revision: str = ""


Source = UrlSource | ConfigMapSource | OssSource


class ReplacePolicy(enum.StrEnum):
    """What comes first when a changed source replaces a job."""

    CREATE_FIRST = "CreateFirst"
    DELETE_FIRST = "DeleteFirst"


class DeletionPolicy(enum.StrEnum):
    """What becomes of a created job when its resource is deleted."""

    DELETE = "Delete"
    RETAIN = "Retain"


@dataclass(frozen=True, slots=True)
class Owned:
    """A job that the operator creates."""

    site_id: int
    name_prefix: str
    """Beginning of its name in ESA, at most 80 characters."""
    source: Source
    replace_policy: ReplacePolicy = ReplacePolicy.CREATE_FIRST
    deletion_policy: DeletionPolicy = DeletionPolicy.DELETE


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """A wanted window. Times are whole seconds in UTC; exactly one of `end` and `duration` is set."""

    name: str
    start: datetime | None
    """None: when the window is first handled, or with `on_reset` when a reset was made."""
    end: datetime | None
    duration: timedelta | None
    on_reset: bool
    interval_seconds: int
    slice_len: int


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """When the job is reset without a request; durations in seconds."""

    cron: str
    """With one space between its fields, so that its layout is no change."""
    time_zone: str = "UTC"
    starting_deadline: int = DEFAULT_DEADLINE
    jitter: int = 0

    @property
    def seen(self) -> str:
        """What `status.scheduleSeen` says of this schedule."""
        return f"{self.time_zone} {self.cron}"


class SpecProblem(NamedTuple):
    """A field of the spec and what is wrong with it, for people."""

    field: str
    message: str


def owned_of(spec: Spec, meta: Metadata) -> Owned | None:
    """Return the job to create; None if the spec adopts one."""
    source = _source(spec.source) if spec.source is not None else None
    if spec.job_id or spec.site_id is None or source is None:
        return None
    return Owned(
        site_id=spec.site_id,
        name_prefix=(spec.name or f"{meta.namespace}-{meta.name}")[:MAX_PREFIX],
        source=source,
        replace_policy=ReplacePolicy(spec.replace_policy or "CreateFirst"),
        deletion_policy=DeletionPolicy(spec.deletion_policy or "Delete"),
    )


def _source(source: SourceSpec) -> Source | None:
    revision = source.revision or ""
    if source.urls is not None:
        return UrlSource(tuple(source.urls), revision)
    if source.config_map_key_ref is not None:
        return ConfigMapSource(source.config_map_key_ref.name, source.config_map_key_ref.key, revision)
    return OssSource(source.oss_url, revision) if source.oss_url is not None else None


def windows_of(spec: Spec) -> tuple[WindowSpec, ...]:
    """Return the wanted windows, in the order of the spec. What can't be read in one is a matter of `spec_problem`."""
    return tuple(
        WindowSpec(
            name=each.name,
            start=instant(each.start_time),
            end=instant(each.end_time),
            duration=_duration(each.duration),
            on_reset=each.on_reset,
            interval_seconds=each.interval_seconds,
            slice_len=each.slice_len,
        )
        for each in spec.executions
    )


def schedule_of(spec: Spec) -> ScheduleSpec | None:
    """Return the schedule, None if there is none."""
    given = spec.reset_schedule
    if given is None:
        return None
    cron = " ".join(given.cron.split())
    return ScheduleSpec(cron, given.time_zone, given.starting_deadline_seconds, given.jitter_seconds or 0)


def instant(text: str | None) -> datetime | None:
    """Return an RFC 3339 time in UTC, in whole seconds as ESA keeps them; None if there is none or it can't be read."""
    moment = parse_time(text)
    try:
        return None if moment is None else datetime.fromtimestamp(moment // 1, UTC)
    except (ValueError, OverflowError, OSError):  # in UTC it lies before the year 1 or after 9999
        return None


def _duration(text: str | None) -> timedelta | None:
    try:
        return None if text is None else timedelta(seconds=int(parse_duration(text)))
    except (ValueError, OverflowError):
        return None


def spec_problem(spec: Spec) -> SpecProblem | None:
    """Return the first problem that rules of the schema can't express, or that an older schema has let pass."""
    if bool(spec.job_id) == (spec.site_id is not None or spec.source is not None):
        return SpecProblem("spec.jobId", "exactly one of jobId and siteId with source must be set")
    if (spec.site_id is None) != (spec.source is None):
        return SpecProblem("spec.siteId", "siteId and source must be set together")
    if spec.source is not None and (problem := _source_problem(spec.source)):
        return problem
    names: set[str] = set()
    for number, window in enumerate(spec.executions):
        field = f"spec.executions[{number}]"
        if window.name in names:
            return SpecProblem(f"{field}.name", "another window has this name")
        names.add(window.name)
        if problem := _window_problem(window, field):
            return problem
    return _schedule_problem(spec.reset_schedule) if spec.reset_schedule is not None else None


def _source_problem(source: SourceSpec) -> SpecProblem | None:
    given = [each for each in (source.urls, source.config_map_key_ref, source.oss_url) if each is not None]
    if len(given) != 1:
        return SpecProblem("spec.source", "exactly one of urls, configMapKeyRef and ossUrl must be set")
    return None


def _window_problem(window: ExecutionSpec, field: str) -> SpecProblem | None:
    start, end, duration = instant(window.start_time), instant(window.end_time), _duration(window.duration)
    if window.start_time is not None and start is None:
        return SpecProblem(f"{field}.startTime", "it is no time such as 2026-12-01T16:00:00Z")
    if window.end_time is not None and end is None:
        return SpecProblem(f"{field}.endTime", "it is no time such as 2026-12-01T22:00:00Z")
    if (window.end_time is None) == (window.duration is None):
        return SpecProblem(f"{field}.endTime", "exactly one of endTime and duration must be set")
    if start is not None and end is not None and end <= start:
        return SpecProblem(f"{field}.endTime", "it must be at least a second after startTime")
    if window.duration is not None and not duration:
        return SpecProblem(f"{field}.duration", "it must be a duration of at least 1s, such as 90s, 30m or 2h")
    if window.on_reset and (duration is None or start is not None):
        return SpecProblem(f"{field}.onReset", "onReset needs a duration and no startTime")
    for name, value in (("intervalSeconds", window.interval_seconds), ("sliceLen", window.slice_len)):
        if value < 1:
            return SpecProblem(f"{field}.{name}", "it must be at least 1")
    return None


def _schedule_problem(schedule: ResetSchedule) -> SpecProblem | None:
    if problem := cron_problem(schedule.cron):
        return SpecProblem("spec.resetSchedule.cron", problem)
    if problem := zone_problem(schedule.time_zone):
        return SpecProblem("spec.resetSchedule.timeZone", problem)
    if not MIN_DEADLINE <= schedule.starting_deadline_seconds <= MAX_DEADLINE:
        return SpecProblem(
            "spec.resetSchedule.startingDeadlineSeconds", f"it must be from {MIN_DEADLINE} to {MAX_DEADLINE}"
        )
    if not 0 <= (schedule.jitter_seconds or 0) <= MAX_JITTER:
        return SpecProblem("spec.resetSchedule.jitterSeconds", f"it must be from 0 to {MAX_JITTER}")
    return None
