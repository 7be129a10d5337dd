"""The names of created jobs: a name says which resource a job belongs to, and stands for one call."""

import re
from typing import Final

UID: Final = 8
"""Digits of the resource's uid in a name."""
_NAME: Final = re.compile(r"-(?P<uid>[0-9a-f]{8})-[0-9a-f]{8}\Z")


def job_name(prefix: str, uid: str, unique: int) -> str:
    """Return `<prefix>-<first 8 of uid>-<8 hex digits>`; `unique` is a number of 32 bits that no other call has."""
    return f"{prefix}-{uid[:UID]}-{unique & 0xFFFFFFFF:08x}"


def carries(name: str | None, prefix: str, uid: str) -> bool:
    """Return whether a job of this name was created for this resource."""
    return name is not None and maker_of(name) == uid[:UID] and name[: -(2 * UID + 2)] == prefix


def maker_of(name: str | None) -> str:
    """Return the first 8 digits of the uid of the resource that a job was created for; "" if the name tells none."""
    found = _NAME.search(name[-2 * UID - 2 :]) if name else None
    return found["uid"] if found is not None else ""
