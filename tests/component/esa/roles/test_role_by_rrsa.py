"""Credentials of a RAM role by a service account's token, against STS at the wire."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from esa_preload_operator.domain.errors import Reason
from support.cloud import NO_PERMISSION, REQUEST_ID, ROLE_ARN, TOKEN_EXPIRED, TOKEN_INVALID, token
from support.own_keys import Bench, paused, until


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
async def test_a_refusal_shows_as_invalid_credentials_until_it_is_over(
    bench: Bench, refusal: tuple[int, str, str]
) -> None:
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


async def test_an_unreachable_sts_shows_as_invalid_credentials_until_it_is_over(bench: Bench) -> None:
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
