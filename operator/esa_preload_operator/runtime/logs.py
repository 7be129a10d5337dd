"""Logs for people (plain) or for machines (json): one line a record, and never a signed URL."""

import json
import logging
import sys
from typing import Any, Final

from esa_preload_operator.domain.cleaning import format_micro_time, printable

_QUIET: Final = ("aiohttp.access", "httpx", "httpcore", "asyncio", "kopf", "kubernetes")
"""Loggers that would print each probe, each URL with its query, or each step of the framework."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
        line: dict[str, Any] = {
            "timestamp": format_micro_time(record.created),
            "severity": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        first = record.args[0] if isinstance(record.args, tuple) and record.args else None
        if hasattr(first, "namespace") and hasattr(first, "name"):
            line["object"] = {"kind": "ScheduledPreloadJob", "namespace": first.namespace, "name": first.name}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)  # in ASCII, so that no text steers the terminal that shows it


class PlainFormatter(logging.Formatter):
    """One readable line a record, the lines of an exception indented: no text forges a record or steers a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line."""
        lines = [f"{format_micro_time(record.created)} {record.levelname:<7} {printable(record.getMessage())}"]
        if record.exc_info:
            lines += [f"  {printable(part)}" for part in self.formatException(record.exc_info).split("\n")]
        return "\n".join(lines)


def set_up_logs(style: str, level: str) -> None:
    """Send all logs to stderr in one style."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else PlainFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
