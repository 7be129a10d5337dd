import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esa_preload_operator.domain.tokens import (
    MAX_TOKEN,
    Tokens,
    asked_tokens,
    handled_after,
    is_stale,
    normalise,
    token_time,
    without,
)
from esa_preload_operator.resources.job import RESET_KEY, RESET_KEY_PREFIXED

TEN_O_CLOCK = 1_796_119_200.0

values = st.one_of(st.sampled_from(["A", "B", "1796119200", "2026-12-01T10:00:00Z"]), st.text(min_size=1))
maps = st.dictionaries(st.sampled_from([RESET_KEY, RESET_KEY_PREFIXED]), values)


def _tokens(entries: dict[str, str]) -> Tokens:
    return tuple(sorted(entries.items()))


@pytest.mark.parametrize(
    "token",
    [
        "1796119200",
        "1796119200000",
        "2026-12-01T10:00:00Z",
        "2026-12-01t10:00:00z",
        "2026-12-01 10:00:00Z",
        "2026-12-01T10:00:00.000000001Z",
        "2026-12-01T18:00:00+08:00",
    ],
)
def test_a_token_that_reads_as_a_time(token: str) -> None:
    assert token_time(token) == TEN_O_CLOCK


@pytest.mark.parametrize(
    "token",
    [
        "",
        "true",
        "1",
        "4711",
        "1577836799",
        "7258118400000",
        "17961192000",
        "9" * 400,
        "١٧٩٦١١٩٢٠٠",
        "2026-12-01",
        "2026-12-01T10:00:00",
        "2026-13-01T10:00:00Z",
        "2026-12-01T10:00:60Z",
        "2026-12-01T10:00:00+99:00",
        "0000-12-01T10:00:00Z",
        "deploy-1796119200",
        "1796119200\n",
        " 1796119200",
    ],
)
def test_a_token_that_is_no_time(token: str) -> None:
    assert token_time(token) is None


@given(st.text())
def test_reading_any_token_never_fails(token: str) -> None:
    moment = token_time(token)
    assert moment is None or math.isfinite(moment)
    assert len(normalise(token).encode("utf-8", "replace")) <= MAX_TOKEN


@given(st.text(max_size=400))
def test_normalising_twice_changes_nothing_more(token: str) -> None:
    assert normalise(normalise(token)) == normalise(token)


def test_a_very_long_token_is_shown_by_its_hash_and_still_told_from_others() -> None:
    one, other = "a" * 200_000, "a" * 199_999 + "b"
    assert normalise(one).startswith("sha256:")
    assert len(normalise(one)) == len("sha256:") + 64
    assert normalise(one) != normalise(other)
    assert normalise("é" * 128) == "é" * 128
    assert normalise("é" * 129) != "é" * 129


def test_line_breaks_belong_to_the_token() -> None:
    assert asked_tokens({RESET_KEY: "a\nb"}) == ((RESET_KEY, "a\nb"),)


def test_only_reset_annotations_that_are_not_empty_ask() -> None:
    annotations = {RESET_KEY: "", RESET_KEY_PREFIXED: "x", "other": "y"}
    assert asked_tokens(annotations) == ((RESET_KEY_PREFIXED, "x"),)


@pytest.mark.parametrize(
    ("token", "stale"),
    [("1796115599", True), ("1796115600", False), ("1796119200", False), ("deploy-1", False), ("1", False)],
)
def test_a_time_is_stale_when_it_is_older_than_the_object_by_more_than_the_limit(token: str, *, stale: bool) -> None:
    assert is_stale(token, created=TEN_O_CLOCK, stale_after=3600.0) is stale


def test_a_token_that_was_removed_may_be_set_again() -> None:
    assert handled_after(((RESET_KEY, "true"),), (), ()) == ()


def test_a_time_that_was_removed_stays_handled() -> None:
    handled = ((RESET_KEY, "1796119200"),)
    assert handled_after(handled, (), ()) == handled


def test_an_outcome_leaves_out_a_token_whose_annotation_is_gone() -> None:
    assert handled_after((), (), ((RESET_KEY, "A"),)) == ()


def test_an_outcome_records_its_own_token_and_not_the_newer_one() -> None:
    handled = handled_after((), ((RESET_KEY, "B"),), ((RESET_KEY, "A"),))
    assert handled == ((RESET_KEY, "A"),)
    assert without(((RESET_KEY, "B"),), handled) == ((RESET_KEY, "B"),)


@given(maps, maps, maps)
def test_what_is_handled_settles_at_once(handled: dict[str, str], asked: dict[str, str], done: dict[str, str]) -> None:
    once = handled_after(_tokens(handled), _tokens(asked), _tokens(done))
    assert handled_after(once, _tokens(asked), ()) == once
    assert list(once) == sorted(once)
    for key, token in once:
        assert (done.get(key) or handled.get(key)) == token
        assert key in asked or token_time(token) is not None


@given(maps, maps)
def test_what_is_done_no_longer_asks(handled: dict[str, str], asked: dict[str, str]) -> None:
    after = handled_after(_tokens(handled), _tokens(asked), _tokens(asked))
    assert without(_tokens(asked), after) == ()
