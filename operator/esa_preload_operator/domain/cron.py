"""Cron expressions in a time zone, as Debian's cron reads them.

A time that the clocks skip in spring counts as the moment at which they go on, and one that comes twice in autumn as
its first; where the minute or the hour begins with a star, every hour that passes counts. `cronsim` computes it.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

_ALIASES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MAX_LENGTH: Final = 100
_NO_ZONES: Final = ("localtime", "posixrules", "posix/", "right/")
"""Names under which a machine keeps its own choice, or a second set of zones that counts leap seconds."""


@lru_cache(maxsize=256)
def cron_problem(cron: str) -> str:
    """Return why an expression can't be used; empty if it can."""
    fields = fields_of(cron)
    if len(cron) > _MAX_LENGTH or len(fields.split()) != 5:
        return (
            "it must have five fields, or be one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually"
        )
    try:
        next(CronSim(fields, datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        return f"its {str(error).removeprefix('Bad ')} is out of range or can't be read"
    except StopIteration:
        return "no day ever fits it"
    return ""


@lru_cache(maxsize=256)
def zone_problem(name: str) -> str:
    """Return why a time zone can't be used; empty if it can."""
    try:
        zone_of(name)
    except ValueError:
        return "no time zone has this name; it must be one such as UTC or Asia/Shanghai"
    return ""


def fields_of(cron: str) -> str:
    """Return the expression with one space between its fields, an alias spelled out."""
    fields = " ".join(cron.split())
    return _ALIASES.get(fields, fields)


def zone_of(name: str) -> tzinfo:
    """Return a time zone by its IANA name. Its rules are read once, from the system or from the package tzdata.

    Raises:
        ValueError: there is none of this name.
    """
    if name == "UTC":
        return UTC  # what cronsim counts in without a detour
    if name.startswith(_NO_ZONES):
        raise ValueError(name)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError) as error:  # a folder of zones raises OSError
        raise ValueError(name) from error


def times_after(cron: str, zone: str, after: float) -> Iterator[float]:
    """Yield the times of an expression later than a moment, in epoch seconds and in order.

    It ends where the next time lies more than fifty years ahead, or beyond what a datetime can say.

    Raises:
        CronSimError: `cron_problem` has told why.
        ValueError: `zone_problem` has told why.
    """
    rules = zone_of(zone)
    last = after
    try:
        for moment in CronSim(fields_of(cron), datetime.fromtimestamp(after, UTC).astimezone(rules)):
            if (found := moment.timestamp()) > last:  # from a doubled hour cronsim starts at the first of the two
                yield found
                last = found
    except (OverflowError, ValueError, OSError):  # beyond the year 9999
        return


def time_after(cron: str, zone: str, after: float) -> float | None:
    """Return the first time of an expression later than a moment; None if there is none."""
    return next(times_after(cron, zone, after), None)


def latest_time(cron: str, zone: str, after: float, until: float) -> float | None:
    """Return the last time of an expression later than `after` and not later than `until`; None if there is none.

    It halves what is left of the span each time, so that a week of minutes takes 14 looks and not 10,080.
    """
    found = time_after(cron, zone, after)
    if found is None or found > until:
        return None
    empty_from = until
    while empty_from - found >= 60:  # times are whole minutes
        middle = (found + empty_from) / 2
        later = time_after(cron, zone, middle)
        if later is not None and later <= until:
            found = later
        else:
            empty_from = middle
    return found
