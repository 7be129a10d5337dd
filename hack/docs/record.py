"""Records what the API server holds of some jobs in several states, for the pictures of the plugin: recording.json.

A real API server, a simulated ESA and the operator, as in `make demo`. It is run by hand, when the plugin needs more of
the resource than was recorded: `.venv/bin/python hack/docs/record.py`.
"""

import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from hack.demo import SECRET, start, urls  # noqa: E402 - the path comes first

from control_plane import ControlPlane  # noqa: E402 - demo adds its path
from support.simulator import ACCESS_KEY_ID, SITE_ID  # noqa: E402 - the same

RECORDING: Final = Path(__file__).with_name("recording.json")
NAMESPACE: Final = "shop"
_OPEN: Final = {"name": "now", "duration": "2h", "intervalSeconds": 600, "sliceLen": 12}
_CREATED: Final[dict[str, Any]] = {"siteId": SITE_ID, "source": {"urls": urls("v1")}}
_JOBS: Final[dict[str, dict[str, Any]]] = {
    "nightly": {
        **_CREATED,
        "executions": [{**_OPEN, "name": "now", "onReset": True}],
        "resetSchedule": {"cron": "0 2 * * *", "timeZone": "Asia/Shanghai"},
    },
    "images": {**_CREATED, "executions": [_OPEN]},
    "checkout": {**_CREATED, "executions": [_OPEN], "minResetInterval": "30m"},
    "archive": {**_CREATED, "suspend": True},
    "gone": {"jobId": "665d3af3621bccf3fe29e1a4"},
    "lists": {"siteId": SITE_ID, "source": {"configMapKeyRef": {"name": "lists", "key": "urls"}}},
}


def _create(plane: ControlPlane, body: dict[str, Any]) -> None:
    plane.kubectl("create", f"--namespace={NAMESPACE}", "--filename=-", input=json.dumps(body))


def _job(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    meta = {"apiVersion": "esa.preload-operator.io/v1alpha1", "kind": "ScheduledPreloadJob", "metadata": {"name": name}}
    return {**meta, "spec": {**spec, "credentialsSecretRef": {"name": "esa-credentials"}}}


def _listed(plane: ControlPlane, what: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(plane.kubectl("get", what, f"--namespace={NAMESPACE}", "-o", "json"))[
        "items"
    ]
    return found


def _until(plane: ControlPlane, holds: Callable[[dict[str, dict[str, Any]]], bool]) -> None:
    end = time.monotonic() + 60
    while not holds({each["metadata"]["name"]: each.get("status", {}) for each in _listed(plane, "spj")}):
        if time.monotonic() > end:
            told = {each["metadata"]["name"]: each.get("status") for each in _listed(plane, "spj")}
            raise SystemExit(f"the jobs do not come to rest: {json.dumps(told, indent=1)}")
        time.sleep(0.5)


def _ask(plane: ControlPlane, *names: str) -> None:
    token = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    plane.kubectl("annotate", f"--namespace={NAMESPACE}", "--overwrite", "spj", *names, f"resetRequested={token}")


def main() -> None:
    """Make the jobs, ask for resets, and write down what there is."""
    with ExitStack() as stack:
        plane, _ = start(stack)
        plane.kubectl("create", "namespace", NAMESPACE)
        keys = {"accessKeyId": ACCESS_KEY_ID, "accessKeySecret": SECRET}
        _create(
            plane, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "esa-credentials"}, "stringData": keys}
        )
        for name, spec in _JOBS.items():
            _create(plane, _job(name, spec))
        _until(plane, lambda told: all(told[name].get("urlSubmitted", 0) for name in ("images", "checkout")))
        _ask(plane, "images", "checkout", "gone")
        _until(plane, lambda told: told["checkout"].get("reset", {}).get("phase") == "Succeeded")
        time.sleep(25)
        _ask(plane, "nightly", "checkout")
        _until(plane, lambda told: told["checkout"].get("reset", {}).get("phase") == "Held")
        _until(plane, lambda told: told["nightly"].get("urlSubmitted", 0) >= 12 and "reset" in told["nightly"])
        found: dict[str, Any] = {"now": time.time(), "jobs": _listed(plane, "spj"), "events": _listed(plane, "events")}
    for job in found["jobs"]:
        job["spec"].get("source", {}).pop("urls", None)  # a hundred lines that no picture shows
    RECORDING.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
