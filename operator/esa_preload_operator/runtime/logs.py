"""Logs for people (plain) or for machines (json): one line a record, and never a signed URL."""

import json
import logging
import re
import sys
from typing import Any, Final

from esa_preload_operator.domain.cleaning import format_micro_time

_QUIET: Final = ("aiohttp.access", "httpx", "httpcore", "asyncio", "kopf", "kubernetes")
"""Loggers that would print each probe, each URL with its query, or each step of the framework."""


_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


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
        return json.dumps(line, ensure_ascii=False)


class PlainFormatter(logging.Formatter):
    """One readable line a record: what ends a line or steers a terminal can't forge another record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line."""
        message = _CONTROL.sub(lambda found: repr(found[0])[1:-1], record.getMessage())
        line = f"{format_micro_time(record.created)} {record.levelname:<7} {message}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def set_up_logs(style: str, level: str) -> None:
    """Send all logs to stderr in one style."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else PlainFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
