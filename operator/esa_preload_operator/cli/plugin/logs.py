"""`logs NAME`: the operator's lines about one resource, from all its pods."""

import argparse
import re
from collections.abc import Iterable, Iterator

from esa_preload_operator.cli.plugin.context import FAILED, OK, Context
from esa_preload_operator.cli.plugin.jobs import Ref
from esa_preload_operator.cli.plugin.pods import LABEL, find_pods
from esa_preload_operator.cli.plugin.targets import find_one
from esa_preload_operator.domain.cleaning import clean_text

_LONGEST = 16_384


def logs(context: Context, options: argparse.Namespace) -> int:
    """Print the operator's lines about one resource."""
    ref = find_one(context.kubectl, options.name).ref
    pods = find_pods(context.kubectl, options.operator_namespace)
    namespaces = sorted({pod.namespace for pod in pods})
    if not namespaces:
        context.error(
            "no pod of the operator was found: --operator-namespace says where it runs; outside of a cluster it logs "
            "where it was started"
        )
        return FAILED
    found = False
    for namespace in namespaces if not options.follow else namespaces[:1]:
        words = [
            "logs",
            f"--selector={LABEL}",
            f"--namespace={namespace}",
            "--tail=-1",
            "--prefix",
            "--max-log-requests=20",
            "--ignore-errors",
        ]
        words += ["--follow"] if options.follow else []
        words += [f"--since={options.since}"] if options.since else []
        with context.kubectl.lines(*words) as lines:
            for line in lines_about(lines, ref):
                found = True
                context.stdout.write(line + "\n")
    if not found:
        context.note(f"the operator's log has no line about {ref.namespace}/{ref.name}")
    return OK


def lines_about(lines: Iterable[str], ref: Ref) -> Iterator[str]:
    """Return the lines about a resource, those of an exception after one of them included, fit to be shown."""
    name = re.compile(rf"(?<![\w./-]){re.escape(f'{ref.namespace}/{ref.name}')}(?![\w/-]|\.\w)")
    kept = False
    for line in lines:
        pod, _, said = line.rstrip("\n").partition(" ") if line.startswith("[pod/") else ("", "", line.rstrip("\n"))
        if not said.startswith("  "):  # a plain log indents the lines of an exception
            kept = bool(name.search(said))
        if kept:
            shown = clean_text(said, _LONGEST)
            yield f"{_short(pod)} {shown}" if pod else shown


def _short(pod: str) -> str:
    """Return the name of a pod: kubectl writes [pod/NAME/CONTAINER]."""
    parts = pod.strip("[]").split("/")
    return parts[1] if len(parts) > 1 else pod
