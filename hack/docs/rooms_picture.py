"""The rooms of the code and who imports whom, from the graph of imports."""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from textwrap import wrap
from typing import Final

import grimp

from drawing import box, dot, line, lines, picture, text

_PACKAGE: Final = "esa_preload_operator"
ROOMS: Final = ("cli", "handlers", "runtime", "services", "esa", "k8s", "domain", "resources")
"""From the top down: each may import what stands below it, and `make lint` proves it."""
_KNOWN: Final = ("kopf", "httpx", "aiohttp", "kubernetes", "prometheus_client", "pydantic", "rich", "uvloop", "cronsim")
_TOP, _HIGH, _LEFT, _CELL = 66.0, 76.0, 16.0, 41.0
_WIDE: Final = 440.0


def made() -> str:
    """Return the picture."""
    title = (
        "The layers of the code, from the command line down to the resource's types; each imports only layers below it"
    )
    return picture(816, int(_TOP + _HIGH * len(ROOMS) + 6), title, _parts())


def imports() -> tuple[Mapping[str, set[str]], Mapping[str, set[str]]]:
    """Return which rooms each room imports, and which libraries."""
    graph = grimp.build_graph(_PACKAGE, include_external_packages=True, cache_dir=None)
    rooms: dict[str, set[str]] = {room: set() for room in ROOMS}
    libraries: dict[str, set[str]] = {room: set() for room in ROOMS}
    for module in graph.modules:
        room = _room(module)
        if room not in rooms:
            continue
        for other in graph.find_modules_directly_imported_by(module):
            if _room(other) in rooms and _room(other) != room:
                rooms[room].add(_room(other))
            if other in _KNOWN:
                libraries[room].add(other)
    return rooms, libraries


def _room(module: str) -> str:
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] if package == _PACKAGE else ""


def _parts() -> Iterator[str]:
    rooms, libraries = imports()
    yield text((_LEFT, 46), "Layer", "strong")
    yield text((_LEFT + _WIDE - 14, 46), "imports", "small", "end")
    for column, room in enumerate(ROOMS):
        yield text((_column(column), 54 if column % 2 else 36), room, "small", "middle")
    for row, room in enumerate(ROOMS):
        yield from _row(row, room, rooms[room], sorted(libraries[room]))


def _column(number: int) -> float:
    return _LEFT + _WIDE + 34 + number * _CELL


def _row(row: int, room: str, imported: set[str], libraries: Sequence[str]) -> Iterator[str]:
    top = _TOP + row * _HIGH
    yield box((_LEFT, top), (_WIDE, _HIGH - 10))
    yield text((_LEFT + 14, top + 22), room, "strong code")
    yield text((_LEFT + _WIDE - 14, top + 22), ", ".join(libraries), "small code", "end")
    yield lines((_LEFT + 14, top + 43), wrap(_purpose(room), 60))
    middle = top + (_HIGH - 10) / 2
    yield line((_LEFT + _WIDE, middle), (_column(len(ROOMS) - 1), middle))
    for column, other in enumerate(ROOMS):
        if other == room:
            yield box((_column(column) - 9, middle - 9), (18, 18), "box")
        elif other in imported:
            yield dot((_column(column), middle))


def _purpose(room: str) -> str:
    said = import_module(f"{_PACKAGE}.{room}").__doc__ or ""
    return said.strip().splitlines()[0]
