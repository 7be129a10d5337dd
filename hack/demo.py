"""The main job on this machine: a real Kubernetes API, a simulated ESA, the operator, and one annotation.

KEEP=1 leaves all of it running until Ctrl-C, to play with.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "hack" / "control-plane"), str(ROOT / "tests"), str(ROOT / "operator")]

from build import BuildError, binaries  # noqa: E402 - the path comes first
from control_plane import ControlPlane  # noqa: E402 - the same
from support.operator_process import OperatorProcess  # noqa: E402 - the same
from support.simulator import ACCESS_KEY_ID, SITE_ID, SimulatorProcess, job_id  # noqa: E402 - the same

JOB: Final = job_id(1)
NAME: Final = "nightly"
SECRET: Final = "simulator-key-secret"  # noqa: S105 - the simulator's own default


def say(text: str) -> None:
    """Print one heading."""
    print(f"\n\033[1m== {text}\033[0m" if sys.stdout.isatty() else f"\n== {text}", flush=True)


@contextmanager
def dots(text: str) -> Iterator[None]:
    """Show that a long step is alive."""
    done = threading.Event()

    def tick() -> None:
        while not done.wait(5):
            print(f"   {text} …", flush=True)

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def resource() -> str:
    """Return the manifest that the demo applies."""
    return json.dumps(
        {
            "apiVersion": "esa.preload-operator.io/v1alpha1",
            "kind": "ScheduledPreloadJob",
            "metadata": {"name": NAME, "namespace": "default"},
            "spec": {"jobId": JOB},
        }
    )


def read(control_plane: ControlPlane) -> dict[str, Any]:
    """Return the resource."""
    found: dict[str, Any] = json.loads(control_plane.kubectl("get", "spj", NAME, "-o", "json"))
    return found


def wait_until(control_plane: ControlPlane, what: str, seconds: float = 60, **wanted: Any) -> dict[str, Any]:
    """Wait until the status shows some values; return it."""
    end = time.monotonic() + seconds
    status: dict[str, Any] = {}
    while time.monotonic() < end:
        status = read(control_plane).get("status", {})
        if all(status.get(key) == value for key, value in wanted.items()):
            return status
        time.sleep(0.2)
    message = f"not within {seconds:.0f} s: {what}; the status is {json.dumps(status, indent=1)}"
    raise SystemExit(message)


def follow(control_plane: ControlPlane) -> subprocess.Popen[bytes]:
    """Show what `kubectl get spj -w` shows."""
    kubectl = binaries() / "kubectl"
    environment = {**os.environ, "KUBECONFIG": str(control_plane.kubeconfig())}
    return subprocess.Popen([kubectl, "get", "spj", NAME, "-w"], env=environment)


def start(stack: ExitStack) -> tuple[ControlPlane, SimulatorProcess]:
    """Start the three of them."""
    say("etcd and kube-apiserver (built once from source; the first time takes some minutes)")
    with dots("working"):
        control_plane = stack.enter_context(ControlPlane())
    print(f"   kube-apiserver at {control_plane.url}")
    control_plane.kubectl("apply", "--filename", str(ROOT / "crds"))
    control_plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")

    say("a simulated ESA with a job of 100 URLs, 60 of them submitted, and a running execution")
    simulator = stack.enter_context(SimulatorProcess("--speed", "30"))
    job = {"id": JOB, "siteId": SITE_ID, "name": NAME, "urlCount": 100, "urlSubmitted": 60, "taskSubmitted": 60}
    simulator.seed_jobs([job])
    simulator.seed_executions([{"jobId": JOB, "interval": 60, "sliceLen": 5, "status": "running"}])
    print(f"   ESA at {simulator.url}")

    say("the operator")
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    operator = stack.enter_context(
        OperatorProcess(
            folder,
            control_plane.kubeconfig(),
            ("--all-namespaces", "--refresh-active=1s", "--refresh-idle=5s"),
            ESA_OPERATOR_ENDPOINT=simulator.url,
            ESA_OPERATOR_METRICS_PORT="0",
            ESA_OPERATOR_HEALTH_PORT="0",
            ALIBABA_CLOUD_ACCESS_KEY_ID=ACCESS_KEY_ID,
            ALIBABA_CLOUD_ACCESS_KEY_SECRET=SECRET,
        )
    )
    operator.wait_to_lead()
    health, metrics = operator.ports()
    print(f"   http://127.0.0.1:{health}/healthz  http://127.0.0.1:{metrics}/metrics")
    return control_plane, simulator


def show(control_plane: ControlPlane, simulator: SimulatorProcess) -> None:
    """Go through the main job and end with a failure unless exactly one reset was made."""
    say("$ kubectl apply -f nightly.yaml; kubectl get spj -w")
    control_plane.kubectl("apply", "--filename=-", input=resource())
    watch = follow(control_plane)
    try:
        control_plane.kubectl("wait", "--for=condition=Ready", f"spj/{NAME}", "--timeout=30s")
        time.sleep(4)
        token = f"demo-{int(time.time())}"
        say(f'$ kubectl annotate spj {NAME} resetRequested="{token}" --overwrite')
        control_plane.kubectl("annotate", "spj", NAME, f"resetRequested={token}", "--overwrite")
        status = wait_until(control_plane, "the token is handled", handledResets={"resetRequested": token})
        time.sleep(6)
    finally:
        watch.terminate()
        watch.wait()
    say("$ kubectl get events")
    print(control_plane.kubectl("get", "events", "--field-selector", f"involvedObject.name={NAME}"))
    say(f"$ kubectl get spj {NAME} -o jsonpath='{{.status.reset}}'")
    print(json.dumps(status["reset"], indent=2))
    resets = simulator.resets().get(JOB, 0)
    say(f"resets that ESA executed: {resets}; phase {status['reset']['phase']}")
    if resets != 1 or status["reset"]["phase"] != "Succeeded":
        raise SystemExit("expected exactly one successful reset")


def keep(control_plane: ControlPlane) -> None:
    """Leave everything running until Ctrl-C."""
    say("everything keeps running; Ctrl-C ends it")
    print(f"export PATH={binaries()}:$PATH KUBECONFIG={control_plane.kubeconfig()}", flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})


def main() -> int:
    """Run the demo."""
    try:
        binaries()
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    with ExitStack() as stack:
        control_plane, simulator = start(stack)
        show(control_plane, simulator)
        if os.environ.get("KEEP"):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
            keep(control_plane)
    print("\nIt works: one annotation, one reset.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
