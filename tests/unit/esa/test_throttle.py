from __future__ import annotations

import asyncio
import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.esa.throttle import FLOOR, MAX_HOLD, TURN_LASTS, Pace, Throttle
from support.throttling import CALLS, Crowd, FakeLoop, ModelEsa


def ref(name: object, namespace: str = "a") -> ObjectRef:
    return ObjectRef(namespace, str(name))


class Door:
    """A throttle in front of resources that take their turns at once."""

    def __init__(self, rate: float, *, takes: bool = True) -> None:
        self.loop = FakeLoop()
        self.throttle = self.loop.throttle(rate)
        self.passed: list[tuple[float, ObjectRef]] = []
        self.woken: list[ObjectRef] = []
        self._takes = takes
        self.start = self.loop.now

    def ask(self, one: ObjectRef, calls: int = 1, *, last: bool = False) -> bool:
        if self.throttle.admit(one, calls, lambda: self._wake(one, calls, last=last), last=last):
            self.passed.append((self.loop.now - self.start, one))
            return True
        return False

    def _wake(self, one: ObjectRef, calls: int, *, last: bool) -> None:
        self.woken.append(one)
        if self._takes:
            again = functools.partial(self.ask, one, calls, last=last)
            self.loop.call_later(0.0, lambda: None if again() else pytest.fail("it was its turn"))

    def wait(self, seconds: float) -> None:
        self.loop.run_until(self.loop.now + seconds)

    @property
    def order(self) -> list[str]:
        return [str(one) for _, one in self.passed]


def test_a_second_of_calls_may_leave_at_once_and_then_one_by_one() -> None:
    door = Door(4)
    assert [door.ask(ref(number)) for number in range(7)] == [True] * 4 + [False] * 3
    door.wait(10)
    assert [moment for moment, _ in door.passed[4:]] == pytest.approx([0.25, 0.5, 0.75])
    assert door.loop.timers == 0


def test_calls_that_belong_together_leave_together_even_where_a_second_has_room_for_less() -> None:
    door = Door(1)
    for number in range(3):
        door.ask(ref(number), calls=2)
    door.wait(10)
    assert [moment for moment, _ in door.passed] == pytest.approx([0, 2, 4])


def test_within_a_namespace_the_first_to_come_is_served_first() -> None:
    door = Door(1)
    for number in range(5):
        door.ask(ref(number))
    door.wait(10)
    assert door.order == [f"a/{number}" for number in range(5)]


def test_namespaces_take_turns_however_many_wait_in_one() -> None:
    door = Door(1)
    door.ask(ref("first"))
    for number in range(100):
        door.ask(ref(number, "many"))
    for number in range(2):
        door.ask(ref(number, "few"))
    door.wait(5)
    assert door.order[1:6] == ["many/0", "few/0", "many/1", "few/1", "many/2"]


def test_nobody_passes_those_who_wait() -> None:
    door = Door(1)
    for number in range(3):
        door.ask(ref(number))
    door.wait(0.9)
    assert not door.ask(ref("late"))
    door.wait(10)
    assert door.order == ["a/0", "a/1", "a/2", "a/late"]


def test_asking_again_does_not_move_a_waiter() -> None:
    door = Door(1)
    for number in range(3):
        door.ask(ref(number))
    for _ in range(5):
        assert not door.ask(ref(1))
        assert not door.ask(ref(2))
    door.wait(10)
    assert door.order == ["a/0", "a/1", "a/2"]


def test_a_waiter_that_withdraws_leaves_its_place_and_its_turn_to_the_next() -> None:
    door = Door(1, takes=False)
    for number in range(4):
        door.ask(ref(number))
    door.throttle.withdraw(ref(2))
    door.wait(1)
    assert door.woken == [ref(1)]
    door.throttle.withdraw(ref(1))
    assert door.woken == [ref(1), ref(3)]
    assert door.ask(ref(3))


def test_a_turn_that_is_not_taken_is_lost_and_given_to_the_next() -> None:
    door = Door(1, takes=False)
    for number in range(3):
        door.ask(ref(number))
    door.wait(TURN_LASTS)
    assert door.woken == [ref(1)], "one turn at a time is open"
    door.wait(1.1)
    assert door.woken == [ref(1), ref(2)]
    assert not door.ask(ref(1)), "it has to line up again"
    assert door.ask(ref(2))


