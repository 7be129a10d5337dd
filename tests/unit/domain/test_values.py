import dataclasses

import pytest

from esa_preload_operator.domain.reset_values import Memory, Phase, ResetRecord, Stage, View, Write
from esa_preload_operator.domain.values import replace

RECORD = ResetRecord(phase=Phase.IN_FLIGHT, job_id="j", tokens=(("resetRequested", "t"),), attempts=1)
VIEW = View(uid="u", version=7, job_id="j", record=RECORD)


@pytest.mark.parametrize(
    ("value", "changes"),
    [
        (RECORD, {"phase": Phase.SUCCEEDED, "message": "done"}),
        (RECORD, {"phase": Phase.IN_FLIGHT}),
        (Memory(uid="u"), {"stage": Stage.CALL, "view": VIEW, "pending": Write(VIEW, RECORD, ())}),
        (Memory(uid="u", failures=2), {}),
    ],
)
def test_it_does_what_the_standard_library_does(value: Memory | ResetRecord, changes: dict[str, object]) -> None:
    before = dataclasses.asdict(value)
    assert replace(value, **changes) == dataclasses.replace(value, **changes)  # type: ignore[arg-type]  # any of them
    assert dataclasses.asdict(value) == before


def test_what_changes_nothing_is_the_value_itself() -> None:
    memory = Memory(uid="u", view=VIEW)
    assert replace(memory, view=VIEW, pending=None) is memory


def test_a_field_that_does_not_exist_is_an_error() -> None:
    with pytest.raises((TypeError, AttributeError)):
        replace(RECORD, colour="red")  # type: ignore[call-arg]  # that is the point
