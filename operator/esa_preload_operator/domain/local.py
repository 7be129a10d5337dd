"""What this process alone knows of one resource; a crash loses it, and nothing depends on it."""

from dataclasses import dataclass
from typing import Final

from esa_preload_operator.domain.errors import Problem
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.steps import Write
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


Settled = Idle | Orphaned | Unsent | Answered


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


OpenCall = Settled | Looking | Claiming | Calling | Storing
IDLE: Final = Idle()


def settled(call: OpenCall) -> Settled:
    """Return what remains of an open call if its present step came to nothing."""
    match call:
        case Looking(base=base) | Claiming(base=base) | Storing(base=base):
            return base
        case Calling():
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
    changed_at: float = float("-inf")
    """When the job was last looked at, called or stored, on the monotonic clock: older lists tell nothing."""


@dataclass(frozen=True, slots=True)
class Held:
    """Since when this process knows the last reset, on the monotonic clock: nothing is held longer from then on."""

    last: float
    since: float


_NEVER_FAILED: Final = Backoff()
_NOTHING_SEEN: Final = Seen()


@dataclass(frozen=True, slots=True)
class LocalState:
    """Everything that one process keeps of one resource from one decision to the next."""

    uid: str = ""
    call: OpenCall = IDLE
    seen: Seen = _NOTHING_SEEN
    claimed: bool = False
    """Another resource acts on the same job."""
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
