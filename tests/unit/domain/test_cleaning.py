import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esa_preload_operator.domain.cleaning import (
    INT64_MAX,
    MAX_TEXT,
    clean_count,
    clean_instant,
    clean_text,
    clean_time,
    cut,
    format_micro_time,
    format_time,
    parse_time,
)

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.lists(st.integers()),
    st.datetimes(),
)
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@given(anything)
def test_cleaning_never_fails_and_is_bounded(value: object) -> None:
    assert len(clean_text(value).encode()) <= MAX_TEXT
    count = clean_count(value)
    assert count is None or 0 <= count <= INT64_MAX
    assert clean_time(value) == "" or RFC3339.fullmatch(clean_time(value))


@given(st.text(alphabet=st.characters(exclude_categories=[])), st.integers(3, 50))
def test_a_cut_is_valid_text_within_its_bytes(text: str, limit: int) -> None:
    short = cut(text, limit)
    assert len(short.encode()) <= limit
    if len(text.encode("utf-8", "replace")) <= limit:
        assert short == text.encode("utf-8", "replace").decode()


@given(st.text(alphabet="ab/.'%é-", max_size=20), st.text(alphabet="ab&=?#'%/", max_size=20), st.text(alphabet="xyz"))
def test_a_query_string_is_never_kept(path: str, query: str, tail: str) -> None:
    for mark in "?#":
        text = clean_text(f'see "https://h.example/{path}{mark}{query}Signature=s3cret" {tail}')
        assert "s3cret" not in text
        assert text.startswith(f'see "https://h.example/{path}')
        assert text.endswith(tail)


def test_many_unfinished_addresses_are_cleaned_without_delay() -> None:
    assert len(clean_text("http://" * 100_000)) <= MAX_TEXT


def test_line_breaks_become_spaces_and_what_steers_is_escaped() -> None:
    assert clean_text("a\x00b\x1b[31mc\rd\u202ee\u2028\u200b") == r"a\x00b\x1b[31mc d\u202ee \u200b"


@pytest.mark.parametrize(
    "text",
    [
        "2024-06-03T17:30:26Z",
        "2024-06-03T17:30:26.000Z",
        "2024-06-04T01:30:26+08:00",
        "2024-06-04T01:30:26+0800",
        " 2024-06-03T17:30:26+00:00 ",
        "2024-06-03 17:30:26",
    ],
)
def test_each_of_esa_s_times_becomes_the_same(text: str) -> None:
    assert clean_time(text) == "2024-06-03T17:30:26Z"


def test_the_zero_time_of_other_languages_stays_four_digits_long() -> None:
    assert clean_time("0001-01-01T00:00:00Z") == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize("text", ["", "soon", "2024-13-01T00:00:00Z", "0001-01-01T00:00:00+08:00", None, 17])
def test_what_is_no_time_is_left_out(text: object) -> None:
    assert clean_time(text) == ""


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (7, 7),
        ("7", 7),
        ("0", 0),
        (-1, None),
        (2**80, None),
        (True, None),
        (None, None),
        ("x", None),
        (7.9, 7),
        ("9" * 5000, None),
    ],
)
def test_counters_are_lenient(value: object, count: int | None) -> None:
    assert clean_count(value) == count


@given(st.floats(0, 4e9))
def test_times_survive_a_round_trip(epoch: float) -> None:
    whole, micro = parse_time(format_time(epoch)), parse_time(format_micro_time(epoch))
    assert whole is not None
    assert micro is not None
    assert whole == int(micro)
    assert abs(micro - epoch) < 1e-5


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-06-03T16:00:00Z", 1717430400),
        (" 2024-06-04T00:00:00.849+08:00 ", 1717430400),
        ("2024-06-04T00:00:00+0800", 1717430400),
        ("2024-06-03T16:00:00+Z", 1717430400),
        ("2024-06-03T16:00:00", 1717430400),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.5Z", None),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59Z", 253402300799),
        ("9999-12-31T23:59:59-12:00", None),
        ("", None),
        ("soon", None),
        ("2024-06-03T16:00:00Z" + "0" * 100, None),
        (None, None),
        (1717430400, None),
    ],
)
def test_an_instant_is_whole_seconds_that_can_be_written_again(text: object, instant: int | None) -> None:
    assert clean_instant(text) == instant
    assert instant is None or clean_instant(format_time(instant)) == instant
