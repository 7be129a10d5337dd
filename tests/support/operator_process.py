"""The operator as a process of its own, as people run it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, ClassVar, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_LISTENING = re.compile(r"health on port (\d+), metrics on port (\d+)")


class OperatorProcess:
    """`esa-preload-operator run` with its log in a file; dies with its context."""

    program: ClassVar[tuple[str, ...]] = (sys.executable, "-m", "esa_preload_operator")

    def __init__(self, folder: Path, kubeconfig: Path, flags: tuple[str, ...] = (), **environment: str) -> None:
        self.log_file = folder / f"operator-{time.monotonic_ns()}.log"
        variables = {
            key: value for key, value in os.environ.items() if not key.startswith(("ESA_", "ALIBABA_", "KUBE"))
        }
        variables |= {"KUBECONFIG": str(kubeconfig)} | environment
        with self.log_file.open("wb") as output:
            self.process = subprocess.Popen(
                [*self.program, "run", *flags],
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    @property
    def exited(self) -> bool:
        return self.process.poll() is not None

    def wait_for(self, text: str, timeout: float = 30) -> str:
        """Wait until a regular expression stands in the log; return what it matched."""
        deadline = time.monotonic() + timeout
        while True:
            ended = self.exited  # before the log is read: what stands there then is all there is
            if found := re.search(text, self.log):
                return found.group(0)
            assert not ended, f"the operator has ended, without {text!r}: {self}"
            assert time.monotonic() < deadline, f"not within {timeout} s: {text!r} in {self}"
            time.sleep(0.05)

    def wait_to_lead(self, timeout: float = 40) -> Self:
        self.wait_for(r"watching \d+ resources", timeout)
        return self

    def ports(self) -> tuple[int, int]:
        """Ports of the probes and of the metrics."""
        found = _LISTENING.search(self.wait_for(_LISTENING.pattern))
        assert found is not None
        return int(found[1]), int(found[2])

    def kill(self) -> None:
        """Kill at once, as a node's failure does."""
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout: float = 40) -> int:
        return self.process.wait(timeout)

    def __str__(self) -> str:
        return f"the operator's log:\n{self.log[-6000:]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.kill()
