"""The values that decisions are made of: the reset as the status keeps it, the clocks, the rules."""

import enum
from dataclasses import dataclass
from typing import Final

from esa_preload_operator.domain.errors import Reason
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


OPEN_PHASES: Final = frozenset({Phase.HELD, Phase.IN_FLIGHT, Phase.RETRYING})
"""Phases of a request that is not dealt with yet."""


@dataclass(frozen=True, slots=True)
class ResetState:
    """`status.reset` as a value. In phase InFlight it is an *intent*: a call may follow, or has followed."""

    phase: str
    job_id: str = ""
    tokens: Tokens = ()
    trigger: str = ""
    generation: int = 0
    """`metadata.generation` for which it was decided; 0 in a status of an older version."""
    owner: str = ""
    started_at: str = ""
    finished_at: str = ""
    submitted_before: int | None = None
    request_id: str = ""
    attempts: int = 0
    unproven: int = 0
    """Earlier calls for these tokens whose answers were lost and which nothing proves."""
    reason: str = ""
    """Why it is retried, failed, or unknown; a `Reason` or a word of another version."""
    message: str = ""
    signing: Signing | None = None
    """Of an intent whose call, if its answer is lost, can be made again as the same signed request."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The clocks, read once for one step: `wall` in epoch seconds, `monotonic` in seconds."""

    wall: float
    monotonic: float
    jitter: float = 0.5
    """A random number from 0 to 1."""
    unique: int = 0
    """A random number of 32 bits, for a name that no other call has."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The protocol's settings; durations in seconds."""

    owner: str
    """Pod and start id: a restarted container is another owner."""
    request_timeout: float = 10.0
    network_grace: float = 5.0
    list_grace: float = 15.0
    """For how long lists may not show what was just created (UNKNOWN for ESA)."""
    leading_since: float = float("-inf")
    """When this process became the leader, on the monotonic clock."""
    stale_token_after: float = 3600.0
    min_interval: float = 0.0
    confirm_by_progress: bool = True
    confirm_by_nonce: bool = False
    """Intents say how their calls are signed, and recovery sends the same signed request again."""
    shared_looks: bool = True
    """While many wait for the account's rate, one list of a site answers all looks before resets of its jobs."""
    repeat_after: float = 600.0
    """From a lost answer to the second repetition without a proof; each further one waits twice as long."""
    crd_lacks: str = ""
    """Status fields that the installed CRD does not keep: nothing is called as long as there are some."""

    @property
    def deadline(self) -> float:
        """Seconds after which a call that belongs to an intent is over, answered or not."""
        return self.request_timeout + self.network_grace

    @property
    def quiet(self) -> float:
        """Seconds after which nothing that another process, or a lost call, has sent is still on its way."""
        return self.deadline + self.list_grace


@dataclass(frozen=True, slots=True)
class Notice:
    """An Event to post once the write that carries it is stored."""

    reason: Reason
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often something failed in a row, and when on the monotonic clock it may be tried again."""

    failures: int = 0
    not_before: float = 0.0
