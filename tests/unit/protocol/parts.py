"""Small parts that all moves are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from esa_preload_operator.domain.call import NOT_SENT
from esa_preload_operator.domain.errors import Delivery, ErrorClass, Problem, Reason
from esa_preload_operator.domain.values import Phase

if TYPE_CHECKING:
    from esa_preload_operator.domain.values import ResetState
    from unit.protocol.world import Message, State


class Move(NamedTuple):
    """One move by its name, the process that makes it (-1: somebody else), and where it leads."""

    name: str
    proc: int
    state: State
    excuse: str = ""
    """The undecidable situation that this move makes, by its letter."""


_REASONS = {
    ErrorClass.TRANSIENT: Reason.SERVICE_UNAVAILABLE,
    ErrorClass.BLOCKED: Reason.ACCESS_DENIED,
    ErrorClass.TERMINAL: Reason.JOB_NOT_FOUND,
}


def _problem(code: str, error_class: ErrorClass, delivery: Delivery, status: int = 0) -> Problem:
    return Problem(
        code, "", error_class=error_class, reason=_REASONS[error_class], delivery=delivery, http_status=status
    )


LOST = _problem("Lost", ErrorClass.TRANSIENT, Delivery.UNKNOWN)
REFUSED_CONNECTION = _problem("ConnectionRefused", ErrorClass.TRANSIENT, Delivery.NEVER_SENT)
UNSENT = _problem(NOT_SENT, ErrorClass.TRANSIENT, Delivery.NEVER_SENT)
THROTTLED = _problem("TooManyRequests", ErrorClass.TRANSIENT, Delivery.REFUSED)
RECEIVED = _problem("SignatureNonceUsed", ErrorClass.TRANSIENT, Delivery.RECEIVED, 400)
SERVER_ERROR = _problem("InternalError", ErrorClass.TRANSIENT, Delivery.UNKNOWN, 500)
NOT_FOUND = _problem("InvalidJob.NotFound", ErrorClass.TERMINAL, Delivery.REFUSED)


def bits(requests: tuple[int, ...]) -> int:
    """Requests as a bit set."""
    found = 0
    for number in requests:
        if number >= 0:
            found |= 1 << number
    return found


def off_wire(wire: tuple[Message, ...], message: Message) -> tuple[Message, ...]:
    return tuple(m for m in wire if m is not message)


def so_far(s: State) -> int:
    """All requests up to now."""
    return (1 << s.script) - 1


def more(allowed: tuple[int, ...], requests: int) -> tuple[int, ...]:
    return tuple(n + (requests >> i & 1) for i, n in enumerate(allowed))


def is_same_call(one: ResetState | None, other: ResetState | None) -> bool:
    """Do both tell of the same call? What is noted of an open intent later does not make it another one."""
    if one is None or other is None or {one.phase, other.phase} != {Phase.IN_FLIGHT}:
        return False
    return (one.owner, one.started_at, one.attempts, one.signing) == (
        other.owner,
        other.started_at,
        other.attempts,
        other.signing,
    )
