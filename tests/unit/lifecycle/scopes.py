"""The scopes that are explored."""

from __future__ import annotations

from unit.lifecycle.edits import (
    A_AGAIN,
    ADD,
    ADD_NOW,
    ADOPTED,
    ADOPTS,
    ANEW,
    BOTH,
    DELETE,
    DELETE_FIRST,
    DENSER,
    EACH,
    HASTY,
    LATER,
    LISTED,
    LONG,
    LONGER,
    NIGHTLY,
    NO_WINDOW,
    NOW,
    ONE,
    OWES,
    PATIENT,
    PLAIN,
    RESUME,
    RETAIN,
    RUNS,
    SUSPEND,
    T1,
    T1_GONE,
    T2,
    TWO,
    WIPE,
    B,
    C,
    daily,
    listed,
)
from unit.lifecycle.resource import Obj
from unit.lifecycle.world import Edit, Left, Scope


def new(name: str, left: Left, *tracks: tuple[Edit, ...], obj: Obj = PLAIN, **more: object) -> Scope:
    """A scope that begins with a resource that nothing was done for yet."""
    return Scope(name, tracks, left, obj, **more)  # type: ignore[arg-type]


def made(name: str, left: Left, *tracks: tuple[Edit, ...], obj: Obj = PLAIN, **more: object) -> Scope:
    """A scope that begins when all that the resource asks for is done."""
    return Scope(name, tracks, left, obj, settled=True, **more)  # type: ignore[arg-type]


def adopts(name: str, left: Left, *tracks: tuple[Edit, ...], obj: Obj, **more: object) -> Scope:
    """A scope with a resource that adopts a job."""
    adopting = ADOPTS._replace(windows=obj.windows, schedule=obj.schedule)
    return Scope(name, tracks, left, adopting, jobs=(ADOPTED,), **more)  # type: ignore[arg-type]


FAULTS = Left(crash=1, lose=1)
CRASH = Left(crash=1)
PAUSES = (SUSPEND, RESUME)

