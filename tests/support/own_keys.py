"""An operator's own credentials, with STS and an instance's metadata at the wire."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from esa_preload_operator.domain.errors import Delivery, ErrorClass, EsaError, Reason
from esa_preload_operator.esa.own import OwnCredentials
from support.cloud import Cloud, token

if TYPE_CHECKING:
    from collections.abc import Callable
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
        assert (problem.error_class, problem.delivery) == (ErrorClass.BLOCKED, Delivery.NEVER_SENT)
        assert caught.value.__cause__ is None
        return caught.value

    async def invalid(self) -> EsaError:
        error = await self.refused()
        assert error.problem.reason is Reason.CREDENTIALS_INVALID
        return error


async def until(look: Callable[[], object], deadline: float = 5.0) -> None:
    async with asyncio.timeout(deadline):
        while not look():  # noqa: ASYNC110 - what is waited for happens in the operator, which has no event for it
            await asyncio.sleep(0.005)


async def paused(bench: Bench, number: int) -> None:
    await until(lambda: len(bench.pauses) == number)
