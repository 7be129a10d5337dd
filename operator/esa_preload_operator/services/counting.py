"""What /metrics tells of resources: what the newest version of each shows, and what a stored write has done."""

from dataclasses import dataclass
from typing import Final

from esa_preload_operator.domain.cleaning import parse_time
from esa_preload_operator.domain.conditions import READY, find
from esa_preload_operator.domain.errors import Reason
from esa_preload_operator.domain.ports import Observer
from esa_preload_operator.domain.recorded import ENDED, MISSED, PENDING, REFUSED, RESTING, RUNNING, STOPPED, WAITING
from esa_preload_operator.domain.steps import Write
from esa_preload_operator.domain.view import View

OTHER: Final = "other"
CREATED, REPLACED, CREATE_REFUSED = "Created", "Replaced", "Refused"
_REASONS: Final = {str(reason): str(reason) for reason in Reason}
WINDOW_STATES: Final = (WAITING, RUNNING, STOPPED, *sorted(ENDED), PENDING, MISSED, REFUSED, RESTING)
_STATES: Final = {state: state for state in WINDOW_STATES}


@dataclass(frozen=True, slots=True)
class Tally:
    """What counts of one resource."""

    reason: str = str(Reason.READY)
    """Reason of its condition Ready; one that this version does not know is `other`."""
    unready_since: float | None = None
    """Epoch seconds since when it has not been ready; None if it is."""
    windows: tuple[str, ...] = ()
    """States of its windows."""
    retired: int = 0
    """ESA jobs that are to be deleted."""
    deleting: bool = False
    """It waits for its ESA jobs to be deleted."""


AT_REST: Final = Tally()


def tally_of(view: View) -> Tally:
    """Return what counts of a version of a resource."""
    ready = find(view.shown.conditions, READY)
    reason = _REASONS.get(ready.reason, OTHER) if ready is not None else str(Reason.PENDING)
    unready = ready is not None and ready.status == "False"
    found = Tally(
        reason=reason,
        unready_since=parse_time(ready.last_transition_time) if ready is not None and unready else None,
        windows=tuple(_STATES.get(entry.state, OTHER) for entry in view.recorded.windows),
        retired=len(view.recorded.retired),
        deleting=view.deleting and view.finalized,
    )
    return AT_REST if found == AT_REST else found  # one object for all of the many that rest


def count_work(observer: Observer, write: Write) -> None:
    """Count what a stored write says of jobs that were created, found too many, or deleted."""
    before, after = write.view.recorded, write.recorded
    if after is None:
        return
    if after.job_id and after.job_id != before.job_id:
        observer.create_ended(REPLACED if before.job_id else CREATED)
    elif before.creating is not None and after.creating is None and write.notice is not None:
        observer.create_ended(CREATE_REFUSED)
    surplus = set(after.retired) - {*before.retired, before.job_id}
    observer.surplus_found(len(surplus))
    observer.retired_deleted(len(set(before.retired) - set(after.retired)))
