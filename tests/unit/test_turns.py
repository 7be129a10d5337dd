"""Whose turn it is, against a naive model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.runtime.turns import Turns


def ref(namespace: str, name: str | int = "a") -> ObjectRef:
    return ObjectRef(namespace, str(name))


def filled(turns: Turns, namespace: str, count: int, *, urgent: bool) -> None:
    for number in range(count):
        turns.add(ref(namespace, number), urgent=urgent)


def position(turns: Turns, wanted: ObjectRef) -> int:
    """Take until the wanted one comes; return how many came before it."""
    before = 0
    while turns.take()[0] != wanted:
        before += 1
    return before


def test_namespaces_are_served_in_turn_and_first_come_first_served_within_one() -> None:
    turns = Turns()
    for each in ["a1", "a2", "a3", "b1", "b2", "c1"]:
        turns.add(ref(each[0], each[1]), urgent=False)
    order = [turns.take()[0] for _ in range(6)]
    assert [f"{taken.namespace}{taken.name}" for taken in order] == ["a1", "b1", "c1", "a2", "b2", "a3"]
    with pytest.raises(LookupError):
        turns.take()


def test_what_is_urgent_goes_first_within_its_namespace() -> None:
    turns = Turns()
    filled(turns, "a", 3, urgent=False)
    turns.add(ref("a", "now"), urgent=True)
    turns.add(ref("a", 2), urgent=True)
    assert [turns.take()[0].name for _ in range(4)] == ["now", "2", "0", "1"]


@pytest.mark.parametrize("urgent", [True, False])
def test_two_thousand_urgent_requests_of_one_namespace_leave_the_others_their_turns(*, urgent: bool) -> None:
    turns = Turns()
    filled(turns, "flood", 2000, urgent=True)
    turns.add(ref("other"), urgent=urgent)
    assert position(turns, ref("other")) <= (2 if urgent else 8)


def test_an_urgent_request_does_not_wait_for_what_is_calm_in_many_namespaces() -> None:
    turns = Turns()
    for number in range(1000):
        filled(turns, f"n{number}", 3, urgent=False)
    turns.add(ref("other"), urgent=True)
    assert position(turns, ref("other")) <= 1


@pytest.mark.parametrize("urgent", [True, False])
def test_a_namespace_that_may_not_is_passed_over_and_keeps_its_turn(*, urgent: bool) -> None:
    turns = Turns()
    filled(turns, "full", 2, urgent=urgent)
    filled(turns, "other", 1, urgent=urgent)
    assert turns.take(lambda namespace: namespace != "full") == (ref("other", 0), urgent)
    with pytest.raises(LookupError):
        turns.take(lambda namespace: namespace != "full")
    assert [turns.take()[0].name for _ in range(2)] == ["0", "1"]


class Naive:
    """The same order with plain lists."""

    def __init__(self) -> None:
        self.waiting: list[tuple[ObjectRef, bool]] = []
        self.served: list[str] = []

    def add(self, key: ObjectRef, *, urgent: bool) -> None:
        calm = (key, False)
        if urgent and calm in self.waiting:
            self.waiting.remove(calm)
        if key not in [each for each, _ in self.waiting]:
            self.waiting.append((key, urgent))

    def may_be_next(self, taken: ObjectRef, *, urgent: bool) -> bool:
        """Whether it is the first of its namespace's urgent ones, else the first of its calm ones."""
        mine = [each for each in self.waiting if each[0].namespace == taken.namespace]
        best = [each for each in mine if each[1]] or mine
        return best[0] == (taken, urgent)


adds = st.tuples(st.sampled_from("abc"), st.integers(0, 4), st.booleans())


@given(st.lists(st.one_of(adds, st.none()), max_size=80))
def test_each_is_taken_once_in_its_namespaces_order_and_no_namespace_is_passed_over(
    script: list[tuple[str, int, bool] | None],
) -> None:
    turns, naive = Turns(), Naive()
    patience: dict[str, int] = {}

    def take() -> None:
        taken, urgent = turns.take()
        assert naive.may_be_next(taken, urgent=urgent)
        naive.waiting.remove((taken, urgent))
        patience.pop(taken.namespace, None)
        for namespace in {each.namespace for each, _ in naive.waiting} - {taken.namespace}:
            patience[namespace] = patience.get(namespace, 0) + 1
            assert patience[namespace] <= 12, "three namespaces, and every fourth turn is anybody's"

    for step in script:
        if step is not None:
            key = ref(step[0], step[1])
            new = key not in [each for each, _ in naive.waiting]
            assert turns.add(key, urgent=step[2]) is new
            naive.add(key, urgent=step[2])
        elif naive.waiting:
            take()
    while naive.waiting:
        take()
    assert len(turns._all) == len(turns._urgent) == 0
