"""One version of the resource, parsed once: what decisions know of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from esa_preload_operator.domain.cleaning import parse_time
from esa_preload_operator.domain.conditions import READY, find
from esa_preload_operator.domain.errors import Reason
from esa_preload_operator.domain.esa import EsaJob, NewExecution
from esa_preload_operator.domain.hints import ignored_requests
from esa_preload_operator.domain.recorded import NOTHING_RECORDED, Creating, Recorded, WindowState
from esa_preload_operator.domain.signing import Signing
from esa_preload_operator.domain.source import BadUrls, Content, content_of
from esa_preload_operator.domain.spec import (
    ConfigMapSource,
    DeletionPolicy,
    Owned,
    ScheduleSpec,
    SpecProblem,
    WindowSpec,
    instant,
    owned_of,
    schedule_of,
    spec_problem,
    windows_of,
)
from esa_preload_operator.domain.tokens import SCHEDULE_KEY, Tokens, asked_tokens, satisfied, without
from esa_preload_operator.domain.values import Phase, ResetState
from esa_preload_operator.resources.durations import parse_duration
from esa_preload_operator.resources.job import (
    FINALIZER,
    Condition,
    ExecutionStatus,
    Metadata,
    ResetStatus,
    SigningStatus,
    Status,
)
from esa_preload_operator.resources.spec import Spec

_MAX_FIELDS: Final = 5
"""Fields that a message about an unreadable resource names."""


_NO_JOB: Final = EsaJob("")


@dataclass(frozen=True, slots=True)
class Shown:
    """What the status tells people: the job as ESA described it, and the conditions."""

    job: EsaJob = _NO_JOB
    refreshed_at: str = ""
    conditions: tuple[Condition, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether the resource was seen to work and nothing has contradicted it since."""
        ready = find(self.conditions, READY)
        return ready is not None and ready.status == "True"


_NOTHING_SHOWN: Final = Shown()


@dataclass(frozen=True, slots=True)
class View:
    """One version of the resource. Times are epoch seconds, intervals seconds."""

    uid: str
    version: int
    job_id: str
    secret: str | None = None
    """Name of the Secret with the credentials; None for the operator's own."""
    generation: int = 1
    observed: int | None = None
    """The generation that the status was written for."""
    asked: Tokens = ()
    """What the annotations ask for, and the scheduled time that is due."""
    handled: Tokens = ()
    newest: Tokens = ()
    """Newest times that were handled, of keys whose handled token is another one now."""
    reset: ResetState | None = None
    created: float = 0.0
    last_reset: float | None = None
    min_interval: float = 0.0
    deleting: bool = False
    owned: Owned | None = None
    """The job to create; None for a job that is adopted."""
    windows: tuple[WindowSpec, ...] = ()
    schedule: ScheduleSpec | None = None
    suspended: bool = False
    invalid: str = ""
    """Fields of the spec that can't be read."""
    problem: SpecProblem | None = None
    """What is wrong with a spec that can be read."""
    source: Content | BadUrls | None = None
    """The wanted list of URLs, where the spec holds it; one in a ConfigMap is read when it is needed."""
    recorded: Recorded = NOTHING_RECORDED
    """What the status records of the operator's own work."""
    finalizers: tuple[str, ...] = ()
    damaged: str = ""
    """Fields of the status that can't be read: such a status is never replaced."""
    hints: tuple[str, ...] = ()
    """What looks like a request for a reset and is none."""
    shown: Shown = _NOTHING_SHOWN
    status: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """The status as it is stored: a write keeps the fields that this version does not know."""

    @property
    def finalized(self) -> bool:
        """Whether the resource waits for the operator before it is gone."""
        return FINALIZER in self.finalizers

    @property
    def keeps_job(self) -> bool:
        """Whether the job outlives its resource: it was adopted, or is to be retained."""
        return self.owned is None or self.owned.deletion_policy is DeletionPolicy.RETAIN

    @property
    def annotated(self) -> Tokens:
        """What the annotations alone ask for."""
        return tuple(entry for entry in self.asked if entry[0] != SCHEDULE_KEY)

    @property
    def changed(self) -> bool:
        """Whether the spec has changed since the last status was written."""
        return self.observed is not None and self.observed != self.generation

    @property
    def adopted(self) -> bool:
        """Whether the status shows that the resource already acts on its job, so no older one can be about it."""
        ready = find(self.shown.conditions, READY)
        return self.shown.job.id == self.job_id and (ready is None or ready.reason != Reason.JOB_CLAIMED)

    @property
    def in_flight(self) -> bool:
        """Whether an intent is open."""
        return self.reset is not None and self.reset.phase == Phase.IN_FLIGHT


def requested(view: View) -> Tokens:
    """Return the tokens that ask for a reset: not handled, or handled as a failure for another spec."""
    tokens = set(without(view.asked, view.handled)) - set(satisfied(view.asked, view.handled, view.newest))
    if view.reset is not None and view.reset.phase == Phase.FAILED and failed_for_another_spec(view, view.reset):
        tokens |= set(view.reset.tokens) & set(view.asked)
    return tuple(sorted(tokens))


def failed_for_another_spec(view: View, failed: ResetState) -> bool:
    """Return whether the spec is not the one that a request failed for."""
    return failed.generation != view.generation if failed.generation else view.changed


