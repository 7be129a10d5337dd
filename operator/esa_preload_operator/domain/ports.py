"""What services need from the outside, each as wide as the need."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from esa_preload_operator.domain.errors import Reason
from esa_preload_operator.domain.esa import EsaExecution, EsaJob
from esa_preload_operator.domain.signing import Signing


@dataclass(frozen=True, slots=True, order=True)
class ObjectRef:
    """Names one resource."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """`namespace/name`, as kubectl users write it."""
        return f"{self.namespace}/{self.name}"


class EsaAccount(Protocol):
    """ESA as one set of credentials sees it. Each call is one attempt; who calls again looks first.

    All but `reserve` raise `EsaError`; the problem's `delivery` tells "never sent" from "maybe done".
    """

    @property
    def id(self) -> str:
        """Tells accounts apart without revealing a secret; changes with the credentials."""
        ...

    @property
    def signer(self) -> str:
        """Names access key and endpoint without revealing a secret: who has the same makes the same signatures."""
        ...

    def reserve(self, calls: int) -> float:
        """Book room for some calls under the account's rate; return the seconds to wait before making them."""
        ...

    async def get_job(self, job_id: str) -> EsaJob:
        """GetScheduledPreloadJob."""
        ...

    async def list_jobs(self, site_id: int) -> Sequence[EsaJob]:
        """All pages of ListScheduledPreloadJobs; waits between pages where the account's rate asks for it."""
        ...

    async def reset_job(self, job_id: str, may_send: Callable[[], bool], signing: Signing | None = None) -> EsaJob:
        """ResetScheduledPreloadJob, if `may_send` still agrees when the request is about to leave.

        `may_send` is asked once the connection is open and the request signed, with no await before the first byte;
        a no raises `EsaError` with `Delivery.NEVER_SENT` and code `NotSent`. Without `signing` the nonce is a new one;
        with the same `signing` it is the same request, byte for byte, which ESA may answer by `Delivery.RECEIVED`.
        """
        ...

    async def list_executions(self, job_id: str) -> Sequence[EsaExecution]:
        """ListScheduledPreloadExecutions."""
        ...


class Accounts(Protocol):
    """Finds the credentials that a resource may use."""

    async def account(self, namespace: str, secret_name: str | None) -> EsaAccount:
        """Return the account of a Secret, or the operator's own one where `secret_name` is None.

        Raises:
            EsaError: no such Secret, keys missing, or not allowed (error_class ACCOUNT, delivery NEVER_SENT).
        """
        ...


SECRET_VALUE_LIMIT: Final = 5464
"""Characters in base64 of one value of a Secret with credentials: 4 kB; an STS token has about one."""


class JobStore(Protocol):
    """The resources in the API server."""

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

    def post(self, involved: Involved, reason: Reason, message: str, *, warning: bool) -> None:
        """Have an Event posted soon, or counted up if the same one was posted before.

        It never waits and never raises: an Event is no promise.
        """
        ...


class Leadership(Protocol):
    """Who may act."""

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
