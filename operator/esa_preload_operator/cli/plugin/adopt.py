"""`adopt`: lists the jobs of a site that no resource manages, and prints resources that do."""

import argparse
import asyncio
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from esa_preload_operator.cli.plugin.context import FAILED, OK, Context
from esa_preload_operator.cli.plugin.flags import UsageError
from esa_preload_operator.cli.plugin.jobs import Job, part, read_jobs
from esa_preload_operator.cli.plugin.kubectl import KubectlError
from esa_preload_operator.cli.plugin.layout import Cell, Line, table
from esa_preload_operator.cli.plugin.output import formatted, list_of
from esa_preload_operator.cli.plugin.targets import RESOURCE
from esa_preload_operator.cli.plugin.words import share
from esa_preload_operator.domain.errors import EsaError
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.resources.names import API_VERSION, KIND

if TYPE_CHECKING:
    from esa_preload_operator.esa.credentials import Credentials

_TIMEOUT: Final = 10.0
_RATE: Final = 5.0
"""Calls per second: the operator has the same account's rate to itself otherwise."""
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9]+")
_LONGEST_NAME: Final = 63
_MISSING: Final = (
    "adopt asks ESA itself, which needs the whole package: pip install 'esa-preload-operator[cli]' "
    "(the single file kubectl-esa_preload.pyz has only what the other commands need)"
)


def adopt(context: Context, options: argparse.Namespace) -> int:
    """Print resources for the jobs of a site."""
    try:
        listed = _list_site(context, options)
    except EsaError as error:
        context.error(context.kubectl.clean(str(error)))
        return FAILED
    managed = managed_ids(_managers(context))
    chosen, missing = choose(listed, managed, options.job or ())
    for each in missing:
        context.error(each)
    if not chosen:
        context.note(f"{len(listed)} jobs in site {options.site}, and none to adopt")
        return FAILED if missing else OK
    context.stderr.show(job_lines(chosen, context.stderr.width))
    secret = options.credentials_secret
    bodies = manifests(chosen, secret=secret, namespace=context.given.namespace)
    if options.output == "json":
        context.stdout.write(formatted(list_of(bodies), "json"))
    else:
        context.stdout.write("---\n".join(formatted(each, "yaml") for each in bodies))
    context.note("Apply them by piping this into: kubectl apply -f -")
    return FAILED if missing else OK


def _list_site(context: Context, options: argparse.Namespace) -> Sequence[EsaJob]:
    """Return the jobs of the site as ESA lists them."""
    try:
        from esa_preload_operator.esa.client import EsaClient  # noqa: PLC0415 - may be missing, and takes its time
        from esa_preload_operator.esa.egress import read_egress  # noqa: PLC0415 - the same
        from esa_preload_operator.esa.endpoint import resolve_endpoint  # noqa: PLC0415 - the same
        from esa_preload_operator.esa.throttle import Throttle  # noqa: PLC0415 - the same
        from esa_preload_operator.esa.transport import Connections  # noqa: PLC0415 - the same
    except ImportError:
        raise UsageError(_MISSING) from None
    try:
        endpoint, egress = resolve_endpoint(options.endpoint, allow_http=False), read_egress(os.environ)
    except ValueError as error:
        raise UsageError(str(error)) from None
    credentials = _credentials(context, options)

    async def ask() -> Sequence[EsaJob]:
        proxy = egress.proxy_for(endpoint)
        connections = Connections(endpoint, request_timeout=_TIMEOUT, setting="", tls=egress.tls, proxy=proxy)
        try:
            client = EsaClient(credentials, connections, Throttle(_RATE))
            return (await client.list_jobs(options.site, "")).jobs
        finally:
            await connections.close()

    return asyncio.run(ask())


def _credentials(context: Context, options: argparse.Namespace) -> "Credentials":
    from esa_preload_operator.esa.credentials import (  # noqa: PLC0415 - the same
        ENV_KEY_ID,
        from_environment,
        from_secret,
    )

    if options.credentials_secret is not None:
        body = context.kubectl.json("get", "secret", options.credentials_secret)
        data = {key: value for key, value in part(body, "data").items() if isinstance(value, str)}
        return from_secret(data, options.credentials_secret)
    found = from_environment(os.environ)
    if found is None:
        raise UsageError(f"set {ENV_KEY_ID} and its secret, or name a Secret by --credentials-secret")
    return found


def _managers(context: Context) -> list[Job]:
    try:
        return read_jobs(context.kubectl.json("get", RESOURCE, "--all-namespaces"))
    except KubectlError as error:
        if not error.is_denied:
            raise
    context.note("warning: only this namespace can be read; resources elsewhere may manage the same jobs")
    return read_jobs(context.kubectl.json("get", RESOURCE))


def managed_ids(jobs: Iterable[Job]) -> dict[str, str]:
    """Return the ids of ESA jobs that resources are about, with the resource of each."""
    found: dict[str, str] = {}
    for job in jobs:
        retired = job.status.get("retiredJobs")
        ids = [job.spec.get("jobId"), job.status.get("jobId"), *(retired if isinstance(retired, list) else [])]
        found |= {str(each): f"{job.ref.namespace}/{job.ref.name}" for each in ids if each}
    return found


def choose(
    listed: Sequence[EsaJob], managed: Mapping[str, str], wanted: Collection[str]
) -> tuple[list[EsaJob], list[str]]:
    """Return the jobs to adopt, and a sentence for each wanted one that can't be."""
    known = {job.id: job for job in listed}
    missing = [f"job {each} is not in the site" for each in wanted if each not in {**known, **managed}]
    missing += [
        f"job {each} belongs to {managed[each]} already" for each in wanted if each in managed and each in known
    ]
    free = [job for job in listed if job.id not in managed and (not wanted or job.id in wanted)]
    return free, missing


def manifests(jobs: Iterable[EsaJob], *, secret: str | None, namespace: str) -> list[dict[str, Any]]:
    """Return one resource for each job."""
    taken: set[str] = set()
    found = []
    for job in jobs:
        name = resource_name(job, taken)
        taken.add(name)
        metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
        spec: dict[str, Any] = {"jobId": job.id}
        spec |= {"credentialsSecretRef": {"name": secret}} if secret is not None else {}
        found.append({"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec})
    return found


def resource_name(job: EsaJob, taken: Collection[str]) -> str:
    """Return a name that Kubernetes takes: of the job's own name, and of its id where that does not do."""
    words = _NOT_IN_NAMES.sub("-", (job.name or "").lower()[:1000]).strip("-")[:_LONGEST_NAME].strip("-")
    tail = _NOT_IN_NAMES.sub("", job.id.lower())
    if not words:
        return f"job-{tail}"[:_LONGEST_NAME]
    if words not in taken:
        return words
    return f"{words[: _LONGEST_NAME - len(tail[-12:]) - 1]}-{tail[-12:]}"


def job_lines(jobs: Iterable[EsaJob], width: int | None) -> list[Line]:
    """Return a table of jobs."""
    rows = [
        (Cell(job.id), Cell(share(job.url_submitted, job.url_count)), Cell(job.created_at or "-"), Cell(job.name or ""))
        for job in jobs
    ]
    return table(("JOB", "URLS", "CREATED", "NAME"), rows, width)
