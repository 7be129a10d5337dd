"""Broken versions of the planner around jobs: each leaves out one rule, and the explorer must find out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from esa_preload_operator.domain import create, identity, plan, removal, reset_writes, work
from esa_preload_operator.domain.call import recover as recover_reset
from esa_preload_operator.domain.local import (
    Announcing,
    Attempts,
    Creates,
    Finalizing,
    LocalState,
    Made,
    Storing,
    settled,
)
from esa_preload_operator.domain.steps import Create, Finalizer, Input, ListSite, Observed, Step, Stored, Write
from esa_preload_operator.domain.tokens import handled_after
from esa_preload_operator.domain.values import Moment, Phase, ResetState, Rules
from esa_preload_operator.resources.job import FINALIZER
from unit.lifecycle.world import Rulebook, changed

if TYPE_CHECKING:
    from types import ModuleType

    from esa_preload_operator.domain.errors import Problem
    from esa_preload_operator.domain.view import View
    from esa_preload_operator.domain.work import Asked

Next = tuple[LocalState, Step]
NEVER = float("-inf")


def without_rule(name: str, *places: tuple[ModuleType, str, Any]) -> Rulebook:
    """The planner with other parts in some places."""

    def advance(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
        with changed(places):
            return plan.advance(memory, happened, now, rules)

    return Rulebook(name, advance)


def concerns(*left_out: str) -> tuple[ModuleType, str, Any]:
    """The concerns without some, named by module and function."""
    kept = tuple(c for c in plan.CONCERNS if f"{c.__module__.rpartition('.')[2]}.{c.__name__}" not in left_out)
    assert len(kept) == len(plan.CONCERNS) - len(left_out)
    return plan, "CONCERNS", kept


def writing(after: LocalState, step: Write) -> LocalState:
    """The local state with another write under way than the one that was decided."""
    call = after.call
    assert isinstance(call, Storing | Announcing)
    return replace(after, call=replace(call, write=step))


# The intent of a create.


def _no_intent(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    after, step = plan.advance(memory, happened, now, rules)
    call = after.call
    if isinstance(call, Announcing) and isinstance(step, Write):
        sent = replace(after, call=Creates(step.view, call.intent))
        return sent, Create(call.intent, call.new, now.monotonic + rules.network_grace)
    return after, step


def _store_without_intent(local: LocalState, view: View, now: Moment, rules: Rules, fresh: bool) -> Asked:
    made = local.call
    if isinstance(made, Made) and not view.deleting and view.recorded.job_id in {"", _replaced(local)}:
        view = replace(view, recorded=replace(view.recorded, creating=made.intent))
    return create.store_answer(local, view, now, rules, fresh)


def _replaced(local: LocalState) -> str:
    return local.seen.job_id


def _job_by_number(prefix: str, uid: str, unique: int) -> str:
    """The name with a number that the status counts: the number of the recorded job and one more."""
    del unique
    return identity.job_name(prefix, uid, _NUMBER[0])


_NUMBER = [1]


def _counted(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    recorded = memory.seen.job_id
    _NUMBER[0] = int(recorded[1:]) + 1 if recorded.startswith("J") else 1
    with changed(((create, "job_name", _job_by_number),)):
        return plan.advance(memory, happened, now, rules)


def _before_finalizer(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    """The finalizer is added once there is a job."""
    if isinstance(happened, Observed | Stored) and not happened.view.recorded.job_id and not happened.view.deleting:
        happened = replace(happened, view=replace(happened.view, finalizers=(FINALIZER,)))
    after, step = plan.advance(memory, happened, now, rules)
    view = happened.view if isinstance(happened, Stored) else None
    if view is not None and view.recorded.job_id and not view.finalized and not view.deleting:
        return replace(memory, call=Finalizing(view, settled(memory.call))), Finalizer(view, present=True)
    return after, step


def _let_go_at_once(local: LocalState, view: View, owned: object, now: Moment, rules: Rules) -> Asked:
    del owned, now, rules
    return local, Finalizer(view, present=False)


def _retire_unwritten(local: LocalState, view: View, now: Moment, rules: Rules, fresh: bool) -> Asked:
    """Surplus jobs are deleted as soon as a list shows them."""
    del rules, fresh
    for job_id in local.work.surplus:
        local, step = removal.remove(local, view, job_id, now)
        return (local, step) if step is not None else (replace(local, work=replace(local.work, surplus=())), None)
    return (
        removal.remove_retired(local, view, view.recorded.retired[0], now) if view.recorded.retired else (local, None)
    )


def _own_jobs(view: View) -> removal.OwnJobs | None:
    own = removal.own_jobs(view)
    return replace(own, creating="") if own is not None else None


def _retired_last(local: LocalState, view: View, now: Moment, rules: Rules, fresh: bool) -> Asked:
    """What is retired is deleted once the job is the wanted one."""
    return (local, None) if create.is_wanted(local, view) else removal.retired(local, view, now, rules, fresh)


def _create_first(local: LocalState, view: View, now: Moment, rules: Rules, fresh: bool) -> Asked:
    with changed(((create, "remove_retired", _go_on),)):
        return create.plan(local, view, now, rules, fresh)


def _go_on(local: LocalState, view: View, job_id: str, now: Moment) -> Asked:
    del job_id
    owned, source = view.owned, create.source_of(local, view)
    assert owned is not None
    if (waits := work.pause(local.work.create, now)) is not None:
        return local, waits
    return create._prepare(local, view, owned, source, now)  # type: ignore[arg-type]


def _present_tokens(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    after, step = plan.advance(memory, happened, now, rules)
    if isinstance(step, Write) and step.outcome == Phase.REPLACED and isinstance(after.call, Storing):
        step = replace(step, handled=handled_after(step.handled, step.view.asked, step.view.asked))
        after = writing(after, step)
    return after, step


def _closed_as_replaced(view: View, why: str) -> Write:
    del why
    assert view.reset is not None
    reset = ResetState(Phase.REPLACED)
    return Write(view, reset, handled_after(view.handled, view.asked, view.reset.tokens), view.newest)


def _in_order(*first: str) -> tuple[ModuleType, str, Any]:
    """The concerns with create before the recovery of a reset."""
    names = {f"{c.__module__.rpartition('.')[2]}.{c.__name__}": c for c in plan.CONCERNS}
    order = [c for c in plan.CONCERNS if c is not recover_reset]
    order.insert(order.index(names[first[0]]) + 1, recover_reset)
    return plan, "CONCERNS", tuple(order)


def _at_once(attempts: Attempts, problem: Problem, now: Moment) -> Attempts:
    del attempts, now
    return Attempts(problem=problem)


def _swapped(others: dict[str, object]) -> tuple[ModuleType, str, Any]:
    """The concerns with others in the place of some."""
    found = [f"{c.__module__.rpartition('.')[2]}.{c.__name__}" for c in plan.CONCERNS]
    assert set(others) <= set(found)
    pairs = zip(found, plan.CONCERNS, strict=True)
    return plan, "CONCERNS", tuple(others.get(name, c) for name, c in pairs)


def _unquiet(local: LocalState, rules: Rules) -> float:
    del local, rules
    return NEVER


def _carries(name: str | None, prefix: str, uid: str) -> bool:
    del uid
    return name is not None and name.startswith(f"{prefix}-") and len(name) == len(prefix) + 18


def _direct(memory: LocalState, happened: Input, now: Moment, rules: Rules) -> Next:
    swapped = _swapped({"removal.retired": _retire_unwritten})[2]
    left = tuple(c for c in swapped if c is not create.recover)
    with changed(((plan, "CONCERNS", left), (removal, "own_jobs", _OWN_JOBS))):
        return plan.advance(memory, happened, now, rules)


_OWN_JOBS = _own_jobs


def _always(step: object, now: float, leads_until: float, wall: float) -> bool:
    del step, now, leads_until, wall
    return True


def _let_go_unquiet(local: LocalState, view: View, owned: Any, now: Moment, rules: Rules) -> Asked:
    del now, rules
    if local.work.absent:
        return local, Finalizer(view, present=False)
    return work.ask(local, view, ListSite(owned.site_id))


NO_INTENT = Rulebook("a create without an intent", _no_intent)
NO_QUIET = without_rule("recovery does not wait", (work, "quiet_at", _unquiet))
COUNTED = Rulebook("names are counted by the status", _counted)
NO_UID = without_rule("names do not tell the resource", (removal, "carries", _carries))
LATE_FINALIZER = Rulebook("the finalizer comes after the create", _before_finalizer)
NO_LOOK = without_rule("the resource is released without a look", (removal, "_let_go", _let_go_at_once))
LOOKS_AT_ONCE = without_rule("the look before the release does not wait", (removal, "_let_go", _let_go_unquiet))
NO_CHECK = Rulebook("no check before the first byte", may_send=_always)
NO_CHECK_NO_WRITE = Rulebook(
    "surplus is deleted unwritten, and nobody asks who leads",
    without_rule("", _swapped({"removal.retired": _retire_unwritten})).advance,
    _always,
    heedless=True,
)
UNRECORDED = Rulebook("no open create counts, and what is not recorded is deleted unwritten", _direct)
OLD_LAST = without_rule(
    "the old job is deleted at the end",
    _swapped({"create.plan": _create_first, "removal.retired": _retired_last}),
)
PRESENT_TOKENS = Rulebook("the create's outcome records the present tokens", _present_tokens)
REPLACED_RESET = without_rule(
    "a reset that was in flight is closed as replaced",
    _in_order("create.plan"),
    (reset_writes, "hold_open", _closed_as_replaced),
)
AT_ONCE = without_rule("what was refused is tried again at once", (work, "failed", _at_once))
