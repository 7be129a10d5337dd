"""Completion: words of the command line and names of resources, for kubectl itself and for bash, zsh and fish."""

import argparse
import contextlib
from collections.abc import Iterable, Sequence
from typing import Final

from esa_preload_operator.cli.plugin.arguments import parser
from esa_preload_operator.cli.plugin.context import OK, Context
from esa_preload_operator.cli.plugin.flags import UsageError, take_apart
from esa_preload_operator.cli.plugin.kubectl import Kubectl, KubectlError
from esa_preload_operator.cli.plugin.targets import RESOURCE

_NAMED: Final = frozenset({"reset", "status", "suspend", "resume", "logs", "diagnose"})
"""Commands that take names of resources."""
_NO_FILES: Final = ":4"
"""Tells kubectl's completion that files are no answer (cobra, ShellCompDirectiveNoFileComp)."""
SCRIPTS: Final = {
    "kubectl": """\
#!/bin/sh
# Save this as kubectl_complete-esa_preload on the PATH, executable: kubectl 1.26 and newer ask it.
exec kubectl esa-preload __complete "$@"
""",
    "bash": """\
# source <(kubectl esa-preload completion bash): completes kubectl-esa_preload and an alias of it
_kubectl_esa_preload() {
  local IFS=$'\\n'
  COMPREPLY=($(kubectl-esa_preload __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | grep -v '^:'))
}
complete -F _kubectl_esa_preload kubectl-esa_preload
""",
    "zsh": """\
#compdef kubectl-esa_preload
# source <(kubectl esa-preload completion zsh), after compinit
_kubectl_esa_preload() {
  compadd -- ${(f)"$(kubectl-esa_preload __complete "${(@)words[2,CURRENT]}" 2>/dev/null | grep -v '^:')"}
}
compdef _kubectl_esa_preload kubectl-esa_preload
""",
    "fish": """\
# kubectl esa-preload completion fish | source
function __kubectl_esa_preload
  set -l words (commandline -opc) (commandline -ct)
  kubectl-esa_preload __complete $words[2..-1] 2>/dev/null | string match -v ':*'
end
complete -c kubectl-esa_preload -f -a '(__kubectl_esa_preload)'
""",
}


def completion(context: Context, options: argparse.Namespace) -> int:
    """Print a completion script."""
    context.stdout.write(SCRIPTS[options.shell])
    return OK


def complete(words: Sequence[str]) -> str:
    """Return the answer to kubectl's and the scripts' question: one completion a line."""
    *before, current = words or [""]
    with contextlib.suppress(UsageError, KubectlError):
        given = take_apart(before)
        found = candidates(given.rest, current)
        if not found and takes_names(given.rest, current):
            kubectl = Kubectl(given.kubectl, given.hidden, say=lambda _: None)
            listed = kubectl.text("get", RESOURCE, "--output=name", "--request-timeout=3s").splitlines()
            found = _begin((each.rpartition("/")[2] for each in listed), current, given.rest)
        return "".join(f"{each}\n" for each in [*found, _NO_FILES])
    return f"{_NO_FILES}\n"


def takes_names(before: Sequence[str], current: str) -> bool:
    """Return whether a name of a resource may stand here."""
    return bool(before) and before[0] in _NAMED and not current.startswith("-")


def candidates(before: Sequence[str], current: str) -> list[str]:
    """Return commands, options and values that may stand here; names of resources are not known here."""
    commands = _commands()
    if not before:
        return _begin(commands, current, ())
    one = commands.get(before[0])
    if one is None:
        return []
    actions = {name: action for action in one._actions for name in action.option_strings}  # noqa: SLF001 - argparse tells nobody else
    last = actions.get(before[-1]) if len(before) > 1 else None
    if last is not None and last.nargs != 0:
        return _begin(map(str, last.choices or ()), current, ())
    if current.startswith("-"):
        return _begin((name for name in actions if name.startswith("--")), current, before)
    choices = [str(each) for action in one._actions if not action.option_strings for each in action.choices or ()]  # noqa: SLF001 - the same
    return _begin(choices, current, before)


def _commands() -> dict[str, argparse.ArgumentParser]:
    for action in parser()._actions:  # noqa: SLF001 - the same
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - the same
            return dict(action.choices)
    return {}


def _begin(names: Iterable[str], current: str, used: Sequence[str]) -> list[str]:
    return sorted(each for each in names if each.startswith(current) and each not in used)
