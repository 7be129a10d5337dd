"""What looks like a request for a reset and is none."""

from collections.abc import Mapping
from typing import Final

from esa_preload_operator.domain.cleaning import cut
from esa_preload_operator.resources.names import RESET_KEY, RESET_KEYS

_MAX_KEY: Final = 100


def ignored_requests(annotations: Mapping[str, str], labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return a sentence, with the cure, for each annotation and label that somebody may take for a request."""
    found = [
        f"the annotation {key} is empty, which asks for nothing: give it a token, such as the time"
        for key in RESET_KEYS
        if annotations.get(key) == ""
    ]
    found += [
        f"the annotation {cut(key, _MAX_KEY)} is not known and asks for nothing: write {RESET_KEY}"
        for key in annotations
        if key not in RESET_KEYS and _is_meant(key)
    ]
    found += [
        f"the label {cut(key, _MAX_KEY)} asks for nothing: set the annotation {RESET_KEY} instead"
        for key in labels
        if _is_meant(key)
    ]
    return tuple(sorted(found))


def _is_meant(key: str) -> bool:
    if "eset" not in key and "ESET" not in key:  # most keys end here
        return False
    name = key[-2 * len(RESET_KEY) :].rpartition("/")[2]
    return "".join(filter(str.isalnum, name)).lower() in {RESET_KEY.lower(), "requestreset", "resetrequest"}