JOB = (
    new("create: crashes, lost and late calls", Left(crash=2, lose=1)),
    new("create: a new leader", FAULTS, new_leader=True),
    new("create: lost writes", Left(crash=1, lose=1, write_lost=2, touch=1)),
    new("create: late writes", Left(crash=1, lose=1, late_write=1)),
    new("create: refused, questions fail", Left(crash=1, refuse=2, ask_fails=2)),
    new("create: deleted meanwhile", FAULTS, (DELETE,)),
    new("create: deleted and made anew", FAULTS, (DELETE, ANEW)),
    new("create: list lag", Left(crash=1, lose=1, touch=1), lag=1),
    new("create: with 2 requests", FAULTS, (T1, T2)),
    new("create: unbounded network", Left(crash=2, lose=1), unbounded=True),
    new("create: lists that lag for ever", FAULTS, lag=1, endless_lag=True),
    new("create: wiped meanwhile", FAULTS, (WIPE,)),
    new("create: suspended meanwhile", FAULTS, PAUSES, (T1,)),
    new("create: retained and deleted", FAULTS, (RETAIN, DELETE)),
    made("replace", Left(crash=2, lose=1), (B,)),
    made("replace: lost writes", Left(crash=1, lose=1, write_lost=1, touch=1), (B,)),
    made("replace: deleted, list lag", FAULTS, (B,), (DELETE,), lag=1),
    made("replace: with 2 requests", CRASH, (B,), (T1, T2)),
    made("replace: a request is set, removed and set again", CRASH, (B,), (T1, T1_GONE, T2)),
    made("replace: changed back", FAULTS, (B, A_AGAIN)),
    made("replace: changed back, with a request", CRASH, (B, A_AGAIN), (T1,)),
    made("replace: changed twice", FAULTS, (B, C)),
    made("replace: no room", FAULTS, (B,), room=1),
    made("replace: no room, changed back", FAULTS, (B, A_AGAIN), room=1),
    made("replace: room for two, changed twice", FAULTS, (B, C), room=2),
    made("replace: delete first", Left(crash=2, lose=1), (B,), obj=DELETE_FIRST, room=1),
    made("replace: delete first, deleted", FAULTS, (B, DELETE), obj=DELETE_FIRST),
    made("replace: delete first, changed back", CRASH, (B, A_AGAIN), (T1,), obj=DELETE_FIRST),
    made("replace: unbounded network", FAULTS, (B,), unbounded=True),
    made("replace: suspended meanwhile", FAULTS, (B,), PAUSES),
    made("replace: retained, deleted, made anew", CRASH, (B, RETAIN, DELETE, ANEW)),
    made("console: the job is deleted twice", Left(crash=1, job_gone=2)),
    made("console: the job is deleted, a request", Left(crash=1, lose=1, job_gone=1), (T1,)),
    made("console: the job is deleted, replace", Left(crash=1, job_gone=1), (B,)),
    made("wiped", FAULTS, (WIPE,)),
    made("wiped: replace", CRASH, (B, WIPE)),
    made("wiped: with a request", CRASH, (WIPE,), (T1,)),
    made("suspend: with requests", FAULTS, PAUSES, (T1, T2)),
    new("ConfigMap: create", Left(crash=1, lose=1, ask_fails=1), (listed("B"),), obj=LISTED),
    made("ConfigMap: replace, changed back", FAULTS, (listed("B"), listed("A")), obj=LISTED),
    made("ConfigMap: with a request", FAULTS, (listed("B"),), (T1,), obj=LISTED),
    made("ConfigMap: suspended", CRASH, (listed("B"),), PAUSES, (T1,), obj=LISTED),
    made("refused: replace", Left(crash=1, deny=1, refuse=1), (B,)),
    made("refused: replace with a request", Left(crash=1, deny=1), (B,), (T1,)),
    made("refused: deleted", Left(crash=1, deny=1, refuse=1, ask_fails=1), (DELETE,)),
    made("refused: no room, deleted", Left(crash=1, deny=1), (B, DELETE), room=1),
)
WINDOWS = (
    new("windows: crashes, lost and late calls", Left(crash=2, lose=1), obj=BOTH),
    new("windows: success in part", Left(crash=1, lose=1, partial=2), obj=BOTH),
    new("windows: identical", Left(crash=2, lose=1), obj=TWO),
    new("windows: identical, success in part", Left(crash=1, lose=1, partial=1), obj=TWO),
    new("windows: lost writes", Left(crash=1, lose=1, write_lost=1, touch=1), obj=ONE),
    new("windows: late writes", Left(crash=1, late_write=1), obj=ONE),
    new("windows: refused, questions fail", Left(refuse=1, ask_fails=1, crash=1, epoch=1), obj=ONE),
    made("windows: refused", Left(crash=1, deny=2), (DENSER, NO_WINDOW), obj=ONE),
    new("windows: list lag", Left(crash=1, lose=1, touch=1), obj=BOTH, lag=1),
    new("windows: time passes", Left(crash=1, lose=1, epoch=2), obj=BOTH),
    new("windows: another start", Left(crash=1, epoch=2), (LATER,), obj=ONE),
    new("windows: another interval", Left(crash=1, epoch=2), (DENSER,), obj=ONE),
    new("windows: edited, lost answers", Left(lose=2), (DENSER,), obj=ONE),
    new("windows: deleted", Left(crash=1, lose=1, epoch=1), (DELETE,), obj=RUNS),
    new("windows: unbounded network", FAULTS, obj=ONE, unbounded=True),
    made("windows: another end", Left(crash=1, lose=1, epoch=1), (LONGER,), obj=RUNS),
    made("windows: removed, added", Left(crash=1, lose=1, epoch=1), (NO_WINDOW, ADD_NOW), obj=ONE),
    made("windows: lists that lag for ever", FAULTS, (ADD,), lag=1, endless_lag=True),
    made("windows: console", Left(crash=1, run_gone=1, run_changed=1, epoch=1), obj=ONE),
    made("windows: console and lost answers", Left(lose=1, run_gone=1, run_changed=1), obj=ONE),
    made("windows: stopped in the console", Left(crash=1, run_stopped=1, epoch=2), obj=ONE),
    made("windows: the job is deleted in the console", Left(crash=1, lose=1, job_gone=1), obj=ONE),
    made("windows: replaced", Left(crash=1, lose=1, epoch=1), (B,), obj=RUNS),
    made("windows: replaced twice, list lag", CRASH, (B, C), obj=RUNS, lag=1),
    made("windows: replaced and suspended", CRASH, (B,), PAUSES, obj=RUNS, begun=True),
    made("windows: replaced, delete first", FAULTS, (B,), obj=RUNS._replace(delete_first=True), begun=True),
    made("windows: wiped", FAULTS, (WIPE,), obj=Obj(windows=(LONG, NOW))),
    adopts("windows: adopted", Left(crash=1, lose=1, epoch=1), obj=RUNS),
    adopts("windows: adopted, wiped", FAULTS, (WIPE,), obj=RUNS, settled=True),
    adopts("windows: adopted, suspended, deleted", Left(crash=1, lose=1, epoch=1), (SUSPEND, DELETE), obj=RUNS),
)
ON_RESET = (
    made("onReset: one reset", Left(crash=2, lose=1), (T1,), obj=OWES),
    made("onReset: two resets", FAULTS, (T1, T2), obj=OWES),
    made("onReset: two resets, lost answers", Left(lose=2), (T1, T2), obj=OWES),
    made("onReset: lost writes", Left(crash=1, write_lost=1), (T1, T2), obj=OWES),
    made("onReset: list lag", FAULTS, (T1, T2), obj=OWES, lag=1),
    made("onReset: with a fixed window", FAULTS, (T1,), obj=Obj(windows=(EACH, LONG))),
    made("onReset: the old one runs", Left(crash=1, epoch=1), (T1, T2), obj=OWES),
    made("onReset: success in part", Left(crash=1, partial=1), (T1, T2), obj=Obj(windows=(EACH, LONG))),
    made("onReset: replaced", FAULTS, (T1,), (B,), obj=OWES),
    made("onReset: suspended", Left(epoch=1), (T1, T2), PAUSES, obj=OWES),
    made("onReset: the schedule", Left(crash=1, lose=1, epoch=2), obj=NIGHTLY._replace(windows=(EACH,))),
    adopts("onReset: adopted", FAULTS, (T1,), obj=OWES),
    adopts("onReset: adopted, wiped", CRASH, (T1,), (WIPE,), obj=OWES, settled=True),
)
SUSPENSION = (
    new("suspend: new windows", Left(crash=1, epoch=1), PAUSES, obj=RUNS),
    new("suspend: list lag", FAULTS, PAUSES, obj=RUNS, lag=1),
    made("suspend: running windows", Left(crash=1, lose=2), PAUSES, obj=RUNS, begun=True),
    made("suspend: waiting windows", Left(crash=1, lose=1, epoch=1), PAUSES, obj=RUNS),
    made("suspend: two windows", Left(crash=1, epoch=1), PAUSES, (T1,), obj=Obj(windows=(EACH, LONG))),
    made("suspend: stopped in the console", Left(crash=1, run_stopped=1), PAUSES, obj=RUNS, begun=True),
    made("suspend: edited meanwhile", Left(crash=1, epoch=1), PAUSES, (ADD_NOW,), obj=ONE),
    made("suspend: unbounded network", FAULTS, PAUSES, obj=RUNS, begun=True, unbounded=True),
    made("suspend: lost writes", Left(crash=1, write_lost=1), PAUSES, obj=RUNS, begun=True),
    made("suspend: twice", FAULTS, PAUSES + PAUSES, obj=RUNS, begun=True),
    made("suspend: refused", Left(crash=1, deny=1, refuse=1), PAUSES, obj=RUNS, begun=True),
    made("suspend: deleted", FAULTS, (SUSPEND,), (DELETE,), obj=RUNS, begun=True),
)
SCHEDULE = (
    made("schedule: crashes, lost answers, slow calls", Left(crash=1, lose=1, epoch=2), obj=NIGHTLY),
    made("schedule: lost writes", Left(crash=1, write_lost=1, epoch=2), obj=NIGHTLY),
    new("schedule: from the beginning", Left(crash=1, lose=1, epoch=2), obj=NIGHTLY),
    made("schedule: a long deadline", Left(crash=1, lose=1, epoch=4), obj=PATIENT),
    made("schedule: missed by more than the deadline", Left(crash=2, epoch=3), obj=HASTY),
    made("schedule: with a request", Left(crash=1, lose=1, epoch=1), (T1,), obj=NIGHTLY),
    made("schedule: suspended", Left(crash=1, lose=1, epoch=2), PAUSES, obj=NIGHTLY),
    made("schedule: changed", Left(crash=1, lose=1, epoch=2), (daily("earlier", "0 20 * * *"),), obj=NIGHTLY),
    made("schedule: new", Left(crash=1, lose=1, epoch=2), (daily("nightly"),)),
    made("schedule: replaced", Left(crash=1, lose=1, epoch=1), (B,), obj=NIGHTLY),
    made("schedule: wiped", Left(crash=1, epoch=2), (WIPE,), obj=NIGHTLY),
    made("schedule: the clock is behind", Left(crash=1, epoch=3, behind=1), obj=NIGHTLY),
    made("schedule: the clock is ahead", Left(crash=1, epoch=2, ahead=1), obj=HASTY),
    made("schedule: new, the clock is behind", Left(crash=1, epoch=2, behind=1), (daily("nightly"),)),
    made("schedule: new, the clock is ahead", Left(epoch=3, ahead=1), (daily("nightly"),)),
    adopts("schedule: adopted", Left(crash=1, lose=1, epoch=2), obj=NIGHTLY),
)


