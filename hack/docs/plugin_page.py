"""Commands, options and exit codes of the kubectl plugin, from the parser that reads its command line."""

import argparse
import re
from collections.abc import Iterator
from typing import Final

from esa_preload_operator.cli.plugin.arguments import parser
from esa_preload_operator.cli.plugin.context import FAILED, INTERRUPTED, OK, TIMED_OUT, USAGE
from tables import code, table

CODES: Final = (OK, FAILED, USAGE, TIMED_OUT, INTERRUPTED)


def made() -> str:
    """Return a section for each command, and the exit codes."""
    top = parser()
    return "\n".join((*(_command(top.prog, name, one) for name, one in _commands(top)), _codes(top.epilog or "")))


def _commands(top: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in top._actions:  # noqa: SLF001 - the library gives them no other way
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - the same
            yield from action.choices.items()


def _command(program: str, name: str, one: argparse.ArgumentParser) -> str:
    actions = [each for each in one._actions if "--help" not in each.option_strings]  # noqa: SLF001 - the same
    words = [_placeholder(each) for each in actions if not each.option_strings]
    rows = [(_written(each), _meaning(each)) for each in actions]
    usage = " ".join((program, name, *words, *("[OPTION…]" for _ in (1,) if len(words) < len(actions))))
    return f"## {name}\n\n    {usage}\n\n{one.description}\n\n{table(('Word', 'Meaning'), rows)}"


def _placeholder(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest.upper())
    return {"?": f"[{name}]", "*": f"[{name}…]"}.get(str(action.nargs), name)


def _written(action: argparse.Action) -> str:
    if not action.option_strings:
        return code(_placeholder(action))
    value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    return ", ".join(code(f"{each}{value}") for each in action.option_strings)


def _meaning(action: argparse.Action) -> str:
    said = action.help or {"name": "name of a ScheduledPreloadJob", "shell": "for what"}[action.dest]
    words = f" ({', '.join(code(each) for each in action.choices)})" if action.choices else ""
    return f"{said}{words}{'; must be given' if action.required and action.option_strings else ''}"


def _codes(epilog: str) -> str:
    """Return the exit codes with the words of the help.

    Raises:
        ValueError: the help does not name each code.
    """
    _, _, listed = epilog.partition("exit codes: ")
    said = dict(re.findall(r"(\d+) ([^,\n]+)", listed))
    if set(said) != {str(each) for each in CODES}:
        raise ValueError(f"the plugin's help names other exit codes than it has: {sorted(said)}")
    rows = ((code(number), meaning) for number, meaning in said.items())
    return "## Exit codes\n\n" + table(("Code", "Meaning"), rows)
