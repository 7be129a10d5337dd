"""Times and numbers for people."""

from typing import Final

_UNITS: Final = ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s"))


def span(seconds: float) -> str:
    """Return a length of time as kubectl's AGE does: 45s, 3m20s, 5h, 12d."""
    whole = max(0, int(seconds))
    for size, unit, smaller, below in _UNITS:
        if whole >= size:
            count, rest = whole // size, whole % size // smaller
            return f"{count}{unit}{rest}{below}" if rest and count < 10 else f"{count}{unit}"
    return f"{whole}s"


def ago(moment: float | None, now: float) -> str:
    """Return how long ago something was, or in how much time it will be."""
    if moment is None:
        return "-"
    return f"in {span(moment - now)}" if moment > now + 1 else f"{span(now - moment)} ago"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def share(submitted: int | None, total: int | None) -> str:
    """Return how many URLs of how many are submitted."""
    return "-" if total is None else f"{submitted or 0}/{total}"
