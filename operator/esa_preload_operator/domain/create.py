"""Creates a job from the wanted list of URLs, replaces it when the list changes, and recovers lost creates.

ESA takes no token for a create and can't change a job: so each call has a name of its own, which the status records
before the call, and a lost answer is found again by that name once nothing can be on the wire any more.
"""

from dataclasses import replace
from typing import Final

from esa_preload_operator.domain import entries, work
from esa_preload_operator.domain import reset_writes as writes
from esa_preload_operator.domain.cleaning import format_micro_time, format_time
from esa_preload_operator.domain.conditions import Finding, State, finding_of
from esa_preload_operator.domain.errors import Problem, Reason
from esa_preload_operator.domain.esa import EsaJob, InsertWay, JobListing, NewJob
from esa_preload_operator.domain.identity import job_name
from esa_preload_operator.domain.local import (
    IDLE,
    NO_ATTEMPTS,
    Announcing,
    LocalState,
    Made,
    NotCreated,
    settled,
)
from esa_preload_operator.domain.recorded import NOTHING_RECORDED, Creating, Recorded
from esa_preload_operator.domain.removal import note_listing, remove_retired
from esa_preload_operator.domain.source import BadUrls, Content, Kind
from esa_preload_operator.domain.spec import ConfigMapSource, Owned, ReplacePolicy
from esa_preload_operator.domain.steps import Admit, Finalizer, ListSite, Read, ReadSource, Wait, Write, record
from esa_preload_operator.domain.tokens import handled_after, newest_after
from esa_preload_operator.domain.values import Moment, Notice, Phase, ResetState, Rules
from esa_preload_operator.domain.view import View, requested
from esa_preload_operator.domain.work import Asked


def store_answer(local: LocalState, view: View, now: Moment, rules: Rules, fresh: bool) -> Asked:
    """Store the answer to a create if its intent still stands, or was wiped; else drop it: a look finds the job."""
    del rules
    made = local.call
    if not isinstance(made, Made) or view.damaged or view.deleting or view.owned is None:
        return local, None
    wiped = view.recorded == NOTHING_RECORDED and isinstance(made.result, EsaJob)  # a refusal leaves nothing to record
    if view.recorded.creating == made.intent or wiped:
        return local, _outcome(view, made, now)
    return (local, Read()) if not fresh else (replace(local, call=IDLE), None)


def _outcome(view: View, made: Made, now: Moment) -> Write:
    recorded, job, intent = view.recorded, made.result, made.intent
    if isinstance(job, Problem):
        return record(view, replace(recorded, creating=None), notice=writes.warning(job))
    old = (recorded.job_id,) if recorded.job_id and recorded.job_id != job.id else ()
    after = Recorded(
        job_id=job.id,
        source=intent.source,
        retired=(*recorded.retired, *old),
        windows=entries.on_new_job(view, now, reset=bool(intent.tokens)),
        schedule_seen=recorded.schedule_seen,
    )
    reason = Reason.JOB_REPLACED if old else Reason.JOB_CREATED
    message = f"ESA job {job.id} is created" + (f"; it takes the place of {old[0]}" if old else "")
    if job.name is not None and job.name != intent.name:
        message += f"; ESA named it {job.name!r} instead of {intent.name!r}: a lost create could not be found again"
    reset, handled = view.reset, view.handled
    if intent.tokens:
        reset = ResetState(
            phase=Phase.REPLACED,
            job_id=job.id,
            tokens=intent.tokens,
            trigger=writes.trigger(intent.tokens),
            generation=view.generation,
            finished_at=format_time(now.wall),
            message="a new job submits every URL, so no reset is needed",
        )
        handled = handled_after(view.handled, view.asked, intent.tokens)
    newest = newest_after(view.handled, view.newest, handled)
    outcome = Phase.REPLACED if intent.tokens else ""
    return Write(view, reset, handled, newest, job=job, recorded=after, notice=Notice(reason, message), outcome=outcome)


