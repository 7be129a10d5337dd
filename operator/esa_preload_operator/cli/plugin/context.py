"""What every command gets: kubectl, the command line, and where to write. And the exit codes."""

import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from esa_preload_operator.cli.plugin.flags import Given
from esa_preload_operator.cli.plugin.kubectl import Kubectl
from esa_preload_operator.cli.plugin.layout import Line
from esa_preload_operator.cli.plugin.screen import Screen, screen_of

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
TIMED_OUT: Final = 3
INTERRUPTED: Final = 130


@dataclass(slots=True)
class Context:
    """The surroundings of one command."""

    given: Given
    kubectl: Kubectl
    stdout: Screen = field(default_factory=lambda: screen_of(sys.stdout))
    stderr: Screen = field(default_factory=lambda: screen_of(sys.stderr))

    def show(self, lines: Iterable[Line]) -> None:
        """Write the result."""
        self.stdout.show(lines)

    def note(self, text: str) -> None:
        """Tell people something that is no result."""
        self.stderr.write(f"{text}\n")

    def error(self, text: str) -> None:
        """Tell people what is wrong."""
        self.stderr.write("".join(f"{each if _is_told(each) else 'error: ' + each}\n" for each in text.splitlines()))

    def command(self, *words: str) -> str:
        """Return a command line to advise, with the options that its user gave but for secrets."""
        return " ".join(("kubectl esa-preload", *words, *map(shlex.quote, self.given.shown)))


def _is_told(text: str) -> bool:
    return text.lower().startswith(("error", "warning"))
