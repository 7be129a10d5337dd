"""Where the operator's own credentials come from: the same variables that Alibaba Cloud's own clients read."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from esa_preload_operator.domain.errors import Reason
from esa_preload_operator.esa.client import Observe, ignore
from esa_preload_operator.esa.credentials import ENV_KEY_ID, ENV_KEY_SECRET, Credentials, from_environment, unusable
from esa_preload_operator.esa.egress import DIRECT, Egress
from esa_preload_operator.esa.endpoint import check_endpoint
from esa_preload_operator.esa.roles import METADATA, EcsIssuer, Issuer, OidcIssuer, OidcRole
from esa_preload_operator.esa.session import RoleSession

ENV_ROLE_ARN: Final = "ALIBABA_CLOUD_ROLE_ARN"
ENV_PROVIDER_ARN: Final = "ALIBABA_CLOUD_OIDC_PROVIDER_ARN"
ENV_TOKEN_FILE: Final = "ALIBABA_CLOUD_OIDC_TOKEN_FILE"  # noqa: S105 - the name of a variable, no password
ENV_SESSION_NAME: Final = "ALIBABA_CLOUD_ROLE_SESSION_NAME"
ENV_STS_ENDPOINT: Final = "ALIBABA_CLOUD_STS_ENDPOINT"
ENV_STS_REGION: Final = "ALIBABA_CLOUD_STS_REGION"
ENV_VPC: Final = "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED"
ENV_ECS_ROLE: Final = "ALIBABA_CLOUD_ECS_METADATA"
ENV_ECS_DISABLED: Final = "ALIBABA_CLOUD_ECS_METADATA_DISABLED"
_SESSION_NAME: Final = "esa-preload-operator"
_STS: Final = "sts.aliyuncs.com"
_REGION: Final = re.compile(r"[a-z0-9-]+")
_YES: Final = frozenset({"true", "1"})


@dataclass(frozen=True, slots=True)
class EcsRole:
    """The role of the ECS instance; without a name whichever is attached."""

    name: str


@dataclass(frozen=True, slots=True)
class Own:
    """The operator's credentials now; those with the same `rate_key` share their account's rate."""

    credentials: Credentials
    rate_key: str


class OwnCredentials:
    """Takes the first source that is set: access key, then RRSA, then the role of the ECS instance."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        request_timeout: float = 10.0,
        allow_http: bool = False,
        ecs_ram_role: bool = False,
        metadata: str = METADATA,
        egress: Egress = DIRECT,
        observe: Observe = ignore,
        on_healed: Callable[[], None] = lambda: None,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`environment` is read at each use, so that it may be a live view; nothing is checked here.

        `egress` is the way to STS; the instance's metadata are on the same host and reached directly.
        `on_healed` is called when there are credentials of a role again after there were none.
        """
        self._environment = environment
        self._request_timeout = request_timeout
        self._allow_http = allow_http
        self._ecs_ram_role = ecs_ram_role
        self._metadata = metadata
        self._egress = egress
        self._observe = observe
        self._on_healed = on_healed
        self._wall = wall
        self._sleep = sleep
        self._role: OidcRole | EcsRole | None = None
        self._session: RoleSession | None = None

    async def find(self) -> Own:
        """Return the credentials to use now.

        Raises:
            EsaError: none are set (CredentialsMissing), or there are none at the moment (CredentialsInvalid).
        """
        static = from_environment(self._environment)
        if static is not None:
            return Own(static, static.id)
        role = role_from(self._environment, allow_http=self._allow_http, ecs_ram_role=self._ecs_ram_role)
        session, stale = self._session, None
        if session is None or role != self._role:
            stale, session = session, self._open(role)
            self._role, self._session = role, session
        if stale is not None:
            await stale.close()
        return Own(await session.credentials(), session.role)

    def distrust(self, credentials_id: str) -> None:
        """Ask for others with the next use, because ESA refused these."""
        if self._session is not None:
            self._session.distrust(credentials_id)

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self, role: OidcRole | EcsRole) -> RoleSession:
        issuer: Issuer
        if isinstance(role, OidcRole):
            issuer = OidcIssuer(role, request_timeout=self._request_timeout, egress=self._egress, wall=self._wall)
        else:
            issuer = EcsIssuer(
                role.name, request_timeout=self._request_timeout, metadata=self._metadata, wall=self._wall
            )
        return RoleSession(issuer, on_healed=self._on_healed, observe=self._observe, wall=self._wall, sleep=self._sleep)


def role_from(environment: Mapping[str, str], *, allow_http: bool, ecs_ram_role: bool) -> OidcRole | EcsRole:
    """Return the role that the environment asks for; metadata are only asked where somebody wants that.

    Raises:
        EsaError: none is set, or not all of it (CredentialsMissing), or a value can't be used (CredentialsInvalid).
    """
    role_arn, provider_arn, token_file = (
        environment.get(name, "").strip() for name in (ENV_ROLE_ARN, ENV_PROVIDER_ARN, ENV_TOKEN_FILE)
    )
    if provider_arn or token_file:
        given = {ENV_ROLE_ARN: role_arn, ENV_PROVIDER_ARN: provider_arn, ENV_TOKEN_FILE: token_file}
        for name, value in given.items():
            if not value:
                raise unusable(Reason.CREDENTIALS_MISSING, f"environment variable {name} is not set")
        session_name = environment.get(ENV_SESSION_NAME, "").strip() or _SESSION_NAME
        return OidcRole(role_arn, provider_arn, token_file, session_name, sts_of(environment, allow_http=allow_http))
    ecs_role = environment.get(ENV_ECS_ROLE, "").strip()
    if (ecs_role or ecs_ram_role) and not _is_set(environment, ENV_ECS_DISABLED):
        return EcsRole(ecs_role)
    raise unusable(
        Reason.CREDENTIALS_MISSING,
        "the operator has no credentials of its own: set spec.credentialsSecretRef, give the operator "
        f"{ENV_KEY_ID} and {ENV_KEY_SECRET}, or let it assume a RAM role ({ENV_ROLE_ARN}, {ENV_PROVIDER_ARN}, "
        f"{ENV_TOKEN_FILE})",
    )


def sts_of(environment: Mapping[str, str], *, allow_http: bool) -> str:
    """Return STS' URL: a given endpoint, else that of a region, in its VPC if wanted, else the global one.

    Raises:
        EsaError: a value can't be used (CredentialsInvalid).
    """
    endpoint = environment.get(ENV_STS_ENDPOINT, "").strip()
    region = environment.get(ENV_STS_REGION, "").strip()
    if not endpoint and region:
        if not _REGION.fullmatch(region):
            raise unusable(Reason.CREDENTIALS_INVALID, f"environment variable {ENV_STS_REGION} is no region")
        endpoint = f"{'sts-vpc' if _is_set(environment, ENV_VPC) else 'sts'}.{region}.aliyuncs.com"
    url = endpoint if "://" in endpoint else f"https://{endpoint or _STS}"
    try:
        return check_endpoint(url, allow_http=allow_http)
    except ValueError as error:
        message = str(error).partition(";")[0]
        raise unusable(Reason.CREDENTIALS_INVALID, f"environment variable {ENV_STS_ENDPOINT}: {message}") from None


def _is_set(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").strip().lower() in _YES
