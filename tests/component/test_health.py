"""The probes over HTTP, as a kubelet asks them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
import pytest

from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.runtime.health import Health, serve
from esa_preload_operator.runtime.metrics import Metrics
from esa_preload_operator.runtime.queue import WorkQueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from esa_preload_operator.domain.view import View


@dataclass
class Probed:
    health: Health
    queue: WorkQueue[View]
    health_url: str
    metrics_url: str
    client: aiohttp.ClientSession

    async def ask(self, path: str) -> tuple[int, str]:
        url = self.metrics_url if path == "/metrics" else self.health_url
        async with self.client.get(url + path) as answer:
            return answer.status, await answer.text()

    async def until(self, path: str, status: int) -> str:
        async with asyncio.timeout(30):
            while True:
                found, text = await self.ask(path)
                if found == status:
                    return text
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def served(
    caplog: pytest.LogCaptureFixture, *, watch_limit: float = 60.0, work_limit: float = 60.0
) -> AsyncIterator[Probed]:
    metrics = Metrics("1.2.3")
    queue: WorkQueue[View] = WorkQueue(metrics)
    health = Health(queue, metrics, work_limit=work_limit, watch_limit=watch_limit)
    with caplog.at_level(logging.INFO):
        close = await serve(health, health_port=0, metrics_port=0)
    ports = re.search(r"health on port (\d+), metrics on port (\d+)", caplog.text)
    assert ports is not None
    try:
        async with aiohttp.ClientSession() as client:
            yield Probed(health, queue, f"http://127.0.0.1:{ports[1]}", f"http://127.0.0.1:{ports[2]}", client)
    finally:
        await close()


async def test_a_process_that_starts_is_alive_but_not_ready(caplog: pytest.LogCaptureFixture) -> None:
    async with served(caplog) as probed:
        assert await probed.ask("/healthz") == (200, "ok\n")
        assert await probed.ask("/readyz") == (503, "starting\n")


async def test_a_standby_is_ready_however_long_it_watches_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with served(caplog, watch_limit=0.0) as probed:
        probed.health.started = True
        assert await probed.ask("/healthz") == (200, "ok\n")
        assert await probed.ask("/readyz") == (200, "ok\n")


async def test_what_keeps_a_process_from_serving_is_told_and_passes(caplog: pytest.LogCaptureFixture) -> None:
    async with served(caplog) as probed:
        probed.health.started = True
        assert probed.health.note("lease", "the lease can't be taken", blocking=True)
        assert not probed.health.note("lease", "the lease can't be taken", blocking=True)
        assert await probed.ask("/readyz") == (503, "the lease can't be taken\n")
        assert await probed.ask("/healthz") == (200, "ok\n")
        assert probed.health.note("lease", "forbidden", blocking=True)
        assert await probed.ask("/readyz") == (503, "forbidden\n")
        assert probed.health.note("lease", None)
        assert not probed.health.note("lease", None)
        assert await probed.ask("/readyz") == (200, "ok\n")


async def test_what_is_wrong_with_one_part_is_told_and_the_rest_stays_ready(caplog: pytest.LogCaptureFixture) -> None:
    async with served(caplog) as probed:
        probed.health.started = probed.health.leading = True
        probed.health.watch_seen()
        probed.health.note("namespace b", "namespace b: no rights")
        probed.health.note("namespace c", "namespace c: no rights")
        told = "namespace b: no rights\nnamespace c: no rights\n"
        assert await probed.ask("/readyz") == (503, "the resources have not been listed yet\n" + told)
        probed.health.synced = True
        assert await probed.ask("/readyz") == (200, "ok\n" + told)
        probed.health.note("namespace b", None)
        assert await probed.ask("/readyz") == (200, "ok\nnamespace c: no rights\n")
        assert await probed.ask("/healthz") == (200, "ok\n")


async def test_a_leader_is_ready_once_it_has_listed(caplog: pytest.LogCaptureFixture) -> None:
    async with served(caplog) as probed:
        probed.health.started = probed.health.leading = True
        probed.health.watch_seen()
        assert await probed.ask("/readyz") == (503, "the resources have not been listed yet\n")
        assert (await probed.ask("/healthz"))[0] == 200
        probed.health.synced = True
        assert (await probed.ask("/readyz"))[0] == 200


async def test_what_does_not_work_stands_below_the_answer_of_readyz(caplog: pytest.LogCaptureFixture) -> None:
    async with served(caplog) as probed:
        probed.health.note("a", "namespace a is not watched")
        assert await probed.ask("/readyz") == (503, "starting\nnamespace a is not watched\n")
        probed.health.started = True
        assert await probed.ask("/readyz") == (200, "ok\nnamespace a is not watched\n")
        assert await probed.ask("/healthz") == (200, "ok\n")
        probed.health.note("a", None)
        assert await probed.ask("/readyz") == (200, "ok\n")


async def test_a_silent_watch_of_the_leader_fails_both_until_it_shows_life(caplog: pytest.LogCaptureFixture) -> None:
    async with served(caplog, watch_limit=0.2) as probed:
        probed.health.started = probed.health.leading = probed.health.synced = True
        text = await probed.until("/healthz", 503)
        assert re.fullmatch(r"the watch has been silent for \d+ s\n", text)
        assert (await probed.ask("/readyz"))[0] == 503
        probed.health.watch_limit = 60.0
        probed.health.watch_seen()
        assert (await probed.ask("/healthz"))[0] == (await probed.ask("/readyz"))[0] == 200


async def test_a_hung_worker_fails_both_and_an_idle_queue_does_not(caplog: pytest.LogCaptureFixture) -> None:
    hanging = asyncio.Event()

    async def work(_ref: ObjectRef, _view: View | None) -> float | None:
        await hanging.wait()
        return None

    async with served(caplog, work_limit=0.1) as probed:
        probed.health.started = True
        task = asyncio.create_task(probed.queue.run(2, work))
        assert (await probed.ask("/healthz"))[0] == 200
        probed.queue.add(ObjectRef("n", "j"))
        text = await probed.until("/healthz", 503)
        assert re.fullmatch(r"a worker has been busy with one resource for \d+ s\n", text)
        assert (await probed.ask("/readyz"))[0] == 503
        hanging.set()
        await probed.until("/healthz", 200)
        probed.queue.close(2)
        await task


async def test_probes_and_metrics_are_apart(caplog: pytest.LogCaptureFixture) -> None:
    async with served(caplog) as probed:
        assert (await probed.ask("/metrics"))[0] == 200
        for url in (probed.health_url + "/metrics", probed.metrics_url + "/healthz", probed.health_url + "/"):
            async with probed.client.get(url) as answer:
                assert answer.status == 404


async def test_the_life_of_the_watch_shows_in_the_metrics(caplog: pytest.LogCaptureFixture) -> None:
    async with served(caplog) as probed:
        before = time.time()
        probed.health.watch_seen()
        text = (await probed.ask("/metrics"))[1]
        found = re.search(r"^esa_operator_watch_last_seen_timestamp_seconds (\S+)$", text, re.MULTILINE)
        assert found is not None
        assert float(found[1]) >= before


async def test_a_port_that_is_taken_is_an_error_of_the_start(caplog: pytest.LogCaptureFixture) -> None:
    async with served(caplog) as probed:
        port = int(probed.health_url.rpartition(":")[2])
        with pytest.raises(OSError, match="address already in use"):
            await serve(probed.health, health_port=port, metrics_port=0)
