"""What a decision is told, and what it asks for: inputs and steps."""

from dataclasses import dataclass

from esa_preload_operator.domain.conditions import Finding
from esa_preload_operator.domain.errors import Problem
from esa_preload_operator.domain.esa import (
    CreatedExecutions,
    EsaJob,
    Execution,
    ExecutionChange,
    JobListing,
    NewExecution,
    NewJob,
)
from esa_preload_operator.domain.recorded import Creating, Recorded
from esa_preload_operator.domain.signing import Signing
from esa_preload_operator.domain.source import BadUrls, Content
from esa_preload_operator.domain.spec import ConfigMapSource
from esa_preload_operator.domain.tokens import Tokens
from esa_preload_operator.domain.values import Notice, ResetState
from esa_preload_operator.domain.view import View

# Steps.


@dataclass(frozen=True, slots=True)
class Read:
    """Read the resource from the API server, not from a cache."""


@dataclass(frozen=True, slots=True)
class GetJob:
    """GetScheduledPreloadJob."""

    job_id: str


@dataclass(frozen=True, slots=True)
class LookFirst:
    """The look before a reset, with which it leaves together under the account's rate: GetScheduledPreloadJob."""

    job_id: str
    site_id: int | None = None
    """Site whose list may answer instead while many wait; None: only a call of its own does."""
    scheduled: bool = False
    """Nobody but a schedule asks for the reset."""


@dataclass(frozen=True, slots=True)
class ListSite:
    """All pages of ListScheduledPreloadJobs."""

    site_id: int


@dataclass(frozen=True, slots=True)
class ListExecutions:
    """ListScheduledPreloadExecutions."""

    job_id: str


@dataclass(frozen=True, slots=True)
class ReadSource:
    """Read the list of URLs from a ConfigMap in the namespace of the resource."""

    source: ConfigMapSource


@dataclass(frozen=True, slots=True)
class Admit:
    """Wait until a call may leave under the account's rate: an intent is written only then."""


Query = GetJob | LookFirst | ListSite | ListExecutions | ReadSource | Admit


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask ESA or the API server, without changing anything."""

    query: Query


@dataclass(frozen=True, slots=True)
class Write:
    """Store a status on condition that the resource is still the version that `view` shows."""

    view: View
    reset: ResetState | None
    handled: Tokens
    newest: Tokens = ()
    job: EsaJob | None = None
    """What ESA told of the job, to store along."""
    finding: Finding | None = None
    """What the conditions say; None leaves them as they are."""
    notice: Notice | None = None
    outcome: str = ""
    """Counts a reset that ended by this word."""
    due: float | None = None
    """When a held reset will be made, in epoch seconds."""
    undecidable: bool = False
    """It announces a call that may be a second reset."""
    recorded: Recorded | None = None
    """What the status is to record of job and windows; None leaves it as it is."""
    effective: str | None = None
    """What the condition Effective is to say; "" takes it away, None leaves it as it is."""

    @property
    def decides(self) -> bool:
        """Whether it changes what later decisions rest on, so that the stored status must show it."""
        view = self.view
        if self.recorded is not None and self.recorded != view.recorded:
            return True
        return (self.reset, self.handled, self.newest) != (view.reset, view.handled, view.newest)


def record(view: View, recorded: Recorded, notice: Notice | None = None) -> Write:
    """Return the write that changes what the status records of job and windows, and nothing of its resets."""
    return Write(view, view.reset, view.handled, view.newest, recorded=recorded, notice=notice)


@dataclass(frozen=True, slots=True)
class Call:
    """Call ResetScheduledPreloadJob once, if it leaves no later than `not_after` on the monotonic clock."""

    intent: ResetState
    not_after: float


@dataclass(frozen=True, slots=True)
class Create:
    """Call CreateScheduledPreloadJob once, if it leaves no later than `not_after` on the monotonic clock."""

    intent: Creating
    new: NewJob
    not_after: float


@dataclass(frozen=True, slots=True)
class Open:
    """Call CreateScheduledPreloadExecutions once, for executions whose identity the status records."""

    job_id: str
    wanted: tuple[NewExecution, ...]


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """DeleteScheduledPreloadJob."""

    job_id: str


@dataclass(frozen=True, slots=True)
class DeleteExecution:
    """DeleteScheduledPreloadExecution."""

    id: str


@dataclass(frozen=True, slots=True)
class StartExecution:
    """StartScheduledPreloadExecution."""

    id: str


@dataclass(frozen=True, slots=True)
class StopExecution:
    """StopScheduledPreloadExecution."""

    id: str


@dataclass(frozen=True, slots=True)
class UpdateExecution:
    """UpdateScheduledPreloadExecution."""

    id: str
    change: ExecutionChange


Command = DeleteJob | DeleteExecution | StartExecution | StopExecution | UpdateExecution


@dataclass(frozen=True, slots=True)
class Do:
    """Carry out a command that may be repeated: an object that does not exist is a success."""

    command: Command


@dataclass(frozen=True, slots=True)
class Finalizer:
    """Add or remove the operator's finalizer, on condition that the resource is still the version of `view`."""

    view: View
    present: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `until` on the monotonic clock; None: before something changes."""

    until: float | None = None
    exclusive: bool = False
    """Until then no other concern has a say."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell people something that the status does not keep, then go on with the same version."""

    view: View
    notice: Notice
    skipped: int = 0
    """Scheduled resets that it says were not made."""


