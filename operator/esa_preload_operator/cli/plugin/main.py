"""`kubectl esa-preload`: reads the command line and runs one command. Imports little, so that it starts fast."""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final

from esa_preload_operator.cli.plugin.arguments import parser
from esa_preload_operator.cli.plugin.context import FAILED, INTERRUPTED, OK, USAGE, Context
from esa_preload_operator.cli.plugin.flags import UsageError, take_apart
from esa_preload_operator.cli.plugin.kubectl import Kubectl, KubectlError

_COMMANDS: Final = {
    "reset": "reset:reset",
    "status": "status:status",
    "list": "showing:list_jobs",
    "watch": "showing:watch_jobs",
    "suspend": "suspending:suspend",
    "resume": "suspending:resume",
    "logs": "logs:logs",
    "adopt": "adopt:adopt",
    "diagnose": "diagnose:diagnose",
    "completion": "completion:completion",
}
"""Where each command is found, once it is wanted."""

Command = Callable[[Context, argparse.Namespace], int]


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    words = sys.argv[1:] if words is None else words
    if words[:1] == ["__complete"]:
        from esa_preload_operator.cli.plugin.completion import complete  # noqa: PLC0415 - no command needs it

        sys.stdout.write(complete(words[1:]))
        return OK
    try:
        given = take_apart(words)
        options = parser().parse_args(given.rest)
        kubectl = Kubectl(given.kubectl, given.hidden)
        context = Context(given, kubectl)
    except UsageError as error:
        sys.stderr.write(f"error: {error}\n")
        return USAGE
    return run(context, options)


def run(context: Context, options: argparse.Namespace) -> int:
    """Run the command, and say what is wrong in one line."""
    module, _, name = _COMMANDS[options.command].partition(":")
    command: Command = getattr(import_module(f"{__package__}.{module}"), name)
    try:
        return command(context, options)
    except UsageError as error:
        context.error(str(error))
        return USAGE
    except KubectlError as error:
        context.error(str(error))
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # or Python reports what it could not flush
        return FAILED
    finally:
        context.kubectl.stop()


if __name__ == "__main__":
    sys.exit(main())
