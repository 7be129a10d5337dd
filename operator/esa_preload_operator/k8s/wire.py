"""Small things that several kinds of objects have in common on the wire."""

from datetime import UTC, datetime


def micro_time() -> str:
    """Return now as a MicroTime of the Kubernetes API, in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def cut(text: str, size: int) -> str:
    """Cut a text to at most `size` bytes of UTF-8 (at least 3), with an ellipsis where something is missing."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= size:
        return encoded.decode()
    return encoded[: size - 3].decode(errors="ignore") + "…"
