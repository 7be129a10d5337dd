"""Any cluster that a kubeconfig leads to, with real kubectl and Helm."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from build import binaries
from support.chart import helm
from support.simulator import SimulatorControl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

NAME: Final = "localhost/esa-preload-operator"
TAGS: Final = ("e2e-1", "e2e-2")
"""The same image under two names, so that an upgrade is one."""
CRD: Final = "scheduledpreloadjobs.esa.preload-operator.io"
LEASE: Final = "esa-preload-operator"
_SERVING: Final = re.compile(r"Starting to serve on (\S+)")


@dataclass(frozen=True)
class Cluster:
    """A cluster, and the one namespace in it that the tests work in."""

    kubeconfig: Path
    namespace: str

    def kubectl(self, *words: str, given: str | None = None, timeout: float = 300) -> str:
        done = subprocess.run(
            self._command(*words), input=given or "", capture_output=True, text=True, check=False, timeout=timeout
        )
        assert done.returncode == 0, f"kubectl {shlex.join(words)}: {done.stderr.strip()}"
        return done.stdout

    def _command(self, *words: str) -> list[str]:
        return [str(binaries() / "kubectl"), f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}", *words]

    def helm(self, *words: str) -> str:
        return helm("helm4", *words, f"--namespace={self.namespace}", kubeconfig=self.kubeconfig)

    def get(self, *words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", *words, "--output=json"))
        return found

    def items(self, *words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(*words)["items"]
        return found

    def apply(self, manifests: Iterable[Mapping[str, Any]]) -> None:
        self.kubectl(
            "apply", "--filename=-", given=json.dumps({"kind": "List", "apiVersion": "v1", "items": [*manifests]})
        )

    def leader(self) -> str:
        """Return the pod that holds the lease: its name stands before the start's own id."""
        holder = self.get(f"lease/{LEASE}")["spec"].get("holderIdentity") or ""
        return str(holder).rpartition("_")[0]

    def running_since(self) -> float:
        """Return when the API server's process was started, in epoch seconds."""
        found = re.search(r"(?m)^process_start_time_seconds (\S+)$", self.kubectl("get", "--raw=/metrics"))
        assert found
        return float(found[1])

    def proxy(self) -> tuple[subprocess.Popen[str], str]:
        """Start a door to the API server on this machine, which outlives its restarts; return it and its address."""
        process = subprocess.Popen(self._command("proxy", "--port=0"), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        found = _SERVING.search(process.stdout.readline())
        assert found
        return process, f"http://{found[1]}"

    def simulator(self, proxy: str) -> SimulatorControl:
        """Return the control API of the simulator that runs in a pod."""
        return SimulatorControl(f"{proxy}/api/v1/namespaces/{self.namespace}/services/esa-simulator:http/proxy")

    def describe(self) -> str:
        """What to show when a test fails."""
        logs = ("logs", "--selector=app.kubernetes.io/part-of=esa-preload-operator", "--prefix", "--tail=60")
        shown = [("get", "pods,leases,deployments", "--output=wide"), ("get", "events"), logs]
        return "\n".join(
            subprocess.run(self._command(*words), capture_output=True, text=True, check=False).stdout[-8000:]
            for words in shown
        )


def until(look: Callable[[], Any], what: str, seconds: float = 180, every: float = 0.5) -> Any:
    """Wait until something is true, and return it; an API server that is away is asked again."""
    deadline = time.monotonic() + seconds
    complaint = ""
    while time.monotonic() < deadline:
        try:
            if found := look():
                return found
        except (AssertionError, OSError, RuntimeError, ValueError) as error:
            complaint = str(error)
        time.sleep(every)
    raise AssertionError(f"not within {seconds:.0f} s: {what} {complaint}")


def run(command: str, *arguments: str) -> None:
    """Run a command of the user's, as a shell reads it."""
    line = shlex.join(arguments)
    subprocess.run(f"{command} {line}", shell=True, check=True, env=os.environ, stdin=subprocess.DEVNULL)  # noqa: S602 - the user's own words
