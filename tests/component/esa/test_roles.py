"""Credentials of a RAM role, against STS and an instance's metadata at the wire."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from esa_preload_operator.domain.errors import Delivery, EsaError, Healer, Reason
from esa_preload_operator.esa.accounts import AccountPool, Policy
from esa_preload_operator.esa.own import OwnCredentials
from esa_preload_operator.esa.roles import METADATA
from esa_preload_operator.esa.transport import Connections
from support.cloud import (
    INSTANCE_ROLE,
    NO_PERMISSION,
    REQUEST_ID,
    ROLE_ARN,
    TOKEN_EXPIRED,
    TOKEN_INVALID,
    Cloud,
    token,
)
from support.raw_server import RawConnection, RawServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from esa_preload_operator.esa.credentials import Credentials


class Bench:
    """An operator's own credentials, on a clock that stands until the test moves it."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self.cloud = cloud
        self.now = 1_800_000_000.0
        cloud.now = lambda: self.now
        self.token_file = folder / "token"
        self.token_file.write_text(token("first") + "\n")
        self.environment = cloud.variables(self.token_file)
        self.healed = 0
        self.pauses: list[float] = []
        self.again = asyncio.Event()
        self.observed: list[tuple[str, str]] = []
        self.own = self.open()

    def open(self, **options: Any) -> OwnCredentials:
        return OwnCredentials(
            self.environment,
            request_timeout=options.pop("request_timeout", 5.0),
            metadata=self.cloud.url,
            observe=lambda action, code, _seconds: self.observed.append((action, code)),
            on_healed=self._healed,
            wall=lambda: self.now,
            sleep=self._pause,
            **options,
        )

    async def _pause(self, seconds: float) -> None:
        """Last until the test wants the next attempt."""
        self.pauses.append(seconds)
        await self.again.wait()
        self.again.clear()

    async def heals(self) -> None:
        self.again.set()
        await until(lambda: self.healed)

    def _healed(self) -> None:
        self.healed += 1

    async def key(self) -> str:
        return (await self.credentials()).access_key_id

    async def credentials(self) -> Credentials:
        return (await self.own.find()).credentials

    async def refused(self) -> EsaError:
        with pytest.raises(EsaError) as caught:
            await self.own.find()
        problem = caught.value.problem
        assert (problem.healer, problem.delivery) == (Healer.ACCOUNT, Delivery.NEVER_SENT)
        assert caught.value.__cause__ is None
        return caught.value

    async def invalid(self) -> EsaError:
        error = await self.refused()
        assert error.problem.reason is Reason.CREDENTIALS_INVALID
        return error


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    async with Cloud() as running:
        yield running