Step = Read | Ask | Write | Call | Create | Open | Do | Finalizer | Tell | Wait


# Inputs.


@dataclass(frozen=True, slots=True)
class Observed:
    """The resource was seen; `fresh` if it was read from the API server just now."""

    view: View
    fresh: bool = False
    claimed: bool = False
    """Another resource acts on the same job."""


@dataclass(frozen=True, slots=True)
class JobTold:
    """ESA described the job in the list of its site."""

    job: EsaJob


@dataclass(frozen=True, slots=True)
class JobMissing:
    """The list of the site lacks the job."""


@dataclass(frozen=True, slots=True)
class SurplusListed:
    """The list of the site shows jobs that carry the identity of this resource and that it does not record."""

    job_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WindowsSuspected:
    """Something in the list of the site does not fit what the status says of the windows, or it was long ago."""


@dataclass(frozen=True, slots=True)
class ExecutionsCounted:
    """The list of the site shows whether the job has an execution that is not known to have ended."""

    idle: bool


@dataclass(frozen=True, slots=True)
class SourceChanged:
    """The ConfigMap with the URLs may hold others now."""


@dataclass(frozen=True, slots=True)
class SiteFailed:
    """The list of the site fails: at once if the account's owner has to act, else once it has failed for long."""

    problem: Problem
    since: float = 0.0
    """Epoch seconds from which on it has failed."""


@dataclass(frozen=True, slots=True)
class SiteListed:
    """The list of the site works, and says of the job what the status does."""


@dataclass(frozen=True, slots=True)
class CredentialsChanged:
    """The credentials have changed, so what failed with the old ones may work now."""


@dataclass(frozen=True, slots=True)
class CrdChanged:
    """Another CRD is installed, which may keep what the former one dropped."""


@dataclass(frozen=True, slots=True)
class TurnCame:
    """The turn under the account's rate has come, for which it was to wait long."""


Fact = (
    CrdChanged
    | TurnCame
    | JobTold
    | JobMissing
    | SiteFailed
    | SiteListed
    | SurplusListed
    | WindowsSuspected
    | ExecutionsCounted
    | SourceChanged
    | CredentialsChanged
)


@dataclass(frozen=True, slots=True)
class Told:
    """A fact from outside the resource; it counts only for the job and the Secret that it is about."""

    fact: Fact
    job_id: str
    secret: str | None
    began: float
    """When its request began, on the monotonic clock."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The write was stored; this is what the API server keeps now."""

    view: View


@dataclass(frozen=True, slots=True)
class Conflicted:
    """The write was not stored: another version was stored first."""


@dataclass(frozen=True, slots=True)
class WriteLost:
    """The write may have been stored: its answer was lost, or it was a server error."""

    retry_after: float = 0.0
    """Seconds that the API server asks for."""


@dataclass(frozen=True, slots=True)
class WriteRefused:
    """The API server answered that it did not store the write."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Done:
    """A command was carried out; `execution` is what it left, None if there is none any more."""

    execution: Execution | None = None


Result = EsaJob | Problem | JobListing | tuple[Execution, ...] | CreatedExecutions | Content | BadUrls | Done
"""`EsaJob` for GetJob, LookFirst, Call and Create, a tuple of executions for ListExecutions.

For LookFirst it is a `ListedJob` if the list of the site has told, which may show older numbers than a call about the
job itself.
"""


@dataclass(frozen=True, slots=True)
class Returned:
    """What became of a question, a call or a command.

    `signing` is new, for a call that may follow a look, and None where intents don't name it.
    """

    result: Result
    signing: Signing | None = None


Input = Observed | Told | Stored | Conflicted | WriteLost | WriteRefused | Returned
