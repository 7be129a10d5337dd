"""`reset`: sets one fresh token on all resources, and follows it to the outcome."""

import argparse
import contextlib
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from esa_preload_operator.cli.plugin.context import FAILED, INTERRUPTED, OK, TIMED_OUT, Context
from esa_preload_operator.cli.plugin.flags import UsageError
from esa_preload_operator.cli.plugin.follow import Interrupted, News, Seen, Watch, scopes
from esa_preload_operator.cli.plugin.jobs import Job, Ref
from esa_preload_operator.cli.plugin.outcome import fresh_token, shown_token, token_problem
from esa_preload_operator.cli.plugin.output import formatted, names
from esa_preload_operator.cli.plugin.requests import Requests, as_data, picture, tally, told
from esa_preload_operator.cli.plugin.screen import LivePicture, Picture, has_rich
from esa_preload_operator.cli.plugin.targets import AT_ONCE, change, find_jobs
from esa_preload_operator.cli.plugin.words import counted
from esa_preload_operator.resources.names import RESET_KEY

_REDRAW: Final = 0.5
"""Seconds between two pictures, which show for how long each reset has run."""


def reset(context: Context, options: argparse.Namespace) -> int:
    """Ask for resets, wait for them if wanted, and return the exit code."""
    jobs = find_jobs(context.kubectl, context.given, options)
    token = fresh_token(jobs, time.time()) if options.token is None else options.token
    if problem := token_problem(token, jobs):
        raise UsageError(problem)
    if not jobs:
        context.note("no job was found")
    requests = Requests(token, options.max_parallel or 0, submitted=options.until == "submitted")
    requests.add(jobs)
    run = _Run(context, requests, options)
    try:
        run.follow(time.monotonic() + options.timeout)
    except KeyboardInterrupt:
        context.note(run.advice("The requests stay as they are, and the operator goes on with them."))
        return INTERRUPTED
    run.report()
    return _code(requests, waited=run.waits)


def _code(requests: Requests, *, waited: bool) -> int:
    if requests.failed:
        return FAILED
    return TIMED_OUT if waited and requests.open else OK


@dataclass(slots=True)
class _Run:
    """One `reset` at work: what it prints depends on who looks."""

    context: Context
    requests: Requests
    options: argparse.Namespace
    picture: Picture | None = None
    messages: list[str] = field(default_factory=list)
    """What is to be told once no picture stands in the way, each once."""

    @property
    def waits(self) -> bool:
        """Whether outcomes are waited for."""
        return bool(self.options.wait or self.options.until is not None or self.options.max_parallel is not None)

    @property
    def namespaces(self) -> bool:
        """Whether names alone are ambiguous."""
        return len({ref.namespace for ref in self.requests.entries}) > 1

    def ask(self) -> None:
        """Set the token on all jobs whose turn it is."""
        while due := self.requests.due()[:AT_ONCE]:
            words = (f"{RESET_KEY}={self.requests.token}", "--overwrite")
            changed, message = change(self.context.kubectl, "annotate", due, *words)
            self._report(message)
            now, known = time.monotonic(), {job.ref for job in changed}
            self.requests.was_asked(changed, now)
            self.requests.was_refused([job for job in due if job.ref not in known], now)
            for job in due:
                self.tell(job.ref)
            self._draw()

    def follow(self, deadline: float) -> None:
        """Ask, and wait for all outcomes until a deadline on the monotonic clock."""
        with self._drawing():
            self.ask()
            if self.waits and self.requests.open:
                self._watch(deadline)

    def _watch(self, deadline: float) -> None:
        with Watch(self.context.kubectl, scopes(self.requests.entries)) as watch:
            while self.requests.open and (left := deadline - time.monotonic()) > 0:
                self._take(watch.next(min(left, _REDRAW)))
                self.ask()
                self._draw()

    def _take(self, news: News | None) -> None:
        now = time.monotonic()
        if isinstance(news, Interrupted):
            self._report(news.why)
            for entry in self.requests.open if news.missing and len(self.requests.entries) == 1 else ():
                self.requests.gone(entry.job.ref, now)
        elif isinstance(news, Seen):
            job = news.job
            if self.requests.gone(job.ref, now) if news.deleted else self.requests.observe(job, now):
                self.tell(job.ref)

    def _report(self, text: str) -> None:
        """Tell what kubectl says, once, and not in the middle of a picture."""
        if text and text not in self.messages:
            self.messages.append(text)
            if self.picture is None:
                self.context.error(text)

    def tell(self, ref: Ref) -> None:
        """Print what has changed about one job, where no picture shows it."""
        if self.picture is None and self.options.output is None:
            self.context.show([told(self.requests.entries[ref], namespaces=self.namespaces)])

    @contextlib.contextmanager
    def _drawing(self) -> Iterator[None]:
        if not self.waits or not self.context.stdout.live or self.options.output is not None or not has_rich():
            yield
            return
        try:
            with LivePicture(self.context.stdout) as self.picture:
                yield
                self._draw()
        finally:
            self.picture = None
            for each in self.messages:
                self.context.error(each)

    def _draw(self) -> None:
        if self.picture is not None:
            screen = self.context.stdout
            lines = picture(self.requests, time.monotonic(), screen.width, screen.height, namespaces=self.namespaces)
            self.picture.draw(lines)

    def report(self) -> None:
        """Print the result."""
        form = self.options.output
        if form == "name":
            self.context.stdout.write(names(self._jobs_asked()))
        elif form is not None:
            self.context.stdout.write(formatted(as_data(self.requests), form))
        elif len(self.requests.entries) > 1 and not self.context.stdout.live:
            self.context.show([tally(self.requests)])
        if self.waits and self.requests.open:
            late = counted(len(self.requests.open), "request")
            self.context.note(self.advice(f"{late} had no outcome within the time; the operator goes on."))
            self.context.note(f"What may be in the way: {self.context.command('diagnose')}")

    def _jobs_asked(self) -> list[Job]:
        return [each.job for each in self.requests.entries.values() if each.asked is not None]

    def advice(self, what: str) -> str:
        """Say how to follow the requests: the same token asks for nothing new."""
        chosen = ["--all"] if self.options.all else [*self.options.names] or [f"--selector={self.options.selector}"]
        token = self.requests.token
        shown = shlex.quote(token) if shown_token(token) == token else '"$TOKEN"'
        words = ["reset", *map(shlex.quote, chosen), *self.context.given.scope, f"--token={shown}", "--wait"]
        words += [f"--max-parallel={self.requests.limit}"] if self.requests.limit else []
        return f"{what}\nThe same token asks for nothing twice. Follow it by: {self.context.command(*words)}"
