"""Takes out of foreign text what nobody may see: credentials, signatures, quotes of the signed request."""

import re
from collections.abc import Sequence
from typing import Any, Final

from esa_preload_operator.domain.cleaning import clean_text

_HIDDEN: Final = "***"
_MAX_FOREIGN: Final = 4096
"""Characters of a text that are looked at; more is never shown of one."""
_SIGNED: Final = re.compile(
    r"string\s*to\s*sign|canonical\s*(request|string)|ACS\d?-|authorization\b|signature\s*[=:]", re.IGNORECASE
)
"""From here on a message quotes the signed request, where the security token stands."""
_BEFORE: Final = ("server", "client", "the", "our")
"""Words in front of such a quote that would be left over."""


def conceal(text: object, hidden: Sequence[str], limit: int) -> str:
    """Foreign text without credentials, without quotes of the signed request, without query strings, cut to `limit`."""
    shown = concealed(str(text) if text is not None else "", hidden)[:_MAX_FOREIGN]
    quote = _SIGNED.search(shown)
    if quote is not None:
        shown = shown[: quote.start()].rstrip()
        word = next((word for word in _BEFORE if shown.lower().endswith(word)), "")
        shown = shown[: len(shown) - len(word)]
    return clean_text(shown, limit).strip()


def concealed(text: str, hidden: Sequence[str]) -> str:
    """Return a text without these parts, also where characters that don't show stand between their letters."""
    for part in hidden:
        text = text.replace(part, _HIDDEN)
    if text.isprintable():
        return text
    bare = "".join(filter(str.isprintable, text))
    return _HIDDEN if any(part in bare for part in hidden) else text


def conceal_all(value: Any, hidden: Sequence[str]) -> Any:
    """Return parsed JSON whose texts and keys show none of these parts; lists and objects are changed in place."""
    if isinstance(value, str):
        return concealed(value, hidden)
    left = [value] if hidden else []
    while left:
        part = left.pop()
        entries: list[tuple[Any, Any]]
        if isinstance(part, dict):
            entries = [(concealed(key, hidden), found) for key, found in part.items()]
            part.clear()
        elif isinstance(part, list):
            entries = list(enumerate(part))
        else:
            continue
        for key, found in entries:
            part[key] = concealed(found, hidden) if isinstance(found, str) else found
            left.append(found)
    return value
