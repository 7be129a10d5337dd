"""docs/start.md, which people type line by line: it is run as it stands, and shows what it says."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING, Final

from support.blocks import Block, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "start.md"
ROWS, COLUMNS = 40, 100


@contextlib.contextmanager
def kept_demo() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run what `KEEP=1 make demo` runs; yield it with the line that it gives for another terminal."""
    command = [sys.executable, str(ROOT / "hack" / "demo.py")]
    environment = os.environ | {"KEEP": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, process_group=0) as demo:
        try:
            said = []
            for line in demo.stdout or ():
                said.append(line)
                if line.startswith("export "):
                    break
            assert said[-1].startswith("export "), "".join(said)
            yield demo, said[-1]
        finally:
            demo.kill()


def typed(command: str, before: list[str], home: Path) -> tuple[int, str]:
    """Type a command at a terminal; return its exit code and what the terminal got."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(home), "TERM": "xterm", "NO_COLOR": "1", "LANG": "C.UTF-8"}
    script = "\n".join([*before, command])
    running = subprocess.Popen(
        ["bash", "-c", script], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    got = b""
    with contextlib.suppress(OSError):  # how Linux tells that nobody writes any more
        while chunk := os.read(ours, 65536):
            got += chunk
    os.close(ours)
    return running.wait(), got.decode()


_SAME: Final = (
    (r"\b[0-9a-f]{24}\b|\b[0-9A-F]{8}-[0-9A-F-]{27}\b", "ID"),
    (r"\b\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"\b(\d+(\.\d+)?[dhms])+\b", "AGE"),
    (r"\b\d+\b", "N"),
    (r"\[[#.]+\]", "BAR"),
    (r" +", " "),
)


def plain(text: str) -> str:
    """Return a text without what differs each time: ids, times, ages, numbers, and how wide columns are."""
    for pattern, word in _SAME:
        text = re.sub(pattern, word, text)
    return text.strip()


def lines_of(output: str) -> tuple[list[str], bool]:
    """Return what a terminal shows, and whether lines have been drawn over."""
    drawn_over = "\x1b[2K" in output
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.replace("\r\n", "\n").replace("\r", "\n"))
    return [plain(line) for line in text.splitlines()], drawn_over


def shows(output: str, shown: list[str]) -> bool:
    """Return whether a terminal shows what the page does; `…` stands for what the page leaves out."""
    lines, drawn_over = lines_of(output)
    pattern = ""
    for line in shown:
        if line == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*".join(re.escape(plain(part)) for part in line.split("…")) + "\n"
    text = "".join(f"{line}\n" for line in lines)
    return re.search(f"{'' if drawn_over else '^'}{pattern}\\Z", text) is not None


def go_through(page: list[Block], first: str, home: Path) -> None:
    before = [first]
    for block in page:
        if block.language == "sh" and block.text.startswith("export "):
            before.append(block.text)
        elif block.language == "sh":
            code, output = typed(block.text, before, home)
            assert code == 0, output
        for command, shown in block.dialogue() if block.language == "console" else ():
            code, output = typed(command, before, home)
            assert code == 0, f"$ {command}\n{output}"
            assert shows(output, shown), f"$ {command}\n{output}\nis not what the page shows:\n" + "\n".join(shown)


def test_each_command_of_the_page_shows_what_the_page_says(tmp_path: Path) -> None:
    start, *others = blocks(PAGE)
    ((command, shown),) = start.dialogue()
    assert command == "KEEP=1 make demo"
    assert re.search(r"(?m)^demo:.*\n\t@\$\(BIN\)/python hack/demo\.py$", (ROOT / "Makefile").read_text())
    with kept_demo() as (demo, line):
        assert shows(f"\n== everything keeps running; Ctrl-C ends it\n{line}", shown)
        go_through(others, line, tmp_path)
        (kubeconfig,) = re.findall(r"KUBECONFIG=(\S+)", line)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0
        assert not Path(kubeconfig).exists()
