"""What users do to a resource, and the resources that scopes begin with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from esa_preload_operator.domain.spec import ScheduleSpec, WindowSpec
from unit.lifecycle.account import Job
from unit.lifecycle.resource import Obj, asked, edited, wiped
from unit.lifecycle.world import Edit, wall_of


def source(text: str) -> Edit:
    return Edit(f"the source becomes {text}", lambda obj: edited(obj, source=text))


def listed(text: str) -> Edit:
    return Edit(f"the ConfigMap lists {text}", lambda obj: obj._replace(source=text))


def token(text: str) -> Edit:
    return Edit(f"somebody sets token {text}", lambda obj: asked(obj, text))


def windows(text: str, *specs: WindowSpec) -> Edit:
    return Edit(f"the windows become {text}", lambda obj: edited(obj, windows=specs))


def daily(text: str, cron: str = "50 23 * * *", deadline: int = 50_000) -> Edit:
    spec = ScheduleSpec(cron, "UTC", deadline)
    return Edit(f"the schedule becomes {text}", lambda obj: edited(obj, schedule=spec))


def between(name: str, start: int, end: int, interval: int = 60) -> WindowSpec:
    """A window that begins in the epoch `start` and ends in the epoch `end`."""
    bounds = [datetime.fromtimestamp(wall_of(epoch) + 30_000, UTC) for epoch in (start, end)]
    return WindowSpec(name, bounds[0], bounds[1], None, on_reset=False, interval_seconds=interval, slice_len=10)


def lasting(name: str, interval: int = 61, *, on_reset: bool = False) -> WindowSpec:
    """A window that begins when it is handled, or when a reset was made, and lasts six epochs."""
    return WindowSpec(name, None, None, timedelta(days=3), on_reset, interval_seconds=interval, slice_len=10)


DELETE = Edit("somebody deletes the resource", lambda obj: obj._replace(deleting=True))
RETAIN = Edit("deletionPolicy becomes Retain", lambda obj: edited(obj, retain=True))
WIPE = Edit("somebody wipes the status", wiped)
ANEW = Edit("somebody makes it anew", lambda obj: obj, anew=True)
SUSPEND = Edit("somebody suspends it", lambda obj: edited(obj, suspended=True))
RESUME = Edit("somebody resumes it", lambda obj: edited(obj, suspended=False))
B, A_AGAIN, C = source("B"), source("A"), source("C")
T1, T2, T1_GONE = token("t1"), token("t2"), token("")

LAUNCH, TWIN = between("launch", 0, 1), between("twin", 0, 1)
NOW, EACH, LONG = lasting("now"), lasting("each", 62, on_reset=True), between("long", 0, 4, 63)
NO_WINDOW, ADD, ADD_NOW = windows("none"), windows("launch", LAUNCH), windows("now", NOW)
LATER, DENSER = windows("later", between("launch", 1, 2)), windows("denser", between("launch", 0, 1, 70))
LONGER = windows("longer", between("long", 0, 6, 63))

PLAIN, ONE, TWO = Obj(), Obj(windows=(LAUNCH,)), Obj(windows=(LAUNCH, TWIN))
RUNS, OWES, BOTH = Obj(windows=(LONG,)), Obj(windows=(EACH,)), Obj(windows=(LAUNCH, NOW))
LISTED = Obj(config_map=True)
DELETE_FIRST = Obj(delete_first=True)
ADOPTED = Job("J7", "made by hand", "S")
ADOPTS = Obj(source="", adopts="J7")
NIGHTLY = Obj(schedule=ScheduleSpec("50 23 * * *", "UTC", 50_000))
PATIENT = Obj(schedule=ScheduleSpec("50 23 * * *", "UTC", 140_000))
HASTY = Obj(schedule=ScheduleSpec("50 23 * * *", "UTC", 3600))
