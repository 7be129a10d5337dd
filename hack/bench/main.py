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
from resets import latency, rate, writes
from resting import rest, start
from sizes import FULL, TRIAL, Sizes
from soak import soak
from stage import FOLDER, Stage, handled_status, open_stage
from storing import store
from tenants import tenants

Part = Callable[[Stage, str], Awaitable[Values]]
PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "store": ("status write:",),
    "latency": ("annotate",),
    "rate": ("2,000 at once",),
    "writes": ("status writes", "Events per", "other writes"),
    "start": ("start with",),
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
    "start": start,
    "rest": rest,
    "tenants": tenants,
    "soak": soak,
}


async def measure(stage: Stage, parts: list[str]) -> Values:
    """Measure what needs an API server without an audit log."""
    template = await handled_status(stage)
    values: Values = {}
    for name, part in MEASURED.items():
        if name in parts:
            print(f"bench: {name} …", file=sys.stderr, flush=True)
            found = await part(stage, template)
            print_table(found)
            values |= found
    return values


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


def run(parts: list[str], folder: Path, sizes: Sizes) -> Values:
    """Measure all parts that are asked for."""
    before = machine()
    values: Values = {}
    if set(parts) & set(MEASURED):
        with open_stage(folder, sizes) as stage:
            values |= uvloop.run(measure(stage, parts))
    if "writes" in parts:
        with open_stage(folder, sizes, audit=True) as stage:
            values |= uvloop.run(writes(stage))
    if "client" in parts:
        values |= compare_clients(folder, sizes)
    busy, idle = (now - then for now, then in zip(machine(), before, strict=True))
    return values | {"machine: share of CPU time in use, by anybody": busy / (busy + idle)}


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
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        # Modules are compiled once, as in an image, wherever their sources are.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = str(Path(folder) / "pycache")
        values = run(parts, Path(folder), TRIAL if options.trial else FULL)
    print_table(values)
    options.json.write_text(json.dumps(as_json(values), indent=2, ensure_ascii=False) + "\n")
    wanted = [name for name in LIMITS if any(name.startswith(start) for part in parts for start in PARTS[part])]
    failed = missed(values, wanted, exact_only=options.trial)
    if failed:
        print("bench: beyond the limit:", *failed, sep="\n  ", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
