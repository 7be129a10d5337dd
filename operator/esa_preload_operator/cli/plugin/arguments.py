"""The words that the plugin understands. kubectl's own options are taken out before."""

import argparse
import sys
from typing import Any, Final, TypeAlias

from esa_preload_operator.resources.durations import parse_duration

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - it has no other name
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
    top.add_argument("--version", action=_Version, nargs=0, help="print the plugin's version")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_reset(commands)
    _add_looks(commands)
    for name, text in (("suspend", "let jobs rest: windows stop, resets are held"), ("resume", "let jobs go on")):
        one = _add(commands, name, text)
        _add_targets(one)
        one.add_argument("-o", "--output", choices=("name",), help="print the names of what was changed")
    _add_operator(commands)
    return top


class _Version(argparse.Action):
    """Looks for the version only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print the version and end."""
        from importlib.metadata import version  # noqa: PLC0415 - takes time that no other start has

        sys.stdout.write(version("esa-preload-operator") + "\n")
        parser.exit()


def _add(commands: Commands, name: str, text: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=text,
        description=f"{text[:1].upper()}{text[1:]}.",
        epilog=_EPILOG,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


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


def _add_operator(commands: Commands) -> None:
    one = _add(commands, "logs", "print the operator's lines about one job")
    one.add_argument("name", metavar="NAME")
    one.add_argument("-f", "--follow", action="store_true", help="go on with new lines")
    one.add_argument("--since", metavar="DURATION", help="no older lines, such as 1h")
    _add_place(one)
    one = _add(commands, "adopt", "print resources for jobs of a site that no resource manages yet")
    one.add_argument("--site", type=_count, required=True, metavar="ID", help="id of the ESA site")
    one.add_argument("--job", action="append", metavar="ID", help="only this job; may be repeated")
    one.add_argument("--endpoint", default="china", help="the site's endpoint: china, international, or a URL (china)")
    one.add_argument(
        "--credentials-secret",
        metavar="NAME",
        help="Secret with the access key, which the resources name, too; by default ALIBABA_CLOUD_ACCESS_KEY_ID ...",
    )
    one.add_argument("-o", "--output", choices=("yaml", "json"), default="yaml", help="form of the resources (yaml)")
    one = _add(commands, "diagnose", "find out what is in the way, and what to do about it")
    one.add_argument("name", nargs="?", metavar="NAME", help="only this job; by default all of the namespace")
    one.add_argument("--output", metavar="FILE.tar.gz", help="also write what a maintainer needs, without secrets")
    one.add_argument("-o", dest="form", choices=("json", "yaml"), help="print the findings for programs")
    one.add_argument("--endpoint", help="ask this endpoint of ESA instead of the operator's, or none")
    _add_place(one)
    one = _add(commands, "completion", "print a completion script")
    one.add_argument("shell", choices=("bash", "fish", "kubectl", "zsh"))


def _add_place(one: argparse.ArgumentParser) -> None:
    one.add_argument("--operator-namespace", metavar="NS", help="where the operator runs; by default it is looked for")


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("a number from 1 on is needed")
    return int(text)
