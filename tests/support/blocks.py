"""The blocks of a page that people copy: commands, and what is shown below them."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_FENCED: Final = re.compile(
    r"(?ms)^(?P<indent> *)(?:<!-- not run: (?P<reason>[^\n]+) -->\n(?P=indent))?"
    r"```(?P<language>\w+)\n(?P<body>.*?)^(?P=indent)```$"
)
_HERE: Final = re.compile(r"(?ms)<<'?(?P<end>\w+)'?$.*?^(?P=end)$")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    language: str
    text: str
    reason: str
    """Why no test runs it; empty for most."""

    def commands(self) -> list[str]:
        """Return the commands, each in one line and without what is given to it from here."""
        if self.language == "console":
            return [command for command, _ in self.dialogue()]
        lines = _HERE.sub("", self.text.replace("\\\n", " ")).splitlines()
        return [line.strip() for line in lines if line.strip()]

    def dialogue(self) -> list[tuple[str, list[str]]]:
        """Return each command with the lines that are shown below it."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
        return found


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in their order."""
    return [
        Block(each["language"], textwrap.dedent(each["body"]), each["reason"] or "")
        for each in _FENCED.finditer(page.read_text())
    ]
