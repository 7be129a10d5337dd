"""Starts an operator anew when it has ended, as a kubelet does with a container."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

    from support.operator_process import OperatorProcess
    from support.world import World

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 8.0


class Kubelet:
    """Keeps one operator of a world running: `async with Kubelet(world) as kubelet: kubelet.running`."""

    def __init__(self, world: World, **settings: str) -> None:
        self._world = world
        self._settings = settings
        self.started: list[OperatorProcess] = []

    @property
    def running(self) -> OperatorProcess:
        """The operator that was started last."""
        return self.started[-1]

    def _start(self) -> None:
        self.started.append(self._world.operator(None, pod="kubelet-pod", **self._settings))

    async def _restart(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            await asyncio.to_thread(self.running.process.wait)
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)
            self._start()

    async def live_through(self, seconds: float) -> None:
        """Let time pass; what ends meanwhile is started again."""
        done, _ = await asyncio.wait([self._task], timeout=seconds)
        assert not done, self._task.exception()

    async def __aenter__(self) -> Self:
        self._start()
        self._task = asyncio.create_task(self._restart())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        self.running.kill()  # ends the thread that waits for it
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
