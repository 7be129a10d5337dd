"""What this process alone knows of one resource; a crash loses it, and nothing depends on it."""

from dataclasses import dataclass
from typing import Final

from esa_preload_operator.domain.errors import Problem
from esa_preload_operator.domain.esa import EsaJob, Execution, NewExecution, NewJob
from esa_preload_operator.domain.recorded import Creating
from esa_preload_operator.domain.source import BadUrls, Content
from esa_preload_operator.domain.steps import Command, Query, Write
from esa_preload_operator.domain.values import Backoff, ResetState
from esa_preload_operator.domain.view import View

# The open call.


@dataclass(frozen=True, slots=True)
class Idle:
    """No call is open that this process knows of."""


@dataclass(frozen=True, slots=True)
class Orphaned:
    """An intent is open whose answer this process does not have."""

    intent: ResetState
    since: float
    """When it was first seen, or its answer was given up, on the monotonic clock."""
    failure: Problem | None = None
    """What came back in place of the answer; None if another process, or this one before a restart, made the call."""
    looked: bool = False
    """A look after the call was over has shown no reset."""


@dataclass(frozen=True, slots=True)
class Unsent:
    """This process has written an intent, and knows that nothing was sent for it."""

    intent: ResetState


@dataclass(frozen=True, slots=True)
class Answered:
    """The definite answer to the call of `intent`; it is kept until its outcome is stored."""

    intent: ResetState
    result: EsaJob | Problem
    again: bool = False
    """The call was a signed request that had been sent before, and only this one was answered."""


@dataclass(frozen=True, slots=True)
class NotCreated:
    """This process has written the intent of a create, and knows that nothing was sent for it."""

    intent: Creating


@dataclass(frozen=True, slots=True)
class Made:
    """The definite answer to a create; it is kept until its outcome is stored."""

    intent: Creating
    result: EsaJob | Problem


Settled = Idle | Orphaned | Unsent | Answered | NotCreated | Made


@dataclass(frozen=True, slots=True)
class Looking:
    """ESA was asked for the job: to begin a reset, to recover one, or for the status alone."""

    view: View
    base: Settled
    resets: bool = True
    """A reset may follow."""


@dataclass(frozen=True, slots=True)
class Claiming:
    """The intent is being written."""

    write: Write
    intent: ResetState
    base: Settled
    begun: float
    again: bool = False
    """The call will be the same signed request again."""


@dataclass(frozen=True, slots=True)
class Calling:
    """The call is on its way."""

    view: View
    intent: ResetState
    again: bool = False


@dataclass(frozen=True, slots=True)
class Storing:
    """Something else is being written; `then` is what remains to be known once it is stored."""

    write: Write
    base: Settled
    then: Settled


@dataclass(frozen=True, slots=True)
class Asking:
    """ESA or the API server was asked about something other than the progress of the job."""

    view: View
    query: Query
    base: Settled


@dataclass(frozen=True, slots=True)
class Doing:
    """A command is on its way."""

    view: View
    command: Command
    base: Settled


@dataclass(frozen=True, slots=True)
class Announcing:
    """The intent of a create is being written."""

    write: Write
    intent: Creating
    new: NewJob
    base: Settled
    begun: float


@dataclass(frozen=True, slots=True)
class Creates:
    """A create is on its way."""

    view: View
    intent: Creating


@dataclass(frozen=True, slots=True)
class Opening:
    """The call that opens windows is on its way."""

    view: View
    wanted: tuple[NewExecution, ...]
    base: Settled


@dataclass(frozen=True, slots=True)
class Finalizing:
    """The finalizer is being added or removed."""

    view: View
    base: Settled


OpenCall = (
    Settled | Looking | Claiming | Calling | Storing | Asking | Doing | Announcing | Creates | Opening | Finalizing
)
IDLE: Final = Idle()


def settled(call: OpenCall) -> Settled:
    """Return what remains of an open call if its present step came to nothing."""
    match call:
        case Looking() | Claiming() | Storing() | Asking() | Doing() | Announcing() | Opening() | Finalizing():
            return call.base
        case Calling() | Creates():
            return IDLE
        case _:
            return call


# What ESA told.


