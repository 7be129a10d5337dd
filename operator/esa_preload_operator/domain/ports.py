"""What services need from the outside, each as wide as the need."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from esa_preload_operator.domain.esa import (
    CreatedExecutions,
    EsaJob,
    Execution,
    ExecutionChange,
    JobListing,
    NewExecution,
    NewJob,
)
from esa_preload_operator.domain.signing import Signing

MaySend = Callable[[], bool]
"""Asked once the connection is open and the request signed, with no await before the first byte.

A no raises `EsaError` with `Delivery.NEVER_SENT` and code `NotSent`.
"""


@dataclass(frozen=True, slots=True, order=True)
class ObjectRef:
    """Names one resource."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """`namespace/name`, as kubectl users write it."""
        return f"{self.namespace}/{self.name}"


class EsaAccount(Protocol):
    """ESA as one set of credentials sees it. Each call is one attempt; before a second one the caller looks.

    Calls raise `EsaError`; the problem's `delivery` tells "never sent" from "maybe done". Those that change something
    leave only if `may_send` still agrees when the request is about to leave.

    All calls of the same credentials share one rate. Nothing is booked ahead: whoever can't call now stands in a line,
    in which namespaces take turns and within a namespace the first to come is served first. The line moves at the
    present rate, which halves when ESA throttles and recovers with its successes.
    """

    @property
    def id(self) -> str:
        """Tells accounts apart without revealing a secret; changes with the credentials."""
        ...

    @property
    def signer(self) -> str:
        """Names access key and endpoint without revealing a secret: equal ones make equal signatures."""
        ...

    def admit(self, ref: ObjectRef, calls: int, wake: Callable[[], None], *, last: bool = False) -> bool:
        """Return whether these calls may leave now; if not, `ref` waits in line and `wake` is called at its turn.

        Those that may go `last` are served after the others of their namespace.

        `ref` stands in the line once at most: asking again while it waits does not move it. Asking again after `wake`
        returns True. A turn that is not taken within some seconds goes to the next, and `ref` has to line up again.
        `wake` must return at once, because it is called wherever the throttle finds room.
        """
        ...

    def withdraw(self, ref: ObjectRef) -> None:
        """Let `ref` wait no longer; a turn that it was given and did not take goes to the next."""
        ...

    def wait_estimate(self, ref: ObjectRef) -> float | None:
        """Return about how many seconds `ref` still waits at the present rate, for messages; None if it does not."""
        ...

    async def admitted(self, namespace: str, calls: int) -> None:
        """Return when these calls may leave: the same line, for background work that belongs to no one resource."""
        ...

    async def get_job(self, job_id: str) -> EsaJob:
        """GetScheduledPreloadJob."""
        ...

    async def list_jobs(self, site_id: int, namespace: str) -> JobListing:
        """All pages of ListScheduledPreloadJobs; each of them waits for its turn in the line of `namespace`.

        A list that does not fit its total is made again, some times at most; the last one may still be incomplete.
        """
        ...

    async def list_jobs_at_once(self, site_id: int, most: int) -> JobListing:
        """Pages of ListScheduledPreloadJobs that go before those who stand in line, at the present rate.

        A list of more than `most` pages, or than may leave within a second, ends with the first one, incomplete.
        """
        ...

    async def list_executions(self, job_id: str) -> Sequence[Execution]:
        """ListScheduledPreloadExecutions: all executions of the job; a part of them raises `EsaError`."""
        ...

    async def reset_job(self, job_id: str, may_send: MaySend, signing: Signing | None = None) -> EsaJob:
        """ResetScheduledPreloadJob. Without `signing` the nonce is a new one.

        With the same `signing` it is the same request, byte for byte, which ESA may answer by `Delivery.RECEIVED`.
        """
        ...

    async def create_job(self, new: NewJob, may_send: MaySend) -> EsaJob:
        """CreateScheduledPreloadJob; the job is on the site that was asked for, its name may be another one."""
        ...

    async def delete_job(self, job_id: str, may_send: MaySend) -> None:
        """DeleteScheduledPreloadJob; a job that does not exist is a success."""
        ...

    async def create_executions(
        self, job_id: str, wanted: Sequence[NewExecution], may_send: MaySend
    ) -> CreatedExecutions:
        """CreateScheduledPreloadExecutions, which may succeed in part; the order of its answer means nothing."""
        ...

    async def update_execution(self, execution_id: str, change: ExecutionChange, may_send: MaySend) -> Execution | None:
        """UpdateScheduledPreloadExecution; None if the execution does not exist."""
        ...

    async def start_execution(self, execution_id: str, may_send: MaySend) -> Execution | None:
        """StartScheduledPreloadExecution; None if the execution does not exist."""
        ...

    async def stop_execution(self, execution_id: str, may_send: MaySend) -> Execution | None:
        """StopScheduledPreloadExecution, which takes effect on a running one only; None if it does not exist."""
        ...

    async def delete_execution(self, execution_id: str, may_send: MaySend) -> None:
        """DeleteScheduledPreloadExecution; an execution that does not exist is a success."""
        ...


class Accounts(Protocol):
    """Finds the credentials that a resource may use."""

    async def account(self, namespace: str, secret_name: str | None) -> EsaAccount:
        """Return the account of a Secret, or the operator's own one where `secret_name` is None.

        Raises:
            EsaError: no such Secret, keys missing, or not allowed (error_class BLOCKED, delivery NEVER_SENT).
        """
        ...


class Sources(Protocol):
    """Lists of URLs that stand in ConfigMaps."""

    async def read(self, namespace: str, name: str, key: str) -> str | None:
        """Return the text under a key of a ConfigMap; None if there is no such ConfigMap, or no such key in it.

        Raises:
            StoreUnavailableError: nothing is known.
        """
        ...


SECRET_VALUE_LIMIT: Final = 5464
"""Characters in base64 of one value of a Secret with credentials: 4 kB; an STS token has about one."""


class JobStore(Protocol):
    """The resources in the API server."""

    async def write_finalizers(self, ref: ObjectRef, version: str, finalizers: Sequence[str]) -> Mapping[str, Any]:
        """Replace the finalizers if the object is still of that version; return the object as it was stored.

        An object that is being deleted and has none left is gone with this write.

        Raises:
            VersionConflictError, ObjectGoneError, WriteRefusedError: nothing was stored.
            WriteUnknownError: it may have been stored.
        """
        ...

    async def read(self, ref: ObjectRef) -> Mapping[str, Any] | None:
        """Return the object as JSON, or None if there is none.

        Raises:
            StoreUnavailableError: nothing is known.
        """
        ...

    async def write_status(self, ref: ObjectRef, version: str, status: Mapping[str, Any]) -> Mapping[str, Any]:
        """Replace the whole status if the object is still of that version; return the object as it was stored.

        Raises:
            VersionConflictError, ObjectGoneError, WriteRefusedError: nothing was stored.
            WriteUnknownError: it may have been stored.
        """
        ...


@dataclass(frozen=True, slots=True)
class Involved:
    """The version of a resource that an Event is about."""

    ref: ObjectRef
    uid: str
    version: str


class EventLog(Protocol):
    """Events that people see in `kubectl describe`."""

    def post(self, involved: Involved, reason: str, message: str, *, warning: bool) -> None:
        """Have an Event posted soon, or counted up if the same one was posted before.

        It never waits and never raises: an Event is no promise.
        """
        ...


class Leadership(Protocol):
    """Whether this process may act."""

    def valid_until(self) -> float:
        """Return the moment on the monotonic clock (seconds) up to which this process leads for sure."""
        ...


class Observer(Protocol):
    """Counts what happens, for /metrics."""

    def reset_ended(self, outcome: str, trigger: str) -> None:
        """Count a reset by its phase (and `Confirmed`) and by what asked for it."""
        ...

    def reset_undecidable(self, why: str) -> None:
        """Count a repeated call that might be a second reset, by what made it undecidable."""
        ...

    def create_ended(self, outcome: str) -> None:
        """Count a create by its outcome: Created, Replaced or Refused."""
        ...

    def surplus_found(self, number: int) -> None:
        """Count jobs that a list showed beyond the one that the status records."""
        ...

    def retired_deleted(self, number: int) -> None:
        """Count jobs that were deleted because another one has taken their place."""
        ...

    def schedule_skipped(self, number: int) -> None:
        """Count scheduled resets that were not made."""
        ...
