"""What may come from outside, as strategies: JSON of any shape with secrets, steering characters and odd numbers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterable

SECRETS: Final = ("LTAI5tFuzzKeyId", "fuzz/Secret+Value==", "CAIS/fuzz+Token==" * 3)
STEERING: Final = "\x00\x1b\x7f\x85\x9b\u061c\u200b\u202e\u2028\u2029\u2066\ufeff\ud800\n"

_LEAKS: Final = st.builds(
    lambda before, secret, after, form: before + form(secret) + after,
    st.text(max_size=3),
    st.sampled_from(SECRETS),
    st.text(max_size=3),
    st.sampled_from([str, lambda text: quote(text, safe=""), "\u200b".join, "\x00".join]),
)
_ODD: Final = st.sampled_from(
    [
        "",
        "0",
        "-1",
        "9" * 30,
        "1e400",
        "true",
        "\x00",
        STEERING,
        "2026-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "x" * 9000,
    ]
)
TEXTS: Final = st.text(st.characters(exclude_categories=[]), max_size=40) | _LEAKS | _ODD
SCALARS: Final = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from([0, 1, 2**53, 2**63 - 1, 2**63, -(2**63)])
    | TEXTS
)
JSON: Final = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def objects(names: Iterable[str], values: st.SearchStrategy[Any] = JSON, **known: st.SearchStrategy[Any]) -> Any:
    """Objects with some of these fields, of any value or, for the known ones, mostly of the right form."""
    fields = dict.fromkeys(names, values) | {name: strategy | values for name, strategy in known.items()}
    return st.fixed_dictionaries({}, optional=fields) | JSON


def encoded(values: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """Values as JSON, whole, cut or with other bytes in it; or anything else."""
    whole = values.map(lambda value: json.dumps(value).encode())
    raw = values.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    cut = st.builds(lambda body, at: body[: at % (len(body) + 1)], whole, st.integers(0, 10_000))
    broken = st.builds(
        lambda body, at, other: body[: at % (len(body) + 1)] + other + body[at % (len(body) + 1) :],
        raw,
        st.integers(0, 10_000),
        st.binary(max_size=4),
    )
    return whole | whole | raw | cut | broken | st.binary(max_size=60)


def shows_secret(text: str) -> bool:
    """Whether a text shows one of the secrets, also behind escapes and characters that don't show."""
    bare = "".join(filter(str.isprintable, text)).replace("\\u200b", "").replace("\\x00", "")
    return any(form in bare for secret in SECRETS for form in (secret, quote(secret, safe="")))
