"""Whether a window of the job submits URLs, or will: a reset alone submits nothing.

It rests on what the status records of the job's own windows, and on how many executions the list of its site shows.
"""

from collections.abc import Sequence
from typing import Final

from esa_preload_operator.domain.conditions import EFFECTIVE, find
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.recorded import PENDING, WindowState
from esa_preload_operator.domain.status import job_id_after, made_a_reset, merged
from esa_preload_operator.domain.steps import Write
from esa_preload_operator.domain.view import View

UNKNOWN: Final = ""
"""Other people's windows may be open: the condition is not there."""


def is_active(windows: Sequence[WindowState]) -> bool:
    """Return whether a window waits or runs, or is about to be opened."""
    return any(entry.live or (entry.sent is not None and entry.state == PENDING) for entry in windows)


def idle_count(view: View) -> int | None:
    """Return how many executions the list shows if no window submits URLs; None where that makes no difference."""
    windows = view.recorded.windows
    if view.last_reset is None or view.suspended or is_active(windows) or not _is_unfinished(view.shown.job):
        return None
    return sum(1 for entry in windows if entry.id)


def shown(view: View) -> str:
    """Return what the condition says: True, False, or nothing."""
    condition = find(view.shown.conditions, EFFECTIVE)
    return condition.status if condition is not None else UNKNOWN


def judge(write: Write, *, idle: bool | None) -> str | None:
    """Return what the condition is to say once a write is stored; None if it stays as it is.

    Args:
        write: what is about to be stored.
        idle: whether a list since the last reset has shown no window that submits URLs; None if none has told.
    """
    view = write.view
    if view.suspended or view.deleting:
        return None
    said = shown(view)
    now = _after(write, said, idle=idle)
    return None if now == said else now


def _after(write: Write, said: str, *, idle: bool | None) -> str:
    view = write.view
    windows = write.recorded.windows if write.recorded is not None else view.recorded.windows
    if is_active(windows):
        return "True"
    job = view.shown.job if write.job is None else merged(view.shown.job, write.job, job_id_after(write))
    was_reset = view.last_reset is not None or made_a_reset(write)
    if idle and was_reset and _is_unfinished(job):
        return "False"
    known = said == "False" and idle is None and _is_unfinished(job)
    return said if known else UNKNOWN


def _is_unfinished(job: EsaJob) -> bool:
    return (job.url_submitted or 0) < (job.url_count or 0)
