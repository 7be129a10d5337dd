"""Finds the resources that a command is about."""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final, TypeVar

from esa_preload_operator.cli.plugin.flags import Given, UsageError
from esa_preload_operator.cli.plugin.jobs import Job, read_jobs
from esa_preload_operator.cli.plugin.kubectl import Kubectl, KubectlError, documents
from esa_preload_operator.resources.names import GROUP, PLURAL

RESOURCE: Final = f"{PLURAL}.{GROUP}"
_T = TypeVar("_T")
AT_ONCE: Final = 100
"""Names in one call of kubectl."""


def find_jobs(kubectl: Kubectl, given: Given, options: argparse.Namespace) -> list[Job]:
    """Return the jobs of names, of a selector, or all.

    Raises:
        UsageError: not exactly one of the three is given.
        KubectlError: one of the names does not exist, or kubectl has failed.
    """
    names: Sequence[str] = getattr(options, "names", ())
    selector, everything = getattr(options, "selector", None), getattr(options, "all", False)
    if sum((bool(names), selector is not None, everything)) != 1:
        raise UsageError("exactly one of names, -l SELECTOR and --all must be given")
    if names and given.all_namespaces:
        raise UsageError("names are names in one namespace: -A goes with -l or --all")
    if names:
        return [job for some in chunks(names) for job in read_jobs(kubectl.json("get", RESOURCE, *some))]
    chosen = (f"--selector={selector}",) if selector is not None else ()
    return read_jobs(kubectl.json("get", RESOURCE, *chosen, *given.scope))


def find_one(kubectl: Kubectl, name: str) -> Job:
    """Return the job of a name.

    Raises:
        KubectlError: there is none, or kubectl has failed.
    """
    return read_jobs(kubectl.json("get", RESOURCE, name))[0]


def change(kubectl: Kubectl, verb: str, jobs: Iterable[Job], *words: str) -> tuple[list[Job], str]:
    """Run kubectl for jobs, by namespace; return those that it has changed, as they are now, and its messages."""
    changed: list[Job] = []
    messages: list[str] = []
    for namespace, some in _by_namespace(jobs):
        names = [f"{RESOURCE}/{job.ref.name}" for job in some]
        try:
            output = kubectl.text(verb, *names, *words, f"--namespace={namespace}", "--output=json")
        except KubectlError as error:
            messages.append(str(error))
            output = error.output
        changed += [job for body in documents(output.splitlines(keepends=True)) for job in read_jobs(body)]
    return changed, "\n".join(messages)


def _by_namespace(jobs: Iterable[Job]) -> Iterator[tuple[str, list[Job]]]:
    for namespace, some in groupby(sorted(jobs, key=attrgetter("ref")), key=lambda job: job.ref.namespace):
        for chunk in chunks(list(some)):
            yield namespace, list(chunk)


def chunks(items: Sequence[_T], size: int = AT_ONCE) -> Iterator[Sequence[_T]]:
    """Return items in groups."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
