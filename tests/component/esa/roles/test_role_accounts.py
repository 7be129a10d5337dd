"""What accounts do when the credentials of a role change."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from esa_preload_operator.domain.errors import EsaError, Reason
from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.esa.accounts import AccountPool, Policy
from esa_preload_operator.esa.transport import Connections
from support.raw_server import RawConnection, RawServer

if TYPE_CHECKING:
    from support.own_keys import Bench


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
    assert first.admit(ObjectRef("a", "one"), 2, lambda: None)
    bench.now += 3600
    second = await pool.account("ops", None)
    assert second.id != first.id
    assert not second.admit(ObjectRef("a", "one"), 1, lambda: None)


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
