"""Argo CD's scripts in a sandbox like Argo CD's, and resources as it reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from esa_preload_operator.domain.conditions import BLOCKING
from esa_preload_operator.domain.errors import ErrorClass, Problem, Reason
from esa_preload_operator.resources.job import (
    GROUP,
    KIND,
    ScheduledPreloadJob,
    Status,
)
from support.lua import Sandbox

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "argocd"
SCRIPTS = FOLDER / "resource_customizations" / GROUP / KIND
HEALTH, DISCOVERY, RESET = (
    SCRIPTS / name for name in ("health.lua", "actions/discovery.lua", "actions/reset/action.lua")
)
WALL = 1_780_000_000.0
health_script = Sandbox(HEALTH, clock=lambda: WALL)
discovery_script = Sandbox(DISCOVERY)
reset_script = Sandbox(RESET, clock=lambda: WALL)
suspend_script, resume_script = (Sandbox(SCRIPTS / "actions" / name / "action.lua") for name in ("suspend", "resume"))

PROBLEMS = [
    Problem("Code", "text", error_class, reason)
    for error_class, reason in [
        (ErrorClass.TRANSIENT, Reason.THROTTLED),
        (ErrorClass.TRANSIENT, Reason.SERVICE_UNAVAILABLE),
        *((ErrorClass.BLOCKED, reason) for reason in sorted(BLOCKING)),
        (ErrorClass.BLOCKED, Reason.CRD_OUTDATED),
        (ErrorClass.TERMINAL, Reason.STATUS_UNREADABLE),
        (ErrorClass.TERMINAL, Reason.JOB_NOT_FOUND),
        (ErrorClass.TERMINAL, Reason.JOB_CLAIMED),
        (ErrorClass.TERMINAL, Reason.INVALID_JOB_ID),
        (ErrorClass.TERMINAL, Reason.INVALID_SPEC),
    ]
]
DEAF = {Reason.JOB_CLAIMED, Reason.CRD_OUTDATED, Reason.INVALID_SPEC, Reason.STATUS_UNREADABLE}
"""Reasons of resources whose requests the operator does not look at."""


def resource(status: Status | None = None, asked: dict[str, str] | None = None, **meta: Any) -> ScheduledPreloadJob:
    body: dict[str, Any] = {
        "metadata": {
            "name": "j",
            "namespace": "n",
            "uid": "u",
            "resourceVersion": "7",
            "generation": 2,
            "annotations": asked or {},
            **meta,
        },
        "spec": {"jobId": "job1"},
    }
    return ScheduledPreloadJob.model_validate(body).model_copy(update={"status": status or Status()})


def live(job: ScheduledPreloadJob, status: dict[str, Any] | None = None) -> dict[str, Any]:
    """The object as Argo CD reads it."""
    body: dict[str, Any] = job.model_dump(by_alias=True, exclude_none=True)
    return body if status is None else body | {"status": status}


def health(obj: dict[str, Any]) -> str:
    answer = health_script.run(obj)
    assert set(answer) == {"status", "message"}
    assert isinstance(answer["message"], str)
    return str(answer["status"])


def disabled(obj: dict[str, Any], action: str = "reset") -> bool:
    return bool(discovery_script.run(obj)[action]["disabled"])
