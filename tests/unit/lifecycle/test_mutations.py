"""Each rule of the protocol is there because leaving it out fails: the explorer finds the trace."""

from collections.abc import Callable

import pytest

from unit.lifecycle import mutations as jobs
from unit.lifecycle import mutations_of_windows as windows
from unit.lifecycle.explorer import Explorer
from unit.lifecycle.resource import Obj
from unit.lifecycle.scopes import (
    ADD,
    ANEW,
    DELETE,
    EACH,
    HASTY,
    LONG,
    NIGHTLY,
    NOW,
    ONE,
    PATIENT,
    RESUME,
    RETAIN,
    SUSPEND,
    T1,
    T2,
    TWO,
    WIPE,
    B,
    C,
    daily,
)
from unit.lifecycle.scopes import DENSER_WINDOW as DENSER
from unit.lifecycle.world import Left, Rulebook, Scope

Record = Callable[[str, object], None]

MADE_FROM_A = "the job is made from A, the spec says B"
UNKNOWN = "there is a job that the status does not know of"
STAYS = "window long stays stopped"
TWICE = "a window is opened twice"
EXTRA = "an execution that no window owns"
AGAIN = "a second reset for one request"
UNDONE = "counts as handled without a reset after it was set"
OWNS = Obj(windows=(EACH,))
RUNS = Obj(windows=(LONG,))
SUSPENDED = ((SUSPEND, RESUME),)

BROKEN = (
    (jobs.NO_INTENT, Scope("a crash", left=Left(crash=1)), UNKNOWN),
    (jobs.NO_QUIET, Scope("a crash", left=Left(crash=1)), UNKNOWN),
    (jobs.COUNTED, Scope("late", ((B,),), Left(crash=1, lose=1), unbounded=True), MADE_FROM_A),
    (jobs.COUNTED, Scope("wiped", ((B, WIPE),), Left(crash=1), settled=True), MADE_FROM_A),
    (jobs.NO_UID, Scope("a crash", left=Left(crash=1)), "a stranger's job is touched"),
    (jobs.LATE_FINALIZER, Scope("deleted", ((DELETE,),)), "an orphaned job"),
    (jobs.NO_LOOK, Scope("deleted", ((DELETE,),), Left(crash=1)), "an orphaned job"),
    (jobs.LOOKS_AT_ONCE, Scope("deleted", ((DELETE,),), Left(crash=1)), "an orphaned job"),
    (jobs.NO_CHECK, Scope("paused", ((DELETE,),), Left(pause=1), owners=2, lease=1), UNKNOWN),
    (jobs.UNRECORDED, Scope("paused", ((B,),), Left(pause=1), settled=True, owners=2, lease=1), UNKNOWN),
    (jobs.OLD_LAST, Scope("room for two", ((B, C),), settled=True, room=2), "a circle that nothing ends"),
    (jobs.PRESENT_TOKENS, Scope("two requests", ((T1, T2),)), UNDONE),
    (jobs.REPLACED_RESET, Scope("a request in flight", ((B,), (T1, T2)), Left(crash=1), settled=True), AGAIN),
    (jobs.AT_ONCE, Scope("no room", ((B,),), settled=True, room=1), "tried again at once, without end"),
    (windows.BY_SPEC, Scope("edited", ((DENSER,),), Left(lose=1), ONE), EXTRA),
    (windows.WINDOWS_LATER, Scope("a crash", ((T1,),), Left(crash=1), OWNS, settled=True), "1 resets, 0 windows opened"),
    (windows.UNRECORDED_INSTANTS, Scope("a crash", ((T1,),), Left(crash=1), OWNS, settled=True), TWICE),
    (windows.OVERWRITES, Scope("two resets", ((T1, T2),), Left(crash=1), OWNS, settled=True), "2 resets, 1 windows opened"),
    (windows.SHARED, Scope("console", left=Left(run_gone=1), obj=TWO, settled=True), "one execution serves two windows"),
    (windows.STOPS_FIRST, Scope("resumed", SUSPENDED, Left(epoch=1), RUNS, settled=True), STAYS),
    (windows.UNQUIET, Scope("a crash", SUSPENDED, Left(crash=1), RUNS, settled=True, begun=True), STAYS),
    (windows.UNQUIET, Scope("a lost answer", SUSPENDED, Left(lose=1), RUNS, settled=True, begun=True), STAYS),
    (windows.WAITING_LEFT, Scope("time passes", ((SUSPEND,),), Left(epoch=1), RUNS, settled=True), "a window submits although the resource is suspended"),
    (windows.STARTS_ALL, Scope("console", left=Left(run_stopped=1, epoch=1), obj=RUNS, settled=True), "a window is started that the operator has not stopped"),
    (windows.LISTS_AT_ONCE, Scope("list lag", left=Left(), obj=ONE, lag=1), TWICE),
    (windows.NO_DOUBLES, Scope("endless lag", ((ADD,),), settled=True, lag=1, endless_lag=True), EXTRA),
    (windows.IN_MEMORY, Scope("a crash", left=Left(crash=1, epoch=1), obj=NIGHTLY, settled=True), "a request is not dealt with"),
    (windows.WRITES_NOW, Scope("time passes", left=Left(epoch=3), obj=PATIENT, settled=True), UNDONE),
    (windows.OWN_WRITE, Scope("a crash", left=Left(crash=1, epoch=1), obj=NIGHTLY, settled=True), AGAIN),
    (windows.OLD_BASE, Scope("changed", ((daily("earlier", "0 20 * * *"),),), Left(epoch=1), NIGHTLY, settled=True), "a scheduled time before the schedule was changed is made"),
    (windows.SKIPS_WRITTEN, Scope("the clock is ahead", left=Left(epoch=1, ahead=1), obj=HASTY, settled=True), UNDONE),
    (windows.TAKEN_BACK, Scope("the clock is ahead", left=Left(epoch=2, ahead=1), obj=NIGHTLY, settled=True), AGAIN),
)


@pytest.mark.parametrize(("rulebook", "scope", "fault"), BROKEN, ids=lambda value: getattr(value, "name", None))
def test_a_missing_rule_is_found(rulebook: Rulebook, scope: Scope, fault: str, record_property: Record) -> None:
    sound = Explorer(scope).run()
    broken = Explorer(scope, rulebook).run()
    record_property("trace", broken.trace)

    assert not sound.fault, str(sound)
    assert fault in broken.fault, str(broken)


def test_who_does_not_ask_whether_it_leads_and_deletes_unwritten_deletes_the_job_of_its_successor() -> None:
    scope = Scope("two at once", ((B,),), Left(pause=1, lose=1), settled=True, owners=2, lease=1, endless_lag=True)

    broken = Explorer(scope, jobs.NO_CHECK_NO_WRITE).run()

    assert broken.fault == "the job of the resource is deleted", str(broken)
