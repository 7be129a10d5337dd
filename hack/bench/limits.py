"""What the operator must reach: the one table of all limits, and how measured values are judged by it."""

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound for one measured value: `sign` says on which side of `bound` it must lie."""

    sign: str
    bound: float

    def holds(self, value: float) -> bool:
        """Say whether a value is within the bound."""
        return bool(_COMPARE[self.sign](value, self.bound))


_COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "≤": operator.le,
    "≥": operator.ge,
    "=": operator.eq,
}

LIMITS: Final[Mapping[str, Limit]] = {
    "status write: CPU of the API server, PUT to JSON Patch": Limit("≤", 1),
    "status write: CPU of the API server, one owner to an owner of each field": Limit("≤", 1),
    "annotate → outcome p50, ratio to its five bare requests": Limit("≤", 2),
    "annotate → outcome p50, ratio to the Go peer": Limit("≤", 1.1),
    "2,000 at once: resets/s, ratio to the prototype": Limit("≥", 1),
    "2,000 at once: resets/s, ratio to the Go peer": Limit("≥", 1),
    "2,000 at once: CPU ms per reset, ratio to the Go peer": Limit("≤", 1.7),
    "2,000 at once: duplicate resets": Limit("=", 0),
    "2,000 at once: lost resets": Limit("=", 0),
    "50 calls/s: ESA calls per reset": Limit("≤", 1.1),
    "50 calls/s: seconds to the last outcome, ratio to the limit of the rate": Limit("≤", 1.15),
    "50 calls/s: duplicate resets": Limit("=", 0),
    "50 calls/s: lost resets": Limit("=", 0),
    "status writes per reset": Limit("=", 2),
    "Events per reset": Limit("=", 1),
    "other writes per reset": Limit("=", 0),
    "start with 10,000: resources written to without need": Limit("=", 0),
    "start with 10,000: ESA calls for single jobs without need": Limit("=", 0),
    "start with 10,000: list calls per page of their sites": Limit("≤", 1),
    "start with 10,000: seconds to the first outcome": Limit("≤", 2),
    "start with 10,000: MiB resident": Limit("≤", 100),
    "50,000: bytes resident per idle resource, from 1,000 on": Limit("≤", 2048),
    "50,000: seconds to the first outcome, ratio to 10,000": Limit("≤", 5),
    "50,000: resources written to without need": Limit("=", 0),
    "50,000: ESA calls for single jobs without need": Limit("=", 0),
    "50,000: list calls per page of their sites": Limit("≤", 1),
    "at rest: list calls per page and round": Limit("≤", 1),
    "at rest: ESA calls for single jobs": Limit("=", 0),
    "at rest: resources per call": Limit("≥", 50),
    "tenants: p50 beside 2,000 requests, ratio to alone": Limit("≤", 2),
    "soak: MiB resident at the end, ratio to the first tenth": Limit("≤", 1.1),
    "soak: connections at the end, more than after the first tenth": Limit("≤", 20),
    "soak: tasks at the end, more than after the first tenth": Limit("≤", 10),
    "soak: timers at the end, more than after the first tenth": Limit("≤", 20),
    "soak: duplicate resets": Limit("=", 0),
    "soak: lost resets": Limit("=", 0),
    "ESA client: calls/s, ratio to the official one (uvloop)": Limit("≥", 1),
}
"""Values without a limit are printed for comparison only."""

Values = dict[str, float]


def print_table(values: Values) -> None:
    """Print each value beside its limit."""
    width = max(map(len, [*values, *LIMITS]))
    for name, value in values.items():
        limit = LIMITS.get(name)
        judged = "" if limit is None else f"{limit.sign} {limit.bound:<6g} {'ok' if limit.holds(value) else 'MISSED'}"
        print(f"{name:{width}} {value:>10.4g}  {judged}".rstrip())


def missed(values: Values, expected: Iterable[str], *, exact_only: bool = False) -> list[str]:
    """Return the names of expected values that are absent or beyond their limits, which may be the exact ones only."""
    judged = {name for name, limit in LIMITS.items() if limit.sign == "=" or not exact_only}
    return [
        name for name in expected if name not in values or (name in judged and not LIMITS[name].holds(values[name]))
    ]


def as_json(values: Values) -> dict[str, Any]:
    """Return the values and their limits as plain data."""
    rows: dict[str, Any] = {}
    for name, value in values.items():
        limit = LIMITS.get(name)
        rows[name] = {"value": round(value, 4)}
        if limit is not None:
            rows[name] |= {"limit": f"{limit.sign} {limit.bound:g}", "ok": limit.holds(value)}
    return rows
