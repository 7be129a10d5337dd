"""What makes a signed request the same one when it is sent again, and how long that is of use."""

from dataclasses import dataclass
from typing import Final

from esa_preload_operator.domain.cleaning import format_time, parse_time

VALID_FOR: Final = 900.0
"""Seconds for which the gateway takes a date, and so has to remember the nonce that came with it."""
CLOCK_MARGIN: Final = 60.0
"""Seconds by which this clock, the one that dated the request, and the gateway's may differ."""


@dataclass(frozen=True, slots=True)
class Signing:
    """What a signature depends on besides the request and the key; it reveals neither key nor signature."""

    nonce: str
    date: str
    """RFC 3339 in UTC, whole seconds, as the request carries it."""
    signer: str
    """Short hash of access key id and host: another one could not make the same request."""


def is_valid(signing: Signing, signer: str, wall: float, duration: float) -> bool:
    """Return whether the same request can still be made by `signer`, and be judged `duration` seconds after `wall`.

    Nonce and date come from the status, so what this operator would not have written there is not put into a header.
    """
    dated = parse_time(signing.date)
    if dated is None or signing.signer != signer or not (signing.nonce.isascii() and signing.nonce.isalnum()):
        return False
    age = wall - dated
    return format_time(dated) == signing.date and -CLOCK_MARGIN <= age <= VALID_FOR - CLOCK_MARGIN - duration
