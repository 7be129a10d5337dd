"""The resource as the API server keeps it, what users make of it, and what a status write leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from esa_preload_operator.domain.conditions import judged, with_effective, with_urls
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.recorded import NOTHING_RECORDED, Recorded
from esa_preload_operator.domain.source import Content, Kind
from esa_preload_operator.domain.spec import (
    ConfigMapSource,
    DeletionPolicy,
    Owned,
    ReplacePolicy,
    ScheduleSpec,
    UrlSource,
    WindowSpec,
)
from esa_preload_operator.domain.status import job_id_after, merged
from esa_preload_operator.domain.view import Shown, View
from esa_preload_operator.resources.job import FINALIZER, RESET_KEY
from unit.lifecycle.account import SITE
from unit.protocol.ageing import kept

if TYPE_CHECKING:
    from esa_preload_operator.domain.steps import Write
    from esa_preload_operator.domain.tokens import Tokens
    from esa_preload_operator.domain.values import ResetState
    from esa_preload_operator.resources.job import Condition

UIDS = ("aaaaaaaa-1", "bbbbbbbb-2")
PREFIX = "p"


class Obj(NamedTuple):
    """One version of the resource."""

    uid: str = UIDS[0]
    source: str = "A"
    """The wanted list; "" for a resource that adopts the job `adopts`."""
    config_map: bool = False
    """The list stands in a ConfigMap, which processes have to read."""
    adopts: str = ""
    windows: tuple[WindowSpec, ...] = ()
    schedule: ScheduleSpec | None = None
    suspended: bool = False
    retain: bool = False
    delete_first: bool = False
    deleting: bool = False
    finalized: bool = False
    generation: int = 1
    asked: Tokens = ()
    # The status.
    observed: int | None = None
    handled: Tokens = ()
    newest: Tokens = ()
    reset: ResetState | None = None
    recorded: Recorded = NOTHING_RECORDED
    told: EsaJob = EsaJob("")
    conditions: tuple[Condition, ...] = ()

    @property
    def job(self) -> str:
        """The job that the resource is about."""
        return self.adopts or self.recorded.job_id


def edited(obj: Obj, **changes: object) -> Obj:
    """The resource after a change of its spec."""
    return obj._replace(generation=obj.generation + 1, **changes)  # type: ignore[arg-type]


def asked(obj: Obj, token: str) -> Obj:
    """The resource after its annotation was set; an empty token removes it."""
    return obj._replace(asked=((RESET_KEY, token),) if token else ())


def wiped(obj: Obj) -> Obj:
    """The resource without its status."""
    fresh = Obj()
    return obj._replace(**{name: getattr(fresh, name) for name in STATUS})


STATUS = ("observed", "handled", "newest", "reset", "recorded", "told", "conditions")


def view_of(obj: Obj) -> View:
    """The present version as a process sees it."""
    return View(
        uid=obj.uid,
        version=1,
        job_id=obj.job,
        generation=obj.generation,
        observed=obj.observed,
        asked=obj.asked,
        handled=obj.handled,
        newest=obj.newest,
        reset=obj.reset,
        last_reset=0.0,
        deleting=obj.deleting,
        owned=_owned(obj),
        windows=obj.windows,
        schedule=obj.schedule,
        suspended=obj.suspended,
        source=content(obj.source) if obj.source and not obj.config_map else None,
        recorded=obj.recorded,
        finalizers=(FINALIZER,) if obj.finalized else (),
        shown=Shown(obj.told, conditions=obj.conditions),
    )


def content(text: str) -> Content:
    return Content(Kind.URLS, text, f"sha256:{text}", 1)


def _owned(obj: Obj) -> Owned | None:
    if not obj.source:
        return None
    return Owned(
        SITE,
        PREFIX,
        ConfigMapSource("urls", "list.txt") if obj.config_map else UrlSource((obj.source,)),
        ReplacePolicy.DELETE_FIRST if obj.delete_first else ReplacePolicy.CREATE_FIRST,
        DeletionPolicy.RETAIN if obj.retain else DeletionPolicy.DELETE,
    )


def obj_after(old: Obj, write: Write) -> Obj:
    """What the API server keeps after a write, as `status_after` and `view_of` make it, without times."""
    view, recorded, told = write.view, old.recorded, old.told
    conditions = list(old.conditions)
    if write.recorded is not None:
        recorded = write.recorded
        if view.owned is not None and not recorded.job_id:
            told = EsaJob("")
    if write.finding is not None:
        conditions = judged(conditions, write.finding, view.generation, "")
    if write.job is not None:
        told = merged(view.shown.job, write.job, job_id_after(write))
        conditions = with_urls(conditions, told, view.generation, "")
    if write.effective is not None:
        conditions = with_effective(conditions, write.effective, view.generation, "")
    return old._replace(
        handled=write.handled,
        newest=write.newest,
        reset=kept(write.reset),
        observed=old.generation if write.finding is not None else old.observed,
        recorded=replace(recorded, job_id="" if old.adopts else told.id),  # one field of the status says both
        told=replace(told, request_id=""),
        conditions=tuple(_timeless(item) for item in conditions),
    )


def _timeless(condition: Condition) -> Condition:
    return condition.model_copy(update={"last_transition_time": "", "observed_generation": 0})
