"""Strict verification of the signature ACS3-HMAC-SHA256 (help page "Request syntax and signature method V3")."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import parse_qsl, quote

from esa_simulator.errors import EsaError

ALGORITHM = "ACS3-HMAC-SHA256"
TOLERANCE_SECONDS = 15 * 60

_AUTHORIZATION = re.compile(
    ALGORITHM
    + r" Credential=(?P<key>[^,\s]+),SignedHeaders=(?P<signed>[a-z0-9;-]+),Signature=(?P<signature>[0-9a-f]{64})"
)
_REQUIRED = (
    "host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256",
    "authorization",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Credential:
    """An access key, and what it may do.

    Attributes:
        ali_uid: the account that it belongs to.
        security_token: set for temporary credentials; then each request must carry it.
        expires: epoch seconds from when on the security token is refused.
        active: False refuses as a disabled access key.
        deny: actions that RAM refuses to it.
    """

    access_key_id: str
    access_key_secret: str = field(repr=False)
    ali_uid: str
    security_token: str | None = field(default=None, repr=False)
    expires: float | None = None
    active: bool = True
    deny: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What came over the wire: the raw query, headers under lower-case names, the exact body."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def verify(request: SignedRequest, credentials: Mapping[str, Credential], now: float) -> Credential:
    """Whose request is it? The nonce is not looked at: that needs a memory (`NonceMemory`).

    Args:
        request: as received.
        credentials: known credentials by access key id.
        now: epoch seconds.

    Raises:
        EsaError: IncompleteSignature, InvalidAccessKeyId.*, InvalidTimeStamp.*, SignatureDoesNotMatch,
            InvalidSecurityToken.*
    """
    key_id, signed, signature = _read_authorization(request)
    credential = credentials.get(key_id)
    if credential is None:
        raise EsaError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
    if not credential.active:
        raise EsaError(400, "InvalidAccessKeyId.Inactive", "Specified access key is disabled.")
    _check_date(request.headers["x-acs-date"], now)
    if hashlib.sha256(request.body).hexdigest() != request.headers["x-acs-content-sha256"]:
        raise EsaError(400, "SignatureDoesNotMatch", "The body does not match x-acs-content-sha256.")
    string_to_sign = f"{ALGORITHM}\n{hashlib.sha256(canonical_request(request, signed).encode()).hexdigest()}"
    expected = hmac.digest(credential.access_key_secret.encode(), string_to_sign.encode(), "sha256").hex()
    if not hmac.compare_digest(expected, signature):
        raise EsaError(400, "SignatureDoesNotMatch", "The request signature does not conform to Aliyun standards.")
    _check_token(request.headers.get("x-acs-security-token"), credential, now)
    return credential


def canonical_request(request: SignedRequest, signed: list[str]) -> str:
    """The text that is hashed and signed; `signed` are the names in SignedHeaders, in their order."""
    pairs = sorted(parse_qsl(request.query, keep_blank_values=True), key=lambda pair: pair[0])
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
    headers = "".join(f"{name}:{request.headers[name].strip()}\n" for name in signed)
    payload = request.headers["x-acs-content-sha256"]
    return f"{request.method}\n{request.path}\n{query}\n{headers}\n{';'.join(signed)}\n{payload}"


def _read_authorization(request: SignedRequest) -> tuple[str, list[str], str]:
    for name in _REQUIRED:
        if not request.headers.get(name):
            raise EsaError(400, "IncompleteSignature", f"The request header {name} is missing.")
    match = _AUTHORIZATION.fullmatch(request.headers["authorization"])
    if match is None:
        raise EsaError(400, "IncompleteSignature", "The header Authorization can't be read.")
    signed = match["signed"].split(";")
    if signed != sorted(set(signed)):
        raise EsaError(400, "IncompleteSignature", "SignedHeaders are not sorted.")
    if absent := [name for name in signed if name not in request.headers]:
        raise EsaError(400, "SignatureDoesNotMatch", f"Signed but absent: {';'.join(absent)}.")
    must = {name for name in request.headers if name == "host" or name.startswith("x-acs-")}
    if request.body:
        must.add("content-type")  # without a body some clients add one after signing
    if unsigned := sorted(must.difference(signed)):
        raise EsaError(400, "IncompleteSignature", f"Not in SignedHeaders: {';'.join(unsigned)}.")
    return match["key"], signed, match["signature"]


def _check_date(value: str, now: float) -> None:
    moment = _read_date(value)
    if moment is None:
        raise EsaError(400, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted.")
    if abs(moment - now) > TOLERANCE_SECONDS:
        raise EsaError(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")


@lru_cache(maxsize=16)  # the calls of one second carry the same date
def _read_date(value: str) -> float | None:
    try:
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _check_token(token: str | None, credential: Credential, now: float) -> None:
    if credential.security_token is None:
        if token is not None:
            raise EsaError(400, "InvalidSecurityToken.MismatchWithAccessKey", "This access key has no security token.")
        return
    if token is None:
        raise EsaError(400, "InvalidSecurityToken.Malformed", "The security token is missing.")
    if not hmac.compare_digest(token.encode(), credential.security_token.encode()):
        raise EsaError(
            400, "InvalidSecurityToken.MismatchWithAccessKey", "The security token belongs to another access key."
        )
    if credential.expires is not None and now >= credential.expires:
        raise EsaError(400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")


class NonceMemory:
    """Remembers nonces for as long as their dates can be valid, in two generations so that forgetting costs nothing."""

    def __init__(self) -> None:
        self._young: set[tuple[str, str]] = set()
        self._old: set[tuple[str, str]] = set()
        self._turned = float("-inf")

    def claim(self, access_key_id: str, nonce: str, now: float) -> None:
        """Use a nonce up.

        Raises:
            EsaError: SignatureNonceUsed
        """
        if now - self._turned > 2 * TOLERANCE_SECONDS:  # a date may lie that far on either side of now
            self._young, self._old, self._turned = set(), self._young, now
        entry = (access_key_id, nonce)
        if entry in self._young or entry in self._old:
            raise EsaError(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
        self._young.add(entry)
