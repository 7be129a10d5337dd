"""Which resource may use which credentials, and one client for each of them."""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from esa_preload_operator.domain.errors import Delivery, ErrorClass, EsaError, Problem, Reason, StoreUnavailableError
from esa_preload_operator.domain.ports import EsaAccount
from esa_preload_operator.esa.client import EsaClient, Observe, ignore
from esa_preload_operator.esa.clients import Clients
from esa_preload_operator.esa.credentials import Credentials, from_secret, unusable
from esa_preload_operator.esa.own import OwnCredentials
from esa_preload_operator.esa.transport import Connections

ANY: Final = "*"
_OWN: Final = ""
"""Stands for the namespace of the operator's own credentials."""
_REFUSED: Final = ("InvalidSecurityToken", "InvalidAccessKeyId")
"""What codes begin with by which ESA says that an access key is not, or no longer, one."""

ReadSecret = Callable[[str, str], Awaitable[Mapping[str, str] | None]]
"""Gets namespace and name; returns a Secret's `data` in base64, None if there is none; raises StoreUnavailableError."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may use what: `*` in either collection means all.

    `secret_names` are the Secrets that resources may name; `default_namespaces` are those, besides `own_namespace`,
    whose resources may use the operator's own credentials.
    """

    own_namespace: str
    secret_names: Collection[str]
    default_namespaces: Collection[str] = ()

    def check(self, namespace: str, secret_name: str | None) -> None:
        """Raise `EsaError` (CredentialsNotAllowed), which says what to do, if a resource may not use these."""
        if secret_name is None:
            if namespace != self.own_namespace and not {namespace, ANY} & set(self.default_namespaces):
                raise unusable(
                    Reason.CREDENTIALS_NOT_ALLOWED,
                    f"namespace {namespace} may not use the operator's own credentials: set spec.credentialsSecretRef, "
                    f"or add {namespace} to the operator's setting DEFAULT_CREDENTIALS_NAMESPACES",
                )
        elif not {secret_name, ANY} & set(self.secret_names):
            raise unusable(
                Reason.CREDENTIALS_NOT_ALLOWED,
                f"Secret {secret_name} may not be used, only {', '.join(sorted(self.secret_names)) or 'none'}: "
                f"rename it, or add {secret_name} to the operator's setting CREDENTIALS_SECRET_NAMES",
            )


class AccountPool:
    """The port `Accounts`: clients by credentials as a whole. Whoever only knows an access key id slows nobody down.

    Who holds a client goes on using its credentials when newer ones have come.
    """

    def __init__(
        self,
        policy: Policy,
        connections: Connections,
        *,
        read_secret: ReadSecret,
        own: OwnCredentials,
        max_calls_per_second: float,
        observe: Observe = ignore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy
        self._connections = connections
        self._read_secret = read_secret
        self._own = own
        self._observe = observe
        self._clients = Clients(connections, max_calls_per_second, clock)

    async def account(self, namespace: str, secret_name: str | None) -> EsaAccount:
        """Return the account of a Secret, or the operator's own one where `secret_name` is None.

        Raises:
            EsaError: not allowed, missing, malformed, or the Secret could not be read (then time heals).
        """
        self._policy.check(namespace, secret_name)
        if secret_name is None:
            return await self._own_client()
        credentials = await self._from_secret(namespace, secret_name)
        return self._clients.client(namespace, secret_name, credentials, self._observe)

    async def close(self) -> None:
        """Close the connections."""
        await self._own.close()
        await self._connections.close()

    async def _own_client(self) -> EsaClient:
        """Return the client of the operator's own credentials, which asks for others once ESA refuses them."""
        found = await self._own.find()
        credentials_id = found.credentials.id

        def observe(action: str, code: str, seconds: float) -> None:
            self._observe(action, code, seconds)
            if code.startswith(_REFUSED):
                self._own.distrust(credentials_id)

        return self._clients.client(_OWN, found.rate_key, found.credentials, observe)

    async def _from_secret(self, namespace: str, name: str) -> Credentials:
        try:
            data = await self._read_secret(namespace, name)
        except StoreUnavailableError as error:
            message = f"Secret {namespace}/{name} could not be read: {error}"
            raise EsaError(
                Problem(
                    "SecretUnreadable",
                    message,
                    ErrorClass.TRANSIENT,
                    Reason.SERVICE_UNAVAILABLE,
                    Delivery.NEVER_SENT,
                    retry_after=error.retry_after,
                )
            ) from error
        if data is None:
            raise unusable(Reason.CREDENTIALS_MISSING, f"Secret {namespace}/{name} does not exist")
        return from_secret(data, f"{namespace}/{name}")
