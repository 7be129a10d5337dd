"""Packs what a maintainer needs into one archive, after everything secret was removed."""

import io
import json
import os
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from esa_preload_operator.cli.plugin.diagnose.facts import LEASE, Facts, ask
from esa_preload_operator.cli.plugin.diagnose.redaction import Redactor, redactor
from esa_preload_operator.cli.plugin.flags import UsageError
from esa_preload_operator.cli.plugin.jobs import Job, part
from esa_preload_operator.cli.plugin.kubectl import Kubectl, KubectlError
from esa_preload_operator.cli.plugin.pods import LABEL, Pod
from esa_preload_operator.cli.plugin.targets import RESOURCE
from esa_preload_operator.resources.names import KIND

_LOG_LINES: Final = 5000
_LOG_BYTES: Final = 2 * 1024 * 1024
_ROOT: Final = "esa-preload-support"


def write_bundle(kubectl: Kubectl, facts: Facts, findings: str, scope: tuple[str, ...], path: Path) -> list[str]:
    """Write the archive, readable by its owner alone; return the names of the files in it.

    Raises:
        UsageError: it can't be written.
    """
    jobs = facts.jobs if isinstance(facts.jobs, list) else []
    remove = redactor(jobs, kubectl.hidden)
    files = {"findings.txt": remove.lines(findings)}
    files |= {f"{name}.json": _json(remove, body) for name, body in _objects(kubectl, facts, jobs, scope).items()}
    for pod in facts.pods if isinstance(facts.pods, list) else []:
        files |= {f"logs/{pod.name}{tail}.log": remove.lines(text) for tail, text in _logs(kubectl, pod).items()}
    try:
        _pack(path, files)
    except OSError as error:
        raise UsageError(f"{path} can't be written: {(error.strerror or 'error').lower()}") from None
    return sorted(files)


def _objects(kubectl: Kubectl, facts: Facts, jobs: list[Job], scope: tuple[str, ...]) -> dict[str, Any]:
    """Return what is collected beside logs, as the API server holds it."""
    crd = part(facts.crd.body)
    versions = [
        {key: each.get(key) for key in ("name", "served", "storage")}
        for each in part(crd, "spec").get("versions") or ()
        if isinstance(each, Mapping)
    ]
    place = next((pod.namespace for pod in facts.pods), None) if isinstance(facts.pods, list) else None
    found: dict[str, Any] = {
        "versions": facts.version.body,
        "crd": {"metadata": crd.get("metadata"), "versions": versions, "status": crd.get("status")},
        "deployments": facts.deployments.body,
        "leases": [each for each in facts.leases.items if part(each, "metadata").get("name") == LEASE],
        "policies": facts.policies.body,
        "webhooks": [
            {
                "kind": each.get("kind"),
                "name": part(each, "metadata").get("name"),
                "rules": [part(hook).get("rules") for hook in each.get("webhooks") or ()],
            }
            for each in facts.hooks.items
        ],
        "networkpolicies": facts.network_policies.body,
        "jobs": ask(kubectl, "get", RESOURCE, *(scope or [job.ref.name for job in jobs])).body,
    }
    events = ask(kubectl, "get", "events", f"--field-selector=involvedObject.kind={KIND}", *scope)
    found["events"] = events.body
    if place is not None:
        found["pods"] = ask(kubectl, "get", "pods", f"--selector={LABEL}", f"--namespace={place}").body
    return found


def _logs(kubectl: Kubectl, pod: Pod) -> dict[str, str]:
    """Return the end of a pod's log, and of the one before its last restart."""
    words = ("logs", pod.name, f"--namespace={pod.namespace}", f"--tail={_LOG_LINES}", f"--limit-bytes={_LOG_BYTES}")
    found = {}
    for tail, more in (("", ()), ("-previous", ("--previous",))):
        if more and not pod.restarts:
            continue
        try:
            found[tail] = kubectl.text(*words, *more)
        except KubectlError as error:
            found[tail] = str(error)
    return found


def _json(remove: Redactor, body: Any) -> str:
    return json.dumps(remove.data(body), indent=1, sort_keys=True) + "\n"


def _pack(path: Path, files: Mapping[str, str]) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, text in sorted(files.items()):
            data = text.encode("utf-8", "replace")
            about = tarfile.TarInfo(f"{_ROOT}/{name}")
            about.size, about.mtime, about.mode = len(data), int(time.time()), 0o644
            archive.addfile(about, io.BytesIO(data))
