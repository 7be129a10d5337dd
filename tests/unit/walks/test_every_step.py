"""What happens at each moment of a create, a replacement and the opening of windows, also if their answers are lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from support.walks.ending import differences
from support.walks.walk import CREATE, LISTS, Walk

if TYPE_CHECKING:
    from collections.abc import Callable

OPEN: Final = "CreateScheduledPreloadExecutions"
STEP: Final = 0.02
"""Seconds: a request, and its answer, take as long."""
STEPS: Final = 36
"""More than a replacement has, with its windows."""
LOST: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"action": CREATE, "kind": "drop_after"},
    {"action": CREATE, "kind": "late", "seconds": 14.0},
    {"action": OPEN, "kind": "drop_after"},
    {"action": OPEN, "kind": "late", "seconds": 14.0},
)


def begun(*, replaced: bool, lost: dict[str, Any]) -> Walk:
    """Return a walk whose job is about to be made or replaced, with one window and one for each reset."""
    walk = Walk()
    walk.put_window("w1", walk.window("long", 1))
    walk.put_window("w2", walk.window("eachlong", 1))
    walk.restart()
    if replaced:
        walk.create()
        walk.turn(61)
        walk.edit(source={"urls": LISTS["B"]})
    else:
        walk.turn(61)
        walk.create()
    if lost:
        walk.fault(**lost)
    return walk


def _kill(walk: Walk) -> None:
    walk.story.losses += 1
    walk.restart()


def _delete_and_make_anew(walk: Walk) -> None:
    walk.delete()
    walk.turn(STEP * 3)
    walk.create()


def _suspend_and_resume(walk: Walk) -> None:
    walk.edit(suspend=True)
    walk.turn(17)
    walk.edit(suspend=None)


HAPPENINGS: Final[dict[str, Callable[[Walk], object]]] = {
    "killed": _kill,
    "deleted": Walk.delete,
    "deleted and made anew": _delete_and_make_anew,
    "wiped": Walk.wipe,
    "asked": lambda walk: walk.ask("t1"),
    "changed": lambda walk: walk.edit(source={"urls": LISTS["C"]}),
    "changed back": lambda walk: walk.edit(source={"urls": LISTS["A"]}),
    "suspended": lambda walk: walk.edit(suspend=True),
    "suspended and resumed": _suspend_and_resume,
    "another window": lambda walk: walk.put_window("w1", walk.window("far", 2)),
    "retained": lambda walk: walk.edit(deletionPolicy="Retain"),
    "to be deleted first": lambda walk: walk.edit(replacePolicy="DeleteFirst", source={"urls": LISTS["C"]}),
    "deleted in the console": lambda walk: [walk.simulator.state.remove_job(job["id"]) for job in walk.jobs()[:1]],
}


@pytest.mark.parametrize("lost", LOST, ids=lambda lost: " ".join(map(str, lost.values())) or "undisturbed")
@pytest.mark.parametrize("happens", HAPPENINGS)
def test_whatever_happens_at_any_step_ends_well(happens: str, lost: dict[str, Any]) -> None:
    wrong = []
    for step in range(0, STEPS, 5 if lost else 2):
        walk = begun(replaced=step % 3 > 0, lost=lost)
        walk.turn(step * STEP)
        HAPPENINGS[happens](walk)
        wrong += [f"{step}: {each}" for each in differences(walk)]
        walk.close()
    assert not wrong, "\n".join(wrong)
