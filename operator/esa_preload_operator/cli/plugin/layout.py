"""Lays out text in columns: lines of styled pieces, in ASCII but for foreign names, whose width is measured."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

GAP: Final = "  "
_CUT: Final = ".."
_ANSI: Final = {"good": "32", "bad": "31", "busy": "33", "dim": "2", "bold": "1", "name": "36"}
STYLES: Final = {"good": "green", "bad": "red", "busy": "yellow", "dim": "dim", "bold": "bold", "name": "cyan"}
"""Each style as rich names it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Text in one style; "" is plain."""

    text: str
    style: str = ""


Line = tuple[Piece, ...]
Cell = Piece


def line(*pieces: str | Piece) -> Line:
    """Return a line."""
    return tuple(Piece(each) if isinstance(each, str) else each for each in pieces if each)


def width_of(text: str) -> int:
    """Return how many columns a terminal takes for a text: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )


def fit(text: str, width: int) -> str:
    """Cut a text to a width; two dots show that something is missing."""
    if width_of(text) <= width:
        return text
    room, kept = width - len(_CUT), ""
    if room <= 0:
        return _CUT[: max(0, width)]
    for each in text:
        room -= width_of(each)
        if room < 0:
            break
        kept += each
    return kept + _CUT


def wrap(text: str, width: int, indent: str = "") -> list[str]:
    """Break a text into lines at spaces; a word that is too long is broken anywhere."""
    room, lines, current = max(8, width - len(indent)), list[str](), ""
    for word in text.split():
        while width_of(word) > room:
            head = _head(word, room - width_of(current) - 1 if current else room)
            if not head:
                lines.append(current)
                current = ""
                continue
            lines.append(f"{current} {head}".strip())
            current, word = "", word[len(head) :]  # noqa: PLW2901 - the rest of the word is what is placed next
        longer = f"{current} {word}".strip()
        if width_of(longer) > room:
            lines.append(current)
            current = word
        else:
            current = longer
    return [indent + each for each in [*lines, current] if each]


def _head(word: str, width: int) -> str:
    kept = ""
    for each in word:
        if width_of(kept + each) > width:
            break
        kept += each
    return kept


def table(titles: Sequence[str], rows: Iterable[Sequence[Cell]], width: int | None) -> list[Line]:
    """Return a table; where there is a width the last column gets what is left, and names give way before numbers."""
    body = [tuple(row) for row in rows]
    widths = [max(len(title), *(width_of(row[at].text) for row in body), 0) for at, title in enumerate(titles)]
    if width is not None:
        widths = _narrowed(widths, [len(title) for title in titles], width)
    heading = tuple(Cell(title, "bold") for title in titles)
    return [_row(cells, widths) for cells in (heading, *body)]


def _narrowed(widths: list[int], least: Sequence[int], width: int) -> list[int]:
    """Take what is too much from the last column, then from the widest ones."""
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width
    floor = [max(title, 6) for title in least]
    for at in (len(widths) - 1, *sorted(range(len(widths) - 1), key=lambda each: -widths[each])):
        taken = max(0, min(excess, widths[at] - floor[at]))
        widths[at] -= taken
        excess -= taken
    return widths


def _row(cells: Sequence[Cell], widths: Sequence[int]) -> Line:
    pieces: list[Piece] = []
    for at, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        shown = fit(cell.text, width)
        last = at == len(cells) - 1
        pieces.append(Piece(shown, cell.style))
        if not last:
            pieces.append(Piece(" " * (width - width_of(shown)) + GAP))
    while pieces and not pieces[-1].text.strip():
        pieces.pop()
    return tuple(pieces)


def bar(done: int, of: int, width: int = 20) -> str:
    """Return a progress bar."""
    full = min(width, done * width // of) if of > 0 else 0
    return f"[{'#' * full}{'.' * (width - full)}]"


def plain(lines: Iterable[Line]) -> str:
    """Return lines without styles."""
    return "".join("".join(piece.text for piece in each).rstrip() + "\n" for each in lines)


def coloured(lines: Iterable[Line]) -> str:
    """Return lines with styles for a terminal."""
    return "".join("".join(map(_painted, each)) + "\n" for each in lines)


def _painted(piece: Piece) -> str:
    code = _ANSI.get(piece.style)
    return f"\033[{code}m{piece.text}\033[0m" if code else piece.text
