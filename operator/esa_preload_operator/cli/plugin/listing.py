"""The list of jobs, sorted by trouble, as it is printed once or drawn again and again."""

from collections.abc import Iterable, Sequence
from typing import Final

from esa_preload_operator.cli.plugin.jobs import Job
from esa_preload_operator.cli.plugin.layout import Cell, Line, Piece, bar, table
from esa_preload_operator.cli.plugin.trouble import STYLE, Level, Trouble, trouble
from esa_preload_operator.cli.plugin.words import ago, counted, share

_ROOMY: Final = 110
"""Columns from which on there is room for a bar."""


def sorted_by_trouble(jobs: Iterable[Job]) -> list[tuple[Job, Trouble]]:
    """Return jobs with what is the matter with them, those that need somebody first."""
    judged = [(job, trouble(job)) for job in jobs]
    return sorted(judged, key=lambda each: (each[1].level, each[0].ref))


def job_table(jobs: Iterable[Job], now: float, width: int | None, *, namespaces: bool) -> list[Line]:
    """Return the table of jobs."""
    roomy = width is None or width >= _ROOMY
    titles = ["NAMESPACE"] * namespaces + ["NAME", "STATE", "URLS"] + ["PROGRESS"] * roomy
    titles += ["RESET", "LAST RESET", "NEXT", "WHY"] if roomy else ["LAST RESET", "WHY"]
    rows = [_row(job, found, now, namespaces=namespaces, roomy=roomy) for job, found in sorted_by_trouble(jobs)]
    return table(titles, rows, width)


def _row(job: Job, found: Trouble, now: float, *, namespaces: bool, roomy: bool) -> Sequence[Cell]:
    cells = [Cell(job.ref.namespace, "dim")] if namespaces else []
    cells += [Cell(job.ref.name, "name"), Cell(found.word, STYLE[found.level])]
    cells.append(Cell(share(job.submitted, job.urls)))
    if roomy:
        cells.append(Cell("" if job.urls is None else bar(job.submitted or 0, job.urls, 10)))
        cells.append(Cell(job.reset.phase if job.reset is not None else "-"))
    cells.append(Cell(ago(job.when("lastResetTime"), now)))
    if roomy:
        cells.append(Cell(ago(job.when("nextResetTime"), now)))
    return [*cells, Cell("" if found.level is Level.FINE else found.why, "dim")]


def summary(jobs: Iterable[Job]) -> Line:
    """Return one line about all jobs."""
    levels = [found.level for _, found in sorted_by_trouble(jobs)]
    ill = sum(level <= Level.BLOCKED for level in levels)
    warned = sum(level in {Level.WARNED, Level.UNSEEN} for level in levels)
    busy = sum(level in {Level.RETRIED, Level.BUSY} for level in levels)
    pieces = [Piece(counted(len(levels), "job"), "bold")]
    pieces += [Piece(f", {ill} in trouble", "bad")] if ill else []
    pieces += [Piece(f", {counted(warned, 'warning')}", "busy")] if warned else []
    pieces += [Piece(f", {busy} at work", "name")] if busy else []
    return tuple(pieces)
