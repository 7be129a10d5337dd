"""`make demo`, which is what people see first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_demo_shows_the_life_of_a_job_and_ends_well() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "KEEP"}
    done = subprocess.run(
        [sys.executable, ROOT / "hack" / "demo.py"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "ESA counts: jobs created 2, resets 1, jobs left 0" in done.stdout
    assert done.stdout.endswith("It works: one list, one job; one annotation, one reset.\n")
