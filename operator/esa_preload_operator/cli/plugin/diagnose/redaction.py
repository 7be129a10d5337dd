"""Removes what nobody else may see: secrets, tokens, query strings. What is not known to be harmless goes."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from esa_preload_operator.cli.plugin.jobs import Job
from esa_preload_operator.domain.cleaning import clean_text
from esa_preload_operator.domain.tokens import token_time
from esa_preload_operator.resources.names import GROUP, RESET_KEYS

REMOVED: Final = "(removed)"
_SECRET_KEY: Final = re.compile(
    r"(?i)secret|token|passw|credential|authorization|signature|signer|nonce|access.?key|cookie"
)
_HARMLESS: Final = frozenset({"credentialsSecretRef", "automountServiceAccountToken", "serviceAccountToken", "tokens"})
_DROPPED: Final = frozenset({"managedFields", "kubectl.kubernetes.io/last-applied-configuration"})
_OURS: Final = "ESA_OPERATOR_"
"""The operator's settings hold no secret; other variables of its containers may."""
_PATTERNS: Final = tuple(
    re.compile(each)
    for each in (
        r"eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*",
        r"\bLTAI\w{8,}",
        r"\bSTS\.\w{8,}",
        r"(?i)\bbearer\s+[\w.~+/=-]+",
        r"(?i)\bbasic\s+[\w+/=]{8,}",
        r"-----BEGIN [^-]+-----[^-]*(-----END [^-]+-----)?",
        r"(?<=://)[^\s/@]+:[^\s/@]+@",
    )
)
_ASSIGNED: Final = re.compile(
    r"(?i)((?:access_?key_?(?:id|secret)|secret|security_?token|password|passwd|signature|authorization|\btoken)"
    r"[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&]+"
)
_LONGEST: Final = 16_384


@dataclass(frozen=True, slots=True)
class Redactor:
    """Removes secrets; a token of a request becomes a hash, so that it can still be told from others."""

    tokens: Mapping[str, str]
    hidden: Sequence[str] = ()

    def line(self, text: str) -> str:
        """Return one line of text without them."""
        for secret in self.hidden:
            text = text.replace(secret, REMOVED)
        for token, shown in self.tokens.items():
            text = text.replace(token, shown)
        for pattern in _PATTERNS:
            text = pattern.sub(REMOVED, text)
        return clean_text(_ASSIGNED.sub(lambda found: found[1] + REMOVED, text), _LONGEST)

    def lines(self, text: str) -> str:
        """Return lines of text without them."""
        return "".join(f"{self.line(each)}\n" for each in text.splitlines())

    def data(self, value: Any, key: str = "") -> Any:
        """Return JSON without them."""
        if isinstance(value, Mapping):
            return self._object(value)
        if isinstance(value, list):
            return [self.data(each, key) for each in value]
        if not isinstance(value, str):
            return value
        if _SECRET_KEY.search(key) and key not in _HARMLESS:
            return REMOVED
        return self.line(value)

    def _object(self, value: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        hides = value.get("kind") == "Secret"
        for name, each in value.items():
            if name in _DROPPED:
                continue
            if hides and name in {"data", "stringData"}:
                found[name] = dict.fromkeys(each, REMOVED) if isinstance(each, Mapping) else REMOVED
            elif name == "env" and isinstance(each, list):
                found[name] = [self._variable(one) for one in each]
            elif name in {"tokens", "handledResets", "handledTimes"} and isinstance(each, Mapping):
                found[name] = {key: hashed(str(one)) for key, one in each.items()}
            elif name in RESET_KEYS:
                found[name] = hashed(str(each))
            else:
                found[self.line(str(name))] = self.data(each, str(name))
        return found

    def _variable(self, one: Any) -> Any:
        if not isinstance(one, Mapping) or "value" not in one:
            return one
        kept = str(one.get("name", "")).startswith(_OURS)
        return {"name": one.get("name"), "value": self.line(str(one["value"])) if kept else REMOVED}


def hashed(token: str) -> str:
    """Return what stands for a token: a time stands for itself."""
    if token_time(token) is not None:
        return token
    return f"sha256:{hashlib.sha256(token.encode()).hexdigest()[:12]}"


def redactor(jobs: Iterable[Job], hidden: Sequence[str] = ()) -> Redactor:
    """Return a redactor that knows the tokens of these jobs, the longest first."""
    tokens = {each for job in jobs for each in (*job.handled.values(), *job.newest.values())}
    tokens |= {
        value
        for job in jobs
        for key, value in job.annotations.items()
        if key in RESET_KEYS or key.startswith(f"{GROUP}/")
    }
    tokens |= {token for job in jobs if job.reset is not None for _, token in job.reset.tokens}
    tokens = {each for each in tokens if len(each) >= 4 and token_time(each) is None}
    known = sorted(tokens, key=len, reverse=True)
    return Redactor({each: hashed(each) for each in known}, tuple(hidden))
