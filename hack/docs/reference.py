"""Writes what pages and pictures take from the code, or with `--check` fails when one has drifted: `make reference`.

Of a page only what stands below its mark is written; what stands above it is written by people.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import chart
import conditions_page
import metrics_page
import permissions_page
import plugin_page
import resource_page
import rooms_picture
import screen_picture
import settings_page
import state_picture
from generated import write_or_compare
from pages import DOCS, INDEX, ROOT, listed

MARK: Final = "<!-- Everything below is written by `make reference`. -->\n"


def _chart_values() -> str:
    return chart.readme_of((chart.CHART / "values.yaml").read_text(encoding="utf-8"), "")


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    INDEX: listed,
    "reference/resource": resource_page.made,
    "reference/settings": settings_page.made,
    "reference/chart-values": _chart_values,
    "reference/events-and-conditions": conditions_page.made,
    "reference/metrics": metrics_page.made,
    "reference/plugin": plugin_page.made,
    "reference/permissions": permissions_page.made,
}
"""Pages, and what makes the part of each below its mark."""

PICTURES: Final[Mapping[str, Callable[[], str]]] = {
    "reset": state_picture.made,
    "rooms": rooms_picture.made,
    "list": screen_picture.listed,
    "status": lambda: screen_picture.shown("nightly"),
}


def files() -> dict[Path, str]:
    """Return all files and what they must hold.

    Raises:
        ValueError: a page lacks its mark.
    """
    pages = {DOCS / f"{name}.md": _page(DOCS / f"{name}.md", made()) for name, made in PAGES.items()}
    return pages | {DOCS / "pictures" / f"{name}.svg": made() for name, made in PICTURES.items()}


def _page(path: Path, below: str) -> str:
    above, mark, _ = path.read_text(encoding="utf-8").partition(MARK)
    if not mark:
        raise ValueError(f"{path.relative_to(ROOT)} lacks the line {MARK.strip()}")
    return f"{above}{mark}\n{below.strip()}\n"


def main(arguments: list[str]) -> int:
    """Write the files, or show how they differ."""
    return write_or_compare(files(), ROOT, "make reference", compare="--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
