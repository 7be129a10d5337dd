"""Small parts that all moves are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from esa_preload_operator.domain.errors import Delivery, ErrorClass, Problem, Reason
from esa_preload_operator.domain.reset import NOT_SENT

if TYPE_CHECKING:
    from unit.protocol.world import Message, State


class Move(NamedTuple):
    """One move by its name, the process that makes it (-1: somebody else), and where it leads."""

    name: str
    proc: int
    state: State
    excuse: str = ""
    """The undecidable situation that this move makes, by its letter."""


def _problem(code: str, error_class: ErrorClass, delivery: Delivery, status: int = 0) -> Problem:
    return Problem(code, "", error_class=error_class, reason=Reason.ESA_ERROR, delivery=delivery, http_status=status)


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