def view_of(body: Mapping[str, Any]) -> View:
    """Return what one version of the resource says.

    Raises:
        ValueError: its metadata can't be read (no map, pydantic's ValidationError, or a version that is no number).
    """
    if not isinstance(body, Mapping):
        raise ValueError("the object is no map")  # noqa: TRY004 - as for everything else that can't be read
    meta = Metadata.model_validate(body.get("metadata"))
    raw = body.get("status") or {}
    spec, invalid = _spec(body)
    status, damaged = _status(raw)
    owned = owned_of(spec, meta)
    return View(
        uid=meta.uid,
        version=int(meta.resource_version),
        job_id=spec.job_id or (status.job_id or "" if owned is not None else ""),
        secret=spec.credentials_secret_ref.name if spec.credentials_secret_ref is not None else None,
        generation=meta.generation,
        observed=status.observed_generation,
        asked=asked_tokens(meta.annotations),
        handled=tuple(sorted(status.handled_resets.items())),
        newest=tuple(sorted(status.handled_times.items())),
        reset=_reset_of(status.reset),
        created=parse_time(meta.creation_timestamp) or 0.0,
        last_reset=parse_time(status.last_reset_time),
        min_interval=_interval(spec.min_reset_interval),
        deleting=meta.deletion_timestamp is not None,
        owned=owned,
        windows=windows_of(spec),
        schedule=schedule_of(spec),
        suspended=spec.suspend,
        invalid=invalid,
        problem=None if invalid else spec_problem(spec),
        source=_source_of(owned),
        recorded=_recorded_of(status, owned),
        finalizers=tuple(meta.finalizers),
        damaged=damaged,
        hints=ignored_requests(meta.annotations, meta.labels),
        shown=Shown(_job_of(status), status.refreshed_at or "", tuple(status.conditions)),
        status=raw if isinstance(raw, Mapping) else {},
    )


def _spec(body: Mapping[str, Any]) -> tuple[Spec, str]:
    try:
        return Spec.model_validate(body.get("spec") or {}), ""
    except ValidationError as error:
        return Spec(), _fields("spec", error)


def _status(raw: Any) -> tuple[Status, str]:
    try:
        status = Status.model_validate(raw)
    except ValidationError as error:
        return Status(conditions=_readable_conditions(raw)), _fields("status", error)
    return status, ", ".join(_unreadable_times(status)[:_MAX_FIELDS])


def _unreadable_times(status: Status) -> list[str]:
    """Return the times by which windows are told apart that can't be read: without them one could be opened twice."""
    return [
        f"status.executions.{number}.{name}"
        for number, each in enumerate(status.executions)
        for name, text in (("startTime", each.start_time), ("endTime", each.end_time))
        if text and instant(text) is None
    ]


def _readable_conditions(raw: Any) -> list[Condition]:
    """Return the conditions of a status that can't be read as a whole, without those that can't be read either."""
    items = raw.get("conditions") if isinstance(raw, Mapping) else None
    found = []
    for item in items if isinstance(items, Sequence) and not isinstance(items, str) else ():
        try:
            found.append(Condition.model_validate(item))
        except ValidationError:
            continue
    return found


def _fields(where: str, error: ValidationError) -> str:
    named: Iterable[str] = (".".join([where, *(str(part) for part in item["loc"])]) for item in error.errors())
    return ", ".join(list(named)[:_MAX_FIELDS])


def _interval(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError:
        return 0.0


def _reset_of(reset: ResetStatus | None) -> ResetState | None:
    if reset is None or not reset.phase:
        return None
    return ResetState(
        phase=reset.phase,
        job_id=reset.job_id,
        tokens=tuple(sorted(reset.tokens.items())),
        trigger=reset.trigger,
        generation=reset.generation or 0,
        owner=reset.owner or "",
        started_at=reset.started_at or "",
        finished_at=reset.finished_at or "",
        submitted_before=reset.submitted_before,
        request_id=reset.request_id or "",
        attempts=reset.attempts,
        unproven=reset.unproven or 0,
        reason=reset.reason or "",
        message=reset.message or "",
        signing=_signing_of(reset.signing),
    )


def _signing_of(signing: SigningStatus | None) -> Signing | None:
    return None if signing is None else Signing(nonce=signing.nonce, date=signing.date, signer=signing.signer)


def _source_of(owned: Owned | None) -> Content | BadUrls | None:
    source = owned.source if owned is not None else None
    return None if source is None or isinstance(source, ConfigMapSource) else content_of(source)


def _recorded_of(status: Status, owned: Owned | None) -> Recorded:
    creating = status.creating
    return Recorded(
        job_id=status.job_id or "" if owned is not None else "",
        source=status.source or "",
        creating=None
        if creating is None or not creating.name
        else Creating(creating.name, creating.source, tuple(sorted(creating.tokens.items())), creating.since),
        retired=tuple(status.retired_jobs),
        windows=tuple(_window_of(each) for each in status.executions),
        schedule_seen=status.schedule_seen or "",
    )


def _window_of(each: ExecutionStatus) -> WindowState:
    start, end = instant(each.start_time), instant(each.end_time)
    sent = None
    if start is not None and end is not None:
        interval, length = each.interval_seconds or 0, each.slice_len or 0
        sent = NewExecution(int(start.timestamp()), int(end.timestamp()), interval, length)
    return WindowState(each.name, sent, each.id, each.state, bool(each.stopped), each.message)


def _job_of(status: Status) -> EsaJob:
    return EsaJob(
        id=status.job_id or "",
        request_id=status.request_id or "",
        ali_uid=status.ali_uid or "",
        created_at=status.created_at or "",
        domains=status.domains or "",
        error_info=status.error_info or "",
        failed_file_oss=status.failed_file_oss or "",
        file_id=status.file_id or "",
        insert_way=status.insert_way or "",
        name=status.name or "",
        site_id=status.site_id or 0,
        task_submitted=status.task_submitted or 0,
        task_type=status.task_type or "",
        url_count=status.url_count or 0,
        url_submitted=status.url_submitted or 0,
    )