def test_turns_are_given_no_faster_than_they_are_taken() -> None:
    door = Door(5, takes=False)
    for number in range(100):
        door.ask(ref(number))
    door.wait(TURN_LASTS - 1)
    assert len(door.woken) == 5
    for one in list(door.woken):
        assert door.ask(one)
    assert len(door.woken) == 10


def test_nobody_passes_those_who_wait_for_others_to_take_their_turns() -> None:
    door = Door(2, takes=False)
    for number in range(10):
        door.ask(ref(number))
    door.wait(TURN_LASTS - 1)
    assert door.woken == [ref(2), ref(3)]
    assert not door.ask(ref("late"))


def test_whoever_needs_more_than_it_lined_up_for_pays_for_it() -> None:
    door = Door(1, takes=False)
    for number in range(3):
        door.ask(ref(number))
    door.wait(1)
    assert door.ask(ref(1), calls=2)
    assert door.throttle.wait_estimate(ref(2)) == pytest.approx(2)


def test_whoever_needs_less_than_it_lined_up_for_leaves_the_rest_to_the_others() -> None:
    door = Door(2, takes=False)
    door.ask(ref("burst"), calls=2)
    door.ask(ref("two"), calls=2)
    for number in range(4):
        door.ask(ref(number))
    door.wait(1.0)
    assert door.ask(ref("two"), calls=1)
    assert door.woken == [ref("two"), ref(0)]


def test_within_a_namespace_schedules_are_served_after_those_who_ask() -> None:
    door = Door(1)
    door.ask(ref("burst"))
    for number in range(3):
        door.ask(ref(f"scheduled-{number}"), last=True)
    door.ask(ref("other", "b"), last=True)
    door.ask(ref("asked"))
    door.wait(10)
    assert door.order == ["a/burst", "a/asked", "b/other", "a/scheduled-0", "a/scheduled-1", "a/scheduled-2"]


def test_a_schedule_that_is_asked_for_meanwhile_moves_up() -> None:
    door = Door(1)
    door.ask(ref("burst"))
    for number in range(3):
        door.ask(ref(number), last=True)
    door.ask(ref(2))
    assert door.throttle.wait_estimate(ref(2)) == pytest.approx(1.0)
    assert door.throttle.wait_estimate(ref(1)) == pytest.approx(3.0)
    door.wait(10)
    assert door.order == ["a/burst", "a/2", "a/0", "a/1"]


def test_schedules_have_each_fourth_turn_so_that_they_do_not_wait_for_ever() -> None:
    door = Door(1)
    door.ask(ref("burst"))
    door.ask(ref("scheduled"), last=True)
    for number in range(3600):
        door.ask(ref(number))
        door.wait(1)
        if ref("scheduled") in [one for _, one in door.passed]:
            break
    assert len(door.passed) <= 6


def test_calls_that_go_before_the_others_keep_the_rate_and_let_them_wait_the_longer() -> None:
    door = Door(2)
    door.ask(ref("burst"), calls=2)
    door.ask(ref("first"))
    assert [door.throttle.take(1) for _ in range(3)] == pytest.approx([0.5, 1.0, 1.5])
    door.wait(10)
    assert [moment for moment, _ in door.passed[1:]] == pytest.approx([2.0])


def test_throttling_forgives_no_calls_that_went_before_their_time() -> None:
    door = Door(2)
    door.throttle.take(6)
    door.throttle.throttled(door.loop.now, 3.0)
    assert door.throttle.take(0) == pytest.approx(4 / 1.0 + 3.0), "at half the rate, and after the pause"


def test_the_wait_can_be_told() -> None:
    door = Door(2, takes=False)
    for number in range(6):
        door.ask(ref(number))
    door.ask(ref("other", "b"))
    told = [door.throttle.wait_estimate(ref(number)) for number in range(6)]
    assert told == [None, None, *(pytest.approx(seconds) for seconds in (0.5, 1.5, 2.0, 2.5))]
    assert door.throttle.wait_estimate(ref("other", "b")) == pytest.approx(1.0)
    door.wait(0.6)
    assert door.throttle.wait_estimate(ref(2)) == 0.0


async def test_background_work_waits_in_the_same_line() -> None:
    door = Door(1)
    door.ask(ref(0))
    door.ask(ref(1))
    pages = [asyncio.create_task(door.throttle.admitted("b", 1)) for _ in range(2)]
    given_up = asyncio.create_task(door.throttle.admitted("b", 1))
    await asyncio.sleep(0)
    door.ask(ref(2))
    given_up.cancel()
    await asyncio.wait([given_up])
    door.wait(2)
    await pages[0]
    assert (door.order, pages[1].done()) == (["a/0", "a/1"], False)
    door.wait(10)
    await pages[1]
    assert door.order == ["a/0", "a/1", "a/2"]
    assert door.loop.timers == 0


