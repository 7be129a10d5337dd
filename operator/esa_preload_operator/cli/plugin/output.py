"""Results for programs: `-o json`, `-o yaml`, `-o name`."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from esa_preload_operator.cli.plugin.jobs import Job
from esa_preload_operator.resources.names import GROUP, SINGULAR


def name_of(job: Job) -> str:
    """Return a resource as kubectl names it."""
    return f"{SINGULAR}.{GROUP}/{job.ref.name}"


def formatted(data: Any, form: str) -> str:
    """Return data as JSON or YAML."""
    if form == "json":
        return json.dumps(data, indent=2) + "\n"
    import yaml  # noqa: PLC0415 - only this needs YAML

    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=False)
    return text


def names(jobs: Iterable[Job]) -> str:
    """Return the names of resources, one a line."""
    return "".join(f"{name_of(job)}\n" for job in jobs)


def list_of(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return objects as a list that kubectl can apply."""
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}
