"""The windows of a job on a time line."""

from collections.abc import Sequence
from dataclasses import dataclass

from esa_preload_operator.cli.plugin.jobs import Job, entries, text
from esa_preload_operator.cli.plugin.layout import Line, Piece, fit, width_of
from esa_preload_operator.cli.plugin.words import ago, span
from esa_preload_operator.domain.cleaning import format_time, parse_time

_STYLE = {"running": "good", "waiting": "name", "Pending": "name", "failed": "bad", "Refused": "bad", "Missed": "bad"}
_MARK = {"running": "#", "waiting": "=", "Pending": "="}


@dataclass(frozen=True, slots=True)
class Window:
    """A window of `status.executions`."""

    name: str
    state: str
    start: float | None
    end: float | None
    message: str = ""
    stopped: bool = False


def windows_of(job: Job) -> list[Window]:
    """Return the windows of a job, in the order of their starts."""
    found = [
        Window(
            name=text(each.get("name")),
            state=text(each.get("state")),
            start=parse_time(text(each.get("startTime"))),
            end=parse_time(text(each.get("endTime"))),
            message=text(each.get("message")),
            stopped=each.get("stopped") is True,
        )
        for each in entries(job.status.get("executions"))
    ]
    return sorted(found, key=lambda each: (each.start is None, each.start or 0.0, each.name))


@dataclass(frozen=True, slots=True)
class Scale:
    """Where moments lie on a line of characters."""

    first: float
    last: float
    room: int

    def at(self, moment: float) -> int:
        """Return a moment's place."""
        step = max(1.0, (self.last - self.first) / (self.room - 1))
        return min(self.room - 1, max(0, int((moment - self.first) / step)))


def timeline(windows: Sequence[Window], now: float, width: int) -> list[Line]:
    """Return windows as bars on one scale, with `|` for now, and below it the scale's ends."""
    timed = [(each.start, each.end) for each in windows if each.start is not None and each.end is not None]
    if not timed:
        return []
    name = max(width_of(fit(each.name, 20)) for each in windows)
    state = max(len(each.state) for each in windows)
    first, last = min(now, *(start for start, _ in timed)), max(now, *(end for _, end in timed))
    scale = Scale(first, last, max(10, width - name - state - 6))
    lines: list[Line] = []
    for each in windows:
        head = (Piece("  "), Piece(fit(each.name, 20).ljust(name), "name"), Piece("  "))
        style = _STYLE.get(each.state, "dim")
        drawn = (Piece(each.state.ljust(state), style), Piece("  "), Piece(_drawn(each, now, scale), style))
        lines.append((*head, *drawn))
    return [*lines, _ends(scale, now, name + state + 6)]


def _drawn(window: Window, now: float, scale: Scale) -> str:
    cells = ["."] * scale.room
    if window.start is not None and window.end is not None:
        begin, end = scale.at(window.start), scale.at(window.end)
        cells[begin : end + 1] = _MARK.get(window.state, "-") * (end + 1 - begin)
    cells[scale.at(now)] = "|"
    return "".join(cells)


def _ends(scale: Scale, now: float, indent: int) -> Line:
    """Return the ends of the scale, and between them where now is, if there is room."""
    left, right = format_time(scale.first), format_time(scale.last)
    if len(left) + len(right) + 2 > scale.room:
        left, right = left[5:16], right[5:16]
    gap = scale.room - len(left) - len(right)
    before = scale.at(now) - len(left)
    between = " " * max(1, gap)
    if 1 <= before <= gap - len(" now"):
        between = " " * before + "now" + " " * (gap - before - len("now"))
    return (Piece(" " * indent + left + between + right, "dim"),)


def said(windows: Sequence[Window], now: float) -> list[str]:
    """Return each window in words."""
    return [f"{each.name}: {_words(each, now)}" for each in windows]


def _words(window: Window, now: float) -> str:
    told = f": {window.message}" if window.message else ""
    stopped = ", stopped because the job is suspended" if window.stopped else ""
    if window.start is None or window.end is None:
        return f"{window.state}, opened by the next reset{told}" if window.state == "Pending" else window.state + told
    if now < window.start:
        return f"opens {ago(window.start, now)}, for {span(window.end - window.start)}{stopped}{told}"
    if now < window.end:
        ends = "closes" if window.state == "running" else "its time ends"
        return f"{window.state}, {ends} {ago(window.end, now)}{stopped}{told}"
    return f"{window.state}, closed {ago(window.end, now)}{told}"