def test_one_timer_stands_for_all_who_wait() -> None:
    door = Door(50)
    for number in range(1000):
        door.ask(ref(number))
        assert door.loop.timers <= 1
    for _ in range(100):
        door.throttle.succeeded(door.loop.now)
        door.throttle.throttled(door.loop.now, None)
        assert door.loop.timers == 1


def test_throttling_halves_once_a_second_down_to_the_floor() -> None:
    pace = Pace(8, floor=1)
    for moment, rate in [(0, 4), (0.5, 4), (1, 2), (2, 1), (3, 1)]:
        pace.throttled(moment, moment)
        assert pace.rate == rate


def test_answers_to_calls_from_before_the_cut_count_neither_way() -> None:
    pace = Pace(10)
    pace.throttled(5.0, 5.0)
    pace.succeeded(4.9, 5.5)
    pace.throttled(4.9, 9.0)
    assert pace.rate == 5
    pace.succeeded(5.1, 5.5)
    assert pace.rate > 5


def test_the_pause_that_esa_asks_for_is_kept_by_all_but_not_for_long() -> None:
    door = Door(10)
    door.throttle.throttled(door.loop.now, 3.0)
    door.ask(ref(0))
    door.wait(2.9)
    assert door.order == []
    door.wait(0.4)
    assert door.order == ["a/0"]
    door.throttle.throttled(door.loop.now, 120.0)
    door.ask(ref(1))
    door.wait(MAX_HOLD + 1)
    assert door.order == ["a/0", "a/1"]


def test_what_was_saved_up_is_gone_after_throttling() -> None:
    door = Door(10)
    door.wait(100)
    door.throttle.throttled(door.loop.now, None)
    assert not door.ask(ref(0))
    assert door.throttle.wait_estimate(ref(0)) == pytest.approx(0.2)


def test_recovery_is_quick_up_to_what_esa_took_before_and_slow_beyond() -> None:
    pace, now = Pace(50), 0.0
    for _ in range(10):  # an outage: no success between the cuts
        pace.throttled(now, now)
        now += 1
    assert pace.rate == FLOOR
    calls = 0
    while pace.rate < 45:
        pace.succeeded(now, now)
        calls += 1
    assert calls <= 25
    pace.succeeded(now, now)
    assert pace.rate < 45.1


def test_an_old_limit_is_forgotten_after_a_quiet_while() -> None:
    pace = Pace(50)
    for now in range(4):
        pace.succeeded(now, now)
        pace.throttled(now, now)
    assert pace.rate < 10
    for _ in range(24):
        pace.succeeded(60, 60)
    assert pace.rate == 50


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_must_be_above_zero(rate: float) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        Throttle(rate)


@given(st.floats(0.01, 1000))
def test_the_floor_is_never_above_the_rate(rate: float) -> None:
    pace = Pace(rate)
    pace.throttled(0, 0)
    assert 0 < pace.rate <= rate


def crowd(count: int, namespaces: int = 7) -> list[ObjectRef]:
    return [ObjectRef(f"n{number % namespaces}", f"j{number}") for number in range(count)]


@pytest.mark.parametrize("outage", [10.0, 60.0, 600.3])
def test_after_an_outage_all_requests_are_done_within_1_2_times_the_ideal(outage: float) -> None:
    loop = FakeLoop()
    recovers = loop.now + outage
    esa = ModelEsa(loop, lambda now: 0.0 if now < recovers else None, tokens=0.0, seen=loop.now)
    resources = Crowd(loop, esa, loop.throttle(50))
    resources.request(*crowd(500))
    loop.run_until(recovers + 1.2 * 500 * CALLS / 50)
    assert len(resources.done) == 500
    assert loop.timers == 0


def test_few_resources_that_were_throttled_often_come_back_as_soon_as_many() -> None:
    loop = FakeLoop()
    recovers = loop.now + 600
    esa = ModelEsa(loop, lambda now: 0.0 if now < recovers else None, tokens=0.0, seen=loop.now)
    resources = Crowd(loop, esa, loop.throttle(50))
    resources.request(*crowd(10))
    loop.run_until(recovers + 10)
    assert len(resources.done) == 10
    assert min(resources.failures.values()) > 20


