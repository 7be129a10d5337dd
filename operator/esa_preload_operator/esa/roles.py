"""Who issues temporary credentials of a RAM role: STS for a service account's token, or the ECS instance's metadata."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote, urlencode

from esa_preload_operator.domain.cleaning import format_time, parse_time
from esa_preload_operator.domain.errors import Delivery, ErrorClass, EsaError, Problem, Reason
from esa_preload_operator.esa.credentials import Credentials, checked, hidden_forms
from esa_preload_operator.esa.egress import Egress
from esa_preload_operator.esa.errors import Answer, read_json
from esa_preload_operator.esa.signature import canonical_query
from esa_preload_operator.esa.transport import Connections

METADATA: Final = "http://100.100.100.200"
"""Where an ECS instance finds its metadata; nothing leaves the host, so there is no TLS."""
_METADATA_ROLES: Final = "/latest/meta-data/ram/security-credentials/"
_METADATA_TIMEOUT: Final = 5.0
"""Seconds; the service is on the same host, but answers nothing to who is too many hops away."""
_DURATION: Final = 3600
"""Seconds; what every role allows, since the shortest MaxSessionDuration is one hour."""
_MAX_TOKEN: Final = 20_000
"""Characters of an OIDC token (STS API, AssumeRoleWithOIDC)."""
_MAX_ROLE_NAME: Final = 64
_ROLE_NAME: Final = re.compile(r"[A-Za-z0-9.@_-]+")
_AGENT: Final = {"accept": "application/json", "user-agent": "esa-preload-operator"}


@dataclass(frozen=True, slots=True)
class Issued:
    """Temporary credentials and when they end, in epoch seconds."""

    credentials: Credentials
    expires: float


class Issuer(Protocol):
    """Issues temporary credentials of one role."""

    @property
    def action(self) -> str:
        """What a request for them is called in metrics."""
        ...

    @property
    def role(self) -> str:
        """Names the role to people, and is the same as long as it is the same role."""
        ...

    async def issue(self) -> Issued:
        """Ask once for new credentials.

        Raises:
            EsaError: there are none (CredentialsInvalid, the account's owner heals, nothing was sent to ESA).
        """
        ...

    async def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        ...


@dataclass(frozen=True, slots=True)
class OidcRole:
    """A role that a service account may assume by its projected token (RRSA); `sts` is STS' URL."""

    role_arn: str
    provider_arn: str
    token_file: str
    session_name: str
    sts: str


class OidcIssuer:
    """Trades the service account's token for credentials. Source: STS API 2015-04-01, AssumeRoleWithOIDC."""

    action = "AssumeRoleWithOIDC"

    def __init__(
        self, role: OidcRole, *, request_timeout: float, egress: Egress, wall: Callable[[], float] = time.time
    ) -> None:
        self._role = role
        self._connections = Connections(
            role.sts, request_timeout=request_timeout, setting="", tls=egress.tls, proxy=egress.proxy_for(role.sts)
        )
        self._where = f"STS {self._connections.host}"
        self._wall = wall

    @property
    def role(self) -> str:
        """The role's ARN."""
        return f"RAM role {self._role.role_arn}"

    async def issue(self) -> Issued:
        """Read the token anew, because kubelet rotates it, and send it unsigned: the token itself is the proof.

        It travels in a form, not in the query as some clients do: queries stand in the logs of proxies.
        """
        token = await asyncio.to_thread(_read_token, self._role.token_file)
        hidden = hidden_forms(token, *token.split("."))
        try:
            answer = await self._connections.send(
                "POST",
                canonical_query(
                    {
                        "Action": self.action,
                        "Format": "JSON",
                        "Timestamp": format_time(self._wall()),
                        "Version": "2015-04-01",
                    }
                ),
                headers={**_AGENT, "content-type": "application/x-www-form-urlencoded"},
                body=self._form(token),
            )
            fields, request_id = read_json(answer, hidden)
        except EsaError as error:
            raise _blamed(error.problem, self._where) from None
        return _read_issued(fields.get("Credentials"), self._where, request_id, self._wall())

    def _form(self, token: str) -> bytes:
        form = {
            "DurationSeconds": str(_DURATION),
            "OIDCProviderArn": self._role.provider_arn,
            "OIDCToken": token,
            "RoleArn": self._role.role_arn,
            "RoleSessionName": self._role.session_name,
        }
        return urlencode(form).encode("ascii")

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.close()


class EcsIssuer:
    """Asks the metadata of the ECS instance for the credentials of its role, in the hardened way (IMDSv2) only.

    Source: ECS documentation, "Instance RAM roles" and "Instance metadata", security hardening mode.
    """

    action = "GetInstanceRoleCredentials"

    def __init__(
        self,
        role_name: str = "",
        *,
        request_timeout: float,
        metadata: str = METADATA,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Without a name it is the role that is attached to the instance; there is at most one."""
        self._name = role_name
        timeout = min(request_timeout, _METADATA_TIMEOUT)
        self._connections = Connections(metadata, request_timeout=timeout, setting="")
        self._where = f"instance metadata {self._connections.host}"
        self._wall = wall

    @property
    def role(self) -> str:
        """The role's name, as far as it is known."""
        return f"RAM role {self._name} of the ECS instance" if self._name else "RAM role of the ECS instance"

    async def issue(self) -> Issued:
        """Get a token for this one occasion, then the role and its credentials."""
        try:
            ttl = {"x-aliyun-ecs-metadata-token-ttl-seconds": "60"}
            token = self._text(await self._connections.send("PUT", "", headers=ttl, body=b"", path="/latest/api/token"))
            access = {"x-aliyun-ecs-metadata-token": token}
            name = self._name or self._one_name(await self._get(_METADATA_ROLES, access))
            answer = await self._get(_METADATA_ROLES + quote(name, safe=""), access)
            if answer.status == 404:
                raise _none("NoInstanceRole", f"the instance has no RAM role {name}", answer.status)
            fields, request_id = read_json(answer, hidden_forms(token))
        except EsaError as error:
            raise _blamed(error.problem, self._where) from None
        if fields.get("Code") != "Success":
            raise _blamed(_none("NoCredentials", "the answer is no success", answer.status).problem, self._where)
        return _read_issued(fields, self._where, request_id, self._wall())

    async def _get(self, path: str, access: Mapping[str, str]) -> Answer:
        return await self._connections.send("GET", "", headers=access, body=b"", path=path)

    def _one_name(self, answer: Answer) -> str:
        if answer.status == 404:
            raise _none("NoInstanceRole", "the instance has no RAM role", answer.status)
        name = self._text(answer)
        if not _ROLE_NAME.fullmatch(name) or len(name) > _MAX_ROLE_NAME:
            raise _none("UnreadableAnswer", "the name of the role can't be read", answer.status)
        return name

    def _text(self, answer: Answer) -> str:
        """Return the one word that stands in an answer."""
        if answer.status != 200:
            raise _none("MetadataRefused", f"HTTP {answer.status}", answer.status)
        return checked(answer.body.decode("ascii", "replace"), "the answer")

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.close()


def _read_token(file: str) -> str:
    """Return the service account's token.

    Raises:
        EsaError: there is none.
    """
    where = f"the OIDC token file {file}"
    try:
        with Path(file).open("rb") as opened:
            raw = opened.read(_MAX_TOKEN + 1)
    except OSError as error:
        raise _none("TokenFileUnreadable", f"{where}: {(error.strerror or 'it cannot be read').lower()}") from None
    if len(raw) > _MAX_TOKEN:
        raise _none("TokenFileUnreadable", f"{where} is longer than {_MAX_TOKEN} characters")
    token = checked(raw.decode("ascii", "replace"), where)
    if not token:
        raise _none("TokenFileUnreadable", f"{where} is empty")
    return token


def _read_issued(fields: Any, where: str, request_id: str, now: float) -> Issued:
    """Read the four fields that all issuers answer with.

    Raises:
        EsaError: one is missing, malformed, or the time is over by this machine's clock.
    """
    names = ("AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration")
    values: Sequence[Any] = [fields.get(name) if isinstance(fields, dict) else None for name in names]
    for name, value in zip(names, values, strict=True):
        if not isinstance(value, str) or not value.strip():
            raise _none("UnreadableAnswer", f"{where}: {name} is missing in the answer", request_id=request_id)
    key_id, secret, token, ends = (str(value) for value in values)
    expires = parse_time(ends.strip())
    if expires is None:
        raise _none("UnreadableAnswer", f"{where}: Expiration is no time", request_id=request_id)
    if expires <= now:
        message = f"{where}: the credentials ended at {format_time(expires)}, by this machine's clock"
        raise _none("ExpiredCredentials", message, request_id=request_id)
    parts = [checked(part, f"{name} from {where}") for name, part in zip(names, (key_id, secret, token), strict=False)]
    return Issued(Credentials(*parts), expires)


def _none(code: str, message: str, http_status: int = 0, *, request_id: str = "") -> EsaError:
    return EsaError(
        Problem(
            code,
            message,
            ErrorClass.BLOCKED,
            Reason.CREDENTIALS_INVALID,
            Delivery.NEVER_SENT,
            request_id,
            http_status,
        )
    )


def _blamed(problem: Problem, where: str) -> EsaError:
    """Say that there are no credentials and whose answer that was; whatever it was, nothing has been sent to ESA."""
    return EsaError(
        replace(
            problem,
            message=f"{where}: {problem.message}",
            error_class=ErrorClass.BLOCKED,
            reason=Reason.CREDENTIALS_INVALID,
            delivery=Delivery.NEVER_SENT,
        )
    )
