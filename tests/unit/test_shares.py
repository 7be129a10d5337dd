"""How many workers one namespace may hold."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esa_preload_operator.runtime.shares import RECENT, REMEMBERED, Shares


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(shares: Shares, namespace: str) -> int:
    """Take for a namespace as long as there is room, at most as long as there are workers; return how often."""
    for count in range(shares.workers):
        if not shares.has_room(namespace):
            return count
        shares.begin(namespace)
    return shares.workers


def active(shares: Shares, namespace: str) -> None:
    shares.begin(namespace)
    shares.end(namespace)


def congested(shares: Shares, namespace: str = "busy") -> None:
    """Let the API server have become slow."""
    shares.written(namespace, 0.003)
    for _ in range(200):
        shares.written(namespace, 0.060)


@pytest.mark.parametrize(("workers", "most"), [(1, 1), (2, 2), (3, 3), (4, 3), (16, 12), (256, 192)])
def test_a_namespace_that_is_alone_leaves_a_quarter_of_the_workers(workers: int, most: int) -> None:
    shares = Shares(workers, Clock())
    congested(shares)
    assert taken(shares, "busy") == most


def test_a_namespace_that_has_nothing_in_hand_may_always_begin() -> None:
    shares = Shares(16, Clock())
    for namespace in ("busy", "a", "b"):
        congested(shares, namespace)
    taken(shares, "busy")
    assert [taken(shares, namespace) for namespace in ("a", "b", "new")] == [1, 1, 12]


def test_beside_others_a_namespace_holds_as_many_as_the_api_server_serves_quickly() -> None:
    shares = Shares(16, Clock())
    shares.written("busy", 0.003)
    held = 0
    for _ in range(200):
        active(shares, "quiet")
        held = taken(shares, "busy")
        for _ in range(held):
            shares.written("busy", 0.0015 * held)  # with more than three at once a write is slow
            shares.end("busy")
    assert held in (3, 4)


def test_a_slow_api_server_that_is_no_slower_with_more_at_once_limits_nobody() -> None:
    shares = Shares(16, Clock())
    for number in range(500):
        shares.written("busy", 0.050 + 0.0001 * (number % 100))
    active(shares, "quiet")
    assert taken(shares, "busy") == shares.most


def test_the_others_count_for_some_seconds_only() -> None:
    clock = Clock()
    shares = Shares(16, clock)
    congested(shares)
    active(shares, "quiet")
    active(shares, "busy")
    clock.now += RECENT - 1
    assert taken(shares, "busy") == 1
    clock.now += 1
    assert taken(shares, "busy") == shares.most - 1


def test_a_namespace_does_not_count_as_another_one_to_itself() -> None:
    shares = Shares(16, Clock())
    congested(shares)
    active(shares, "busy")
    active(shares, "busy")
    assert taken(shares, "busy") == shares.most


def test_an_api_server_that_has_become_slower_for_good_limits_nobody_after_some_minutes() -> None:
    clock = Clock()
    shares = Shares(16, clock)
    shares.written("busy", 0.003)
    for _ in range(600):
        clock.now += 1
        shares.written("busy", 0.030)
    active(shares, "quiet")
    assert taken(shares, "busy") == shares.most


def test_the_first_write_after_days_of_silence_is_measured_anew() -> None:
    clock = Clock()
    shares = Shares(16, clock)
    congested(shares)
    clock.now += 1e9
    for _ in range(200):
        shares.written("busy", 0.060)
    active(shares, "quiet")
    assert taken(shares, "busy") == shares.most


def test_what_one_namespace_writes_slowly_limits_no_other_one() -> None:
    shares = Shares(16, Clock())
    congested(shares)
    active(shares, "busy")
    assert taken(shares, "other") == shares.most


def test_the_namespaces_that_are_remembered_are_bounded() -> None:
    shares = Shares(16, Clock())
    congested(shares)
    for number in range(REMEMBERED - 1):
        shares.written(f"n{number}", 0.003)
    active(shares, "quiet")
    assert not taken(shares, "busy") > 1
    shares.end("busy")
    shares.written("one more", 0.003)
    assert len(shares._reaches) == REMEMBERED
    assert taken(shares, "busy") == shares.most


moves = st.one_of(
    st.tuples(st.just("begin"), st.sampled_from("abc"), st.none()),
    st.tuples(st.just("end"), st.sampled_from("abc"), st.none()),
    st.tuples(st.just("written"), st.none(), st.floats(0, 1e6)),
    st.tuples(st.just("wait"), st.none(), st.floats(0, 1e6)),
)


@given(st.lists(moves, max_size=60), st.integers(1, 20))
def test_whatever_comes_the_share_lies_between_one_and_the_most_and_nothing_is_kept_of_what_is_over(
    script: list[tuple[str, str | None, float | None]], workers: int
) -> None:
    clock = Clock()
    shares = Shares(workers, clock)
    held = dict.fromkeys("abc", 0)
    for kind, namespace, number in script:
        if namespace is not None and kind == "begin" and shares.has_room(namespace):
            shares.begin(namespace)
            held[namespace] += 1
        elif namespace is not None and kind == "end" and held[namespace]:
            shares.end(namespace)
            held[namespace] -= 1
        elif kind == "written" and number is not None:
            shares.written("a", number)
        elif kind == "wait" and number is not None:
            clock.now += number
        for each, count in held.items():
            assert count <= shares.most
            assert shares.has_room(each) or count
    assert dict(shares._in_hand) == {each: count for each, count in held.items() if count}
