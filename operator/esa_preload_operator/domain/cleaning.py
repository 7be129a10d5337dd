"""Makes foreign text safe to store and to show: bounded, without query strings, times in one format."""

import re
from datetime import UTC, datetime
from typing import Final

MAX_TEXT: Final = 4096
"""Bytes of one string from ESA in a status: a status that grows too large could not be written at all."""
INT64_MAX: Final = 2**63 - 1

_LONGEST_TIME: Final = 64
_YEAR_10000: Final = 253402300800
_ADDRESS: Final = re.compile(r"https?://[^\s\"<>]*", re.IGNORECASE)


def cut(text: str, limit: int = MAX_TEXT) -> str:
    """Cut to `limit` bytes of UTF-8, never in the middle of a character."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit:
        return raw.decode("utf-8")
    return raw[: limit - 3].decode("utf-8", "ignore") + "…"


def printable(text: str) -> str:
    """Return the text as one line on which each character shows: spaces for white space, escapes for what steers.

    Control, format and bidi characters could forge a line, steer a terminal or show a text in another order.
    """
    if text.isprintable():
        return text
    return "".join(_visible(each) for each in text)


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else ascii(character)[1:-1]


def clean_text(text: object, limit: int = MAX_TEXT) -> str:
    """Printable text without query strings, which may carry signatures, cut to `limit` bytes."""
    if text is None:
        return ""
    return cut(_ADDRESS.sub(_without_query, printable(str(text)[: 4 * limit])), limit)


def _without_query(found: re.Match[str]) -> str:
    return found[0].partition("?")[0].partition("#")[0]


def clean_count(value: object) -> int | None:
    """A counter from an integer or its decimal text; None for anything else, and for what int64 can't count."""
    if isinstance(value, bool) or not isinstance(value, int | str | float):
        return None
    try:
        number = int(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number <= INT64_MAX else None


def clean_time(text: object) -> str:
    """RFC 3339 in UTC from any of ESA's time formats; empty if it is no time.

    Source: ESA API, CreateScheduledPreloadJob (`+0800`, no colon) and ListScheduledPreloadExecutions (milliseconds).
    """
    if not isinstance(text, str):
        return ""
    try:
        moment = datetime.fromisoformat(text.strip())
        return format_time((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError, OSError):
        return ""


def clean_instant(text: object) -> int | None:
    """Whole epoch seconds, rounded down, of any of ESA's time formats; None if it is no time from 1970 to 9999.

    Source: ESA API, ListScheduledPreloadExecutions (milliseconds, an offset) and CreateScheduledPreloadExecutions,
    whose own sample ends in `+Z`. The year 1 is how a Go program writes that there is no time.
    """
    if not isinstance(text, str):
        return None
    epoch = parse_time(text[:_LONGEST_TIME].strip().replace("+Z", "Z"))
    return int(epoch) if epoch is not None and 0 <= epoch < _YEAR_10000 else None


def format_time(epoch: float) -> str:
    """RFC 3339 in UTC, whole seconds."""
    return datetime.fromtimestamp(epoch, UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def format_micro_time(epoch: float) -> str:
    """RFC 3339 in UTC with microseconds."""
    return datetime.fromtimestamp(epoch, UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_time(text: str | None) -> float | None:
    """Epoch seconds of an RFC 3339 time; None if there is none or it can't be read."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
