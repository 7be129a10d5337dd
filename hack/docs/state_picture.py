"""The states of a reset and what moves it; a test compares the ways with those that the explored code takes."""

from collections.abc import Iterator, Mapping
from typing import Final

from drawing import Point, box, lines, picture, text, way
from esa_preload_operator.domain.values import OPEN_PHASES, Phase

REQUEST: Final = ""
"""Where a reset begins: no reset, or one that has ended, and a request that is not handled."""
_OPEN_ENDS: Final = (Phase.REPLACED, Phase.WITHDRAWN, Phase.FAILED)
WAYS: Final = frozenset(
    {
        *((REQUEST, phase) for phase in (*OPEN_PHASES, Phase.WITHDRAWN, Phase.FAILED)),
        *((before, after) for before in OPEN_PHASES for after in (*OPEN_PHASES, *_OPEN_ENDS)),
        (Phase.IN_FLIGHT, Phase.SUCCEEDED),
    }
)
"""The ways that the picture shows or tells of; a phase that has ended is where the next request begins."""

_OPEN: Final[Mapping[Phase, tuple[float, float, tuple[str, ...]]]] = {
    Phase.HELD: (60, 92, ("waits for minResetInterval,", "for the end of suspend,", "or for a new job")),
    Phase.IN_FLIGHT: (
        222,
        92,
        ("ESA is called; if its answer is", "lost the job is looked at, and", "perhaps called once more"),
    ),
    Phase.RETRYING: (384, 76, ("was refused, or could not", "be sent; is tried again")),
}
_X, _WIDE, _EDGE = 216.0, 216.0, 446.0
_END_X, _END_WIDE, _END_HIGH = 604.0, 196.0, 76.0
_ENDS: Final = {
    Phase.REPLACED: (40, "busy", ("a new job, which submits", "every URL, has met it")),
    Phase.WITHDRAWN: (156, "box", ("it is not asked for any more;", "or its token was stale")),
    Phase.SUCCEEDED: (272, "good", ("Event ResetSucceeded,", "or ResetConfirmed")),
    Phase.FAILED: (388, "bad", ("Event ResetFailed with", "what is wrong")),
}


def made() -> str:
    """Return the picture."""
    title = "A request is held, in flight or retrying until it has succeeded, failed, was withdrawn or replaced"
    return picture(816, 500, title, _parts())


def _parts() -> Iterator[str]:
    yield from (box((8, 240), (124, 56)), text((70, 264), "a request", "strong", "middle"))
    yield text((70, 283), "token or schedule", "small", "middle")
    yield from (box((_X - 16, 22), (_EDGE - _X + 16, 456), "frame"), text((_X - 6, 44), "open", "small"))
    for phase, (top, high, words) in _OPEN.items():
        yield from _node((_X, top), (_WIDE, high), "busy" if phase is Phase.IN_FLIGHT else "box", phase, words)
    for phase, (top, kind, words) in _ENDS.items():
        yield from _node((_END_X, top), (_END_WIDE, _END_HIGH), kind, phase, words)
    yield from _begin()
    yield from _between()
    yield from _end()


def _node(corner: Point, size: Point, kind: str, phase: str, words: tuple[str, ...]) -> Iterator[str]:
    yield box(corner, size, kind)
    middle = corner[0] + size[0] / 2
    yield text((middle, corner[1] + 25), phase, "strong code", "middle")
    yield lines((middle, corner[1] + 46), words, anchor="middle")


def _begin() -> Iterator[str]:
    yield from (way((70, 240), (70, 106), (_X, 106)), lines((76, 84), ("too soon,", "or suspended")))
    yield from (way((132, 268), (_X, 268)), lines((138, 244), ("the intent", "is written")))
    yield from (way((70, 296), (70, 422), (_X, 422)), lines((76, 440), ("the job can't be", "looked at now")))


def _between() -> Iterator[str]:
    left, right = _X + _WIDE / 2 - 30, _X + _WIDE / 2 + 14
    yield from (way((left, 152), (left, 222)), lines((left - 8, 184), ("its time", "has come"), anchor="end"))
    yield from (way((right, 222), (right, 152)), lines((right + 8, 184), ("suspended, or", "another job")))
    yield from (way((left, 314), (left, 384)), lines((left - 8, 346), ("refused, or", "nothing sent"), anchor="end"))
    yield from (way((right, 384), (right, 314)), lines((right + 8, 346), ("tried", "again")))


def _end() -> Iterator[str]:
    yield from (way((_EDGE, 78), (_END_X, 78)), lines((_EDGE + 12, 53), ("a new job", "is made")))
    yield from (
        way((_EDGE, 194), (_END_X, 194)),
        lines((_EDGE + 12, 169), ("the token is gone,", "or meant another job")),
    )
    yield from (
        way((_X + _WIDE, 300), (_END_X, 310)),
        lines((_EDGE + 12, 276), ("ESA answers, or", "progress proves it")),
    )
    yield from (
        way((_EDGE, 426), (_END_X, 426)),
        lines((_EDGE + 12, 384), ("only a new token", "or another spec", "helps")),
    )
