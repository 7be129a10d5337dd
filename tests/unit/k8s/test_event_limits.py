"""How many Events a resource and a namespace may post, on a clock that the test turns."""

from __future__ import annotations

from esa_preload_operator.k8s import event_limits
from esa_preload_operator.k8s.event_limits import EventLimits


class Turned:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def allowed(limits: EventLimits, namespace: str, uids: list[str]) -> int:
    return sum(limits.allow(namespace, uid) for uid in uids)


def test_a_resource_may_post_twenty_five_at_once_and_one_in_five_minutes() -> None:
    clock = Turned()
    limits = EventLimits(clock)
    assert allowed(limits, "n", ["a"] * 40) == 25
    clock.now += 299
    assert allowed(limits, "n", ["a"] * 40) == 0
    clock.now += 1
    assert allowed(limits, "n", ["a"] * 40) == 1
    clock.now += 1_000_000
    assert allowed(limits, "n", ["a"] * 40) == 25


def test_one_resource_takes_nothing_from_another() -> None:
    limits = EventLimits(Turned())
    assert allowed(limits, "n", ["a"] * 40) == 25
    assert allowed(limits, "n", ["b"] * 40) == 25


def test_a_namespace_with_many_resources_has_a_limit_of_its_own_and_takes_nothing_from_another() -> None:
    clock = Turned()
    limits = EventLimits(clock)
    uids = [f"u{number}" for number in range(4000)]
    assert allowed(limits, "a", uids) == 3000
    clock.now += 2
    assert allowed(limits, "a", uids[3000:]) == 20
    assert allowed(limits, "b", [f"b{number}" for number in range(100)]) == 100


def test_what_a_namespace_may_not_post_costs_the_resource_nothing() -> None:
    clock = Turned()
    limits = EventLimits(clock)
    assert allowed(limits, "n", [f"u{number}" for number in range(3000)]) == 3000
    assert allowed(limits, "n", ["late"] * 40) == 0
    clock.now += 100
    assert allowed(limits, "n", ["late"] * 40) == 25


def test_buckets_are_bounded() -> None:
    limits = EventLimits(Turned())
    allowed(limits, "n", [f"u{number}" for number in range(event_limits.REMEMBERED + 10)])
    for number in range(event_limits.REMEMBERED + 10):
        limits.allow(f"n{number}", f"m{number}")
    assert len(limits._by_object._buckets) == event_limits.REMEMBERED
    assert len(limits._by_namespace._buckets) == event_limits.REMEMBERED
