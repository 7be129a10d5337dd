"""A translated page shows the same commands, names and links as the English one, so that neither changes alone."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = {
    "README.zh-CN.md": "README.md",
    **{f"docs/zh/{path.name}": f"docs/{path.name}" for path in sorted((ROOT / "docs" / "zh").glob("*.md"))},
}
BLOCK: Final = re.compile(r"(?ms)^```.*?^```$|(?:^    \S[^\n]*\n)+")


def blocks(page: str) -> list[str]:
    """Return fenced and indented blocks."""
    return BLOCK.findall(text_of(page))


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def prose(page: str) -> str:
    """Return a page without its blocks and the line that names the languages."""
    text = BLOCK.sub("", text_of(page))
    return "\n".join(line for line in text.splitlines() if "简体中文" not in line)


def targets(page: str) -> list[str]:
    """Return what a page links to, as paths from the root; a translation counts as its original."""
    found = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    paths = [each if "://" in each else posixpath.normpath(f"{posixpath.dirname(page)}/{each}") for each in found]
    return [PAGES.get(each.lstrip("/"), each.lstrip("/")) for each in paths]


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_are_the_same(page: str) -> None:
    assert blocks(page) == blocks(PAGES[page])
    assert len(blocks(page)) > 4


@pytest.mark.parametrize("page", PAGES)
def test_the_same_names_and_commands_stand_in_the_text(page: str) -> None:
    found, expected = (Counter(re.findall(r"`[^`]+`", prose(each))) for each in (page, PAGES[page]))
    assert found == expected


@pytest.mark.parametrize("page", PAGES)
def test_the_same_pages_are_linked_in_the_same_order(page: str) -> None:
    assert targets(page) == targets(PAGES[page])


@pytest.mark.parametrize("page", PAGES)
def test_the_headings_have_the_same_levels_and_the_tables_the_same_rows(page: str) -> None:
    def shape(text: str) -> list[str]:
        return re.findall(r"(?m)^#+ |^\||^- ", text)

    assert shape(prose(page)) == shape(prose(PAGES[page]))


@pytest.mark.parametrize("page", PAGES)
def test_the_first_line_leads_to_the_original(page: str) -> None:
    line = text_of(page).splitlines()[0]
    up = posixpath.relpath(PAGES[page], posixpath.dirname(page) or ".")
    assert line == f"[English]({up}) | 简体中文"