def test_a_request_after_the_recovery_waits_for_nothing() -> None:
    loop = FakeLoop()
    recovers = loop.now + 60
    esa = ModelEsa(loop, lambda now: 0.0 if now < recovers else None, tokens=0.0, seen=loop.now)
    resources = Crowd(loop, esa, loop.throttle(50))
    resources.request(*crowd(500))
    loop.run_until(recovers + 120)
    resources.request(ref("late"))
    loop.run_until(loop.now + 1)
    assert ref("late") in resources.done


@pytest.mark.parametrize(("admitted", "depth"), [(5.0, 5.0), (10.0, 5.0), (10.0, 10.0), (40.0, 40.0)])
def test_at_a_steady_limit_all_requests_are_done_within_1_2_times_the_ideal(admitted: float, depth: float) -> None:
    loop = FakeLoop()
    begun = loop.now
    esa = ModelEsa(loop, lambda _: admitted, depth=depth, tokens=depth, seen=loop.now)
    resources = Crowd(loop, esa, loop.throttle(50))
    resources.request(*crowd(2000))
    loop.run_until(begun + 1.2 * 2000 * CALLS / admitted)
    assert len(resources.done) == 2000
    assert esa.refused < 0.15 * esa.served


class ThrottleMachine(RuleBasedStateMachine):
    """Any mixture of requests, answers, withdrawals and pauses."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = FakeLoop()
        self.throttle = self.loop.throttle(5)
        self.starts: list[tuple[float, int]] = []
        self.lined_up: dict[ObjectRef, int] = {}
        self.asked: dict[str, list[ObjectRef]] = {}
        self.not_before = 0.0

    @rule(name=st.integers(0, 8), namespace=st.sampled_from("ab"), calls=st.integers(1, 3))
    def ask(self, name: int, namespace: str, calls: int) -> None:
        self.try_to_pass(ref(name, namespace), calls)

    def try_to_pass(self, one: ObjectRef, calls: int, not_before: float | None = None) -> None:
        """Ask; `not_before` is when calls might leave as the turn was given, which a later pause does not take back."""
        calls = self.lined_up.setdefault(one, calls)
        line = self.asked.setdefault(one.namespace, [])
        if not self.throttle.admit(one, calls, lambda: self.come_back(one, calls)):
            if one not in line:
                line.append(one)
            return
        assert self.loop.now >= (self.not_before if not_before is None else not_before) - 1e-6
        if one in line:
            assert line.pop(0) == one, "first come, first served"
        del self.lined_up[one]
        self.starts.append((self.loop.now, calls))

    def come_back(self, one: ObjectRef, calls: int) -> None:
        given = self.not_before
        self.loop.call_later(0, lambda: self.try_to_pass(one, calls, given) if one in self.lined_up else None)

    @rule(name=st.integers(0, 8), namespace=st.sampled_from("ab"))
    def withdraw(self, name: int, namespace: str) -> None:
        one = ref(name, namespace)
        self.throttle.withdraw(one)
        self.lined_up.pop(one, None)
        if one in self.asked.get(namespace, []):
            self.asked[namespace].remove(one)

    @rule(seconds=st.floats(0, 3))
    def pass_time(self, seconds: float) -> None:
        self.loop.run_until(self.loop.now + seconds)

    @rule(pause=st.none() | st.floats(0, 5))
    def be_throttled(self, pause: float | None) -> None:
        self.throttle.throttled(self.loop.now, pause)
        self.not_before = max(self.not_before, self.loop.now + (pause or 0))

    @rule()
    def succeed(self) -> None:
        self.throttle.succeeded(self.loop.now)

    @invariant()
    def the_rate_stays_in_its_bounds(self) -> None:
        assert FLOOR <= self.throttle.pace.rate <= 5

    @invariant()
    def one_timer_stands_for_whoever_waits(self) -> None:
        waiting = self.throttle._timer is not None
        assert waiting or not len(self.throttle._line)

    @invariant()
    def no_window_holds_more_than_its_rate_and_one_burst(self) -> None:
        for first, (since, _) in enumerate(self.starts):
            total = 0
            for until, calls in self.starts[first:]:
                total += calls
                assert total <= 5 * (until - since) + 5 + 3 + 1e-6

    def teardown(self) -> None:
        self.loop.run_until(self.loop.now + 120)
        assert self.lined_up == {}, "everybody has a turn in the end"


TestThrottle = ThrottleMachine.TestCase
TestThrottle.settings = settings(deadline=None)
