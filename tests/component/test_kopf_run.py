"""A run of kopf that ends by a bug: the next one begins, and no other task of the process suffers."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from esa_preload_operator.handlers import watch as module
from esa_preload_operator.handlers.wire import Answer, Wire
from support.intake import new_hall

if TYPE_CHECKING:
    import pytest

    from esa_preload_operator.runtime.app import App


async def test_a_run_of_kopf_that_ends_is_followed_by_another_and_cancels_no_other_task(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lists, again = 0, asyncio.Event()
    calls: list[asyncio.Task[bool]] = []
    answer = Wire.request

    async def request(self: Wire, *, method: str, url: str, **options: Any) -> Answer:
        nonlocal lists
        if not url.endswith("/scheduledpreloadjobs"):
            return await answer(self, method=method, url=url, **options)
        lists += 1
        if lists == 1:
            calls.append(asyncio.create_task(again.wait()))  # a call that begins while kopf runs
            raise RuntimeError("a bug")
        again.set()
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(Wire, "request", request)
    app = SimpleNamespace(connection=None, intake=new_hall().intake, namespaces=())
    loop = asyncio.get_running_loop()

    def take_signals_back() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    task = asyncio.create_task(module.watch(cast("App", app), take_signals_back))
    try:
        async with asyncio.timeout(30):
            await again.wait()
            assert await calls[0]
        assert "is started anew" in caplog.text
        assert not task.done()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def test_kopf_never_kills_the_process() -> None:
    assert module.watch_settings().process.ultimate_exiting_timeout is None
