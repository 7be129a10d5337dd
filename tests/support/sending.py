"""Calls to servers that behave or misbehave byte by byte."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from esa_preload_operator.domain.errors import EsaError, Problem
from esa_preload_operator.esa.client import EsaClient
from esa_preload_operator.esa.credentials import Credentials
from esa_preload_operator.esa.models import read_job
from esa_preload_operator.esa.throttle import Throttle
from esa_preload_operator.esa.transport import Connections
from support.raw_server import RawConnection

JOB = b'{"Id":"665d3af3621bccf3fe29e1a4","RequestId":"r"}'


def yes() -> bool:
    return True


@asynccontextmanager
async def client_of(url: str, seconds: float = 5, **options: Any) -> AsyncIterator[EsaClient]:
    connections = Connections(url, request_timeout=seconds, **options)
    try:
        yield EsaClient(Credentials("key-id", "key-secret", "token"), connections, Throttle(1000))
    finally:
        await connections.close()


async def problem_of(client: EsaClient, may_send: Callable[[], bool] = yes) -> Problem:
    with pytest.raises(EsaError) as caught:
        await client.reset_job("665d3af3621bccf3fe29e1a4", may_send)
    problem = caught.value.problem
    for hidden in ("key-id", "key-secret", "token", "Signature"):
        assert hidden not in str(problem)
    return problem


async def answer_all(connection: RawConnection) -> None:
    while True:
        await connection.request()
        await connection.answer(JOB)


async def create(client: EsaClient, may_send: Callable[[], bool]) -> object:
    """A call with a body, which aiohttp writes in another task."""
    return await client._call("CreateSomething", {}, read_job, form={"UrlList": "http://a/b"}, may_send=may_send)


def https(url: str) -> str:
    return url.replace("http://", "https://")