@pytest.fixture
async def bench(cloud: Cloud, tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(cloud, tmp_path)
    yield made
    cloud.going.set()
    await made.own.close()


@pytest.fixture(autouse=True)
def nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    logged = [record.getMessage() for record in caplog.records if not record.name.startswith("aiohttp.")]
    for part in ("payload", "-signature", "issued-", "STS.key", "bWV0"):
        assert not [line for line in logged if part in line]


async def until(look: Callable[[], object], deadline: float = 5.0) -> None:
    async with asyncio.timeout(deadline):
        while not look():  # noqa: ASYNC110 - what is waited for happens in the operator, which has no event for it
            await asyncio.sleep(0.005)


async def paused(bench: Bench, number: int) -> None:
    await until(lambda: len(bench.pauses) == number)


# --- RRSA ---------------------------------------------------------------------------------------------------------


async def test_a_service_accounts_token_is_traded_for_credentials(bench: Bench) -> None:
    found = await bench.credentials()
    assert (found.access_key_id, found.access_key_secret, found.security_token) == (
        "STS.key-id-1", "issued-key-secret-1", "issued-security-token-1",
    )  # fmt: skip
    (form,) = bench.cloud.forms
    assert form == {
        "RoleArn": ROLE_ARN,
        "OIDCProviderArn": bench.environment["ALIBABA_CLOUD_OIDC_PROVIDER_ARN"],
        "OIDCToken": token("first"),
        "RoleSessionName": "esa-preload-operator",
        "DurationSeconds": "3600",
    }
    assert bench.observed == [("AssumeRoleWithOIDC", "OK")]


async def test_the_session_can_be_named(bench: Bench) -> None:
    bench.environment["ALIBABA_CLOUD_ROLE_SESSION_NAME"] = "cluster-7"
    await bench.key()
    assert bench.cloud.forms[0]["RoleSessionName"] == "cluster-7"


async def test_an_access_key_comes_before_a_role(bench: Bench) -> None:
    bench.environment |= {"ALIBABA_CLOUD_ACCESS_KEY_ID": "own-id", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "own-secret"}
    assert await bench.key() == "own-id"
    assert not bench.cloud.requests


async def test_credentials_serve_until_their_last_quarter_of_an_hour(bench: Bench) -> None:
    assert await bench.key() == "STS.key-id-1"
    bench.now += 2699
    assert await bench.key() == "STS.key-id-1"
    assert len(bench.cloud.issued) == 1


async def test_credentials_are_renewed_before_they_end_and_serve_meanwhile(bench: Bench) -> None:
    await bench.key()
    bench.cloud.going.clear()
    bench.now += 2701
    assert [await bench.key() for _ in range(3)] == ["STS.key-id-1"] * 3
    await until(lambda: len(bench.cloud.requests) == 2)
    bench.cloud.going.set()
    await until(lambda: len(bench.cloud.issued) == 2)
    await until(lambda: len(bench.observed) == 2)
    assert await bench.key() == "STS.key-id-2"
    assert len(bench.cloud.requests) == 2


async def test_who_asks_while_a_request_runs_shares_it(bench: Bench) -> None:
    bench.cloud.going.clear()
    waiting = [asyncio.create_task(bench.key()) for _ in range(20)]
    await until(lambda: bench.cloud.requests)
    waiting[0].cancel()
    bench.cloud.going.set()
    await asyncio.wait(waiting)
    assert {task.result() for task in waiting[1:]} == {"STS.key-id-1"}
    assert len(bench.cloud.requests) == 1


async def test_a_rotated_token_file_is_read_anew(bench: Bench) -> None:
    await bench.key()
    bench.token_file.write_text(token("second"))
    bench.cloud.tokens = {token("second")}
    bench.now += 3600
    assert await bench.key() == "STS.key-id-2"
    assert [form["OIDCToken"] for form in bench.cloud.forms] == [token("first"), token("second")]


@pytest.mark.parametrize("refusal", [NO_PERMISSION, TOKEN_EXPIRED, TOKEN_INVALID])
async def test_a_refusal_shows_as_invalid_credentials_and_heals(bench: Bench, refusal: tuple[int, str, str]) -> None:
    bench.cloud.refusal = refusal
    error = await bench.invalid()
    assert (error.problem.code, error.problem.request_id, error.problem.http_status) == (
        refusal[1], REQUEST_ID, refusal[0],
    )  # fmt: skip
    assert f"STS 127.0.0.1:{bench.cloud.port}: {refusal[2]}" in str(error)
    bench.cloud.refusal = None
    await bench.heals()
    assert await bench.key() == "STS.key-id-1"
    assert bench.observed == [("AssumeRoleWithOIDC", refusal[1]), ("AssumeRoleWithOIDC", "OK")]


async def test_a_role_that_does_not_exist_is_named(bench: Bench) -> None:
    bench.environment["ALIBABA_CLOUD_ROLE_ARN"] = "acs:ram::1:role/typo"
    assert (await bench.invalid()).problem.code == "EntityNotExist.Role"


async def test_an_unknown_identity_provider_is_refused(bench: Bench) -> None:
    bench.environment["ALIBABA_CLOUD_OIDC_PROVIDER_ARN"] = "acs:ram::1:oidc-provider/typo"
    error = await bench.invalid()
    assert "No such OIDC Provider registered." in str(error)


async def test_an_unreachable_sts_shows_as_invalid_credentials_and_heals(bench: Bench) -> None:
    await bench.cloud.stop()
    error = await bench.invalid()
    assert "connection refused" in str(error)
    await bench.cloud.start()
    await bench.heals()
    assert await bench.key() == "STS.key-id-1"


async def test_an_sts_that_does_not_answer_holds_nobody_up_for_long(bench: Bench) -> None:
    bench.own = bench.open(request_timeout=0.05)
    bench.cloud.going.clear()
    assert "no answer within 0.05 s" in str(await bench.invalid())


async def test_while_sts_fails_credentials_serve_until_they_end(bench: Bench) -> None:
    await bench.key()
    bench.cloud.refusal = (503, "ServiceUnavailable", "The request has failed due to a temporary failure.")
    bench.now += 3000
    assert await bench.key() == "STS.key-id-1"
    await until(lambda: len(bench.observed) == 2)
    assert await bench.key() == "STS.key-id-1"
    bench.now += 580
    assert (await bench.invalid()).problem.code == "ServiceUnavailable"


async def test_who_asks_during_an_outage_is_told_at_once_and_asks_sts_no_more(bench: Bench) -> None:
    bench.cloud.refusal = NO_PERMISSION
    for _ in range(50):
        await bench.invalid()
    assert len(bench.cloud.requests) == 1


async def test_the_pauses_grow_to_a_minute(bench: Bench) -> None:
    bench.cloud.refusal = NO_PERMISSION
    await bench.invalid()
    for number in range(1, 10):
        await paused(bench, number)
        bench.again.set()
    assert all(
        half <= pause <= 2 * half for half, pause in zip((0.5, 1, 2, 4, 8, 16, 30, 30), bench.pauses, strict=False)
    )


async def test_an_outage_that_nobody_noticed_wakes_nobody(bench: Bench) -> None:
    await bench.key()
    bench.cloud.refusal = NO_PERMISSION
    bench.now += 3000
    await bench.key()
    await until(lambda: len(bench.observed) == 2)
    bench.cloud.refusal = None
    bench.again.set()
    await until(lambda: len(bench.observed) == 3)
    assert await bench.key() == "STS.key-id-2"
    assert bench.healed == 0


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"Credentials":null}', b'{"Credentials":[]}', b"\xff"]
)
async def test_a_malformed_answer_is_no_credentials(bench: Bench, body: bytes) -> None:
    bench.cloud.garbage = body
    assert (await bench.invalid()).problem.code == "UnreadableAnswer"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"AccessKeyId": None}, "AccessKeyId is missing"),
        ({"AccessKeySecret": ""}, "AccessKeySecret is missing"),
        ({"SecurityToken": 7}, "SecurityToken is missing"),
        ({"Expiration": None}, "Expiration is missing"),
        ({"Expiration": "tomorrow"}, "Expiration is no time"),
        ({"Expiration": "2026-01-01T00:00:00Z"}, "the credentials ended at 2026-01-01T00:00:00Z"),
        ({"SecurityToken": "issued-a\r\nb: c"}, "SecurityToken from STS 127.0.0.1"),
    ],
)
async def test_malformed_credentials_are_named_but_not_quoted(bench: Bench, changes: dict[str, Any], told: str) -> None:
    bench.cloud.changes = changes
    error = await bench.invalid()
    assert told in str(error)
    assert "issued-" not in str(error)


