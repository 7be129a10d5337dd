"""Real screens of the plugin: what its own functions make of a recording, drawn by rich."""

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from esa_preload_operator.cli.plugin.jobs import read_jobs
from esa_preload_operator.cli.plugin.layout import STYLES, Line
from esa_preload_operator.cli.plugin.listing import job_table, summary
from esa_preload_operator.cli.plugin.screenful import screenful
from esa_preload_operator.cli.plugin.status import last_events

_WIDTH: Final = 88
_RECORDING: Final = Path(__file__).with_name("recording.json")


def listed() -> str:
    """Return the picture of `kubectl esa-preload list`."""
    told = _told()
    jobs = read_jobs({"items": told["jobs"]})
    lines = [*job_table(jobs, told["now"], _WIDTH, namespaces=False), (), summary(jobs)]
    return _drawn("kubectl esa-preload list", lines)


def shown(name: str) -> str:
    """Return the picture of `kubectl esa-preload status NAME`."""
    told = _told()
    job = next(each for each in read_jobs({"items": told["jobs"]}) if each.ref.name == name)
    of_job = [each for each in told["events"] if each["involvedObject"]["uid"] == job.uid]
    lines = screenful(job, last_events({"items": of_job}), told["now"], _WIDTH)
    return _drawn(f"kubectl esa-preload status {name}", lines)


def _told() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_RECORDING.read_text(encoding="utf-8"))
    return found


def _drawn(command: str, lines: Sequence[Line]) -> str:
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(Text(f"$ {command}", "bold"))
    for each in lines:
        console.print(Text.assemble(*((piece.text, STYLES.get(piece.style, "")) for piece in each)), no_wrap=True)
    drawn = console.export_svg(title=command, unique_id="screen")
    return re.sub(r"(?s)\s*@font-face \{.*?\}\n", "\n", drawn).replace("Fira Code", "ui-monospace, Menlo, Consolas")
