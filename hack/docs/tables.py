"""Markdown tables."""

from collections.abc import Iterable, Sequence


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; bars and line breaks in its cells do not end them."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(_cell(each) for each in line)} |\n".replace("|  |", "| |") for line in lines)


def code(text: object) -> str:
    """Return a text as code, and nothing for nothing."""
    said = str(text)
    fence = "``" if "`" in said else "`"
    return f"{fence}{said}{fence}" if said else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
