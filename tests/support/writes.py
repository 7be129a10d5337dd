"""Which of the operator's status writes a fault is for."""

from __future__ import annotations

from typing import Any, Final

from support.api_proxy import Match

INTENT: Final = "InFlight"
OUTCOME: Final = "Succeeded"


def write_of(phase: str, number: int = 1) -> Match:
    """Match the status writes of job `number` that store a reset in this phase."""
    return Match("PATCH", rf"/j{number}/status$", body=lambda patch: _phase(patch) == phase)


def _phase(patch: Any) -> str | None:
    for step in patch if isinstance(patch, list) else ():
        if step["path"] == "/status":
            phase: str | None = (step["value"].get("reset") or {}).get("phase")
            return phase
    return None
