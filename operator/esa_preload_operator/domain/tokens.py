"""Tokens: what the reset annotations ask for, and what counts as handled."""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from esa_preload_operator.resources.names import RESET_KEYS

Tokens = tuple[tuple[str, str], ...]
"""Annotation keys and tokens, sorted by key: a mapping that can be compared and kept."""

SCHEDULE_KEY: Final = "schedule"
"""The key under which a scheduled time is a token: no annotation has it."""
MAX_TOKEN: Final = 256
"""Bytes of a token that the status shows as it is; a longer one is shown as its SHA-256."""

_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_EPOCH_2020: Final = 1_577_836_800
_EPOCH_2200: Final = 7_258_118_400


def normalise(token: str) -> str:
    """Return the token as the status keeps it."""
    raw = token.encode("utf-8", "replace")
    return token if len(raw) <= MAX_TOKEN else f"sha256:{hashlib.sha256(raw).hexdigest()}"


def asked_tokens(annotations: Mapping[str, str]) -> Tokens:
    """Return the non-empty reset annotations; several seen at once are one request."""
    return tuple(sorted((key, normalise(annotations[key])) for key in RESET_KEYS if annotations.get(key)))


def token_time(token: str) -> float | None:
    """Return epoch seconds of a token that reads as a time: RFC 3339, epoch seconds or milliseconds from 2020 on."""
    if token.isascii() and token.isdigit():
        number = float(token) if len(token) < 20 else 0.0
        for moment in (number, number / 1000):
            if _EPOCH_2020 <= moment < _EPOCH_2200:
                return moment
        return None
    if not _RFC3339.fullmatch(token):
        return None
    try:
        return datetime.fromisoformat(token.upper()).timestamp()
    except (ValueError, OverflowError):
        return None


def is_stale(token: str, created: float, stale_after: float) -> bool:
    """Return whether the token is a time so much older than the object that only a restored object can carry it."""
    moment = token_time(token)
    return moment is not None and moment < created - stale_after


def without(tokens: Tokens, others: Tokens) -> Tokens:
    """Return the entries of `tokens` that `others` does not hold with the same value."""
    known = dict(others)
    return tuple(entry for entry in tokens if known.get(entry[0]) != entry[1])


def satisfied(asked: Tokens, handled: Tokens, newest: Tokens) -> Tokens:
    """Return the asked tokens that are times, and not newer than a time that was handled for the same annotation."""
    known = newest_times(handled, newest)
    return tuple(
        (k, t) for k, t in asked if k in known and (moment := token_time(t)) is not None and moment <= known[k]
    )


def newest_times(*many: Tokens) -> dict[str, float]:
    """Return the newest time among the tokens of each annotation, in epoch seconds."""
    found: dict[str, float] = {}
    for key, token in (entry for tokens in many for entry in tokens):
        moment = token_time(token)
        if moment is not None:
            found[key] = max(moment, found.get(key, moment))
    return found


def newest_after(handled: Tokens, newest: Tokens, after: Tokens) -> Tokens:
    """Return the newest handled times that `after`, which replaces `handled`, does not show by itself."""
    shown = newest_times(after)
    kept: dict[str, str] = {}
    for key, token in (*newest, *handled):
        moment = token_time(token)
        if moment is not None and moment > shown.get(key, 0.0):
            shown[key], kept[key] = moment, token
    return tuple(sorted(kept.items()))


def handled_after(handled: Tokens, asked: Tokens, done: Tokens) -> Tokens:
    """Return what counts as handled once `done` is dealt with.

    An entry whose annotation is gone is left out, so that the same token set again is a new request; a time stays,
    because two field managers or a replace must not repeat it.
    """
    keys = {key for key, _ in asked}
    merged = dict(handled) | dict(done)
    return tuple(sorted((k, t) for k, t in merged.items() if k in keys or token_time(t) is not None))
