"""Removes jobs that nobody needs any more: of a deleted resource, replaced ones, and what a list shows twice."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from esa_preload_operator.domain import work
from esa_preload_operator.domain.conditions import Finding, State, finding_of
from esa_preload_operator.domain.errors import Problem, Reason
from esa_preload_operator.domain.esa import EsaJob, JobListing
from esa_preload_operator.domain.executions import removal_of
from esa_preload_operator.domain.identity import carries
from esa_preload_operator.domain.local import Attempts, Executions, LocalState, Made
from esa_preload_operator.domain.spec import Owned
from esa_preload_operator.domain.steps import (
    DeleteJob,
    Finalizer,
    ListExecutions,
    ListSite,
    Wait,
    record,
)
from esa_preload_operator.domain.values import Backoff, Moment, Notice, Rules
from esa_preload_operator.domain.view import View
from esa_preload_operator.domain.work import Asked


def deletion(local: LocalState, view: View, now: Moment, rules: Rules, fresh: bool) -> Asked:
    """Let a resource go that is being deleted, once no job of its own is left at ESA."""
    del fresh
    if not view.deleting:
        return local, None
    owned = view.owned
    if not view.finalized or view.invalid:
        return local, Wait(exclusive=True)
    if owned is None or view.keeps_job:
        return local, Finalizer(view, present=False)
    if view.damaged:
        return local, Wait(exclusive=True)
    for job_id in _known_jobs(local, view):
        local, step = remove(local, view, job_id, now)
        if step is not None:
            return local, replace(step, exclusive=True) if isinstance(step, Wait) else step
    return _let_go(local, view, owned, now, rules)


def _known_jobs(local: LocalState, view: View) -> tuple[str, ...]:
    made = local.call.result if isinstance(local.call, Made) else None
    own = (view.recorded.job_id, made.id if made is not None and not isinstance(made, Problem) else "")
    return tuple(job_id for job_id in (*own, *view.recorded.retired, *local.work.surplus) if job_id)


def _let_go(local: LocalState, view: View, owned: Owned, now: Moment, rules: Rules) -> Asked:
    """Remove the finalizer after a complete list without a job of this resource, made when it is quiet."""
    if local.work.absent:
        return local, Finalizer(view, present=False)
    is_lost = view.recorded.creating is not None and not isinstance(local.call, Made)
    until = work.quiet_at(local, rules) if is_lost else local.work.unknown_at + rules.quiet
    waits = work.pause(local.work.site, now) or (Wait(until) if now.monotonic < until else None)
    if waits is not None:
        return local, replace(waits, exclusive=True)
    return work.ask(local, view, ListSite(owned.site_id))


def note_listing(local: LocalState, view: View, listing: JobListing, now: Moment) -> LocalState:
    """Return the local state after a complete list of the site: what it shows of this resource beyond the status."""
    known = local.work
    if not view.deleting:
        return replace(local, work=replace(known, surplus=surplus_of(view, listing.jobs)))
    ours = frozenset(job.id for job in listing.jobs if is_ours(view, job.name))
    lagging = ours & known.deleted
    failures = known.site.backoff.failures + 1 if lagging else 0
    pause = now.monotonic + min(_LONGEST_PAUSE, 2.0 ** min(failures, 10)) if lagging else 0.0
    site = Attempts(Backoff(failures, pause))
    deleted = known.deleted - lagging
    return replace(local, work=replace(known, surplus=tuple(sorted(ours)), absent=not ours, deleted=deleted, site=site))


_LONGEST_PAUSE: Final = 60.0
"""Seconds between two lists of a site that still show a job whose deletion ESA has confirmed."""


def is_ours(view: View, name: str | None) -> bool:
    """Return whether a job of this name was created for this resource."""
    return view.owned is not None and carries(name, view.owned.name_prefix, view.uid)


def surplus_of(view: View, jobs: Sequence[EsaJob]) -> tuple[str, ...]:
    """Return the jobs of a complete list that carry the resource's identity and that the status does not record."""
    own = own_jobs(view)
    return own.surplus(jobs) if own is not None else ()


