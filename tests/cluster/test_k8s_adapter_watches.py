"""How a watch goes on when the API server refuses, cuts or garbles it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import pytest

from esa_preload_operator.k8s.watches import Watch
from support.adapter import World, eventually, world
from support.api_proxy import Match

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from control_plane import ControlPlane

LIST = Match("GET", "/configmaps$", watch=False)
WATCH = Match("GET", "/configmaps$", watch=True)


@pytest.fixture
async def w(control_plane: ControlPlane) -> AsyncIterator[World]:
    async with world(control_plane) as made:
        yield made


class Noted:
    """A sink that notes what it is shown."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.opened = self.forbidden_times = 0
        self.poison = ""

    def changed(self, obj: Mapping[str, Any]) -> None:
        name = obj["metadata"]["name"]
        if name == self.poison:
            raise KeyError(name)
        self.names.append(name)

    def deleted(self, obj: Mapping[str, Any]) -> None:
        self.names.append("-" + obj["metadata"]["name"])

    def listed(self, keys: set[tuple[str, str]], version: str) -> None:
        assert version
        assert keys is not None

    def following(self) -> None:
        self.opened += 1

    def forbidden(self) -> str:
        self.forbidden_times += 1
        return "give it a role"


@contextlib.asynccontextmanager
async def watching(w: World, sink: Noted, pauses: list[float]) -> AsyncIterator[None]:
    def jitter(low: float, high: float) -> float:
        if high < 100:  # not the length of a watch
            pauses.append(high)
        return low

    watch = Watch(w.connection, path(w), sink, fastest=0.02, slowest=0.3, jitter=jitter)
    task = asyncio.create_task(watch.run())
    try:
        yield
    finally:
        assert not task.done()
        task.cancel()


def path(w: World) -> str:
    return f"/api/v1/namespaces/{w.namespace}/configmaps"


async def create(w: World, name: str) -> None:
    await w.do("POST", path(w), {"metadata": {"name": name}})


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.endswith("watches")]


@pytest.mark.parametrize("status", [401, 403, 500, 503])
@pytest.mark.parametrize("refused", [LIST, WATCH])
async def test_a_refused_list_or_watch_backs_off_and_is_told_once_until_the_cause_changes(
    w: World, refused: Match, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sink, pauses = Noted(), list[float]()
    first = w.proxy.refuse(refused, status=status, reason="First", message="first", times=None)
    async with watching(w, sink, pauses):
        await eventually(lambda: len(pauses) >= 8)
        begin = f"the watch of {path(w)} is interrupted: HTTP {status} First: first"
        advice = "; give it a role" if status == 403 else ""
        assert lines(caplog) == [begin + advice]
        assert (sink.forbidden_times > 0) is (status == 403)
        assert pauses[:7] == pytest.approx([0.02, 0.04, 0.08, 0.16, 0.3, 0.3, 0.3])
        second = w.proxy.refuse(refused, status=429, reason="Second", message="second", times=None)
        first.remove()
        await eventually(lambda: len(second.hits) >= 3)
        second.remove()
        await eventually(lambda: sink.opened > 0)
        await create(w, "news")
        await eventually(lambda: "news" in sink.names)
    assert [line.split(": ", 1)[-1] for line in lines(caplog)[1:]] == [
        "HTTP 429 Second: second",
        f"the watch of {path(w)} works again",
    ]


async def test_a_watch_that_does_not_open_again_is_told_once_and_goes_on_where_it_was(
    w: World, caplog: pytest.LogCaptureFixture
) -> None:
    sink, pauses = Noted(), list[float]()
    async with watching(w, sink, pauses):
        await eventually(lambda: sink.opened > 0)
        lost = w.proxy.lose_request(WATCH, times=None)
        w.proxy.cut_watches()
        await create(w, "meanwhile")
        await eventually(lambda: len(lost.hits) >= 4)
        lost.remove()
        await eventually(lambda: "meanwhile" in sink.names)
    (line,) = lines(caplog)
    assert line.startswith(f"the watch of {path(w)} is interrupted: no answer from the API server")
    assert len(w.proxy.requests(LIST)) == 1


async def test_an_object_that_can_not_be_handled_ends_neither_the_watch_nor_the_process(
    w: World, caplog: pytest.LogCaptureFixture
) -> None:
    sink, pauses = Noted(), list[float]()
    sink.poison = "poison"
    await create(w, "poison")
    async with watching(w, sink, pauses):
        await eventually(lambda: len(pauses) >= 3)
        sink.poison = ""
        await eventually(lambda: "poison" in sink.names)
    assert lines(caplog) == [f"the watch of {path(w)} is interrupted: unexpected KeyError"]
