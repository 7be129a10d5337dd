"""Times of cron expressions, against a plain reading of every minute."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esa_preload_operator.domain.cron import (
    cron_problem,
    fields_of,
    latest_time,
    time_after,
    times_after,
    zone_problem,
)

MINUTE = timedelta(minutes=1)
ZONES = ("UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Asia/Kathmandu")


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def local(zone: str, moments: Iterator[float], count: int) -> list[str]:
    return [
        datetime.fromtimestamp(each, UTC).astimezone(ZoneInfo(zone)).strftime("%d %H:%M%z")
        for each in itertools.islice(moments, count)
    ]


@pytest.mark.parametrize(
    ("zone", "cron", "after", "times"),
    [
        # Berlin: on 29 March 2026 02:00 becomes 03:00, on 25 October 03:00 becomes 02:00.
        ("Europe/Berlin", "30 2 * * *", "2026-03-28T12:00Z", ["29 03:00+0200", "30 02:30+0200"]),
        ("Europe/Berlin", "0,30 2 * * *", "2026-03-28T12:00Z", ["29 03:00+0200", "30 02:00+0200"]),
        ("Europe/Berlin", "30 2,3 * * *", "2026-03-28T12:00Z", ["29 03:00+0200", "29 03:30+0200"]),
        ("Europe/Berlin", "30 2 * * *", "2026-10-24T12:00Z", ["25 02:30+0200", "26 02:30+0100"]),
        ("Europe/Berlin", "30 2 * * *", "2026-10-25T01:10Z", ["26 02:30+0100"]),
        ("Europe/Berlin", "30 * * * *", "2026-10-25T00:00Z", ["25 02:30+0200", "25 02:30+0100", "25 03:30+0100"]),
        ("Europe/Berlin", "30 * * * *", "2026-03-29T00:00Z", ["29 01:30+0100", "29 03:30+0200"]),
        # Lord Howe: on 5 April 2026 02:00 becomes 01:30, on 4 October 02:00 becomes 02:30. Where clocks change by half
        # an hour, cronsim steps over the second 01:45 of an hourly schedule.
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04T00:00Z", ["05 01:45+1100", "06 01:45+1030"]),
        ("Australia/Lord_Howe", "45 * * * *", "2026-04-04T14:00Z", ["05 01:45+1100", "05 02:45+1030"]),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T00:00Z", ["04 02:30+1100", "05 02:15+1100"]),
        ("Asia/Shanghai", "0 2 * * *", "2026-11-25T18:00Z", ["27 02:00+0800"]),
        ("UTC", "@daily", "2026-11-25T18:00Z", ["26 00:00+0000", "27 00:00+0000"]),
        ("UTC", "0 0 29 2 *", "2026-01-01T00:00Z", ["29 00:00+0000"]),
    ],
)
def test_both_changes_of_the_clocks(zone: str, cron: str, after: str, times: list[str]) -> None:
    assert local(zone, times_after(cron, zone, at(after)), len(times)) == times


@pytest.mark.parametrize(
    ("alias", "cron"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("  0   2 * * *", "0 2 * * *"),
    ],
)
def test_an_alias_is_spelled_out_and_the_layout_does_not_matter(alias: str, cron: str) -> None:
    assert fields_of(alias) == cron
    assert cron_problem(alias) == ""


@pytest.mark.parametrize(
    ("cron", "problem"),
    [
        ("", "it must have five fields"),
        ("0 2 * *", "it must have five fields"),
        ("0 0 2 * * *", "it must have five fields"),
        ("@reboot", "it must have five fields"),
        ("0 2 * * *" + " " * 200, "it must have five fields"),
        ("60 2 * * *", "its minute is out of range"),
        ("0 24 * * *", "its hour is out of range"),
        ("0 0 32 * *", "its day-of-month is out of range"),
        ("0 0 * 13 *", "its month is out of range"),
        ("0 0 * * 8", "its day-of-week is out of range"),
        ("*/0 * * * *", "its minute is out of range"),
        ("30-10 * * * *", "its minute is out of range"),
        ("a b c d e", "its minute is out of range"),
        ("0 0 31 2 *", "its day-of-month is out of range"),
        ("0 0 */31 2 MON#5", "no day ever fits it"),
    ],
)
def test_an_expression_that_can_not_be_used_is_found(cron: str, problem: str) -> None:
    assert cron_problem(cron).startswith(problem)


@given(st.text("0123456789*/,-#LWMONSU @", max_size=30))
def test_any_text_is_judged(cron: str) -> None:
    if not cron_problem(cron):
        assert time_after(cron, "Europe/Berlin", 0.0) is not None


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/Argentina/ComodRivadavia", "Etc/GMT-14", "EST5EDT"])
def test_a_time_zone_is_known_by_its_name(zone: str) -> None:
    assert zone_problem(zone) == ""


@pytest.mark.parametrize(
    "zone",
    [
        "",
        "Mars/Olympus",
        "America",
        "Local",
        "localtime",
        "posixrules",
        "right/UTC",
        "../UTC",
        "/etc/localtime",
        "A\0B",
    ],
)
def test_a_time_zone_that_does_not_exist_is_found(zone: str) -> None:
    assert "no time zone has this name" in zone_problem(zone)


@pytest.mark.parametrize("after", ["9999-12-31T23:59:59Z", "9998-12-31T00:00:00Z"])
def test_the_times_end_with_what_a_clock_can_say(after: str) -> None:
    assert len(list(itertools.islice(times_after("0 0 1 1 *", "Europe/Berlin", at(after)), 5))) <= 1
    assert time_after("0 0 1 1 *", "Asia/Shanghai", 1e15) is None


# --- against every minute ---------------------------------------------------------------------------------------


def field(low: int, high: int) -> st.SearchStrategy[tuple[str, frozenset[int]]]:
    """A field and what it stands for: a star, steps, or a list."""
    every = frozenset(range(low, high + 1))
    lists = st.sets(st.integers(low, high), min_size=1, max_size=3)
    return st.one_of(
        st.just(("*", every)),
        st.integers(2, 20).map(lambda step: (f"*/{step}", frozenset(sorted(every)[::step]))),
        lists.map(lambda found: (",".join(map(str, sorted(found))), frozenset(found))),
    )


expressions = st.tuples(
    field(0, 59), field(0, 23), st.sampled_from([("*", frozenset(range(7))), ("1-5", frozenset(range(5)))])
)


def expected(
    minutes: frozenset[int], hours: frozenset[int], days: frozenset[int], *, wild: bool, zone: str, start: datetime
) -> list[float]:
    """The times of two days: by the clock on the wall where minute and hour are fixed, else by every minute."""

    def fits(moment: datetime) -> bool:
        return moment.minute in minutes and moment.hour in hours and moment.weekday() in days

    rules = ZoneInfo(zone)
    if wild:
        moments = (start + MINUTE * number for number in range(2 * 24 * 60))
        return [each.timestamp() for each in moments if fits(each.astimezone(rules))]
    found: dict[float, None] = {}
    first = start.astimezone(rules).replace(tzinfo=None) - timedelta(hours=2)
    for number in range(2 * 24 * 60 + 240):
        wall = first + MINUTE * number
        if not fits(wall):
            continue
        while (moment := wall.replace(tzinfo=rules)) != moment.astimezone(UTC).astimezone(rules):
            wall += MINUTE  # the clocks skip it
        found[moment.timestamp()] = None
    return [each for each in found if start.timestamp() <= each < (start + timedelta(days=2)).timestamp()]


@settings(max_examples=150, deadline=None)
@given(
    expression=expressions,
    zone=st.sampled_from(ZONES),
    start=st.one_of(
        st.sampled_from([datetime(2026, 3, 28, 7, tzinfo=UTC), datetime(2026, 10, 24, 3, tzinfo=UTC)]),
        st.sampled_from([datetime(2026, 3, 7, 11, tzinfo=UTC), datetime(2026, 10, 31, 20, tzinfo=UTC)]),
        st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)).map(  # noqa: DTZ001 - Hypothesis wants naive bounds
            lambda moment: moment.replace(minute=0, second=0, microsecond=0, tzinfo=UTC)
        ),
    ),
)
def test_the_times_are_those_that_every_minute_shows(
    expression: tuple[tuple[str, frozenset[int]], ...], zone: str, start: datetime
) -> None:
    (minute, minutes), (hour, hours), (day, days) = expression
    cron = f"{minute} {hour} * * {day}"
    wild = "*" in minute[0] + hour[0]
    end = (start + timedelta(days=2)).timestamp()
    times = list(itertools.takewhile(lambda each: each < end, times_after(cron, zone, start.timestamp() - 1)))
    assert times == expected(minutes, hours, days, wild=wild, zone=zone, start=start)


@settings(deadline=None)
@given(
    expression=expressions,
    zone=st.sampled_from([*ZONES, "Australia/Lord_Howe"]),
    after=st.floats(1.7e9, 1.9e9),
    span=st.floats(0, 3 * 86400),
)
def test_the_latest_time_is_the_last_of_all(
    expression: tuple[tuple[str, frozenset[int]], ...], zone: str, after: float, span: float
) -> None:
    (minute, _), (hour, _), (day, _) = expression
    cron, until = f"{minute} {hour} * * {day}", after + span
    every = list(itertools.takewhile(lambda each: each <= until, times_after(cron, zone, after)))
    found = latest_time(cron, zone, after, until)
    if zone == "Australia/Lord_Howe" and every and found is not None:  # from another start cronsim may find more there
        assert after < every[-1] <= found <= until
    else:
        assert found == (every[-1] if every else None)
    assert every == sorted(set(every))


def test_the_latest_of_a_week_of_minutes_is_found_in_few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def counted(cron: str, zone: str, after: float) -> float | None:
        nonlocal looks
        looks += 1
        return next(times_after(cron, zone, after), None)

    monkeypatch.setattr("esa_preload_operator.domain.cron.time_after", counted)
    now = at("2026-11-25T18:00:07Z")
    assert latest_time("* * * * *", "Europe/Berlin", now - 7 * 86400, now) == at("2026-11-25T18:00Z")
    assert looks <= 16
