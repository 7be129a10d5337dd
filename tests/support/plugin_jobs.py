"""Resources as kubectl prints them, for what shows them."""

from __future__ import annotations

from typing import Any

from esa_preload_operator.cli.plugin.jobs import Job, read_job

NOW = 1_796_000_000.0
"""2026-11-30T00:53:20Z."""


def condition(kind: str, status: str, reason: str = "Ready", message: str = "") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": "2026-11-30T00:50:00Z"}  # fmt: skip


READY = (condition("Ready", "True"), condition("Reconciling", "False"), condition("Stalled", "False"))


def job(  # a resource has that many parts
    name: str = "nightly",
    *,
    namespace: str = "web",
    annotations: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
    spec: dict[str, Any] | None = None,
    conditions: Any = READY,
    version: int = 1,
    **status: Any,
) -> Job:
    return read_job(
        {
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": f"uid-{name}",
                "resourceVersion": str(version),
                "creationTimestamp": "2026-11-01T00:00:00Z",
                "annotations": annotations or {},
                "labels": labels or {},
            },
            "spec": {"jobId": "665d", **(spec or {})},
            "status": {"conditions": list(conditions), **status},
        }
    )


def asked(token: str, *, phase: str = "", handled: str | None = None, of: str | None = None, **more: Any) -> Job:
    """Return a job whose annotation holds a token; `of` is the token of its reset."""
    status: dict[str, Any] = {}
    if phase:
        status["reset"] = {"phase": phase, "tokens": {"resetRequested": token if of is None else of}}
    if handled is not None:
        status["handledResets"] = {"resetRequested": handled}
    return job(annotations={"resetRequested": token}, **status, **more)