async def test_a_message_that_quotes_the_token_is_shown_without_it(bench: Bench) -> None:
    quoted = f"bad token {token('first')}, signature part first-signature, payload first-payload"
    bench.cloud.refusal = (401, "AuthenticationFail.OIDCToken.Invalid", quoted)
    assert str(await bench.invalid()).count("***") == 3


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "no such file"), (b"", "is empty"), (b"a" * 20_001, "longer than"), (b"\xff\xfe", "non-ASCII")],
)
async def test_a_token_file_that_can_not_be_used_is_named(bench: Bench, content: bytes | None, told: str) -> None:
    if content is None:
        bench.token_file.unlink()
    else:
        bench.token_file.write_bytes(content)
    error = await bench.invalid()
    assert told in str(error)
    assert str(bench.token_file) in str(error)
    assert not bench.cloud.requests
    bench.token_file.write_text(token("first"))
    await bench.heals()


@pytest.mark.parametrize(
    "missing", ["ALIBABA_CLOUD_ROLE_ARN", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "ALIBABA_CLOUD_OIDC_TOKEN_FILE"]
)
async def test_half_of_the_variables_are_named(bench: Bench, missing: str) -> None:
    del bench.environment[missing]
    error = await bench.refused()
    assert error.problem.reason is Reason.CREDENTIALS_MISSING
    assert f"{missing} is not set" in str(error)


# --- the account pool ---------------------------------------------------------------------------------------------


async def never(_namespace: str, _name: str) -> None:
    raise AssertionError


def pool_of(bench: Bench, url: str = "http://127.0.0.1:1", rate: float = 2) -> AccountPool:
    return AccountPool(
        Policy("ops", ()),
        Connections(url, request_timeout=5),
        read_secret=never,
        own=bench.own,
        max_calls_per_second=rate,
    )


async def test_renewed_credentials_are_a_new_account_with_the_old_rate(bench: Bench) -> None:
    pool = pool_of(bench)
    first = await pool.account("ops", None)
    assert await pool.account("ops", None) is first
    assert first.reserve(2) == 0
    bench.now += 3600
    second = await pool.account("ops", None)
    assert second.id != first.id
    assert second.reserve(1) > 0


async def test_a_call_under_way_keeps_its_credentials(bench: Bench) -> None:
    arrived, go = asyncio.Event(), asyncio.Event()

    async def behave(connection: RawConnection) -> None:
        head = await connection.request()
        if "STS.key-id-1" in head:
            arrived.set()
            await go.wait()
        await connection.answer(b'{"Id":"j"}')

    async with RawServer(behave) as server:
        pool = pool_of(bench, server.url)
        call = asyncio.create_task((await pool.account("ops", None)).get_job("j"))
        await arrived.wait()
        bench.now += 3600
        await (await pool.account("ops", None)).get_job("j")
        go.set()
        assert (await call).id == "j"
        await pool.close()
        assert ["issued-security-token-1" in server.requests[0], "issued-security-token-2" in server.requests[1]] == [
            True, True,
        ]  # fmt: skip


