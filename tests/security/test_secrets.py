"""Secrets that a tenant makes large or changes all the time cost neither memory nor work."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from esa_preload_operator.domain.errors import StoreUnavailableError
from esa_preload_operator.domain.ports import SECRET_VALUE_LIMIT
from esa_preload_operator.k8s.connection import Answer
from esa_preload_operator.k8s.secrets import SecretCache
from support.adapter import eventually
from support.feeding import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from esa_preload_operator.k8s.connection import Connection

LARGE = "A" * 900_000
MANY = 100


def secret(name: str, version: int, **data: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "team", "name": name, "resourceVersion": str(version)}, "data": data}


def new_cache(connection: Any, told: Callable[[str, str], None] = lambda _, __: None, **options: Any) -> SecretCache:
    return SecretCache(connection, ["*"], keys=("accessKeyId",), on_change=told, **options)


@contextlib.asynccontextmanager
async def api(folder: Path, items: int) -> AsyncIterator[Connection]:
    """An API server with so many large Secrets, which it writes one by one."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        if "watch" in request.query:
            await asyncio.Event().wait()
        await response.write(b'{"kind":"SecretList","items":[')
        for number in range(items):
            body = secret(f"s{number}", number + 1, accessKeyId=LARGE, other=LARGE)
            await response.write((b"," if number else b"") + json.dumps(body).encode())
        await response.write(b'],"metadata":{"resourceVersion":"999"}}')
        return response

    async with serving("/api/v1/secrets", answer, folder) as connection:
        yield connection


async def test_many_large_secrets_are_never_in_memory_together(tmp_path: Path) -> None:
    async with api(tmp_path, MANY) as connection:
        cache = new_cache(connection)
        for number in range(MANY):
            cache._want(("team", f"s{number}"))
        tracemalloc.start()
        task = asyncio.create_task(cache.run())
        try:
            await eventually(lambda: len(cache._entries) == MANY, 120)
            kept, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert kept < 2 * MANY * SECRET_VALUE_LIMIT + 8 * len(LARGE)
    assert peak < 30 * len(LARGE), "an object of two values, its text and its bytes, on both sides of the wire"


async def test_a_secret_that_changes_all_the_time_is_reported_once_and_once_more_after_a_while() -> None:
    told: list[tuple[str, str]] = []
    cache = new_cache(None, lambda *key: told.append(key), rest=0.1)
    scope = cache._scope("team", "s")
    for name in ("s", "other"):
        cache._want(("team", name))
    for version in range(1, 1501):
        cache.store(("team", "s"), version, {"accessKeyId": str(version)}, scope)
    assert told == [("team", "s")]
    cache.store(("team", "other"), 1, {"accessKeyId": "1"}, scope)
    assert told == [("team", "s"), ("team", "other")]
    await eventually(lambda: not cache._changes.resting)
    assert told == [("team", "s"), ("team", "other"), ("team", "s")]
    assert await cache_value(cache) == {"accessKeyId": "1500"}


async def cache_value(cache: SecretCache) -> Any:
    scope = cache._scope("team", "s")
    scope.interrupted("", None)
    return await cache.read("team", "s")


@pytest.mark.parametrize("data", [None, [], "x", 7, {"accessKeyId": None}, {"accessKeyId": ["x"]}, {"accessKeyId": 7}])
def test_data_of_the_wrong_type_is_no_data(data: Any) -> None:
    assert new_cache(None).kept({"data": data}) == {}


@pytest.mark.parametrize("metadata", [None, {}, {"resourceVersion": "x"}, {"resourceVersion": None}, []])
async def test_a_secret_without_a_version_can_not_be_read(metadata: Any) -> None:
    class Api:
        async def request(self, *_: Any, **__: Any) -> Any:
            return Answer(200, {"metadata": metadata, "data": {}})

    with pytest.raises(StoreUnavailableError):
        await new_cache(Api()).read("team", "s")
