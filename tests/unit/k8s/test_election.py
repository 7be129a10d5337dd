from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esa_preload_operator.k8s.election import (
    Create,
    Record,
    Renew,
    Sighting,
    Step,
    Take,
    Wait,
    decide_step,
    lease_spec,
    look,
    parse_record,
)

NOW = 100.0
WALL = "2026-01-01T00:00:00.000000Z"


def record(holder: str, version: str = "1", duration: float | None = 15.0) -> Record:
    return Record(version, holder, duration, transitions=3, acquired=WALL)


@pytest.mark.parametrize(
    ("sighting", "step"),
    [
        (None, Create()),
        (Sighting(record("me"), NOW - 99), Renew(record("me"))),
        (Sighting(record(""), NOW), Take(record(""))),
        (Sighting(record("other"), NOW), Wait(NOW + 15)),
        (Sighting(record("other"), NOW - 14.9), Wait(NOW + 0.1)),
        (Sighting(record("other"), NOW - 15), Take(record("other"))),
        (Sighting(record("other", duration=30), NOW - 15), Wait(NOW + 15)),
        (Sighting(record("other", duration=None), NOW - 19), Wait(NOW + 1)),
        (Sighting(record("other", duration=None), NOW - 20), Take(record("other", duration=None))),
        (Sighting(record("other"), NOW, gone=True), Wait(NOW + 15)),
        (Sighting(record(""), NOW, gone=True), Wait(NOW + 15)),
        (Sighting(record("me"), NOW - 14, gone=True), Wait(NOW + 1)),
        (Sighting(record("other"), NOW - 15, gone=True), Create()),
    ],
)
def test_the_step_follows_from_what_was_seen(sighting: Sighting | None, step: Step) -> None:
    decided = decide_step(sighting, "me", 20.0, NOW)
    assert type(decided) is type(step)
    if isinstance(decided, Wait) and isinstance(step, Wait):
        assert decided.until == pytest.approx(step.until)
    else:
        assert decided == step


@pytest.mark.parametrize(
    ("sighting", "step"),
    [
        (Sighting(record("me"), NOW - 99), Renew),
        (Sighting(record("me"), NOW, gone=True), Create),
        (Sighting(record(""), NOW), Wait),
        (Sighting(record("other"), NOW - 99), Wait),
        (Sighting(record("other"), NOW - 99, gone=True), Wait),
    ],
)
def test_a_process_that_has_led_keeps_its_own_lease_and_takes_no_other(sighting: Sighting, step: type[Step]) -> None:
    assert isinstance(decide_step(sighting, "me", 20.0, NOW, leading=True), step)


def test_any_write_to_the_lease_starts_its_time_anew() -> None:
    seen = look(None, record("other", "1"), 10.0)
    assert look(seen, record("other", "1"), 20.0) == Sighting(record("other", "1"), 10.0)
    assert look(seen, record("other", "2"), 20.0) == Sighting(record("other", "2"), 20.0)
    gone = look(seen, None, 20.0)
    assert gone == Sighting(record("other", "1"), 20.0, gone=True)
    assert look(gone, None, 30.0) == gone
    assert look(gone, record("other", "1"), 30.0) == Sighting(record("other", "1"), 30.0)
    assert look(None, None, 20.0) is None


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "holderIdentity": JUNK, "leaseDurationSeconds": JUNK, "leaseTransitions": JUNK,
        "acquireTime": JUNK, "renewTime": JUNK,
    },
)  # fmt: skip


@given(spec=SPECS | JUNK)
def test_garbage_in_a_lease_never_raises_and_never_locks_for_long(spec: Any) -> None:
    read = parse_record({"metadata": {"resourceVersion": "7"}, "spec": spec})
    assert read.version == "7"
    step = decide_step(Sighting(read, 0.0), "me", 15.0, 3601.0)
    assert isinstance(step, Take | Renew)
    assert lease_spec(step, "me", 15.0, WALL)["leaseTransitions" if isinstance(step, Take) else "holderIdentity"]


