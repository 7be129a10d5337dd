"""When resources are due, against a naive model."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.runtime.dues import Dues

DAY = 86400.0


def ref(name: int) -> ObjectRef:
    return ObjectRef("n", str(name))


@pytest.mark.parametrize("step", [0, 1])
def test_memory_is_bounded_by_resources_however_often_a_moment_changes(step: int) -> None:
    dues = Dues()
    for round_ in range(50):
        for number in range(1000):
            dues.drop(ref(number))
            dues.add(ref(number), DAY + step * round_, urgent=True)
    assert len(dues) == 1000
    assert len(dues._heap) <= 2 * 1000 + 100


def test_memory_is_given_back_when_resources_leave() -> None:
    dues = Dues()
    for number in range(1000):
        dues.add(ref(number), DAY, urgent=True)
    for number in range(1000):
        dues.drop(ref(number))
    assert len(dues) == 0
    assert len(dues._heap) <= 100


moves = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 5), st.integers(0, 20), st.booleans()),
        st.tuples(st.just("drop"), st.integers(0, 5), st.just(0), st.just(False)),
        st.tuples(st.just("take"), st.just(0), st.integers(0, 20), st.just(False)),
    ),
    max_size=200,
)


@given(moves)
def test_the_earliest_moment_counts_and_a_dropped_one_is_replaced_by_any(
    script: list[tuple[str, int, int, bool]],
) -> None:
    dues = Dues()
    naive: dict[ObjectRef, tuple[float, bool]] = {}
    for kind, number, moment, urgent in script:
        key = ref(number)
        if kind == "add":
            dues.add(key, moment, urgent=urgent)
            known: Any = naive.get(key, (moment, False))
            naive[key] = (min(known[0], moment), known[1] or urgent)
        elif kind == "drop":
            dues.drop(key)
            naive.pop(key, None)
        else:
            taken = dues.take(moment)
            expected = {each: due for each, due in naive.items() if due[0] <= moment}
            assert dict(taken) == {each: due[1] for each, due in expected.items()}
            assert [expected[each][0] for each, _ in taken] == sorted(due[0] for due in expected.values())
            naive = {each: due for each, due in naive.items() if due[0] > moment}
        assert dues.next() == min((due[0] for due in naive.values()), default=None)
        assert len(dues) == len(naive)
