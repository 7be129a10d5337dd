"""`status NAME`."""

import argparse
import time
from typing import Any

from esa_preload_operator.cli.plugin.context import OK, Context
from esa_preload_operator.cli.plugin.jobs import Job, entries, part, text
from esa_preload_operator.cli.plugin.kubectl import KubectlError
from esa_preload_operator.cli.plugin.screenful import Event, screenful
from esa_preload_operator.cli.plugin.targets import RESOURCE, find_one
from esa_preload_operator.domain.cleaning import clean_count, parse_time

_SHOWN = 6
_WIDE = 100
"""Columns where nobody looks."""


def status(context: Context, options: argparse.Namespace) -> int:
    """Print one job on one screen."""
    if options.output is not None:
        context.stdout.write(context.kubectl.text("get", RESOURCE, options.name, f"--output={options.output}"))
        return OK
    job = find_one(context.kubectl, options.name)
    context.show(screenful(job, _events_of(context, job), time.time(), context.stdout.width or _WIDE))
    return OK


def _events_of(context: Context, job: Job) -> list[Event]:
    """Return the last Events; none where they may not be read, which is no reason to show nothing."""
    chosen = f"--field-selector=involvedObject.uid={job.uid}"
    try:
        listed = context.kubectl.json("get", "events", chosen, f"--namespace={job.ref.namespace}")
    except KubectlError as error:
        context.note(f"Events can't be read: {error}")
        return []
    return last_events(listed)


def last_events(listed: Any, most: int = _SHOWN) -> list[Event]:
    """Return the last Events of a list, the newest first."""
    found = [_event(each) for each in entries(part(listed).get("items"))]
    return sorted(found, key=lambda each: -(each.when or 0.0))[:most]


def _event(body: Any) -> Event:
    series = part(body, "series")
    times = (
        series.get("lastObservedTime"),
        body.get("lastTimestamp"),
        body.get("eventTime"),
        body.get("firstTimestamp"),
    )
    known = (parse_time(text(each)) for each in times)
    return Event(
        when=next((each for each in known if each is not None), None),
        reason=text(body.get("reason")),
        message=text(body.get("message")),
        warning=body.get("type") == "Warning",
        count=clean_count(series.get("count")) or clean_count(body.get("count")) or 1,
    )
