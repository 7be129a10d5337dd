"""The words that the plugin understands. kubectl's own options are taken out before."""

import argparse
from typing import Final, TypeAlias

from esa_preload_operator.resources.durations import parse_duration

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
_EPILOG: Final = """\
kubectl's own options (kubectl options) work with every command: -n, --context, --kubeconfig, --as ...
exit codes: 0 done, 1 something failed, 2 wrong usage, 3 no outcome within --timeout, 130 after Ctrl-C
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser."""
    top = argparse.ArgumentParser(
        prog="kubectl esa-preload",
        description="Ask for resets of ESA scheduled preload jobs, follow them, and see what is the matter.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_reset(commands)
    _add_looks(commands)
    for name, text in (("suspend", "let jobs rest: windows stop, resets are held"), ("resume", "let jobs go on")):
        one = _add(commands, name, text)
        _add_targets(one)
        one.add_argument("-o", "--output", choices=("name",), help="print the names of what was changed")
    return top


def _add(commands: Commands, name: str, text: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, help=text, description=f"{text[:1].upper()}{text[1:]}.", epilog=_EPILOG, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip


def _add_targets(one: argparse.ArgumentParser) -> None:
    one.add_argument("names", nargs="*", metavar="NAME", help="names of ScheduledPreloadJobs")
    one.add_argument("-l", "--selector", help="labels of the jobs instead of names; with -A in all namespaces")
    one.add_argument("--all", action="store_true", help="all jobs of the namespace; with -A of all namespaces")


def _add_reset(commands: Commands) -> None:
    one = _add(commands, "reset", "ask for resets, with one fresh token for all jobs")
    _add_targets(one)
    one.add_argument("--token", help="the request's token instead of the present time; the same one asks only once")
    one.add_argument("--wait", action="store_true", help="wait for the outcome of each reset")
    one.add_argument(
        "--until",
        choices=("outcome", "submitted"),
        help="wait for the outcome, or until all URLs are submitted",
    )
    one.add_argument("--timeout", type=_duration, default=600.0, help="how long to wait, such as 90s or 1h (10m)")
    one.add_argument(
        "--max-parallel", type=_count, metavar="N", help="ask for the next reset when less than N are open; waits"
    )
    one.add_argument("-o", "--output", choices=("json", "yaml", "name"), help="print the results for programs")


def _add_looks(commands: Commands) -> None:
    forms = ("json", "yaml", "name")
    one = _add(commands, "status", "show one job: what was asked, what happened, what comes next")
    one.add_argument("name", metavar="NAME")
    one.add_argument("-o", "--output", choices=forms, help="print the resource for programs")
    one = _add(commands, "list", "list jobs, those that need somebody first")
    one.add_argument("-l", "--selector", help="labels of the jobs")
    one.add_argument("-o", "--output", choices=forms, help="print the resources for programs")
    one = _add(commands, "watch", "draw the list anew whenever a job changes")
    one.add_argument("-l", "--selector", help="labels of the jobs")


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("a number from 1 on is needed")
    return int(text)
