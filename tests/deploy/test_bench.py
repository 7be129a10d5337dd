"""The measurement itself: what it says can't be judged here, but that it can be made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from support.chart import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def test_a_trial_of_the_measurement_compares_all_operators_and_finds_the_exact_limits_kept(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    sources = os.pathsep.join(str(ROOT / part) for part in ("operator", "hack/control-plane", "tests"))
    done = subprocess.run(
        [sys.executable, ROOT / "hack" / "bench" / "main.py", "--trial", "--json", found],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": sources},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    values = json.loads(found.read_text())
    for other in ("bare requests", "naive operator", "prototype", "Go peer"):
        assert values[f"2,000 at once: resets/s, ratio to the {other}"]["value"] > 0
    exact = {name: row["ok"] for name, row in values.items() if row.get("limit", "").startswith("=")}
    assert len(exact) >= 8
    assert all(exact.values())
