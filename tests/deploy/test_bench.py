"""The measurement itself: what it says can't be judged here, but that it can be made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from support.chart import ROOT

BENCH = ROOT / "hack" / "bench"
BUSY = """
import asyncio, json, pathlib, signal, sys, uvloop
from probed_operator import probe

async def main():
    signal.signal(signal.SIGUSR1, lambda *_: probe(pathlib.Path(sys.argv[1])))
    kept = [asyncio.get_running_loop().call_later(1000, print) for _ in range(70)]
    kept += [asyncio.create_task(asyncio.Event().wait()) for _ in range(50)]
    await asyncio.sleep(0)
    signal.raise_signal(signal.SIGUSR1)

uvloop.run(main())
"""

if TYPE_CHECKING:
    from pathlib import Path


def test_a_trial_of_the_measurement_compares_all_operators_and_finds_the_exact_limits_kept(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    sources = os.pathsep.join(str(ROOT / part) for part in ("operator", "hack/control-plane", "tests"))
    done = subprocess.run(
        [sys.executable, BENCH / "main.py", "--trial", "--json", found],
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
    assert len(exact) >= 10
    assert all(exact.values())


def test_the_soak_sees_how_many_tasks_and_timers_live_in_the_operator(tmp_path: Path) -> None:
    sources = os.pathsep.join(str(each) for each in (ROOT / "operator", BENCH))
    found = tmp_path / "found.json"
    command = [sys.executable, "-c", BUSY, str(found)]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": sources}, check=True, timeout=120)
    counts = json.loads(found.read_text())
    assert counts["tasks"] == 51
    assert 70 <= counts["timers"] <= 72