def two(scope: Scope, length: int = 1) -> Scope:
    """The scope with two processes and a lease."""
    values = scope.__dict__ | {"name": f"lease: {scope.name}", "owners": 2, "lease": length}
    return Scope(**values)


TWO_PROCESSES = (
    two(new("create", Left(crash=1, pause=1, lose=1))),
    two(new("create, a long lease", Left(crash=1, pause=1)), 3),
    two(new("create, deleted", Left(pause=1, lose=1), (DELETE,))),
    two(made("replace", Left(crash=1, pause=1), (B,))),
    two(made("replace, two pauses", Left(pause=2), (B,))),
    two(made("replace with a request", Left(pause=1), (B,), (T1,))),
    two(made("pause before the first byte", Left(pause=1), (B,), split=True)),
    two(made("list lag", Left(pause=1, lose=1), (B,), lag=1)),
    two(made("wiped", Left(crash=1, pause=1), (WIPE,))),
    two(new("windows", Left(pause=1, lose=1), obj=ONE)),
    two(made("onReset", Left(crash=1, pause=1), (T1,), obj=OWES)),
    two(made("suspend", Left(pause=1, lose=1), PAUSES, obj=RUNS, begun=True)),
    two(made("schedule", Left(crash=1, pause=1, epoch=1), obj=NIGHTLY)),
)