def recover(local: LocalState, view: View, now: Moment, rules: Rules, fresh: bool) -> Asked:
    """Meet an intent whose answer is not in memory: when it is quiet, list the site and look for its name."""
    intent, owned = view.recorded.creating, view.owned
    if intent is None or owned is None:
        return (replace(local, call=IDLE), None) if isinstance(local.call, NotCreated) else (local, None)
    if isinstance(local.call, NotCreated) and local.call.intent == intent:
        return local, record(view, replace(view.recorded, creating=None))
    until = work.quiet_at(local, rules)
    waits = (Wait(until) if now.monotonic < until else None) or work.pause(local.work.site, now)
    if waits is not None:
        return local, replace(waits, exclusive=True)
    if not fresh:
        return local, Read()
    return work.ask(local, view, ListSite(owned.site_id))


def after_listing(local: LocalState, view: View, listing: JobListing, now: Moment) -> LocalState:
    """Return the local state after a complete list, which shows the job of an open intent or that there is none."""
    local = note_listing(local, view, listing, now)
    intent = view.recorded.creating
    if intent is None or view.deleting:
        return local
    found = next((job for job in listing.jobs if job.name == intent.name), None)
    return made_with(found, local, intent, now) if found is not None else replace(local, call=NotCreated(intent))


def missing(local: LocalState, view: View, now: Moment, rules: Rules, fresh: bool) -> Asked:
    """Take note that a created job is gone, so that it is created again."""
    del fresh
    problem, recorded = local.seen.problem, view.recorded
    if view.owned is None or problem is None or problem.reason is not Reason.JOB_NOT_FOUND:
        return local, None
    if local.seen.job_id != recorded.job_id or not recorded.job_id:
        return local, None
    visible_at = max(local.work.made_at, rules.leading_since) + rules.quiet
    if now.monotonic < visible_at:
        return local, Wait(visible_at, exclusive=True)
    left_open = entries.without_executions(recorded.windows, now.wall)
    left = replace(recorded, job_id="", source="", windows=left_open)
    later = " once spec.suspend is false" if view.suspended else ""
    message = f"ESA job {recorded.job_id} does not exist any more; it is created again{later}"
    local = replace(local, work=replace(local.work, losses=work.again(local.work.losses, now, free=1, first=30.0)))
    return local, record(view, left, Notice(Reason.JOB_NOT_FOUND, message, warning=True))


def plan(local: LocalState, view: View, now: Moment, rules: Rules, fresh: bool) -> Asked:
    """Create the job, or a new one if the list of URLs has changed."""
    del rules, fresh
    owned = view.owned
    if owned is None or view.suspended:
        return local, None
    source = source_of(local, view)
    if source is None:
        return _read_source(local, view, owned, now)
    if isinstance(source, BadUrls):
        return local, Wait(exclusive=True)
    if not is_wanted(local, view):
        return _forget_text(local), None
    if view.recorded.retired:  # they go first, so that two jobs are always room enough
        return remove_retired(local, view, view.recorded.retired[0], now)
    if work.is_final(local.work.create.problem):
        return local, Wait()
    until = max(local.work.create.backoff.not_before, 0.0 if view.recorded.job_id else local.work.losses.not_before)
    if now.monotonic < until:
        return _forget_text(local), Wait(until)
    return _prepare(local, view, owned, source, now)


def _prepare(local: LocalState, view: View, owned: Owned, source: Content, now: Moment) -> Asked:
    """Do what must be done before the intent: give up the old job if it is to go first, finalizer, text, turn."""
    recorded = view.recorded
    if recorded.job_id and owned.replace_policy is ReplacePolicy.DELETE_FIRST:
        return local, record(view, _given_up(recorded, now.wall))
    if not view.finalized and not view.keeps_job:
        return local, Finalizer(view, present=True)
    if not source.text:
        return _read_source(local, view, owned, now)
    return work.ask(local, view, Admit())


