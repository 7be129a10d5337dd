"""The values that the reset protocol is made of: what was read, what happened, what to do next."""

import enum
from dataclasses import dataclass

from esa_preload_operator.domain.errors import Problem, Reason
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.signing import Signing
from esa_preload_operator.domain.tokens import Tokens


class Phase(enum.StrEnum):
    """Phases of a reset as the status shows them."""

    HELD = "Held"
    IN_FLIGHT = "InFlight"
    RETRYING = "Retrying"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    WITHDRAWN = "Withdrawn"
    REPLACED = "Replaced"


@dataclass(frozen=True, slots=True)
class ResetState:
    """`status.reset` as a value. A record in phase InFlight is an *intent*: a call may follow, or has followed."""

    phase: str
    job_id: str = ""
    tokens: Tokens = ()
    trigger: str = ""
    owner: str = ""
    started_at: str = ""
    finished_at: str = ""
    submitted_before: int | None = None
    request_id: str = ""
    attempts: int = 0
    message: str = ""
    signing: Signing | None = None
    """Of an intent whose call, if its answer is lost, can be made again as the same signed request."""


@dataclass(frozen=True, slots=True)
class View:
    """What one version of the resource says about resets. Times are epoch seconds, intervals seconds."""

    uid: str
    version: int
    job_id: str
    asked: Tokens = ()
    handled: Tokens = ()
    record: ResetState | None = None
    created: float = 0.0
    changed: bool = False
    """The spec has changed since the last status was written."""
    last_reset: float | None = None
    min_interval: float = 0.0


@dataclass(frozen=True, slots=True)
class Moment:
    """The clocks, read once for one step: `wall` in epoch seconds, `monotonic` on the monotonic clock."""

    wall: float
    monotonic: float
    jitter: float = 0.5
    """A random number from 0 to 1, for jitter."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The protocol's settings; durations in seconds."""

    owner: str
    """Pod and start id: a restarted container is another owner."""
    request_timeout: float = 10.0
    network_grace: float = 5.0
    stale_token_after: float = 3600.0
    min_interval: float = 0.0
    confirm_by_progress: bool = True
    confirm_by_nonce: bool = False
    """Intents say how their calls are signed, and recovery sends the same signed request again."""

    @property
    def deadline(self) -> float:
        """Seconds after which a call that belongs to an intent is over, answered or not."""
        return self.request_timeout + self.network_grace


@dataclass(frozen=True, slots=True)
class Answer:
    """The definite answer to the call that followed `intent`; it lives in memory until its outcome is stored."""

    intent: ResetState
    result: EsaJob | Problem
    again: bool = False
    """The call was a signed request that had been sent before, and only this one was answered."""


@dataclass(frozen=True, slots=True)
class Notice:
    """An Event to post once the write that carries it is stored."""

    reason: Reason
    message: str
    warning: bool = False


# What to do next.


@dataclass(frozen=True, slots=True)
class Read:
    """Read the resource from the API server, not from a cache."""


@dataclass(frozen=True, slots=True)
class Look:
    """Ask ESA for the job, without changing anything."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Write:
    """Store a status on condition that the resource is still the version that `view` shows."""

    view: View
    record: ResetState | None
    handled: Tokens
    job: EsaJob | None = None
    """Fields of the job to store along."""
    problem: Problem | None = None
    """What the conditions say about it."""
    notice: Notice | None = None
    outcome: str = ""
    """Counts a reset that ended by this word."""
    due: float | None = None
    """When a held reset will be made, in epoch seconds."""
    undecidable: bool = False
    """It announces a call that may be a second reset."""


@dataclass(frozen=True, slots=True)
class Send:
    """Call ResetScheduledPreloadJob once, if it leaves no later than `not_after` on the monotonic clock."""

    intent: ResetState
    not_after: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `until` on the monotonic clock; None: before something changes."""

    until: float | None = None
    problem: Problem | None = None


Step = Read | Look | Write | Send | Wait


# What happened.


@dataclass(frozen=True, slots=True)
class Observed:
    """The resource was seen; `fresh` if it was read from the API server just now."""

    view: View
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Looked:
    """ESA told about the job; `signing` is new, for a call that may follow, and None where intents don't name it."""

    job: EsaJob
    signing: Signing | None = None


@dataclass(frozen=True, slots=True)
class LookFailed:
    """ESA did not tell about the job."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Stored:
    """The write was stored; this is what the API server keeps now."""

    view: View


@dataclass(frozen=True, slots=True)
class Conflicted:
    """The write was not stored: somebody else was first."""


@dataclass(frozen=True, slots=True)
class WriteLost:
    """The write may have been stored: its answer was lost, or it was a server error."""


@dataclass(frozen=True, slots=True)
class WriteRefused:
    """The API server answered that it did not store the write."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Answered:
    """ESA answered the reset."""

    job: EsaJob


@dataclass(frozen=True, slots=True)
class CallFailed:
    """The reset was not answered with success; the problem's delivery says what that means."""

    problem: Problem


Input = Observed | Looked | LookFailed | Stored | Conflicted | WriteLost | WriteRefused | Answered | CallFailed


class Stage(enum.Enum):
    """What the protocol waits for in the middle of its steps."""

    NOTHING = 0
    LOOK_TO_BEGIN = 1
    LOOK_TO_RECOVER = 2
    INTENT = 3
    CALL = 4
    OUTCOME = 5


@dataclass(frozen=True, slots=True)
class LocalState:
    """What this process alone knows about the resets of one resource; a crash loses it, and nothing depends on it."""

    uid: str = ""
    stage: Stage = Stage.NOTHING
    view: View | None = None
    """The version on which the present step is based."""
    pending: Write | None = None
    """The write that is under way."""
    begun: float = 0.0
    """When the intent's write was begun, on the monotonic clock."""
    answer: Answer | None = None
    unsent: ResetState | None = None
    """An intent of mine of which I know that nothing was sent."""
    seen: tuple[ResetState, float] | None = None
    """An intent whose answer I don't have, and when I first saw it on the monotonic clock."""
    not_before: float = 0.0
    failures: int = 0
    again: bool = False
    """The call under way is a signed request that may have been sent before."""
    lost_writes: int = 0
    """Writes in a row of which it is not known whether they were stored."""
    reported: tuple[Tokens, str] | None = None
    """The failure that the status already shows: the same one again is not written again."""
