from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from support.cloud import Cloud
from support.own_keys import Bench

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


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