def test_taking_counts_a_transition_and_renewing_keeps_when_it_was_acquired() -> None:
    taken = lease_spec(Take(record("other")), "me", 14.2, WALL)
    assert taken == {
        "holderIdentity": "me", "leaseDurationSeconds": 15, "leaseTransitions": 4,
        "renewTime": WALL, "acquireTime": WALL,
    }  # fmt: skip
    assert "acquireTime" not in lease_spec(Renew(record("me")), "me", 15.0, WALL)
    assert lease_spec(Create(), "me", 15.0, WALL)["leaseTransitions"] == 0


@dataclass
class Elector:
    """What `lease.Elector` does, with clock and wire in the hands of the test."""

    me: str
    offset: float
    sighting: Sighting | None = None
    valid_until: float = -1e9
    led: list[tuple[float, float]] = field(default_factory=list)
    lost: bool = False

    def turn(self, lease: dict[str, Any], start: float, stored_at: float | None) -> None:
        """One try, begun at `start`; the write arrives at `stored_at`, or its answer (and so the leading) is lost."""
        if self.lost or (self.led and start >= self.valid_until):
            self.lost = self.lost or bool(self.led)
            return
        current = parse_record(lease) if "spec" in lease else None
        self.sighting = look(self.sighting, current, start + self.offset)
        step = decide_step(self.sighting, self.me, 15.0, start + self.offset, leading=bool(self.led))
        if isinstance(step, Wait):
            self.lost = bool(self.led)
            return
        lease.update({
            "metadata": {"resourceVersion": str(int(lease.get("metadata", {}).get("resourceVersion", 0)) + 1)},
            "spec": {**lease.get("spec", {}), **lease_spec(step, self.me, 15.0, WALL)},
        })  # fmt: skip
        if stored_at is not None:
            self.valid_until = start + 10.0
            self.led.append((stored_at, self.valid_until))


@given(
    turns=st.lists(st.tuples(st.integers(0, 2), st.floats(0, 20), st.booleans()), max_size=60),
    offsets=st.tuples(*[st.floats(-1e6, 1e6)] * 3),
)
def test_two_electors_never_lead_at_once(turns: list[tuple[int, float, bool]], offsets: tuple[float, ...]) -> None:
    lease: dict[str, Any] = {}
    electors = [Elector(f"e{number}", offset) for number, offset in enumerate(offsets)]
    now = 0.0
    for who, pause, answered in turns:
        now += pause
        electors[who].turn(lease, now, now if answered else None)
    assert_none_led_beside_another(electors)


@given(
    turns=st.lists(st.tuples(st.integers(0, 2), st.floats(0, 20), st.booleans(), st.booleans()), max_size=60),
    offsets=st.tuples(*[st.floats(-1e6, 1e6)] * 3),
)
def test_a_lease_deleted_by_hand_lets_nobody_lead_beside_its_holder(
    turns: list[tuple[int, float, bool, bool]], offsets: tuple[float, ...]
) -> None:
    lease: dict[str, Any] = {}
    electors = [Elector(f"e{number}", offset) for number, offset in enumerate(offsets)]
    for each in electors:  # all have seen the Lease once
        each.turn(lease, 0.0, 0.0)
    now, at_hand = 0.0, 1  # a second deletion, before all have seen the new Lease, can't be told from the first
    for who, pause, answered, deleted in turns:
        now += pause
        if deleted and at_hand:
            at_hand = 0
            lease.pop("spec", None)  # its version is never given again
        electors[who].turn(lease, now, now if answered else None)
    assert_none_led_beside_another(electors)


def assert_none_led_beside_another(electors: list[Elector]) -> None:
    spans = sorted((start, end, each.me) for each in electors for start, end in each.led)
    for (_, end, one), (start, _, other) in itertools.pairwise(spans):
        assert one == other or end <= start
