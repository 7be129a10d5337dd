"""Which of the operator's status writes a fault is for."""

from __future__ import annotations

from typing import Any, Final

from support.api_proxy import Match

INTENT: Final = "InFlight"
OUTCOME: Final = "Succeeded"


def write_of(phase: str, number: int = 1) -> Match:
    """Match the status writes of job `number` that store a reset in this phase."""
    return Match("PUT", rf"/j{number}/status$", body=lambda sent: _phase(sent) == phase)


def _phase(sent: Any) -> str | None:
    phase: str | None = (sent["status"].get("reset") or {}).get("phase")
    return phase
