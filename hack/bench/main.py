"""Measures the operator against its limits; ends with 1 if one of them is missed.

Ratios within one run are what counts: the times themselves belong to the machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import uvloop

from limits import LIMITS, Values, as_json, missed, print_table
from proc import machine
from progress import say
from resets import five_requests, latency, rate, writes
from resting import rest, start
from scale import scale
from shared import shared
from sizes import FULL, LONG_SOAK, TRIAL, Sizes, fitted
from soak import soak
from stage import FOLDER, Stage, handled_status, open_stage
from storing import store
from tenants import tenants

Part = Callable[[Stage, str], Awaitable[Values]]
PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "store": ("status write:",),
    "latency": ("annotate",),
    "rate": ("2,000 at once",),
    "shared": ("50 calls/s:",),
    "writes": ("status writes", "Events per", "other writes"),
    "start": ("start with",),
    "scale": ("50,000:",),
    "rest": ("at rest",),
    "tenants": ("tenants:",),
    "soak": ("soak:",),
    "client": ("ESA client",),
}
"""The parts of the measurement, and how the names of their limits begin."""


MEASURED: Final[Mapping[str, Part]] = {
    "store": store,
    "latency": latency,
    "rate": rate,
    "shared": shared,
    "start": start,
    "scale": scale,
    "rest": rest,
    "tenants": tenants,
    "soak": soak,
}


async def measure(stage: Stage, parts: list[str], values: Values) -> None:
    """Measure what needs an API server without an audit log; add to the values, part by part."""
    template = await handled_status(stage)
    if stage.sizes != TRIAL:
        bare_ms = values["five bare requests at first, ms"] = await five_requests(stage, template)
        stage.sizes = fitted(stage.sizes, bare_ms)
        say(f"five bare requests take {bare_ms:.1f} ms here: bursts of {stage.sizes.compared:,} are compared")
    for name, part in MEASURED.items():
        if name in parts:
            say(f"{name} …")
            found = await part(stage, template)
            print_table(found)
            values |= found


def compare_clients(folder: Path, sizes: Sizes) -> Values:
    """Run the comparison of the ESA clients."""
    found = folder / "clients.json"
    command = [sys.executable, str(FOLDER / "esa_client.py"), "--json", str(found)]
    command += ["--rounds", str(sizes.client_rounds), "--calls", str(sizes.client_calls)]
    subprocess.run(command, check=True)
    rows = json.loads(found.read_text())
    return {
        f"ESA client: calls/s, ratio to the official one ({loop})": rows[f"{loop}/ours"]["ratio"]
        for loop in ("asyncio", "uvloop")
    }


def run(parts: list[str], folder: Path, sizes: Sizes, values: Values) -> None:
    """Measure all parts that are asked for; what is added to the values stays if a later part is stopped."""
    before = machine()
    if set(parts) & set(MEASURED):
        with open_stage(folder, sizes) as stage:
            uvloop.run(measure(stage, parts, values))
    if "writes" in parts:
        with open_stage(folder, sizes, audit=True) as stage:
            values |= uvloop.run(writes(stage))
    if "client" in parts:
        values |= compare_clients(folder, sizes)
    busy, idle = (now - then for now, then in zip(machine(), before, strict=True))
    values["machine: share of CPU time in use, by anybody"] = busy / (busy + idle)


def main() -> int:
    """Measure, print and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("bench-results.json"), help="where the results go")
    parser.add_argument("--trial", action="store_true", help="small numbers, of which only the exact limits are judged")
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="what to measure; all by default")
    options = parser.parse_args()
    parts = options.parts or list(PARTS)
    if options.trial:
        print("bench: a trial: much less than the names say, and only limits with = count", file=sys.stderr)
    values: Values = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        # Modules are compiled once, as in an image, wherever their sources are.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(Path(folder) / "pycache")
        sizes = TRIAL if options.trial else LONG_SOAK if parts == ["soak"] else FULL
        try:
            run(parts, Path(folder), sizes, values)
        except KeyboardInterrupt:
            say("stopped; what was measured until then is kept")
    print_table(values)
    options.json.write_text(json.dumps(as_json(values), indent=2, ensure_ascii=False) + "\n")
    wanted = [name for name in LIMITS if any(name.startswith(start) for part in parts for start in PARTS[part])]
    failed = missed(values, wanted, exact_only=options.trial)
    if failed:
        print("bench: beyond the limit:", *failed, sep="\n  ", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