SCOPES = JOB + WINDOWS + ON_RESET + SUSPENSION + SCHEDULE + TWO_PROCESSES
"""Scopes for every run of the tests."""

LARGE = (
    new("large: create, deleted, made anew, lag, 2 crashes", Left(crash=2, lose=1), (DELETE, ANEW), lag=1),
    new(
        "large: unbounded network and lists, wiped, console",
        Left(lose=1, job_gone=1),
        (WIPE,),
        lag=1,
        endless_lag=True,
        unbounded=True,
    ),
    made("large: replace with 2 requests", FAULTS, (B,), (T1, T2)),
    made("large: changed back, with 2 requests", FAULTS, (B, A_AGAIN), (T1, T2)),
    made("large: changed back, with a request, 2 crashes", Left(crash=2, lose=1), (B, A_AGAIN), (T1,)),
    made("large: delete first, with requests", FAULTS, (B, A_AGAIN), (T1, T2), obj=DELETE_FIRST, room=1),
    made("large: deleted at any step, with a request", Left(crash=1, lose=1, write_lost=1), (B,), (T1,), (DELETE,)),
    made("large: retained at any step", FAULTS, (B,), (RETAIN,), (DELETE,)),
    new("large: windows from the beginning, time passes", Left(crash=1, lose=1, epoch=3), obj=BOTH),
    new("large: another interval, time passes", Left(crash=1, lose=1, epoch=2), (DENSER,), obj=ONE),
    new("large: another start, time passes", Left(crash=1, lose=1, epoch=2), (LATER,), obj=ONE),
    made("large: onReset, 2 crashes, 2 lost answers", Left(crash=2, lose=2), (T1, T2), obj=OWES),
    made("large: onReset, replaced, suspended", CRASH, (T1,), (B,), PAUSES, obj=OWES),
    made(
        "large: onReset with a fixed window, suspended",
        Left(crash=1, lose=1, epoch=1),
        (T1,),
        PAUSES,
        obj=Obj(windows=(EACH, LONG)),
    ),
    made("large: suspended and edited", Left(crash=1, lose=1, epoch=1), PAUSES, (DENSER,), obj=ONE),
    made("large: suspended twice with requests", FAULTS, PAUSES + PAUSES, (T1, T2)),
    made("large: the schedule, suspended, replaced", Left(crash=1, epoch=2), PAUSES, (B,), obj=NIGHTLY),
    two(made("large: replace, deleted", Left(crash=1, pause=1, lose=1), (B,), (DELETE,))),
    two(made("large: replace with a request", Left(crash=1, pause=1, lose=1), (B,), (T1,))),
    two(made("large: replace, crash, lost answer", Left(crash=1, pause=1, lose=1), (B,))),
    two(new("large: windows, time passes", Left(crash=1, pause=1, lose=1, epoch=1), obj=ONE)),
    two(
        made(
            "large: onReset and a fixed window", Left(crash=1, pause=1, lose=1), (T1, T2), obj=Obj(windows=(EACH, LONG))
        )
    ),
    two(made("large: edited and suspended", Left(crash=1, pause=1), PAUSES, (DENSER,), obj=ONE)),
)
"""Scopes for a script that may take minutes."""
