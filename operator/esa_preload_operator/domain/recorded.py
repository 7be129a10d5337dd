"""What the status records of the operator's own work at ESA: the job, its windows, and what is to be removed."""

from dataclasses import dataclass
from typing import Final

from esa_preload_operator.domain.esa import NewExecution
from esa_preload_operator.domain.tokens import Tokens

PENDING: Final = "Pending"
"""State of a window that is not open yet."""
MISSED: Final = "Missed"
"""State of a window whose end had passed before it was opened."""
REFUSED: Final = "Refused"
"""State of a window that ESA did not open."""
RESTING: Final = "Suspended"
"""State of a window that is known to have no execution because the resource is suspended."""
WAITING: Final = "waiting"
RUNNING: Final = "running"
STOPPED: Final = "stopped"
ENDED: Final = frozenset({"finished", "failed"})
"""ESA's words for executions that submit nothing any more (ESA API, ListScheduledPreloadExecutions, Status)."""


@dataclass(frozen=True, slots=True)
class Creating:
    """`status.creating`: the intent of one CreateScheduledPreloadJob call, found again by its name."""

    name: str
    """Unique for this call, so it stands for one source."""
    source: str
    """Hash of the list that the job is made from."""
    tokens: Tokens = ()
    """What the new job satisfies: the tokens requested when this was written."""
    since: str = ""


@dataclass(frozen=True, slots=True)
class WindowState:
    """An entry of `status.executions`: one window as it was sent to ESA, or is about to be."""

    name: str
    sent: NewExecution | None = None
    """The execution as it was sent, or is about to be: its identity. None: not due yet, as `onReset` before a reset."""
    id: str = ""
    """ESA's id of the execution; "" while none is known."""
    state: str = PENDING
    """ESA's word, or Pending, Missed, Refused."""
    stopped: bool = False
    """Stopped by the operator, because the resource is suspended."""
    message: str = ""

    @property
    def live(self) -> bool:
        """Whether it submits URLs, or will."""
        return bool(self.id) and self.state in {WAITING, RUNNING}

    @property
    def lasting(self) -> bool:
        """Whether it has an execution that has not ended, be it stopped."""
        return bool(self.id) and self.state not in ENDED


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the status says of the job and of what is done about it."""

    job_id: str = ""
    """The job that was created; "" for none, and where the job is adopted."""
    source: str = ""
    """Hash of the list that the job was made from."""
    creating: Creating | None = None
    retired: tuple[str, ...] = ()
    """Ids of jobs to delete."""
    windows: tuple[WindowState, ...] = ()
    schedule_seen: str = ""
    """Time zone and expression that the base in handledResets belongs to."""


NOTHING_RECORDED: Final = Recorded()