@dataclass(frozen=True, slots=True)
class OwnJobs:
    """What tells the jobs of one resource in a list, and which of them its status records."""

    prefix: str
    uid: str
    known: frozenset[str]
    creating: str

    def surplus(self, jobs: Sequence[EsaJob]) -> tuple[str, ...]:
        """Return the jobs that carry the resource's identity and that the status does not record."""
        return tuple(
            job.id
            for job in jobs
            if job.id not in self.known and job.name != self.creating and carries(job.name, self.prefix, self.uid)
        )


def own_jobs(view: View) -> OwnJobs | None:
    """Return what tells the resource's own jobs; None if it has none, because its job is adopted."""
    owned, recorded = view.owned, view.recorded
    if owned is None:
        return None
    creating = recorded.creating.name if recorded.creating is not None else ""
    return OwnJobs(owned.name_prefix, view.uid, frozenset((recorded.job_id, *recorded.retired)), creating)


def finalizer(local: LocalState, view: View, now: Moment, rules: Rules, fresh: bool) -> Asked:
    """Take the finalizer away where no job is to be deleted with the resource."""
    del now, rules, fresh
    if view.finalized and view.keeps_job:
        return local, Finalizer(view, present=False)
    return local, None


def retired(local: LocalState, view: View, now: Moment, rules: Rules, fresh: bool) -> Asked:
    """Delete the jobs that the status names for it, and name those that a list shows."""
    del rules, fresh
    recorded = view.recorded
    if view.owned is None:
        return local, None
    known = {recorded.job_id, *recorded.retired, *local.work.deleted}  # lists may go on showing what was deleted
    surplus = tuple(job_id for job_id in local.work.surplus if job_id not in known)
    if local.work.surplus:
        local = replace(local, work=replace(local.work, surplus=()))
    if surplus:
        return local, record(view, replace(recorded, retired=(*recorded.retired, *surplus)))
    return remove_retired(local, view, recorded.retired[0], now) if recorded.retired else (local, None)


def remove_retired(local: LocalState, view: View, job_id: str, now: Moment) -> Asked:
    """Delete a job that the status names for it, then take its id out of the status."""
    local, step = remove(local, view, job_id, now)
    if step is not None:
        return local, step
    left = replace(view.recorded, retired=tuple(other for other in view.recorded.retired if other != job_id))
    notice = Notice(Reason.JOB_DELETED, f"ESA job {job_id} is deleted")
    return local, record(view, left, notice)


def remove(local: LocalState, view: View, job_id: str, now: Moment) -> Asked:
    """Return the next step of deleting a job with its executions; None once ESA has confirmed that it is gone.

    A running execution is stopped first, because whether a job that has one can be deleted is UNKNOWN.
    """
    if job_id in local.work.deleted:
        return local, None
    if (waits := work.pause(local.work.removal, now)) is not None:
        return local, waits
    listed = local.work.executions
    if listed is None or listed.job_id != job_id:
        return work.ask(local, view, ListExecutions(job_id))
    if listed.items:
        return work.do(local, view, removal_of(listed.items[0]))
    return work.do(local, view, DeleteJob(job_id))


def note_deleted(local: LocalState, job_id: str) -> LocalState:
    """Return the local state once ESA has said that a job does not exist any more."""
    known = local.work
    listed: Executions | None = known.executions
    if listed is not None and listed.job_id == job_id:
        listed = None
    return replace(local, work=replace(known, deleted=known.deleted | {job_id}, executions=listed, done=()))


def finding(local: LocalState, view: View) -> Finding | None:
    """Return why a job could not be deleted."""
    known = local.work
    problem = known.removal.problem or (known.site.problem if view.deleting else None)
    if problem is None or not (view.deleting or view.recorded.retired):
        return None
    found = finding_of(problem)
    said = f"cannot delete the ESA job: {found.message}; deletionPolicy: Retain releases the resource"
    return Finding(State.BLOCKED, found.reason, said) if view.deleting else Finding(found.state, found.reason, said)
