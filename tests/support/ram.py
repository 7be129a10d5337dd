"""What the shipped RAM policy allows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

POLICY: Final = Path(__file__).parents[2] / "deploy" / "ram" / "policy.json"


def allowed_actions() -> set[str]:
    """Return the actions without the name of their service."""
    (statement,) = json.loads(POLICY.read_text())["Statement"]
    return {str(action).removeprefix("esa:") for action in statement["Action"]}
