"""Runs kubectl: the one place that does. Logins, contexts, proxies and impersonation are kubectl's own."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Final

from esa_preload_operator.domain.cleaning import clean_text

PROGRAM: Final = "kubectl"
_MESSAGE: Final = re.compile(r"(?i)(error|warning|unable to|the connection|no resources|[EWIF]\d{4} )")
"""How lines begin that kubectl itself writes; all others are a login's, which must be seen at once."""
_LOGGED: Final = re.compile(r"[EWIF]\d{4} ")
_LONGEST: Final = 2000
_JOIN: Final = 5.0
"""Seconds that the end of stderr is waited for: a login's own child may keep it open."""
Say = Callable[[str], None]


class KubectlError(Exception):
    """kubectl has failed; the message is what it said, fit to be shown. `output` is what it wrote before."""

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output

    @property
    def is_denied(self) -> bool:
        """Whether rights are missing."""
        return "(Forbidden)" in str(self) or ("cannot " in str(self) and "forbidden" in str(self).lower())

    @property
    def is_missing(self) -> bool:
        """Whether what was asked for does not exist."""
        return "(NotFound)" in str(self) or "doesn't have a resource type" in str(self)


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl with the options that its user gave; `say` gets what a login wants to be seen."""

    options: tuple[str, ...] = field(default=(), repr=False)
    hidden: tuple[str, ...] = field(default=(), repr=False)
    running: set["subprocess.Popen[str]"] = field(default_factory=set, repr=False)
    say: Say = field(default=lambda text: print(text, end="", file=sys.stderr, flush=True))  # noqa: T201 - stderr of a CLI

    def text(self, *words: str, given: str | None = None) -> str:
        """Run kubectl and return what it wrote.

        Raises:
            KubectlError: it has failed, or there is none.
        """
        with self._started(words, given) as running:
            output = running.output.read()
            failed = running.failed()
        messages = self.clean(running.said)
        if failed:
            raise KubectlError(messages or _died(running.process.returncode), output)
        for each in messages.splitlines():
            if each.startswith("Warning"):
                self.say(f"{each}\n")
        return output

    def json(self, *words: str, given: str | None = None) -> Any:
        """Run kubectl with `--output=json` and return what it wrote; see `text`."""
        return _parsed(self.text(*words, "--output=json", given=given))

    @contextlib.contextmanager
    def lines(self, *words: str) -> Iterator[Iterator[str]]:
        """Run kubectl for as long as its lines are read.

        Raises:
            KubectlError: at the end of the lines, when it has failed by itself.
        """
        with self._started(words, None) as running:

            def read() -> Iterator[str]:
                yield from running.output
                if running.failed():
                    messages = self.clean(running.said)
                    raise KubectlError(messages or _died(running.process.returncode))

            try:
                yield read()
            finally:
                running.process.kill()

    def stop(self) -> None:
        """End every kubectl that still runs."""
        for process in tuple(self.running):
            process.kill()

    def clean(self, text: str) -> str:
        """Return the text without secrets, query strings and what steers a terminal, line by line."""
        lines = [clean_text(self._conceal(line), _LONGEST) for line in text.splitlines()[:50]]
        return "\n".join(line for line in lines if line.strip())

    def _conceal(self, text: str) -> str:
        for secret in sorted(self.hidden, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    @contextlib.contextmanager
    def _started(self, words: Sequence[str], given: str | None) -> Iterator["_Running"]:
        program = shutil.which(PROGRAM)
        if program is None:
            raise KubectlError("kubectl is not on the PATH")
        process = subprocess.Popen(  # noqa: S603 - the program is the user's kubectl, its words are no shell's
            [program, *self.options, *words],
            stdin=subprocess.PIPE if given is not None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        running = _Running(process)
        running.run(lambda: self._listen(process.stderr, running.messages))
        if given is not None:
            running.run(lambda: _feed(process.stdin, given))
        self.running.add(process)
        try:
            yield running
        except BaseException:
            process.kill()
            raise
        finally:
            running.failed()
            self.running.discard(process)
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()

    def _listen(self, errors: IO[str] | None, messages: list[str]) -> None:
        """Keep what kubectl reports, and show at once what a login says, also half a line of it."""
        assert errors is not None  # noqa: S101 - it is a pipe: tells the type checker
        rest = ""
        while piece := os.read(errors.fileno(), 65536).decode("utf-8", "replace"):
            *lines, rest = (rest + piece).split("\n")
            for line in lines:
                if _MESSAGE.match(line):
                    messages.append(line)
                else:
                    self.say(self._conceal(line) + "\n")
            if rest and not _MESSAGE.match(rest) and rest.rstrip().endswith((":", "?", ">")):
                self.say(self._conceal(rest))
                rest = ""
        if rest:
            messages.append(rest)


@dataclass(slots=True)
class _Running:
    """A kubectl at work."""

    process: "subprocess.Popen[str]"
    messages: list[str] = field(default_factory=list)
    _helpers: list[threading.Thread] = field(default_factory=list)

    @property
    def output(self) -> IO[str]:
        """What it writes."""
        assert self.process.stdout is not None  # noqa: S101 - it is a pipe: tells the type checker
        return self.process.stdout

    @property
    def said(self) -> str:
        """Its messages without the lines of its own log, which repeat them at length, unless there are no others."""
        plain = [each for each in self.messages if not _LOGGED.match(each)]
        return "\n".join(plain or self.messages[-1:])

    def run(self, call: Callable[[], None]) -> None:
        """Do something beside it until it ends."""
        self._helpers.append(threading.Thread(target=call, daemon=True))
        self._helpers[-1].start()

    def failed(self) -> bool:
        """Wait for its end and for all that it reports; return whether it has failed."""
        self.process.wait()
        for helper in self._helpers:
            helper.join(_JOIN)
        return self.process.returncode != 0


def _feed(stream: IO[str] | None, given: str) -> None:
    with contextlib.suppress(OSError):  # kubectl has ended before it read all: it says why
        if stream is not None:
            with stream:
                stream.write(given)


def _died(code: int) -> str:
    return f"kubectl ended with exit code {code} and said nothing"


def _parsed(text: str) -> Any:
    if not text.strip():
        return {"items": []}
    try:
        return json.loads(text)
    except ValueError:
        raise KubectlError("kubectl wrote something that is no JSON") from None


def documents(lines: Iterable[str]) -> Iterator[Any]:
    """Return the JSON documents that kubectl prints one after the other, each as soon as it is complete.

    It prints an event of a watch on one line, and an object on many, of which only the last begins with a brace.
    """
    gathered: list[str] = []
    for line in lines:
        gathered.append(line)
        bare = line.rstrip("\n")
        if bare == "}" or (len(gathered) == 1 and len(bare) > 1 and bare.endswith("}")):
            yield json.loads("".join(gathered))
            gathered.clear()
