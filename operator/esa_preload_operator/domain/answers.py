"""What an answer to a question, a command, or a call that creates something makes of the local state."""

from dataclasses import replace
from typing import Final

from esa_preload_operator.domain import create, executions, removal, work
from esa_preload_operator.domain.call import NOT_SENT
from esa_preload_operator.domain.errors import Delivery, ErrorClass, Problem, Reason
from esa_preload_operator.domain.esa import CreatedExecutions, EsaJob, JobListing
from esa_preload_operator.domain.local import (
    IDLE,
    NO_ATTEMPTS,
    Asking,
    Creates,
    Doing,
    Executions,
    LocalState,
    Made,
    NotCreated,
    Opening,
    Work,
)
from esa_preload_operator.domain.source import BadUrls, Content
from esa_preload_operator.domain.steps import DeleteJob, Done, ListExecutions, ListSite, Result
from esa_preload_operator.domain.values import Moment

INCOMPLETE: Final = Problem(
    "ListIncomplete",
    "ESA's list of the site changes while it is read, so nothing is concluded from it",
    ErrorClass.TRANSIENT,
    Reason.SERVICE_UNAVAILABLE,
)


def after_question(local: LocalState, asked: Asking, result: Result, now: Moment) -> LocalState:
    """Return the local state after ESA, or the API server, has answered a question."""
    local = replace(local, call=asked.base)
    if isinstance(result, Problem):
        return _after_failed_question(local, asked, result, now)
    known = local.work
    match result:
        case JobListing(complete=False):
            return replace(local, work=replace(known, site=work.failed(known.site, INCOMPLETE, now)))
        case JobListing():
            cleared = replace(local, work=replace(known, site=NO_ATTEMPTS)) if not asked.view.deleting else local
            return create.after_listing(cleared, asked.view, result, now)
        case Content() | BadUrls():
            return replace(local, work=replace(known, source=result, create=NO_ATTEMPTS))
        case tuple() if isinstance(asked.query, ListExecutions):
            listed = Executions(asked.query.job_id, result)
            suspected = known.suspected and listed.job_id != asked.view.job_id  # a retired job's list tells nothing
            stubborn = executions.still_stubborn(known.stubborn, result)
            return replace(local, work=replace(known, executions=listed, suspected=suspected, stubborn=stubborn))
        case _:
            return local


def _after_failed_question(local: LocalState, asked: Asking, problem: Problem, now: Moment) -> LocalState:
    known, query = local.work, asked.query
    if isinstance(query, ListSite):
        return replace(local, work=replace(known, site=work.failed(known.site, problem, now)))
    if not isinstance(query, ListExecutions):
        return create.refused(local, problem, now)
    if query.job_id == asked.view.job_id and not asked.view.deleting:
        failed = work.failed(known.windows, problem, now)
        local = replace(local, work=replace(known, windows=failed, suspected=True))
        if problem.reason is not Reason.JOB_NOT_FOUND:
            return local
        missing = replace(local.seen, missing=True) if local.seen.problem is None else local.seen
        return replace(local, seen=missing)
    if problem.reason is Reason.JOB_NOT_FOUND:
        return removal.note_deleted(local, query.job_id)
    return replace(local, work=replace(known, removal=work.failed(known.removal, problem, now)))


def after_command(local: LocalState, done: Doing, result: Result, now: Moment) -> LocalState:
    """Return the local state after a command."""
    local = replace(local, call=done.base)
    listed = local.work.executions
    about_windows = not isinstance(done.command, DeleteJob) and (
        listed is not None and listed.job_id == done.view.job_id and not done.view.deleting
    )
    if isinstance(result, Problem):
        known = replace(work.lost(local, result, now).work, executions=None)
        if about_windows:
            failed = work.failed(known.windows, result, now)
            return replace(local, work=replace(known, windows=failed, suspected=True))
        return replace(local, work=replace(known, removal=work.failed(known.removal, result, now)))
    if isinstance(done.command, DeleteJob):
        local = removal.note_deleted(local, done.command.job_id)
        return replace(local, work=replace(local.work, removal=NO_ATTEMPTS))
    local = replace(local, work=work.carried_out(local.work, done.command, now, about_windows=about_windows))
    execution = result.execution if isinstance(result, Done) else None
    return executions.after_command(local, done.command, execution)


def after_create(local: LocalState, created: Creates, result: Result, now: Moment) -> LocalState:
    """Return the local state after a create: a lost answer is found again by its name."""
    if isinstance(result, EsaJob):
        return create.made_with(result, local, created.intent, now)
    if not isinstance(result, Problem):
        return replace(local, call=IDLE)
    if result.code == NOT_SENT:
        return replace(local, call=NotCreated(created.intent))
    if result.delivery is Delivery.UNKNOWN:
        return replace(create.refused(work.lost(local, result, now), result, now), call=IDLE)
    return replace(create.refused(local, result, now), call=Made(created.intent, result))


def after_opening(local: LocalState, opening: Opening, result: Result, now: Moment) -> LocalState:
    """Return the local state after windows were to be opened: those of a lost answer are found again in a list."""
    local = replace(local, call=opening.base)
    if isinstance(result, CreatedExecutions):
        local = replace(local, work=replace(local.work, acted=True, opened_at=now.monotonic))
        return executions.after_opening(local, opening.wanted, result, now)
    if not isinstance(result, Problem):
        return local
    known: Work = work.lost(local, result, now).work
    missing = local.seen
    if result.reason is Reason.JOB_NOT_FOUND and missing.problem is None:
        missing = replace(missing, missing=True)
    windows_now = work.failed(known.windows, result, now)
    known = replace(known, executions=None, windows=windows_now, suspected=True)
    return replace(local, seen=missing, work=known)
