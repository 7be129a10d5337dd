"""What keeps a resource's status true while nobody asks for a reset: what ESA has told, and when to look."""

from dataclasses import replace
from typing import Final

from esa_preload_operator.domain import work
from esa_preload_operator.domain.cleaning import format_time
from esa_preload_operator.domain.conditions import Finding, State, finding_of
from esa_preload_operator.domain.errors import ErrorClass, Problem, Reason
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.local import LocalState, Looking, Seen, settled
from esa_preload_operator.domain.steps import (
    Ask,
    CrdChanged,
    CredentialsChanged,
    ExecutionsCounted,
    Fact,
    GetJob,
    JobMissing,
    JobTold,
    SiteFailed,
    SiteListed,
    SourceChanged,
    Step,
    SurplusListed,
    Told,
    TurnCame,
    Wait,
    WindowsSuspected,
    Write,
)
from esa_preload_operator.domain.values import Backoff, Moment, Phase, Rules
from esa_preload_operator.domain.view import View

_AT_ONCE: Final = Backoff()
CAN_BE_RESET: Final = "ESA job {} can be reset"


def about(local: LocalState, view: View) -> LocalState:
    """Return the local state without what was told of another job, or to other credentials."""
    seen = local.seen
    if (seen.job_id, seen.secret) == (view.job_id, view.secret):
        return local
    known = seen.job_id != "" and (view.owned is None or seen.secret != view.secret)
    fresh = Seen(view.job_id, view.secret, distrusted=known)
    return replace(_at_once(local), seen=fresh)


def learn(local: LocalState, told: Told) -> LocalState:
    """Return the local state with a fact that was told about this job, by these credentials, and is not outdated."""
    seen = local.seen
    match told.fact:
        case CrdChanged():
            return replace(local, pruned="", mute=False)
        case TurnCame():
            return _at_once(local)
        case SourceChanged():
            return replace(local, work=replace(work.renewed(local).work, source=None))
    if (told.job_id, told.secret) != (seen.job_id, seen.secret):
        return local
    return _learn_of_job(local, told.fact, old=told.began < seen.changed_at)


def _at_once(local: LocalState) -> LocalState:
    """Return the local state in which everything that failed is tried again at once."""
    return replace(work.renewed(local), look_backoff=_AT_ONCE, reset_backoff=_AT_ONCE)


def _learn_of_job(local: LocalState, fact: Fact, *, old: bool) -> LocalState:
    seen = local.seen
    match fact:
        case JobTold(job) if not old:
            seen = replace(seen, job=job, works=True, missing=False, problem=None, site=None)
        case JobMissing() if not old:
            gone = seen.problem is not None and seen.problem.reason is Reason.JOB_NOT_FOUND
            seen = replace(seen, missing=not gone, site=None)
        case SiteFailed(problem, since):
            seen = replace(seen, site=problem, site_since=since)
        case SiteListed() | JobTold() | JobMissing():
            seen = replace(seen, site=None)
        case CredentialsChanged():
            return replace(_at_once(local), seen=replace(seen, problem=None, site=None))
        case WindowsSuspected():
            return replace(local, work=replace(local.work, suspected=True))
        case ExecutionsCounted(idle) if not old:
            seen = replace(seen, idle=idle)
        case SurplusListed(job_ids) if not old:
            return replace(local, work=replace(local.work, surplus=job_ids))
    return replace(local, seen=seen)


def saw(seen: Seen, result: EsaJob | Problem | None, now: Moment) -> Seen:
    """Return what is known after ESA has answered about the job itself; None if the answer is stored elsewhere."""
    if isinstance(result, Problem):
        return replace(seen, job=None, problem=result, works=False, missing=False, idle=None, changed_at=now.monotonic)
    return replace(seen, job=result, works=True, missing=False, problem=None, idle=None, changed_at=now.monotonic)


def stored(seen: Seen, write: Write, now: Moment) -> Seen:
    """Return what is known once a write is stored: lists that began before are older than the status."""
    if write.job is None:
        return seen
    return replace(seen, job=None, changed_at=now.monotonic)


def plan(local: LocalState, view: View, now: Moment, rules: Rules, fresh: bool) -> tuple[LocalState, Step | None]:
    """Look at the job if neither the status nor anything told since says that it works."""
    del rules, fresh
    if not view.job_id or not needs_verification(local, view):
        return local, None
    if now.monotonic < local.look_backoff.not_before:
        return local, Wait(local.look_backoff.not_before)
    return replace(local, call=Looking(view, settled(local.call), resets=False)), Ask(GetJob(view.job_id))


def needs_verification(local: LocalState, view: View) -> bool:
    """Return whether only a look can tell whether the job can be reset, or what the status should show of it."""
    seen = local.seen
    shown = seen.job is not None or view.shown.job.id == view.job_id or local.mute
    return seen.missing or not ((seen.works and shown) or _is_trusted(seen, view) or _is_failure_watched(seen, view))


def _is_failure_watched(seen: Seen, view: View) -> bool:
    """Return whether the last request failed, and the list of the site will show whether the job is back."""
    failed = view.reset is not None and view.reset.phase == Phase.FAILED and view.observed == view.generation
    return failed and view.shown.job.id == view.job_id and bool(view.shown.job.site_id) and not seen.distrusted


def _is_trusted(seen: Seen, view: View) -> bool:
    """Return whether the status says that the job works, for this spec and these credentials."""
    shown = view.shown
    says = shown.ready and shown.job.id == view.job_id and view.observed == view.generation
    return says and not seen.distrusted and seen.problem is None


def finding(local: LocalState, view: View) -> Finding | None:
    """Return what is known of the job; None if nothing is known."""
    seen = local.seen
    if seen.problem is not None:
        return finding_of(seen.problem)
    if not (seen.works or _is_trusted(seen, view)):
        return None
    can = CAN_BE_RESET.format(view.job_id)
    if seen.site is None:
        return Finding(State.READY, Reason.READY, can)
    if seen.site.error_class is not ErrorClass.TRANSIENT:
        reason = seen.site.reason if seen.site.error_class is ErrorClass.BLOCKED else Reason.ESA_ERROR
        return Finding(State.BLOCKED, reason, str(seen.site))
    since = format_time(seen.site_since)
    message = f"{can}; its numbers may be old: the list of its site has failed since {since} ({seen.site.code})"
    return Finding(State.READY, Reason.REFRESH_FAILING, message)
