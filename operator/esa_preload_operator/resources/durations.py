"""Durations as Go writes them and as CEL's `duration()` reads them: `0`, `500ms`, `30s`, `1.5h`, `1h30m`."""

import re
from fractions import Fraction
from functools import lru_cache
from typing import Final

_MICRO: Final = ("us", "\u00b5s", "\u03bcs")  # Go takes the micro sign and the Greek mu, which look alike
_NANOSECONDS: Final = {
    "ns": 1,
    **dict.fromkeys(_MICRO, 10**3),
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART: Final = re.compile(rf"([0-9]+\.?[0-9]*|\.[0-9]+)({'|'.join(_NANOSECONDS)})")
_MAX_LENGTH: Final = 64
"""Characters; the pattern takes quadratic time on digits without a unit."""
_LIMIT: Final = 2**63
"""Nanoseconds; Go counts them in an int64."""


@lru_cache(maxsize=256)
def parse_duration(text: str) -> float:
    """Return the seconds that a Go duration says.

    Source: Go, package time, ParseDuration.

    Raises:
        ValueError: the text is no duration, it is negative, or it is longer than Go can count.
    """
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"{text[:_MAX_LENGTH]!r}… is too long for a duration")
    unsigned = text[1:] if text[:1] in ("+", "-") else text
    if unsigned == "0":
        return 0.0
    parts = _PART.findall(unsigned)
    total = sum(int(Fraction(number) * _NANOSECONDS[unit]) for number, unit in parts)  # Go drops parts of a nanosecond
    whole = parts and "".join(number + unit for number, unit in parts) == unsigned
    if not whole or total >= _LIMIT or (total > 0 and text.startswith("-")):
        raise ValueError(f"{text!r} is not a duration such as 0, 500ms, 30s, 1.5h or 1h30m")
    return total / 1e9