def _given_up(recorded: Recorded, wall: float) -> Recorded:
    retired = (*recorded.retired, recorded.job_id)
    kept = entries.without_executions(recorded.windows, wall)
    return replace(recorded, job_id="", source="", retired=retired, windows=kept)


def announce(local: LocalState, view: View, now: Moment) -> tuple[Announcing, Write] | None:
    """Return the write of the intent, once the call may leave under the account's rate; None if it is not wanted."""
    owned, source = view.owned, source_of(local, view)
    if owned is None or not isinstance(source, Content) or not source.text:
        return None
    name = job_name(owned.name_prefix, view.uid, now.unique)
    intent = Creating(name, source.hash, requested(view), format_micro_time(now.wall))
    write = record(view, replace(view.recorded, creating=intent))
    new = NewJob(owned.site_id, name, _INSERT_WAY[source.kind], source.text)
    return Announcing(write, intent, new, settled(local.call), now.monotonic), write


_INSERT_WAY: Final = {Kind.URLS: InsertWay.TEXT_BOX, Kind.OSS: InsertWay.OSS}


def source_of(local: LocalState, view: View) -> Content | BadUrls | None:
    """Return the wanted list of URLs; None if its ConfigMap was not read yet."""
    return view.source if view.source is not None else local.work.source


def is_wanted(local: LocalState, view: View) -> bool:
    """Return whether there is to be another job than the status records, so that resets wait for that one."""
    if view.owned is None:
        return False
    if not view.recorded.job_id:
        return True
    source = source_of(local, view)
    return not isinstance(source, Content) or view.recorded.source != source.hash


def _read_source(local: LocalState, view: View, owned: Owned, now: Moment) -> Asked:
    if (waits := work.pause(local.work.create, now)) is not None:
        return local, replace(waits, exclusive=True)
    if not isinstance(owned.source, ConfigMapSource):
        return local, Wait()
    return work.ask(local, view, ReadSource(owned.source))


def _forget_text(local: LocalState) -> LocalState:
    """Drop the text of a ConfigMap, of which an idle resource keeps the hash alone."""
    source = local.work.source
    if not isinstance(source, Content) or not source.text:
        return local
    return replace(local, work=replace(local.work, source=replace(source, text="")))


def finding(local: LocalState, view: View) -> Finding | None:
    """Return what there is to say of the job's creation."""
    owned = view.owned
    if owned is None:
        return None
    source, problem = source_of(local, view), local.work.create.problem
    if isinstance(source, BadUrls):
        return Finding(State.STALLED, Reason.INVALID_SPEC, f"InvalidSpec: spec.source: {source.message}")
    wanted = source is not None and is_wanted(local, view)
    if problem is not None and (wanted or source is None) and not view.suspended:
        return finding_of(problem)
    recorded = view.recorded
    if recorded.creating is not None and local.work.site.problem is not None:
        return finding_of(local.work.site.problem)
    if recorded.creating is not None or (wanted and not view.suspended):
        if recorded.job_id:
            return Finding(State.CREATING, Reason.REPLACING, f"ESA job {recorded.job_id} is replaced by a new one")
        return Finding(State.CREATING, Reason.CREATING, "the ESA job is being created")
    return None


def refused(local: LocalState, problem: Problem, now: Moment) -> LocalState:
    """Return the local state after ESA, or the API server, has refused what a create needs."""
    return replace(local, work=replace(local.work, create=work.failed(local.work.create, problem, now)))


def made_with(job: EsaJob, local: LocalState, intent: Creating, now: Moment) -> LocalState:
    """Return the local state once ESA has answered a create with a job."""
    known = replace(local.work, made_at=now.monotonic, create=NO_ATTEMPTS, suspected=True, executions=None)
    return replace(local, call=Made(intent, job), work=known)
