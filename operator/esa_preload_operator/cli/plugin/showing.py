"""`list` and `watch`."""

import argparse
import time
from typing import Final

from esa_preload_operator.cli.plugin.context import FAILED, INTERRUPTED, OK, Context
from esa_preload_operator.cli.plugin.follow import Begun, Interrupted, Seen, Watch
from esa_preload_operator.cli.plugin.jobs import Job, Ref, read_jobs
from esa_preload_operator.cli.plugin.layout import Line, Piece
from esa_preload_operator.cli.plugin.listing import job_table, summary
from esa_preload_operator.cli.plugin.screen import LivePicture, has_rich
from esa_preload_operator.cli.plugin.targets import RESOURCE

_REDRAW: Final = 1.0


def list_jobs(context: Context, options: argparse.Namespace) -> int:
    """Print all jobs, those that need somebody first."""
    words = ["get", RESOURCE, *_selected(options), *context.given.scope]
    if options.output is not None:
        context.stdout.write(context.kubectl.text(*words, f"--output={options.output}"))
        return OK
    jobs = read_jobs(context.kubectl.json(*words))
    if not jobs:
        context.note("no job was found")
        return OK
    everywhere = context.given.all_namespaces
    context.show(job_table(jobs, time.time(), context.stdout.width, namespaces=everywhere))
    if context.stdout.live:
        context.show([(), summary(jobs)])
    return OK


def _selected(options: argparse.Namespace) -> tuple[str, ...]:
    return () if options.selector is None else (f"--selector={options.selector}",)


def watch_jobs(context: Context, options: argparse.Namespace) -> int:
    """Draw the table of jobs anew whenever one changes, until Ctrl-C; without a terminal a line for each change."""
    scope = [(RESOURCE, *_selected(options), *context.given.scope)]
    try:
        with Watch(context.kubectl, scope) as watch:
            if context.stdout.live and has_rich():
                _draw(context, watch)
            else:
                _print(context, watch)
    except KeyboardInterrupt:
        return INTERRUPTED
    return FAILED


def _draw(context: Context, watch: Watch) -> None:
    jobs: dict[Ref, Job] = {}
    why = ""
    with LivePicture(context.stdout) as live:
        while True:
            news = watch.next(_REDRAW)
            while news is not None:
                why = news.why if isinstance(news, Interrupted) else ""
                if isinstance(news, Begun):
                    jobs.clear()
                if isinstance(news, Seen):
                    _keep(jobs, news)
                news = watch.next(0)
            live.draw(frame(list(jobs.values()), context, why))


def frame(jobs: list[Job], context: Context, why: str) -> list[Line]:
    """Return one picture, no higher than the screen."""
    lines = job_table(jobs, time.time(), context.stdout.width, namespaces=context.given.all_namespaces)
    room = context.stdout.height - 3
    if len(lines) > room:
        lines = [*lines[: room - 1], (Piece(f"and {len(lines) - room + 1} more", "dim"),)]
    return [*lines, summary(jobs), *([(Piece(why, "bad"),)] if why else [])]


def _keep(jobs: dict[Ref, Job], news: Seen) -> None:
    if news.deleted:
        jobs.pop(news.job.ref, None)
    else:
        jobs[news.job.ref] = news.job


def _print(context: Context, watch: Watch) -> None:
    while True:
        news = watch.next(_REDRAW)
        if isinstance(news, Interrupted):
            context.error(news.why)
        elif isinstance(news, Seen):
            rows = job_table([news.job], time.time(), None, namespaces=context.given.all_namespaces)
            context.show([(Piece(f"{news.job.ref.name} deleted"),) if news.deleted else rows[1]])
