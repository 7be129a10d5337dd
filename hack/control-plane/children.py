"""Child processes that never outlive the process that started them, however it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# Linux ties PR_SET_PDEATHSIG (1) to the *thread* that forks. This one lives as long as the process does.
_forker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forker")

# Runs in the child before the program does: a preexec_fn would be Python between fork and exec beside threads.
# The parent may be dead before prctl is called, hence the look at who the parent is.
_TIED = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent process is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class Child:
    """One running program; its output is appended to a log file."""

    def __init__(self, command: Sequence[str | Path], *, folder: Path, log: Path, env: Mapping[str, str]) -> None:
        """Starts `command` (its first part is the program's path) in `folder`."""
        self.log = log
        self._process = _forker.submit(self._start, [str(part) for part in command], folder, env).result()

    def _start(self, command: list[str], folder: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        if sys.platform == "linux":  # elsewhere a killed parent leaves its children behind
            command = [sys.executable, "-I", "-S", "-c", _TIED, str(os.getpid()), *command]
        with self.log.open("ab") as output:
            return subprocess.Popen(
                command, cwd=folder, env=dict(env), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """The process id of the program itself."""
        return self._process.pid

    @property
    def exited(self) -> bool:
        """Whether the program has ended."""
        return self._process.poll() is not None

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal; one to an ended program does nothing."""
        self._process.send_signal(number)

    def stop(self, *, grace: float = 0) -> None:
        """Ends the program: asks it first and gives it `grace` seconds (none: kills it at once), then kills it."""
        if grace > 0 and not self.exited:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace)
        self._process.kill()
        self._process.wait()

    def last_lines(self, count: int = 15) -> str:
        """Returns the end of the program's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])
