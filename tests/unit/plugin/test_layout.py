"""Columns stand below each other, whatever a name is made of."""

from __future__ import annotations

import pytest

from esa_preload_operator.cli.plugin.layout import Cell, bar, fit, plain, table, width_of, wrap


def test_wide_characters_count_two_columns() -> None:
    rows = [(Cell("夜间"), Cell("1")), (Cell("abcd"), Cell("2"))]
    first, second = plain(table(("N", "X"), rows, None)).splitlines()[1:]
    assert width_of(first) == width_of(second)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_table_is_no_wider_than_the_screen_and_numbers_are_not_cut(width: int) -> None:
    rows = [(Cell("name-" * 20), Cell("12345/67890"), Cell("why " * 80))]
    text = plain(table(("NAME", "URLS", "WHY"), rows, width))
    assert max(map(width_of, text.splitlines())) <= width
    assert "12345/67890" in text


def test_without_a_screen_nothing_is_cut() -> None:
    assert "why " * 79 + "why" in plain(table(("WHY",), [(Cell("why " * 80),)], None))


@pytest.mark.parametrize(
    "text", ["plain words that are longer than a line", "x" * 200, "短い 夜間の仕事 " * 9, "a " * 50 + "y" * 90]
)
def test_wrapped_text_keeps_all_characters_and_the_width(text: str) -> None:
    lines = wrap(text, 30, "  ")
    assert all(width_of(line) <= 30 for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_what_is_cut_shows_two_dots() -> None:
    assert fit("nightly-job", 8) == "nightl.."
    assert fit("nightly", 7) == "nightly"
    assert fit("nightly", 1) == "."


def test_a_bar_is_full_when_all_is_done_and_empty_without_urls() -> None:
    assert bar(10, 10, 5) == "[#####]"
    assert bar(99, 100, 5) == "[####.]"
    assert bar(0, 0, 5) == "[.....]"
    assert bar(20, 10, 5) == "[#####]"
