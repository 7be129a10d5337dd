"""Calls to servers that behave or misbehave byte by byte."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from esa_preload_operator.domain.errors import EsaError, Problem
from esa_preload_operator.domain.esa import InsertWay, NewJob
from esa_preload_operator.esa.client import EsaClient
from esa_preload_operator.esa.credentials import Credentials
from esa_preload_operator.esa.throttle import Throttle
from esa_preload_operator.esa.transport import Connections
from support.raw_server import RawConnection

JOB_ID = "665d3af3621bccf3fe29e1a4"
JOB = b'{"Id":"%s","RequestId":"r"}' % JOB_ID.encode()


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
        await client.reset_job(JOB_ID, may_send)
    problem = caught.value.problem
    for hidden in ("key-id", "key-secret", "token", "Signature"):
        assert hidden not in str(problem)
    return problem


async def answer_all(connection: RawConnection) -> None:
    """Answer each request with the job that it asks for."""
    while True:
        target = (await connection.request()).split(" ", 2)[1]
        job_id = parse_qs(urlsplit(target).query).get("Id", [JOB_ID])[0]
        await connection.answer(json.dumps({"Id": job_id, "RequestId": "r"}).encode())


async def create(client: EsaClient, may_send: Callable[[], bool]) -> object:
    """A call with a body, which aiohttp writes in another task."""
    return await client.create_job(NewJob(7, "nightly", InsertWay.TEXT_BOX, "http://a/b"), may_send)


def https(url: str) -> str:
    return url.replace("http://", "https://")
