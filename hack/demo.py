"""The life of a job on this machine: a real Kubernetes API, a simulated ESA, the operator, and one resource.

KEEP=1 deletes nothing and leaves all of it running until Ctrl-C, to play with.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "hack" / "control-plane"), str(ROOT / "tests"), str(ROOT / "operator")]

from build import BuildError, binaries  # noqa: E402 - the path comes first
from control_plane import ControlPlane  # noqa: E402 - the same
from support.operator_process import OperatorProcess  # noqa: E402 - the same
from support.simulator import ACCESS_KEY_ID, SITE_ID, SimulatorProcess  # noqa: E402 - the same

NAME: Final = "website"
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


def urls(version: str) -> list[str]:
    """Return a list of 100 URLs."""
    return [f"https://www.example.com/{version}/{number:03}.js" for number in range(100)]


MANIFEST: Final = f"""\
apiVersion: esa.preload-operator.io/v1alpha1
kind: ScheduledPreloadJob
metadata:
  name: {NAME}
spec:
  siteId: {SITE_ID}
  source:
    urls: [{urls("v1")[0]}, … 100 of them]
  executions:
  - {{name: launch, duration: 1h, intervalSeconds: 60, sliceLen: 5}}
"""


def resource() -> str:
    """Return the manifest that the demo applies."""
    head, tail = MANIFEST.split("[")[0], MANIFEST.split("]", 1)[1]
    return head + json.dumps(urls("v1")) + tail


Status = dict[str, Any]


def read(control_plane: ControlPlane) -> dict[str, Any]:
    """Return the resource."""
    found: dict[str, Any] = json.loads(control_plane.kubectl("get", "spj", NAME, "-o", "json"))
    return found


def wait_until(control_plane: ControlPlane, what: str, holds: Callable[[Status], bool], seconds: float = 60) -> Status:
    """Wait until something is true of the status; return it."""
    end = time.monotonic() + seconds
    status: Status = {}
    while time.monotonic() < end:
        status = read(control_plane).get("status", {})
        if holds(status):
            return status
        time.sleep(0.2)
    message = f"not within {seconds:.0f} s: {what}; the status is {json.dumps(status, indent=1)}"
    raise SystemExit(message)


def follow(control_plane: ControlPlane) -> subprocess.Popen[bytes]:
    """Show what `kubectl get spj -w` shows."""
    kubectl = binaries() / "kubectl"
    environment = {**os.environ, "KUBECONFIG": str(control_plane.kubeconfig())}
    return subprocess.Popen([kubectl, "get", "spj", NAME, "-w"], env=environment)


QUICK: Final = ("--request-timeout=1s", "--network-grace=500ms", "--list-grace=0s")
"""ESA is on this machine: nothing of what was sent is on its way for longer."""


def start(stack: ExitStack) -> tuple[ControlPlane, SimulatorProcess]:
    """Start the three of them."""
    say("etcd and kube-apiserver (built once from source; the first time takes some minutes)")
    with dots("working"):
        control_plane = stack.enter_context(ControlPlane())
    print(f"   kube-apiserver at {control_plane.url}")
    control_plane.kubectl("apply", "--filename", str(ROOT / "crds"))
    control_plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")

    say("a simulated ESA without any job, in which a minute between two batches lasts two seconds")
    simulator = stack.enter_context(SimulatorProcess("--speed", "30"))
    print(f"   ESA at {simulator.url}")

    say("the operator")
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    operator = stack.enter_context(
        OperatorProcess(
            folder,
            control_plane.kubeconfig(),
            ("--all-namespaces", "--refresh-active=1s", "--refresh-idle=1s", *QUICK),
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


def state_of(status: Status) -> str:
    """Return the state of the window."""
    return str(next((each["state"] for each in status.get("executions", [])), ""))


def submits(number: int) -> Callable[[Status], bool]:
    """Return whether so many URLs are submitted by a window that runs."""
    return lambda status: state_of(status) == "running" and status.get("urlSubmitted", 0) >= number


def patch(control_plane: ControlPlane, spec: dict[str, Any], shown: str) -> None:
    """Change the spec, and show how."""
    say(f"$ kubectl patch spj {NAME} --type=merge --patch='{shown}'")
    control_plane.kubectl("patch", "spj", NAME, "--type=merge", f"--patch={json.dumps({'spec': spec})}")


def show(control_plane: ControlPlane) -> None:
    """Go through the life of a job, but for its end."""
    say(f"$ kubectl apply -f {NAME}.yaml; kubectl get spj -w")
    print(MANIFEST, flush=True)
    control_plane.kubectl("apply", "--filename=-", input=resource())
    watch = follow(control_plane)
    try:
        wait_until(control_plane, "the job is created and its window runs", submits(10))
        token = f"demo-{int(time.time())}"
        say(f'$ kubectl annotate spj {NAME} resetRequested="{token}" --overwrite')
        control_plane.kubectl("annotate", "spj", NAME, f"resetRequested={token}", "--overwrite")
        handled = {"resetRequested": token}
        status = wait_until(control_plane, "the token is handled", lambda told: told.get("handledResets") == handled)
        before = status["jobId"]
        wait_until(control_plane, "the window goes on from the first URL", submits(5))

        patch(control_plane, {"source": {"urls": urls("v2")}}, '{"spec": {"source": {"urls": [… 100 others]}}}')
        wait_until(
            control_plane,
            "another job has taken its place, with a window of its own",
            lambda told: told.get("jobId", before) != before and submits(5)(told),
        )
        patch(control_plane, {"suspend": True}, '{"spec": {"suspend": true}}')
        wait_until(control_plane, "the window is stopped", lambda told: state_of(told) == "stopped")
        time.sleep(3)
        patch(control_plane, {"suspend": False}, '{"spec": {"suspend": false}}')
        wait_until(control_plane, "the window runs again", lambda told: state_of(told) == "running")
        time.sleep(3)
    finally:
        watch.terminate()
        watch.wait()
    say("$ kubectl get events")
    print(control_plane.kubectl("get", "events", "--field-selector", f"involvedObject.name={NAME}"))
    say(f"$ kubectl get spj {NAME} -o jsonpath='{{.status.executions}}'")
    print(json.dumps(read(control_plane)["status"]["executions"], indent=2))


def end(control_plane: ControlPlane, simulator: SimulatorProcess) -> None:
    """Delete the resource, and end with a failure unless ESA counts what was asked for."""
    say(f"$ kubectl delete spj {NAME}")
    control_plane.kubectl("delete", "spj", NAME, "--timeout=30s")
    made = len(simulator.calls("CreateScheduledPreloadJob"))
    resets, left = sum(simulator.resets().values()), len(simulator.jobs())
    say(f"ESA counts: jobs created {made}, resets {resets}, jobs left {left}")
    if (made, resets, left) != (2, 1, 0):
        raise SystemExit("expected two jobs, one reset, and nothing left")


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
        show(control_plane)
        if os.environ.get("KEEP"):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
            keep(control_plane)
        else:
            end(control_plane, simulator)
    print("\nIt works: one list, one job; one annotation, one reset.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
