"""Calls per second of our ESA client against the official one: one simulator process, rounds taken in turn.

Usage: PYTHONPATH=operator python hack/bench/esa_client.py [--rounds 5] [--calls 400] [--in-flight 16] [--json FILE]
Ratios within one run are what counts; the figures themselves belong to the machine.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import uvloop
from alibabacloud_esa20240910.client import Client as OfficialClient
from alibabacloud_esa20240910.models import GetScheduledPreloadJobRequest
from alibabacloud_tea_openapi.models import Config
from darabonba.runtime import RuntimeOptions

from esa_preload_operator.esa.client import EsaClient
from esa_preload_operator.esa.credentials import Credentials
from esa_preload_operator.esa.throttle import Throttle
from esa_preload_operator.esa.transport import Connections

try:
    import httpx_aiohttp
except ImportError:
    httpx_aiohttp = None  # type: ignore[assignment]  # absent

ROOT = Path(__file__).resolve().parents[2]
JOB = "665d3af3621bccf3fe29e1a4"
KEY = ("bench-key", "bench-secret")
Rates = dict[str, list[tuple[float, float]]]
"""Calls per second and CPU microseconds per call, of each round of each variant."""
Call = Callable[[], Awaitable[object]]
Variant = Callable[[str], tuple[Call, Callable[[], Awaitable[None]]]]


def official(url: str) -> tuple[Call, Callable[[], Awaitable[None]]]:
    """Alibaba Cloud's async client as its documentation uses it."""
    config = Config(access_key_id=KEY[0], access_key_secret=KEY[1], endpoint=url.removeprefix("http://"))
    config.protocol = "HTTP"
    client = OfficialClient(config)
    request, options = GetScheduledPreloadJobRequest(id=JOB), RuntimeOptions()

    async def nothing_to_close() -> None:
        return None

    return lambda: client.get_scheduled_preload_job_with_options_async(request, options), nothing_to_close


def ours(url: str) -> tuple[Call, Callable[[], Awaitable[None]]]:
    """Our client without a throttle that could slow it down."""
    connections = Connections(url, request_timeout=30)
    client = EsaClient(Credentials(*KEY), connections, Throttle(1e9))
    return lambda: client.get_job(JOB), connections.close


class UngatedConnections(Connections):
    """Our client with another transport of httpx, which can't keep the gate's promise."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport) -> None:
        super().__init__(url, request_timeout=30)
        self.transport = transport


def over(transport: Callable[[], httpx.AsyncBaseTransport]) -> Variant:
    """Our client over another transport of httpx."""

    def build(url: str) -> tuple[Call, Callable[[], Awaitable[None]]]:
        connections = UngatedConnections(url, transport())
        client = EsaClient(Credentials(*KEY), connections, Throttle(1e9))
        return lambda: client.get_job(JOB), connections.transport.aclose

    return build


def variants() -> dict[str, Variant]:
    """Return all that is compared; httpx-aiohttp only where it is installed."""
    found: dict[str, Variant] = {
        "official": official,
        "ours": ours,
        "httpx's own transport": over(httpx.AsyncHTTPTransport),
    }
    if httpx_aiohttp is not None:
        found["httpx-aiohttp"] = over(httpx_aiohttp.AiohttpTransport)
    return found


async def rate(call: Call, calls: int, in_flight: int) -> tuple[float, float]:
    """Calls per second with `in_flight` callers that share `calls`, and microseconds of our CPU for each of them."""
    left = iter(range(calls))

    async def caller() -> None:
        for _ in left:
            await call()

    started, busy = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(in_flight)))
    return calls / (time.perf_counter() - started), (time.process_time() - busy) / calls * 1e6


async def measure(url: str, options: argparse.Namespace) -> Rates:
    """Take the variants in turn, so that a slow moment of the machine hits all of them."""
    built = {name: variant(url) for name, variant in variants().items()}
    rates: Rates = {name: [] for name in built}
    for call, _close in built.values():
        await rate(call, options.in_flight * 2, options.in_flight)
    for _ in range(options.rounds):
        for name, (call, _close) in built.items():
            rates[name].append(await rate(call, options.calls, options.in_flight))
    for _call, close in built.values():
        await close()
    return rates


def start_simulator(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """Start the simulator with one job on a free port."""
    seed = folder / "seed.json"
    seed.write_text(json.dumps({"jobs": [{"id": JOB}]}))
    command = [sys.executable, "-m", "esa_simulator", "--port", "0", "--exit-with-stdin", "--seed", str(seed)]
    command += ["--access-key-id", KEY[0], "--access-key-secret", KEY[1]]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "operator")}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder
    )
    if process.stdout is None or not (line := process.stdout.readline()):
        sys.exit("the simulator did not start")
    return process, line.split()[-1]


def report(results: dict[str, Rates]) -> dict[str, Any]:
    """Print a table, and return it as data; ratios are to the official client on the same loop, above 1 is better."""
    rows: dict[str, Any] = {}
    print(f"{'loop':8} {'client':34} {'calls/s':>8} {'ratio':>6} {'CPU us/call':>12} {'ratio':>6}")
    for loop, rates in results.items():
        base = [statistics.median(column) for column in zip(*rates["official"], strict=True)]
        for name, values in rates.items():
            speed, cpu = (statistics.median(column) for column in zip(*values, strict=True))
            faster, leaner = speed / base[0], base[1] / cpu
            rows[f"{loop}/{name}"] = {
                "calls_per_second": round(speed, 1),
                "ratio": round(faster, 2),
                "cpu_us_per_call": round(cpu, 1),
                "cpu_ratio": round(leaner, 2),
            }
            print(f"{loop:8} {name:34} {speed:8.0f} {faster:6.2f} {cpu:12.0f} {leaner:6.2f}")
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--in-flight", type=int, default=16)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        process, url = start_simulator(Path(folder))
        try:
            results = {}
            for name, factory in (("asyncio", asyncio.new_event_loop), ("uvloop", uvloop.new_event_loop)):
                with asyncio.Runner(loop_factory=factory) as runner:
                    results[name] = runner.run(measure(url, options))
        finally:
            process.terminate()
            process.wait()
    rows = report(results)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
