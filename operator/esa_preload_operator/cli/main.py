"""`esa-preload-operator run | crd | version`."""

import argparse
import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

from esa_preload_operator.runtime.settings import Settings, SettingsError, add_flags, read_settings

_GARBAGE: Final = 10_000
"""New objects after which Python looks for cycles, of which a reset leaves hardly any: its own 700 are soon reached."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands; a wrong setting ends the start with one line."""
    options = vars(_parser().parse_args(arguments))
    command = options.pop("command")
    if command == "version":
        sys.stdout.write(version("esa-preload-operator") + "\n")
        return 0
    if command == "crd":
        from esa_preload_operator.resources.crd import crd_yaml  # noqa: PLC0415 - the others need no YAML

        sys.stdout.write(crd_yaml())
        return 0
    try:
        _run(options)
    except SettingsError as error:
        sys.stderr.write(f"esa-preload-operator: {error}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="esa-preload-operator",
        description="Resets Alibaba Cloud ESA's scheduled preload jobs: one request, one reset.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("version", help="print the version")
    commands.add_parser("crd", help="print the CRD")
    run = commands.add_parser("run", help="run the operator", allow_abbrev=False)
    where = run.add_mutually_exclusive_group()
    where.add_argument(
        "--namespace", "-n", action="append", dest="namespaces", help="namespace to watch; may be repeated, * means all"
    )
    where.add_argument("--all-namespaces", "-A", action="store_true", help="watch all namespaces")
    run.add_argument("--context", help="context of the kubeconfig")
    add_flags(run)
    return parser


def _run(options: dict[str, Any]) -> None:
    context = options.pop("context")
    if options.pop("all_namespaces"):
        options["namespaces"] = ()
    settings = read_settings(options)
    from esa_preload_operator.runtime.logs import set_up_logs  # noqa: PLC0415 - a wrong setting should not wait for imports

    set_up_logs(settings.log_format, settings.log_level)
    import uvloop  # noqa: PLC0415 - the same

    gc.set_threshold(_GARBAGE)
    uvloop.run(_operate(settings, context))


async def _operate(settings: Settings, context: str | None) -> None:
    from esa_preload_operator.handlers.watch import watch  # noqa: PLC0415 - the same
    from esa_preload_operator.runtime.assembly import open_app  # noqa: PLC0415 - the same
    from esa_preload_operator.runtime.life import run_app  # noqa: PLC0415 - the same

    async with open_app(settings, context) as app:
        loop = asyncio.get_running_loop()

        def stop(number: signal.Signals) -> None:
            logging.getLogger(__name__).info("told to stop by %s", number.name)
            app.stopping.set()

        def install_signals() -> None:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, stop, number)

        install_signals()
        await run_app(app, lambda: watch(app, install_signals))


if __name__ == "__main__":
    sys.exit(main())
