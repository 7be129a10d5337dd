"""`diagnose [NAME]`: what is in the way, and what to do about it."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from esa_preload_operator.cli.plugin.context import FAILED, OK, Context
from esa_preload_operator.cli.plugin.diagnose.bundle import write_bundle
from esa_preload_operator.cli.plugin.diagnose.checks import Check, Result, checks
from esa_preload_operator.cli.plugin.diagnose.facts import Facts, gather
from esa_preload_operator.cli.plugin.diagnose.reach import reach
from esa_preload_operator.cli.plugin.jobs import entries, part, text
from esa_preload_operator.cli.plugin.layout import Line, Piece, plain, wrap
from esa_preload_operator.cli.plugin.output import formatted

_STYLE: Final = {Result.GOOD: "good", Result.WARNING: "busy", Result.BAD: "bad", Result.UNKNOWN: "dim"}
_ENDPOINTS: Final = {
    "china": "https://esa.cn-hangzhou.aliyuncs.com",
    "international": "https://esa.ap-southeast-1.aliyuncs.com",
}
"""Those that can be reached from outside of Alibaba Cloud's network, by the operator's names for them."""
_NOWHERE: Final = "none"
_WIDE: Final = 120
_SETTING: Final = "ESA_OPERATOR_ENDPOINT"


def diagnose(context: Context, options: argparse.Namespace) -> int:
    """Print all findings; return 1 when something is wrong."""
    facts = gather(context.kubectl, context.given, options.name, options.operator_namespace)
    endpoint = options.endpoint or endpoint_of(facts)
    if endpoint and endpoint != _NOWHERE and facts.version.error is None:
        reach(facts, _ENDPOINTS.get(endpoint, endpoint))
    found = checks(facts, time.time())
    if options.form is not None:
        data = [
            {"topic": each.topic, "result": each.result.value, "found": each.found, "todo": each.todo} for each in found
        ]
        context.stdout.write(formatted(data, options.form))
    else:
        context.show(finding_lines(found, context.stdout.width or _WIDE))
    if options.output is not None:
        findings = plain(finding_lines(found, _WIDE))
        names = write_bundle(context.kubectl, facts, findings, context.given.scope, Path(options.output))
        context.note(
            f"{options.output} holds {len(names)} files, without secrets, tokens and query strings. "
            "Look through it before you send it."
        )
    return FAILED if any(each.result is Result.BAD for each in found) else OK


def endpoint_of(facts: Facts) -> str:
    """Return the endpoint that the operator's Deployment names."""
    for deployment in facts.deployments.items:
        for container in entries(part(deployment, "spec", "template", "spec").get("containers")):
            for each in entries(container.get("env")):
                if each.get("name") == _SETTING and each.get("value"):
                    return text(each["value"])
    return ""


def finding_lines(found: Sequence[Check], width: int) -> list[Line]:
    """Return findings as lines: what is wrong in words, and below it what to do."""
    lines: list[Line] = []
    topic = max(len(each.topic) for each in found)
    indent = " " * (topic + 11)
    for each in found:
        head = (
            Piece(each.topic.ljust(topic), "bold"),
            Piece("  "),
            Piece(each.result.value.ljust(7), _STYLE[each.result]),
        )
        first, *rest = wrap(each.found, width - len(indent)) or [""]
        lines.append((*head, Piece(f"  {first}")))
        lines += [(Piece(indent + more),) for more in rest]
        if each.todo and each.result is not Result.GOOD:
            lines += [(Piece(more, "bold"),) for more in wrap(f"To do: {each.todo}", width, indent)]
    return lines
