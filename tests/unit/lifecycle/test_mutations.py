"""Each rule of the protocol is there because leaving it out fails: the explorer finds the trace."""

from collections.abc import Callable

import pytest

from unit.lifecycle import mutations as jobs
from unit.lifecycle import mutations_of_windows as windows
from unit.lifecycle.edits import (
    ADD,
    DELETE,
    DENSER,
    HASTY,
    NIGHTLY,
    ONE,
    OWES,
    PATIENT,
    RUNS,
    SUSPEND,
    T1,
    T2,
    TWO,
    WIPE,
    B,
    C,
    daily,
)
from unit.lifecycle.explorer import Explorer
from unit.lifecycle.scopes import CRASH, PAUSES, made, new, two
from unit.lifecycle.world import Left, Rulebook, Scope

Record = Callable[[str, object], None]

CALM = Left()
LOST = Left(lose=1)
EPOCH = Left(epoch=1)
UNKNOWN = "there is a job that the status does not know of"
ORPHAN = "an orphaned job"
MADE_FROM_A = "the job is made from A, the spec says B"
STRANGER = "a stranger's job is touched"
UNDONE = "counts as handled without a reset after it was set"
AGAIN = "a second reset for one request"
STAYS = "window long stays stopped"
TWICE = "a window is opened twice"
EXTRA = "an execution that no window owns"
SHARED = "one execution serves two windows"
SUBMITS = "a window submits although the resource is suspended"
STARTED = "a window is started that the operator has not stopped"
TOO_EARLY = "a scheduled time before the schedule was changed is made"
EARLIER = daily("earlier", "0 20 * * *")

BROKEN = (
    (jobs.NO_INTENT, new("a crash", CRASH), UNKNOWN),
    (jobs.NO_QUIET, new("a crash", CRASH), UNKNOWN),
    (jobs.COUNTED, new("late", Left(crash=1, lose=1), (B,), unbounded=True), MADE_FROM_A),
    (jobs.COUNTED, made("wiped", CRASH, (B, WIPE)), MADE_FROM_A),
    (jobs.NO_UID, new("a crash", CRASH), STRANGER),
    (jobs.LATE_FINALIZER, new("deleted", CALM, (DELETE,)), ORPHAN),
    (jobs.NO_LOOK, new("deleted", CRASH, (DELETE,)), ORPHAN),
    (jobs.LOOKS_AT_ONCE, new("deleted", CRASH, (DELETE,)), ORPHAN),
    (jobs.NO_CHECK, two(new("deleted", Left(pause=1), (DELETE,))), UNKNOWN),
    (jobs.UNRECORDED, two(made("replace", Left(pause=1), (B,))), UNKNOWN),
    (jobs.OLD_LAST, made("room for two", CALM, (B, C), room=2), "a circle that nothing ends"),
    (jobs.PRESENT_TOKENS, new("two requests", CALM, (T1, T2)), UNDONE),
    (jobs.REPLACED_RESET, made("a request in flight", CRASH, (B,), (T1, T2)), AGAIN),
    (jobs.AT_ONCE, made("no room", CALM, (B,), room=1), "tried again at once, without end"),
    (windows.BY_SPEC, new("edited", LOST, (DENSER,), obj=ONE), EXTRA),
    (windows.WINDOWS_LATER, made("a crash", CRASH, (T1,), obj=OWES), "1 resets, 0 windows opened"),
    (windows.UNRECORDED_INSTANTS, made("a crash", CRASH, (T1,), obj=OWES), TWICE),
    (windows.OVERWRITES, made("two resets", CRASH, (T1, T2), obj=OWES), "2 resets, 1 windows opened"),
    (windows.SHARED, made("console", Left(run_gone=1), obj=TWO), SHARED),
    (windows.STOPS_FIRST, made("resumed", CALM, PAUSES, obj=RUNS, begun=True), STAYS),
    (windows.UNQUIET, made("a crash", CRASH, PAUSES, obj=RUNS, begun=True), STAYS),
    (windows.UNQUIET, made("a lost answer", LOST, PAUSES, obj=RUNS, begun=True), STAYS),
    (windows.WAITING_LEFT, made("time passes", EPOCH, (SUSPEND,), obj=RUNS), SUBMITS),
    (windows.STARTS_ALL, made("console", Left(run_stopped=1, epoch=1), obj=RUNS), STARTED),
    (windows.LISTS_AT_ONCE, new("list lag", CALM, obj=ONE, lag=1), TWICE),
    (windows.NO_DOUBLES, made("endless lag", CALM, (ADD,), lag=1, endless_lag=True), EXTRA),
    (windows.IN_MEMORY, made("a crash", Left(crash=1, epoch=1), obj=NIGHTLY), "a request is not dealt with"),
    (windows.WRITES_NOW, made("time passes", Left(epoch=3), obj=PATIENT), UNDONE),
    (windows.OWN_WRITE, made("a crash", Left(crash=1, epoch=1), obj=NIGHTLY), AGAIN),
    (windows.OLD_BASE, made("changed", EPOCH, (EARLIER,), obj=NIGHTLY), TOO_EARLY),
    (windows.SKIPS_WRITTEN, made("the clock is ahead", Left(epoch=1, ahead=1), obj=HASTY), UNDONE),
    (windows.TAKEN_BACK, made("the clock is ahead", Left(epoch=2, ahead=1), obj=NIGHTLY), AGAIN),
)


@pytest.mark.parametrize(("rulebook", "scope", "fault"), BROKEN, ids=lambda value: getattr(value, "name", None))
def test_a_missing_rule_is_found(rulebook: Rulebook, scope: Scope, fault: str, record_property: Record) -> None:
    sound = Explorer(scope).run()
    broken = Explorer(scope, rulebook).run()
    record_property("trace", broken.trace)

    assert not sound.fault, str(sound)
    assert fault in broken.fault, str(broken)


def test_who_does_not_ask_whether_it_leads_and_deletes_unwritten_deletes_the_job_of_its_successor() -> None:
    scope = two(made("replace", Left(pause=1, lose=1), (B,), endless_lag=True))

    heedless = Explorer(scope, jobs.NO_CHECK_NO_WRITE).run()

    assert heedless.fault == "the job of the resource is deleted", str(heedless)