@pytest.mark.parametrize("code", ["InvalidSecurityToken.Expired", "InvalidAccessKeyId.NotFound"])
async def test_credentials_that_esa_refuses_are_replaced_but_not_at_every_call(bench: Bench, code: str) -> None:
    async def refuse(connection: RawConnection) -> None:
        while True:
            await connection.request()
            await connection.answer(b'{"Code":"%s","Message":"no"}' % code.encode(), "403 Forbidden")

    async with RawServer(refuse) as server:
        pool = pool_of(bench, server.url)
        for wait, keys in ((0, 1), (59, 1), (2, 1), (0, 2), (0, 2)):
            bench.now += wait
            account = await pool.account("ops", None)
            assert len(bench.cloud.issued) == keys
            with pytest.raises(EsaError) as caught:
                await account.get_job("j")
            assert caught.value.problem.reason is Reason.CREDENTIALS_INVALID
        await pool.close()


# --- ECS ----------------------------------------------------------------------------------------------------------


def on_instance(bench: Bench, **environment: str) -> None:
    bench.environment.clear()
    bench.environment |= environment


async def test_the_named_role_of_the_instance_by_imdsv2(bench: Bench) -> None:
    on_instance(bench, ALIBABA_CLOUD_ECS_METADATA=INSTANCE_ROLE)
    found = await bench.credentials()
    assert (found.access_key_id, found.security_token) == ("STS.key-id-1", "issued-security-token-1")
    assert bench.cloud.requests == [
        ("PUT", "/latest/api/token"),
        ("GET", f"/latest/meta-data/ram/security-credentials/{INSTANCE_ROLE}"),
    ]


async def test_the_instance_tells_its_role_if_a_setting_wants_that(bench: Bench) -> None:
    on_instance(bench)
    bench.own = bench.open(ecs_ram_role=True)
    assert await bench.key() == "STS.key-id-1"
    bench.now += 3600
    assert await bench.key() == "STS.key-id-2"


@pytest.mark.parametrize(
    ("environment", "setting"),
    [({}, False), ({"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"}, True),
     ({"ALIBABA_CLOUD_ECS_METADATA": INSTANCE_ROLE, "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "1"}, False)],
)  # fmt: skip
async def test_metadata_are_not_asked_unless_wanted(bench: Bench, environment: dict[str, str], setting: bool) -> None:
    on_instance(bench, **environment)
    bench.own = bench.open(ecs_ram_role=setting)
    error = await bench.refused()
    assert error.problem.reason is Reason.CREDENTIALS_MISSING
    assert not bench.cloud.requests


async def test_rrsa_comes_before_the_instance(bench: Bench) -> None:
    bench.environment["ALIBABA_CLOUD_ECS_METADATA"] = INSTANCE_ROLE
    await bench.key()
    assert len(bench.cloud.forms) == 1


@pytest.mark.parametrize("name", ["", "other"])
async def test_an_instance_without_that_role_says_so_and_heals(bench: Bench, name: str) -> None:
    on_instance(bench, ALIBABA_CLOUD_ECS_METADATA=name)
    bench.own = bench.open(ecs_ram_role=True)
    bench.cloud.instance_role = ""
    assert "the instance has no RAM role" in str(await bench.invalid())
    bench.cloud.instance_role = name or INSTANCE_ROLE
    await bench.heals()
    assert await bench.key() == "STS.key-id-1"


@pytest.mark.parametrize("answer", [(404, "X", "no IMDSv2 here"), (403, "X", "no")])
async def test_without_imdsv2_there_is_no_way_back_to_the_open_one(bench: Bench, answer: tuple[int, str, str]) -> None:
    on_instance(bench, ALIBABA_CLOUD_ECS_METADATA=INSTANCE_ROLE)
    bench.cloud.refusal = answer
    assert f"HTTP {answer[0]}" in str(await bench.invalid())
    assert [method for method, _ in bench.cloud.requests] == ["PUT"]


@pytest.mark.parametrize("role", ["../../user-data", "two roles", "a" * 65])
async def test_a_role_name_that_is_none_is_not_asked_for(bench: Bench, role: str) -> None:
    on_instance(bench)
    bench.own = bench.open(ecs_ram_role=True)
    bench.cloud.instance_role = role
    await bench.invalid()
    assert len(bench.cloud.requests) == 2


def test_metadata_are_where_every_instance_has_them() -> None:
    assert METADATA == "http://100.100.100.200"
