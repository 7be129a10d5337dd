"""What the explorer keeps of a status is what the real status says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from esa_preload_operator.domain.status import facts, status_after
from esa_preload_operator.domain.steps import Finalizer, Write
from esa_preload_operator.domain.view import View, view_of
from unit.lifecycle import resource
from unit.lifecycle.edits import ADD_NOW, DENSER, NIGHTLY, RESUME, SUSPEND, T1, T2, B
from unit.lifecycle.explorer import Explorer
from unit.lifecycle.scopes import ON_RESET, SCHEDULE, WINDOWS
from unit.lifecycle.world import Edit, Scope, State, wall_of
from unit.protocol.ageing import kept

if TYPE_CHECKING:
    from unit.lifecycle.promises import Promised
    from unit.lifecycle.resource import Obj

EDITS = (T1, B, SUSPEND, DENSER, T2, RESUME, ADD_NOW)


def _said(view: View) -> tuple[object, ...]:
    conditions = tuple(resource._timeless(each) for each in view.shown.conditions)
    told = facts(view.shown.job)
    return view.recorded, view.handled, view.newest, kept(view.reset), view.observed, told, conditions


def _body(obj: Obj, status: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": "j", "namespace": "n", "uid": obj.uid, "resourceVersion": "1", "generation": obj.generation}
    source = {"siteId": 1, "source": {"urls": ["https://www.example.com/a"]}}
    spec = {"jobId": obj.adopts} if obj.adopts else source
    return {"metadata": meta | {"creationTimestamp": "2027-01-01T00:00:00Z"}, "spec": spec, "status": status}


class Compared:
    """A resource that is kept twice: as values, and as the status that the API server would keep."""

    def __init__(self, scope: Scope) -> None:
        self.explorer = Explorer(scope)
        self.moves: Promised = self.explorer.moves
        self.status: dict[str, Any] = {}
        self.writes = 0
        store = self.moves.store

        def compared(s: State, step: Write | Finalizer) -> State:
            after = store(s, step)
            if isinstance(step, Write):
                self.compare(s, step, after)
            return after

        self.moves.store = compared  # type: ignore[method-assign]

    def compare(self, s: State, write: Write, after: State) -> None:
        self.writes += 1
        view = replace(write.view, status=self.status)
        self.status = status_after(replace(write, view=view), float(wall_of(s.epoch)))
        obj = self.explorer.machine.objs[after.obj]
        assert _said(view_of(_body(obj, self.status))) == _said(resource.view_of(obj))

    def play(self, edits: tuple[Edit, ...]) -> None:
        state = self.explorer.start
        for edit in edits:
            state = self._settled(self.moves.next_epoch(self._settled(state)))
            state = self.moves._change(state, edit)
        self._settled(state)

    def _settled(self, state: State) -> State:
        while (move := next(self.moves.fair(state), None)) is not None:
            state = move.state
        return state


@pytest.mark.parametrize(
    "scope", [WINDOWS[0], WINDOWS[-1], ON_RESET[5], ON_RESET[-2], SCHEDULE[2]], ids=lambda s: s.name
)
def test_a_status_says_what_the_explorer_keeps_of_it(scope: Scope) -> None:
    compared = Compared(replace(scope, settled=False, obj=scope.obj._replace(schedule=NIGHTLY.schedule)))

    compared.play(EDITS if not scope.obj.adopts else tuple(edit for edit in EDITS if edit is not B))

    assert compared.writes > 15