@dataclass(frozen=True, slots=True)
class Seen:
    """What ESA has told of the job since this process knows the resource, by one set of credentials."""

    job_id: str = ""
    secret: str | None = None
    job: EsaJob | None = None
    """Told, and not stored yet."""
    works: bool = False
    """ESA has told about the job with these credentials, and nothing has contradicted it since."""
    distrusted: bool = False
    """The status was written for other credentials than these."""
    missing: bool = False
    """A list lacks the job: only a look can tell whether it is gone."""
    problem: Problem | None = None
    """Why the last look failed."""
    site: Problem | None = None
    """Why the list of the site fails."""
    site_since: float = 0.0
    """Epoch seconds from which on it has failed."""
    idle: bool | None = None
    """Whether a list since the last look or call has shown no execution that submits URLs; None if none has told."""
    changed_at: float = float("-inf")
    """When the job was last looked at, called or stored, on the monotonic clock: older lists tell nothing."""


_NEVER_FAILED: Final = Backoff()


@dataclass(frozen=True, slots=True)
class Executions:
    """The executions of a job as ESA listed them, brought up to date by this process's own commands since."""

    job_id: str
    items: tuple[Execution, ...]
    touched: bool = False
    """A command has changed something since, which only another list proves."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """How a kind of work fares: how often it failed in a row, and with what."""

    backoff: Backoff = _NEVER_FAILED
    problem: Problem | None = None


NO_ATTEMPTS: Final = Attempts()


@dataclass(frozen=True, slots=True)
class Work:
    """What this process knows of its own work at ESA, beyond resets. A crash loses it."""

    generation: int = 0
    """The `metadata.generation` that refusals and the list of URLs belong to."""
    unknown_at: float = float("-inf")
    """When the answer to a create, a command or the opening of windows was lost last, on the monotonic clock."""
    made_at: float = float("-inf")
    """When the job was created, on the monotonic clock: until then lists and looks may not show it."""
    losses: Backoff = _NEVER_FAILED
    """How often the job was gone although nobody of this process deleted it, and when it is made again."""
    opened_at: float = float("-inf")
    """When windows were opened last, on the monotonic clock: for a while lists may not show them."""
    source: Content | BadUrls | None = None
    """The list of URLs as the ConfigMap held it last."""
    surplus: tuple[str, ...] = ()
    """Jobs of this resource that a list showed and the status does not record."""
    executions: Executions | None = None
    done: tuple[tuple[Command, int], ...] = ()
    """Commands that ESA has taken since nothing was left to do, and how often."""
    acted: bool = False
    """Commands were carried out since the windows were at rest last."""
    repairs: Backoff = _NEVER_FAILED
    """How often windows had to be brought in line again, although neither the spec nor a reset asked for it."""
    suspected: bool = False
    """Something does not fit what the status says of the windows."""
    refusals: tuple[tuple[NewExecution, str], ...] = ()
    """Executions that ESA refused when they were to be opened last, and why."""
    altered: tuple[tuple[NewExecution, str], ...] = ()
    """Executions that ESA opened with other times than it was sent, and the ids that they have."""
    stubborn: tuple[tuple[str, NewExecution], ...] = ()
    """Ids of executions and what they were updated to: if a list still differs, it is told and not repeated."""
    deleted: frozenset[str] = frozenset()
    """Jobs whose deletion ESA has confirmed."""
    absent: bool = False
    """A complete list, made when nothing could be on the wire, has shown no job of this resource."""
    create: Attempts = NO_ATTEMPTS
    windows: Attempts = NO_ATTEMPTS
    removal: Attempts = NO_ATTEMPTS
    site: Attempts = NO_ATTEMPTS
    """Lists of the site that recovery and deletion ask for."""
    skip_base: float | None = None
    """The last scheduled time dealt with when people were told of skipped ones."""


NO_WORK: Final = Work()


@dataclass(frozen=True, slots=True)
class Held:
    """Since when this process knows the last reset, on the monotonic clock: nothing is held longer from then on."""

    last: float
    since: float


_NOTHING_SEEN: Final = Seen()


@dataclass(frozen=True, slots=True)
class LocalState:
    """Everything that one process keeps of one resource from one decision to the next."""

    uid: str = ""
    call: OpenCall = IDLE
    seen: Seen = _NOTHING_SEEN
    claimed: bool = False
    """Another resource acts on the same job."""
    work: Work = NO_WORK
    reset_backoff: Backoff = _NEVER_FAILED
    look_backoff: Backoff = _NEVER_FAILED
    write_backoff: Backoff = _NEVER_FAILED
    held: Held | None = None
    pruned: str = ""
    """Status fields that the API server dropped from a write; nothing is called until this process ends."""
    hinted: tuple[str, ...] = ()
    """What people were told of requests that are none."""
    mute: bool = False
    """The API server does not keep what the conditions should say, so that writing it again is of no use."""
