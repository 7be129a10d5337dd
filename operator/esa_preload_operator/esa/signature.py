"""ACS3-HMAC-SHA256: how Alibaba Cloud's gateway wants requests signed ("Request syntax and signature method V3")."""

import hashlib
import hmac
from collections.abc import Callable, Generator, Mapping
from typing import Final
from urllib.parse import quote

import httpx

from esa_preload_operator.domain.cleaning import format_time
from esa_preload_operator.esa.credentials import Credentials

ALGORITHM: Final = "ACS3-HMAC-SHA256"


def canonical_query(parameters: Mapping[str, str]) -> str:
    """Parameters sorted by name and percent-encoded as RFC 3986 says: a space is %20, `~` stays."""
    encoded = ((quote(name, safe="~"), quote(value, safe="~")) for name, value in parameters.items())
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


def canonical_request(method: str, query: str, headers: Mapping[str, str], body_hash: str) -> str:
    """Put what is signed into its one form; `query` is canonical already, `headers` have lower-case names."""
    names = sorted(headers)
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
    return f"{method}\n/\n{query}\n{lines}\n{';'.join(names)}\n{body_hash}"


def signature(secret: str, request: str) -> str:
    """Sign a canonical request: lower-case hexadecimal, keyed by the bare secret."""
    text = f"{ALGORITHM}\n{hashlib.sha256(request.encode()).hexdigest()}"
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def authorization(
    credentials: Credentials, *, method: str, query: str, headers: Mapping[str, str], body_hash: str
) -> str:
    """Return the value of the Authorization header that covers exactly `headers`."""
    signed = signature(credentials.access_key_secret, canonical_request(method, query, headers, body_hash))
    names = ";".join(sorted(headers))
    return f"{ALGORITHM} Credential={credentials.access_key_id},SignedHeaders={names},Signature={signed}"


class Acs3Auth(httpx.Auth):
    """Signs each request right before it goes to the transport, with the time of now and a new nonce.

    `clock` gives epoch seconds: the gateway refuses a date that is 15 minutes off. `nonce` never gives the same twice.
    """

    requires_request_body = True

    def __init__(self, credentials: Credentials, clock: Callable[[], float], nonce: Callable[[], str]) -> None:
        self._credentials = credentials
        self._clock = clock
        self._nonce = nonce

    def stamp(self) -> tuple[str, str]:
        """Return nonce and date of the next request."""
        return self._nonce(), format_time(self._clock())

    def fixed(self, nonce: str, date: str) -> "FixedAcs3Auth":
        """Return a signer for one request: it signs the same request in the same way whenever it is made."""
        return FixedAcs3Auth(self._credentials, nonce, date)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add what a signature needs, and the signature."""
        headers = {name.decode("ascii").lower(): value.decode("latin-1") for name, value in request.headers.raw}
        added = self.sign(request.method, request.url.query.decode("ascii"), headers, request.content)
        pairs = [(name.encode("ascii"), value.encode("latin-1")) for name, value in added.items()]
        request.headers = httpx.Headers([*request.headers.raw, *pairs], encoding="latin-1")
        yield request

    def sign(self, method: str, query: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """Return what to add to `headers` (lower-case names, with the host): date, nonce, hash, token, signature."""
        body_hash = hashlib.sha256(body).hexdigest()
        nonce, date = self.stamp()
        added = {
            "x-acs-content-sha256": body_hash,
            "x-acs-date": date,
            "x-acs-signature-nonce": nonce,
        }
        if self._credentials.security_token:
            added["x-acs-security-token"] = self._credentials.security_token
        covered = {name: value for name, value in (*headers.items(), *added.items()) if is_covered(name)}
        added["authorization"] = authorization(
            self._credentials, method=method, query=query, headers=covered, body_hash=body_hash
        )
        return added


class FixedAcs3Auth(Acs3Auth):
    """Signs with a nonce and a date that are given, so that a request can be made again byte for byte."""

    def __init__(self, credentials: Credentials, nonce: str, date: str) -> None:
        super().__init__(credentials, lambda: 0.0, lambda: nonce)
        self._date = date

    def stamp(self) -> tuple[str, str]:
        """Return what was given."""
        return self._nonce(), self._date


def is_covered(name: str) -> bool:
    """Say if a header must be signed: the host, the content type of a body, and all of the gateway's own."""
    return name in {"host", "content-type"} or name.startswith("x-acs-")
