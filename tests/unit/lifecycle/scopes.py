"""The scopes that are explored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from esa_preload_operator.domain.spec import ScheduleSpec, WindowSpec
from unit.lifecycle.account import Job
from unit.lifecycle.resource import Obj, asked, edited, wiped
from unit.lifecycle.world import Edit, Left, Scope, wall_of


def source(text: str) -> Edit:
    return Edit(f"the source becomes {text}", lambda obj: edited(obj, source=text))


def token(text: str) -> Edit:
    return Edit(f"somebody sets token {text}", lambda obj: asked(obj, text))


DELETE = Edit("somebody deletes the resource", lambda obj: obj._replace(deleting=True))
RETAIN = Edit("deletionPolicy becomes Retain", lambda obj: edited(obj, retain=True))
WIPE = Edit("somebody wipes the status", wiped)
ANEW = Edit("somebody makes it anew", lambda obj: obj, anew=True)
SUSPEND = Edit("somebody suspends it", lambda obj: edited(obj, suspended=True))
RESUME = Edit("somebody resumes it", lambda obj: edited(obj, suspended=False))
ADOPTED = Job("J7", "made by hand", "S")
ADOPTS = Obj(source="", adopts="J7")
B, A_AGAIN, C = source("B"), source("A"), source("C")
T1, T2 = token("t1"), token("t2")

JOB = (
    Scope("create: crashes, lost and late calls", left=Left(crash=2, lose=1)),
    Scope("create: a new leader", left=Left(crash=1, lose=1), new_leader=True),
    Scope("create: lost writes", left=Left(crash=1, lose=1, write_lost=2, touch=1)),
    Scope("create: deleted meanwhile", ((DELETE,),), Left(crash=1, lose=1)),
    Scope("create: deleted and made anew", ((DELETE, ANEW),), Left(crash=1, lose=1)),
    Scope("create: list lag", left=Left(crash=1, lose=1, touch=1), lag=1),
    Scope("create: with 2 requests", ((T1, T2),), Left(crash=1, lose=1)),
    Scope("replace", ((B,),), Left(crash=2, lose=1), settled=True),
    Scope("replace: deleted, list lag", ((B,), (DELETE,)), Left(crash=1, lose=1), settled=True, lag=1),
    Scope("replace: with 2 requests", ((B,), (T1, T2)), Left(crash=1, lose=1), settled=True),
    Scope("replace: changed back", ((B, A_AGAIN),), Left(crash=1, lose=1), settled=True),
    Scope("replace: changed back, with a request", ((B, A_AGAIN), (T1,)), Left(crash=1, lose=1), settled=True),
    Scope("replace: changed twice", ((B, C),), Left(crash=1, lose=1), settled=True),
    Scope("replace: no room", ((B,),), Left(crash=1, lose=1), settled=True, room=1),
    Scope("replace: no room, changed back", ((B, A_AGAIN),), Left(crash=1, lose=1), settled=True, room=1),
    Scope("replace: room for two, changed twice", ((B, C),), Left(crash=1, lose=1), settled=True, room=2),
    Scope("replace: delete first", ((B,),), Left(crash=2, lose=1), Obj(delete_first=True), settled=True, room=1),
    Scope("console: the job is deleted twice", left=Left(crash=1, job_gone=2), settled=True),
    Scope("console: the job is deleted, a request", ((T1,),), Left(crash=1, lose=1, job_gone=1), settled=True),
    Scope("the status is wiped", ((WIPE,),), Left(crash=1, lose=1), settled=True),
    Scope("the status is wiped while the job is made", ((WIPE,),), Left(crash=1, lose=1)),
    Scope("retained and deleted", ((RETAIN, DELETE),), Left(crash=1, lose=1)),
    Scope("retained, deleted, made anew", ((B, RETAIN, DELETE, ANEW),), Left(crash=1), settled=True),
)

MORE_JOB = (
    Scope("create: late writes", left=Left(crash=1, lose=1, late_write=1)),
    Scope("create: refused, questions fail", left=Left(crash=1, refuse=2, ask_fails=2)),
    Scope("replace: lost writes", ((B,),), Left(crash=1, lose=1, write_lost=1, touch=1), settled=True),
    Scope("replace: delete first, deleted", ((B, DELETE),), Left(crash=1, lose=1), Obj(delete_first=True), settled=True),
    Scope(
        "replace: delete first, changed back", ((B, A_AGAIN), (T1,)), Left(crash=1), Obj(delete_first=True), settled=True
    ),
    Scope("replace: unbounded network", ((B,),), Left(crash=1, lose=1), settled=True, unbounded=True),
    Scope("create: unbounded network", left=Left(crash=2, lose=1), unbounded=True),
    Scope("create: lists that lag for ever", left=Left(crash=1, lose=1), lag=1, endless_lag=True),
    Scope("suspended while the job is made", ((SUSPEND, RESUME), (T1,)), Left(crash=1, lose=1)),
    Scope("suspended while the job is replaced", ((B,), (SUSPEND, RESUME)), Left(crash=1, lose=1), settled=True),
    Scope("suspended, with requests", ((SUSPEND, RESUME), (T1, T2)), Left(crash=1, lose=1), settled=True),
)



def between(name: str, start: int, end: int, interval: int = 60) -> WindowSpec:
    """A window that begins in the epoch `start` and ends in the epoch `end`, both after their noon."""
    bounds = [datetime.fromtimestamp(wall_of(epoch) + 30_000, UTC) for epoch in (start, end)]
    return WindowSpec(name, bounds[0], bounds[1], None, on_reset=False, interval_seconds=interval, slice_len=10)


def lasting(name: str, interval: int = 61, *, on_reset: bool = False) -> WindowSpec:
    """A window that begins when it is handled, or when a reset was made, and lasts an epoch."""
    return WindowSpec(name, None, None, timedelta(days=3), on_reset, interval_seconds=interval, slice_len=10)


def windows(text: str, *specs: WindowSpec) -> Edit:
    return Edit(f"the windows become {text}", lambda obj: edited(obj, windows=specs))


LAUNCH, TWIN, NOW, EACH = between("launch", 0, 1), between("twin", 0, 1), lasting("now"), lasting("each", 62, on_reset=True)
LATER, DENSER = between("launch", 1, 2), between("launch", 0, 1, 70)
ADD = windows("launch", LAUNCH)
DENSER_WINDOW = windows("denser", DENSER)
LONG = between("long", 0, 4, 63)
ONE, TWO = Obj(windows=(LAUNCH,)), Obj(windows=(LAUNCH, TWIN))

WINDOWS = (
    Scope("windows: crashes, lost and late calls", left=Left(crash=2, lose=1), obj=Obj(windows=(LAUNCH, NOW))),
    Scope("windows: success in part", left=Left(crash=1, lose=1, partial=2), obj=Obj(windows=(LAUNCH, NOW))),
    Scope("windows: identical", left=Left(crash=2, lose=1), obj=TWO),
    Scope("windows: identical, success in part", left=Left(crash=1, lose=1, partial=1), obj=TWO),
    Scope("windows: list lag", left=Left(crash=1, lose=1, touch=1), obj=Obj(windows=(LAUNCH, NOW)), lag=1),
    Scope("windows: time passes", left=Left(crash=1, lose=1, epoch=3), obj=Obj(windows=(LAUNCH, NOW))),
    Scope("windows: another start", ((windows("later", LATER),),), Left(crash=1, lose=1, epoch=2), ONE),
    Scope("windows: another interval", ((windows("denser", DENSER),),), Left(crash=1, lose=1, epoch=2), ONE),
    Scope(
        "windows: removed, added",
        ((windows("none"), windows("now", NOW)),),
        Left(crash=1, lose=1, epoch=1),
        ONE,
        settled=True,
    ),
    Scope("windows: console", left=Left(crash=1, run_gone=1, run_changed=1, epoch=1), obj=ONE, settled=True),
    Scope("windows: stopped in the console", left=Left(crash=1, run_stopped=1, epoch=2), obj=ONE, settled=True),
    Scope("windows: replaced", ((B,),), Left(crash=1, lose=1, epoch=1), Obj(windows=(LONG,)), settled=True),
    Scope("windows: deleted", ((DELETE,),), Left(crash=1, lose=1, epoch=1), Obj(windows=(LONG, NOW))),
    Scope("windows: adopted", left=Left(crash=1, lose=1, epoch=1), obj=ADOPTS._replace(windows=(LONG,)), jobs=(ADOPTED,)),
)
ON_RESET = (
    Scope("onReset: one reset", ((T1,),), Left(crash=2, lose=1), Obj(windows=(EACH,)), settled=True),
    Scope("onReset: two resets", ((T1, T2),), Left(crash=1, lose=1), Obj(windows=(EACH,)), settled=True),
    Scope("onReset: with a fixed window", ((T1,),), Left(crash=1, lose=1), Obj(windows=(EACH, LONG)), settled=True),
    Scope("onReset: the old one runs", ((T1, T2),), Left(crash=1, epoch=1), Obj(windows=(EACH,)), settled=True),
    Scope("onReset: replaced", ((T1,), (B,)), Left(crash=1, lose=1), Obj(windows=(EACH,)), settled=True),
    Scope("onReset: adopted", ((T1,),), Left(crash=1, lose=1), ADOPTS._replace(windows=(EACH,)), jobs=(ADOPTED,)),
)
SUSPENSION = (
    Scope("suspend: running windows", ((SUSPEND, RESUME),), Left(crash=1, lose=1, epoch=1), Obj(windows=(LONG,))),
    Scope("suspend: lost stop", ((SUSPEND, RESUME),), Left(crash=1, lose=2, epoch=1), Obj(windows=(LONG,)), settled=True),
    Scope("suspend: with requests", ((SUSPEND, RESUME), (T1,)), Left(crash=1, epoch=1), Obj(windows=(EACH, LONG)), settled=True),
    Scope("suspend: console stop", ((SUSPEND, RESUME),), Left(crash=1, run_stopped=1, epoch=1), Obj(windows=(LONG,)), settled=True),
    Scope("suspend: edited meanwhile", ((SUSPEND, RESUME), (windows("now", NOW),)), Left(crash=1, epoch=2), ONE, settled=True),
)



def daily(text: str, cron: str = "50 23 * * *", deadline: float = 50_000.0) -> Edit:
    spec = ScheduleSpec(cron, "UTC", deadline)
    return Edit(f"the schedule becomes {text}", lambda obj: edited(obj, schedule=spec))


NIGHTLY = Obj(schedule=ScheduleSpec("50 23 * * *", "UTC", 50_000.0))
PATIENT = Obj(schedule=ScheduleSpec("50 23 * * *", "UTC", 140_000.0))
HASTY = Obj(schedule=ScheduleSpec("50 23 * * *", "UTC", 3600.0))

SCHEDULE = (
    Scope("schedule: crashes, lost answers, slow calls", left=Left(crash=1, lose=1, epoch=2), obj=NIGHTLY, settled=True),
    Scope("schedule: lost writes", left=Left(crash=1, write_lost=1, epoch=2), obj=NIGHTLY, settled=True),
    Scope("schedule: from the beginning", left=Left(crash=1, lose=1, epoch=2), obj=NIGHTLY),
    Scope("schedule: a long deadline", left=Left(crash=1, lose=1, epoch=4), obj=PATIENT, settled=True),
    Scope("schedule: missed by more than the deadline", left=Left(crash=2, epoch=3), obj=HASTY, settled=True),
    Scope("schedule: with a request", ((T1,),), Left(crash=1, lose=1, epoch=1), NIGHTLY, settled=True),
    Scope("schedule: suspended", ((SUSPEND, RESUME),), Left(crash=1, lose=1, epoch=2), NIGHTLY, settled=True),
    Scope("schedule: changed", ((daily("earlier", "0 20 * * *"),),), Left(crash=1, lose=1, epoch=2), NIGHTLY, settled=True),
    Scope("schedule: new", ((daily("nightly"),),), Left(crash=1, lose=1, epoch=2), settled=True),
    Scope("schedule: replaced", ((B,),), Left(crash=1, lose=1, epoch=1), NIGHTLY, settled=True),
    Scope("schedule: the clock is behind", left=Left(crash=1, epoch=3, behind=1), obj=NIGHTLY, settled=True),
    Scope("schedule: the clock is ahead", left=Left(crash=1, epoch=2, ahead=1), obj=HASTY, settled=True),
    Scope("schedule: new, the clock is behind", ((daily("nightly"),),), Left(crash=1, epoch=2, behind=1), settled=True),
    Scope("schedule: new, the clock is ahead", ((daily("nightly"),),), Left(epoch=3, ahead=1), settled=True),
)
TWO_PROCESSES = (
    Scope("lease: create", left=Left(crash=1, pause=1, lose=1), owners=2, lease=1),
    Scope("lease: create, deleted", ((DELETE,),), Left(pause=1, lose=1), owners=2, lease=1),
    Scope("lease: replace", ((B,),), Left(crash=1, pause=1, lose=1), settled=True, owners=2, lease=1),
    Scope("lease: replace, two pauses", ((B,),), Left(pause=2), settled=True, owners=2, lease=1),
    Scope("lease: replace with a request", ((B,), (T1,)), Left(pause=1), settled=True, owners=2, lease=1),
    Scope("lease: pause before the first byte", ((B,),), Left(pause=1), settled=True, owners=2, lease=1, split=True),
    Scope("lease: list lag", ((B,),), Left(pause=1, lose=1), settled=True, owners=2, lease=1, lag=1),
    Scope("lease: windows", left=Left(pause=1, lose=1, epoch=1), obj=ONE, owners=2, lease=1),
    Scope("lease: onReset", ((T1,),), Left(crash=1, pause=1), Obj(windows=(EACH,)), settled=True, owners=2, lease=1),
    Scope("lease: suspend", ((SUSPEND, RESUME),), Left(pause=1, epoch=1), Obj(windows=(LONG,)), settled=True, owners=2, lease=1),
    Scope("lease: schedule", left=Left(crash=1, pause=1, epoch=1), obj=NIGHTLY, settled=True, owners=2, lease=1),
)

WINDOWS_MORE = (
    Scope("windows: lost and late writes", left=Left(crash=1, lose=1, write_lost=1, touch=1), obj=ONE, settled=False),
    Scope("windows: late writes", left=Left(crash=1, late_write=1), obj=ONE),
    Scope("windows: refused, questions fail", left=Left(refuse=1, ask_fails=1, crash=1, epoch=1), obj=ONE),
    Scope("windows: unbounded network", left=Left(crash=1, lose=1), obj=ONE, unbounded=True),
    Scope("windows: lists that lag for ever", ((ADD,),), Left(crash=1), settled=True, lag=1, endless_lag=True),
    Scope("windows: console and lost answers", left=Left(lose=1, run_gone=1, run_changed=1), obj=ONE, settled=True),
    Scope("windows: the job is deleted", left=Left(crash=1, lose=1, job_gone=1), obj=ONE, settled=True),
    Scope("windows: replaced twice, list lag", ((B, C),), Left(crash=1), Obj(windows=(LONG,)), settled=True, lag=1),
    Scope("windows: replaced and suspended", ((B,), (SUSPEND, RESUME)), Left(crash=1), Obj(windows=(LONG,)), settled=True, begun=True),
    Scope("windows: replaced, delete first", ((B,),), Left(crash=1, lose=1), Obj(windows=(LONG,), delete_first=True), settled=True, begun=True),
    Scope("windows: the status is wiped", ((WIPE,),), Left(crash=1, lose=1), Obj(windows=(LONG, NOW)), settled=True),
    Scope("windows: adopted, the status is wiped", ((WIPE,),), Left(crash=1, lose=1), ADOPTS._replace(windows=(LONG,)), settled=True, jobs=(ADOPTED,)),
    Scope("windows: adopted, deleted, suspended", ((SUSPEND, DELETE),), Left(crash=1, lose=1, epoch=1), ADOPTS._replace(windows=(LONG,)), settled=True, jobs=(ADOPTED,)),
    Scope("onReset: adopted, the status is wiped", ((T1,), (WIPE,)), Left(crash=1), ADOPTS._replace(windows=(EACH,)), settled=True, jobs=(ADOPTED,)),
    Scope("onReset: lost writes", ((T1, T2),), Left(crash=1, write_lost=1), Obj(windows=(EACH,)), settled=True),
    Scope("onReset: list lag", ((T1, T2),), Left(crash=1, lose=1), Obj(windows=(EACH,)), settled=True, lag=1),
    Scope("onReset: success in part", ((T1, T2),), Left(crash=1, partial=1), Obj(windows=(EACH, LONG)), settled=True),
    Scope("onReset: suspended", ((T1, T2), (SUSPEND, RESUME)), Left(epoch=1), Obj(windows=(EACH,)), settled=True),
    Scope("onReset: the schedule", left=Left(crash=1, lose=1, epoch=2), obj=NIGHTLY._replace(windows=(EACH,)), settled=True),
    Scope("suspend: unbounded network", ((SUSPEND, RESUME),), Left(crash=1, lose=1), Obj(windows=(LONG,)), settled=True, begun=True, unbounded=True),
    Scope("suspend: lost writes", ((SUSPEND, RESUME),), Left(crash=1, write_lost=1), Obj(windows=(LONG,)), settled=True, begun=True),
    Scope("suspend: list lag", ((SUSPEND, RESUME),), Left(crash=1, lose=1), Obj(windows=(LONG,)), lag=1),
    Scope("suspend: twice", ((SUSPEND, RESUME, SUSPEND, RESUME),), Left(crash=1), Obj(windows=(LONG,)), settled=True, begun=True),
    Scope("suspend: deleted", ((SUSPEND,), (DELETE,)), Left(crash=1, lose=1), Obj(windows=(LONG,)), settled=True, begun=True),
)

SCOPES = WINDOWS_MORE + JOB + MORE_JOB + WINDOWS + ON_RESET + SUSPENSION + SCHEDULE + TWO_PROCESSES
LARGE: tuple[Scope, ...] = (
    Scope("lease: windows, a crash", left=Left(crash=1, pause=1, lose=1, epoch=1), obj=ONE, owners=2, lease=1),
)
