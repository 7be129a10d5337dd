"""STS and an ECS instance's metadata at the wire, with the answers that their documentation shows."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

ROLE_ARN: Final = "acs:ram::1000000000000001:role/esa-preload-operator"
PROVIDER_ARN: Final = "acs:ram::1000000000000001:oidc-provider/ack-rrsa-c0123"
REQUEST_ID: Final = "3D57EAD2-8723-1F26-B69C-F8707D8B565D"
INSTANCE_ROLE: Final = "KubernetesWorkerRole-0123"
_METADATA_TOKEN: Final = "bWV0YWRhdGEtdG9rZW4="
_ROLES: Final = "/latest/meta-data/ram/security-credentials/"

NO_PERMISSION: Final = (401, "AuthenticationFail.NoPermission", "There is no permission")
NO_PROVIDER: Final = (401, "AuthenticationFail.NoPermission", "No such OIDC Provider registered.")
TOKEN_EXPIRED: Final = (401, "AuthenticationFail.OIDCToken.Expired", "This JsonWebToken is expired.")
TOKEN_INVALID: Final = (401, "AuthenticationFail.OIDCToken.Invalid", "The Jwt content is invalid that cannot be recognized.")  # fmt: skip # noqa: E501 - as STS says it
NO_ROLE: Final = (404, "EntityNotExist.Role", f"The role not exists: {ROLE_ARN}")


def token(name: str) -> str:
    """Make a text of an OIDC token's form."""
    return f"eyJhbGciOiJSUzI1NiJ9.{name}-payload.{name}-signature"


@dataclass
class Cloud:
    """Issues credentials to who shows a token of `tokens`, or stands on the instance: `async with Cloud() as cloud`."""

    tokens: set[str] = field(default_factory=lambda: {token("first")})
    refusal: tuple[int, str, str] | None = None
    """HTTP status, code and message of every answer."""
    garbage: bytes | None = None
    """Body of every answer, with HTTP 200."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Fields of the credentials that come otherwise; None leaves one out."""
    instance_role: str = INSTANCE_ROLE
    lifetime: float = 3600.0
    now: Callable[[], float] = lambda: datetime.now(UTC).timestamp()
    on_issue: Callable[[dict[str, str]], None] = lambda _: None
    issued: list[dict[str, str]] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path with query."""
    forms: list[dict[str, str]] = field(default_factory=list)
    going: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is clear, nothing is answered."""
    port: int = 0
    url: str = ""
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        self.going.set()
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.going.set()
        await self.stop()

    async def start(self) -> None:
        """Be reachable, again at the same address."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        """Be unreachable."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def variables(self, token_file: Path) -> dict[str, str]:
        """Return what the pod identity webhook puts into a pod's environment."""
        return {
            "ALIBABA_CLOUD_ROLE_ARN": ROLE_ARN,
            "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": PROVIDER_ARN,
            "ALIBABA_CLOUD_OIDC_TOKEN_FILE": str(token_file),
            "ALIBABA_CLOUD_STS_ENDPOINT": self.url,
        }

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests.append((request.method, request.path_qs))
        await self.going.wait()
        if self.refusal is not None:
            return _refused(*self.refusal)
        if self.garbage is not None:
            return web.Response(body=self.garbage)
        if request.path == "/":
            return await self._sts(request)
        return self._metadata(request)

    async def _sts(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.forms.append(form)
        query = request.query
        assert request.method == "POST"
        assert "Authorization" not in request.headers
        assert (query["Action"], query["Version"], query["Format"]) == ("AssumeRoleWithOIDC", "2015-04-01", "JSON")
        datetime.strptime(query["Timestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        assert set(query) == {"Action", "Version", "Format", "Timestamp"}, "the token belongs into the form"
        if form["OIDCProviderArn"] != PROVIDER_ARN:
            return _refused(*NO_PROVIDER)
        if form["RoleArn"] != ROLE_ARN:
            return _refused(*NO_ROLE)
        if form["OIDCToken"] not in self.tokens:
            return _refused(*TOKEN_EXPIRED)
        answer = {
            "RequestId": REQUEST_ID,
            "OIDCTokenInfo": {"Subject": "system:serviceaccount:ops:operator", "ClientIds": "sts.aliyuncs.com"},
            "AssumedRoleUser": {"AssumedRoleId": "33157794895460****", "Arn": f"{ROLE_ARN}/{form['RoleSessionName']}"},
            "Credentials": self._issue(),
        }  # fmt: skip
        return web.json_response(answer)

    def _metadata(self, request: web.Request) -> web.Response:
        if request.path == "/latest/api/token":
            ttl = request.headers.get("X-aliyun-ecs-metadata-token-ttl-seconds", "")
            if request.method != "PUT" or not ttl.isdigit() or not 1 <= int(ttl) <= 21600:
                return web.Response(status=400)
            return web.Response(text=_METADATA_TOKEN)
        if request.headers.get("X-aliyun-ecs-metadata-token") != _METADATA_TOKEN:
            return web.Response(status=403, text="<html>403 Forbidden</html>", content_type="text/html")
        if self.instance_role and request.path == _ROLES:
            return web.Response(text=self.instance_role)
        if self.instance_role and request.path == _ROLES + self.instance_role:
            answer = {**self._issue(), "LastUpdated": "2026-10-01T00:00:00Z", "Code": "Success"}
            return web.Response(text=json.dumps(answer))
        return web.Response(status=404, text="<html>404 Not Found</html>", content_type="text/html")

    def _issue(self) -> dict[str, str]:
        number = len(self.issued) + 1
        fields = {
            "AccessKeyId": f"STS.key-id-{number}",
            "AccessKeySecret": f"issued-key-secret-{number}",
            "SecurityToken": f"issued-security-token-{number}",
            "Expiration": datetime.fromtimestamp(self.now() + self.lifetime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            **self.changes,
        }
        issued = {name: value for name, value in fields.items() if value is not None}
        self.issued.append(issued)
        self.on_issue(issued)
        return issued


def _refused(status: int, code: str, message: str) -> web.Response:
    body = {"RequestId": REQUEST_ID, "HostId": "sts.aliyuncs.com", "Code": code, "Message": message}
    return web.json_response(body, status=status)
