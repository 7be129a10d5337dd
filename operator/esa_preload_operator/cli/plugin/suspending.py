"""`suspend` and `resume`."""

import argparse
import json

from esa_preload_operator.cli.plugin.context import FAILED, OK, Context
from esa_preload_operator.cli.plugin.layout import Piece
from esa_preload_operator.cli.plugin.output import names
from esa_preload_operator.cli.plugin.targets import change, find_jobs


def suspend(context: Context, options: argparse.Namespace) -> int:
    """Let jobs rest."""
    return _set(context, options, rest=True)


def resume(context: Context, options: argparse.Namespace) -> int:
    """Let jobs go on."""
    return _set(context, options, rest=False)


def _set(context: Context, options: argparse.Namespace, *, rest: bool) -> int:
    jobs = find_jobs(context.kubectl, context.given, options)
    patch = json.dumps({"spec": {"suspend": rest}})
    changed, message = change(context.kubectl, "patch", jobs, "--type=merge", f"--patch={patch}")
    if message:
        context.error(message)
    if options.output == "name":
        context.stdout.write(names(changed))
        return OK if len(changed) == len(jobs) else FAILED
    before = {job.ref: job.suspended for job in jobs}
    for job in changed:
        done = "suspended" if rest else "goes on"
        word = f"{done} already" if before.get(job.ref) is rest else done
        context.show([(Piece(job.ref.name, "name"), Piece(f"  {word}"))])
    if not jobs:
        context.note("no job was found")
    return OK if len(changed) == len(jobs) else FAILED
