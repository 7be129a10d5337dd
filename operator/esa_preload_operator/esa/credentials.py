"""Credentials of Alibaba Cloud: where they may come from, and what they must look like."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from esa_preload_operator.domain.errors import Delivery, ErrorClass, EsaError, Problem, Reason
from esa_preload_operator.domain.ports import SECRET_VALUE_LIMIT

KEY_ID: Final = "accessKeyId"
KEY_SECRET: Final = "accessKeySecret"  # noqa: S105 - the name of a key in a Secret, no password
TOKEN: Final = "securityToken"  # noqa: S105 - the same
ENV_KEY_ID: Final = "ALIBABA_CLOUD_ACCESS_KEY_ID"
ENV_KEY_SECRET: Final = "ALIBABA_CLOUD_ACCESS_KEY_SECRET"  # noqa: S105 - the name of a variable, no password
ENV_TOKEN: Final = "ALIBABA_CLOUD_SECURITY_TOKEN"  # noqa: S105 - the same
_MAX: Final = 16 * 1024
"""Characters of one value; an STS token has about a thousand."""
_HIDDEN_FROM: Final = 8
"""Characters; real key ids have 16 and more, real secrets 30."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key, with a security token if it is a temporary one. Its text form shows nothing of them."""

    access_key_id: str = field(repr=False)
    access_key_secret: str = field(repr=False)
    security_token: str = field(default="", repr=False)

    @property
    def id(self) -> str:
        """Short hash over all parts: tells credentials apart in logs and metrics without revealing them."""
        parts = f"{self.access_key_id}\0{self.access_key_secret}\0{self.security_token}"
        return hashlib.sha256(parts.encode()).hexdigest()[:12]

    def hidden(self) -> tuple[str, ...]:
        """Texts that nobody may see, the longest first, so that none survives inside another.

        What is shorter than any real one would be found in ordinary words.
        """
        return hidden_forms(self.access_key_secret, self.security_token, self.access_key_id)


def hidden_forms(*secrets: str) -> tuple[str, ...]:
    """Return these texts as they are and as a query or a form carries them, the longest first."""
    forms = {form for secret in secrets if len(secret) >= _HIDDEN_FROM for form in (secret, quote(secret, safe=""))}
    return tuple(sorted(forms, key=len, reverse=True))


def signer(credentials: Credentials, host: str) -> str:
    """Short hash of access key id and host: the same one makes the same signature of the same request.

    A key id never comes with another secret, and a temporary one with no other token, so no secret need go into it.
    """
    return hashlib.sha256(f"{credentials.access_key_id}\0{host}".encode()).hexdigest()[:12]


def unusable(reason: Reason, message: str) -> EsaError:
    """Credentials that can't be used: the account's owner heals that, and no request has left."""
    return EsaError(Problem(reason.value, message, ErrorClass.BLOCKED, reason, Delivery.NEVER_SENT))


def from_environment(environment: Mapping[str, str]) -> Credentials | None:
    """Credentials of the operator itself, from the variables that Alibaba Cloud's own clients read; None if not set.

    Raises:
        EsaError: one of the two is missing, or a value can't be one (reasons CredentialsMissing, CredentialsInvalid).
    """
    key_id, secret, token = (
        checked(environment.get(name, ""), f"environment variable {name}")
        for name in (ENV_KEY_ID, ENV_KEY_SECRET, ENV_TOKEN)
    )
    if not key_id and not secret:
        return None
    if not key_id or not secret:
        missing = ENV_KEY_SECRET if key_id else ENV_KEY_ID
        raise unusable(Reason.CREDENTIALS_MISSING, f"environment variable {missing} is not set")
    return Credentials(key_id, secret, token)


def from_secret(data: Mapping[str, str], name: str) -> Credentials:
    """Credentials from a Secret's `data`: base64, as the API server hands it out; `name` stands in messages.

    Raises:
        EsaError: a key is missing (CredentialsMissing), or its value can't be one (CredentialsInvalid).
    """
    values = {}
    for key in (KEY_ID, KEY_SECRET, TOKEN):
        where = f"key {key} of Secret {name}"
        if len(data.get(key, "")) > SECRET_VALUE_LIMIT:
            raise unusable(Reason.CREDENTIALS_INVALID, f"{where} is longer than 4 kB")
        values[key] = checked(_decoded(data.get(key, ""), where), where)
        if key != TOKEN and not values[key]:
            raise unusable(Reason.CREDENTIALS_MISSING, f"{where} is missing or empty")
    return Credentials(values[KEY_ID], values[KEY_SECRET], values[TOKEN])


def _decoded(text: str, where: str) -> str:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True).decode("ascii")
    except (UnicodeError, binascii.Error):
        # The cause is left out, because it would quote the value.
        raise unusable(Reason.CREDENTIALS_INVALID, f"{where} is no base64 of ASCII text") from None


def checked(text: str, where: str) -> str:
    """Strip what an editor or `echo` adds at the end; refuse what could not stand in a header.

    Raises:
        EsaError: it can't be a part of credentials (CredentialsInvalid); the message names `where`, not the value.
    """
    value = text.strip()
    if not value.isascii() or not value.isprintable() or " " in value:
        raise unusable(Reason.CREDENTIALS_INVALID, f"{where} holds spaces, control or non-ASCII characters")
    if len(value) > _MAX:
        raise unusable(Reason.CREDENTIALS_INVALID, f"{where} is longer than {_MAX} characters")
    return value
