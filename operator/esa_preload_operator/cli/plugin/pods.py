"""Finds the operator's pods."""

from dataclasses import dataclass
from typing import Any, Final

from esa_preload_operator.cli.plugin.jobs import Json, entries, part, text
from esa_preload_operator.cli.plugin.kubectl import Kubectl, KubectlError
from esa_preload_operator.domain.cleaning import clean_count

LABEL: Final = "app.kubernetes.io/name=esa-preload-operator"
"""What chart and kustomization put on the operator's pods."""
NAMESPACE: Final = "esa-preload-operator"
"""Where it is looked for by those who may not look everywhere."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of the operator."""

    namespace: str
    name: str
    phase: str
    ready: bool
    restarts: int = 0
    ended: str = ""
    """Why its container ended last, or does not start."""
    account: str = "default"
    image: str = ""
    node: str = ""


def find_pods(kubectl: Kubectl, namespace: str | None) -> list[Pod]:
    """Return the operator's pods, in a namespace or, where none is given, wherever they are.

    Raises:
        KubectlError: they can't be listed.
    """
    chosen = ("get", "pods", f"--selector={LABEL}")
    if namespace is not None:
        return read_pods(kubectl.json(*chosen, f"--namespace={namespace}"))
    try:
        return read_pods(kubectl.json(*chosen, "--all-namespaces"))
    except KubectlError as error:
        if not error.is_denied:
            raise
    return read_pods(kubectl.json(*chosen, f"--namespace={NAMESPACE}"))


def read_pods(listed: Any) -> list[Pod]:
    """Return the pods of a list."""
    return [_pod(each) for each in entries(part(listed).get("items"))]


def _pod(body: Json) -> Pod:
    metadata, spec, status = part(body, "metadata"), part(body, "spec"), part(body, "status")
    states = entries(status.get("containerStatuses"))
    images = [text(each.get("image")) for each in entries(spec.get("containers"))]
    return Pod(
        namespace=text(metadata.get("namespace")),
        name=text(metadata.get("name")),
        phase=text(status.get("phase")),
        ready=any(
            each.get("type") == "Ready" and each.get("status") == "True" for each in entries(status.get("conditions"))
        ),
        restarts=sum(clean_count(each.get("restartCount")) or 0 for each in states),
        ended=next((found for found in map(_ended, states) if found), ""),
        account=text(spec.get("serviceAccountName") or "default"),
        image=images[0] if images else "",
        node=text(spec.get("nodeName")),
    )


def _ended(state: Json) -> str:
    waiting = part(state, "state", "waiting")
    if waiting.get("reason"):
        return f"{text(waiting.get('reason'))}: {text(waiting.get('message'))}".rstrip(": ")
    last = part(state, "lastState", "terminated")
    if not last:
        return ""
    return f"{text(last.get('reason'))} (exit code {text(last.get('exitCode'))})"
