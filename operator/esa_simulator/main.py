"""`esa-simulator`: the simulator as a process of its own."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from esa_simulator.control import SeedError
from esa_simulator.server import Simulator
from esa_simulator.signature import Credential
from esa_simulator.state import DEFAULT_CREDENTIAL, Settings


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted; prints one line with the URL when ready."""
    options = _parser().parse_args(arguments)
    try:
        asyncio.run(_serve(options))
    except (OSError, ValueError) as error:
        sys.exit(f"esa-simulator: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="esa-simulator", description="A stand-in for Alibaba Cloud ESA's scheduled preload API."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=8089, help="port to listen on, 0 = a free one (default: %(default)s)"
    )
    environment = os.environ
    parser.add_argument(
        "--access-key-id", default=environment.get("ESA_SIMULATOR_ACCESS_KEY_ID", DEFAULT_CREDENTIAL.access_key_id)
    )
    parser.add_argument(
        "--access-key-secret",
        default=environment.get("ESA_SIMULATOR_ACCESS_KEY_SECRET", DEFAULT_CREDENTIAL.access_key_secret),
        help="better given as ESA_SIMULATOR_ACCESS_KEY_SECRET",
    )
    parser.add_argument(
        "--speed", type=float, default=1.0, help="batches come N times as fast (default: 1)", metavar="N"
    )
    parser.add_argument(
        "--seed", type=Path, help="JSON file: settings, credentials, jobs, executions, faults", metavar="FILE"
    )
    parser.add_argument(
        "--oss-folder", type=Path, help="its files are the objects of every OSS bucket, by name", metavar="FOLDER"
    )
    parser.add_argument("--exit-with-stdin", action="store_true", help="end when standard input is closed")
    return parser


async def _serve(options: argparse.Namespace) -> None:
    if options.port not in range(65536):
        raise SeedError("--port must be between 0 and 65535")
    simulator = Simulator(host=options.host, port=options.port, settings=_settings(options))
    credential = Credential(options.access_key_id, options.access_key_secret, DEFAULT_CREDENTIAL.ali_uid)
    simulator.state.credentials[credential.access_key_id] = credential
    if options.seed is not None:
        simulator.control.seed(json.loads(await asyncio.to_thread(options.seed.read_text, encoding="utf-8")))
    async with simulator:
        sys.stdout.write(f"esa-simulator ready at {simulator.url}\n")
        sys.stdout.flush()
        await _end(exit_with_stdin=options.exit_with_stdin)


def _settings(options: argparse.Namespace) -> Settings:
    folder: Path | None = options.oss_folder
    if not options.speed > 0:
        raise SeedError("--speed must be above 0")
    if folder is not None and not folder.is_dir():
        raise SeedError(f"--oss-folder {folder} is no folder")
    return Settings(speed=options.speed, oss_folder=None if folder is None else str(folder))


async def _end(*, exit_with_stdin: bool) -> None:
    """Wait for a signal, or for the end of standard input."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows ends the process by itself
            loop.add_signal_handler(number, ended.set)
    if exit_with_stdin:
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        closed = asyncio.create_task(reader.read())
        closed.add_done_callback(lambda _: ended.set())
    await ended.wait()
