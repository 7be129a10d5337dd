"""Asks ESA's endpoint from this machine whether it is there, and what time it is."""

import os
import time
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from esa_preload_operator.cli.plugin.diagnose.facts import Facts
from esa_preload_operator.domain.cleaning import clean_text

if TYPE_CHECKING:
    from email.message import Message

_SECONDS: Final = 5.0


def reach(facts: Facts, endpoint: str) -> None:
    """Note what the endpoint answers; every answer of HTTP shows that it is there."""
    facts.endpoint = endpoint
    if not endpoint.startswith(("https://", "http://")):
        facts.reach_error = "it is neither https:// nor http://"
        return
    try:
        with urllib.request.urlopen(endpoint, timeout=_SECONDS) as answer:  # noqa: S310 - the scheme is checked above
            _heard(facts, answer.status, answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            _heard(facts, error.code, error.headers)
    except (OSError, ValueError) as error:
        facts.reach_error = clean_text(getattr(error, "reason", error), 200)


def _heard(facts: Facts, status: int, headers: "Message") -> None:
    facts.reached = f"HTTP {status}" + (" through a proxy" if os.environ.get("HTTPS_PROXY") else "")
    try:
        # The time is when the answer was written; the way back is part of the error.
        facts.endpoint_ahead = parsedate_to_datetime(headers.get("Date", "")).timestamp() - time.time()
    except (TypeError, ValueError):
        facts.endpoint_ahead = None
