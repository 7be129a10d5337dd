"""The kubectl plugin as a process of its own, run by the real kubectl."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from build import binaries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT: Final = Path(__file__).parents[2]
_SCRIPT: Final = '#!/bin/sh\nexec "{python}" -m esa_preload_operator.cli.plugin.main "$@"\n'


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Plugin:
    """`kubectl esa-preload`: kubectl finds the plugin on the PATH, as it does at its users."""

    folder: Path
    kubeconfig: Path
    namespace: str

    def install(self) -> Plugin:
        """Put the plugin and kubectl on the PATH."""
        self.folder.mkdir(parents=True, exist_ok=True)
        script = self.folder / "kubectl-esa_preload"
        script.write_text(_SCRIPT.format(python=sys.executable))
        script.chmod(0o755)
        return self

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "PATH": f"{self.folder}:{binaries()}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "operator"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "KUBECONFIG": str(self.kubeconfig),
            "HOME": str(self.folder),
            "KUBERC": "off",
        }

    def _command(self, words: Sequence[str]) -> list[str | Path]:
        return [binaries() / "kubectl", "esa-preload", words[0], f"--namespace={self.namespace}", *words[1:]]

    def start(self, *words: str, more: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Begin a command; what it writes comes by pipes."""
        return subprocess.Popen(
            self._command(words),
            env={**self.environment, **(more or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, timeout: float = 60, more: Mapping[str, str] | None = None) -> Done:
        """Run a command to its end."""
        process = self.start(*words, more=more)
        out, err = process.communicate(timeout=timeout)
        return Done(process.returncode, out, err)

    def complete(self, *words: str) -> list[str]:
        """Return what kubectl itself completes, with the script that the plugin prints for that."""
        script = self.folder / "kubectl_complete-esa_preload"
        script.write_text(self.run("completion", "kubectl").out)
        script.chmod(0o755)
        command = [str(binaries() / "kubectl"), "__complete", "esa-preload", *words]
        done = subprocess.run(command, env=dict(self.environment), capture_output=True, text=True, check=True)
        return done.stdout.split()

    def on_a_terminal(self, *words: str, columns: int = 80, interrupt_at: str = "", **more: str) -> Done:
        """Run a command on a terminal of so many columns, and press Ctrl-C once it shows a text."""
        ours, theirs = pty.openpty()
        variables = {**self.environment, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "40", **more}
        process = subprocess.Popen(
            self._command(words),
            env=variables, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        found = b""
        while piece := _read(ours):
            found += piece
            if interrupt_at and interrupt_at.encode() in found:
                os.killpg(process.pid, signal.SIGINT)
                interrupt_at = ""
        os.close(ours)
        return Done(process.wait(60), found.decode(), "")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so when the last program has gone
        return b""
