"""The scopes that are explored."""

from __future__ import annotations

from unit.lifecycle.resource import Obj, asked, edited, wiped
from unit.lifecycle.world import Edit, Left, Scope


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

SCOPES = JOB + MORE_JOB
LARGE: tuple[Scope, ...] = ()
