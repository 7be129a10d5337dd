from __future__ import annotations

import asyncio
import contextlib
import logging
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from esa_preload_operator.domain.errors import StoreUnavailableError
from esa_preload_operator.k8s import config_maps as config_maps_module
from esa_preload_operator.k8s.config_maps import ConfigMapSources
from esa_preload_operator.k8s.connection import JSON, METADATA, METADATA_LIST, Connection
from support.adapter import eventually
from support.config_maps import ConfigMapServer, config_map

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

URLS = "https://www.example.com/a.js\n"
CONTENTS: dict[str, tuple[dict[str, Any], str | None]] = {
    "text": ({"data": {"list": URLS, "other": "x"}}, URLS),
    "an empty text": ({"data": {"list": ""}}, ""),
    "no such key": ({"data": {"other": URLS}}, None),
    "no data at all": ({}, None),
    "binary data": ({"binaryData": {"list": "aHR0cHM6Ly9hL2I="}}, None),
    "data of the wrong type": ({"data": [URLS]}, None),
    "a value of the wrong type": ({"data": {"list": 7}}, None),
}


class World:
    """A server, and what sources that read from it have reported."""

    def __init__(self, server: ConfigMapServer, connection: Connection) -> None:
        self.server = server
        self.connection = connection
        self.told: list[str] = []
        self.sources = self.new_sources()

    def new_sources(self, namespaces: list[str] | None = None, *, poll: float = 600.0) -> ConfigMapSources:
        return ConfigMapSources(
            self.connection, namespaces, lambda _, name: self.told.append(name), slowest=0.1, rest=0.0, poll=poll
        )

    async def read(self, name: str = "urls") -> str | None:
        return await self.sources.read("team", name, "list")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.sources.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def watching(self, *names: str) -> AsyncIterator[None]:
        """Read these ConfigMaps, and have them watched."""
        for name in names:
            await self.read(name)
        async with self.running():
            await eventually(lambda: bool(self.server.watches))
            yield

    async def passed(self) -> None:
        """Returns when everything that the server has told is taken: a ConfigMap of its own is reported."""
        self.server.put("marker")
        await eventually(lambda: "marker" in self.told)
        self.told.remove("marker")


@pytest.fixture
async def w(tmp_path: Path) -> AsyncIterator[World]:
    server = ConfigMapServer()
    async with server.running(tmp_path) as connection:
        yield World(server, connection)


# --- reading --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("content", "text"), CONTENTS.values(), ids=CONTENTS)
async def test_the_text_under_a_key_is_read(w: World, content: dict[str, Any], text: str | None) -> None:
    w.server.objects["urls"] = config_map("urls", 1, **content)
    assert await w.read() == text


async def test_a_config_map_that_does_not_exist_has_no_text(w: World) -> None:
    assert await w.read() is None


async def test_a_refusal_names_the_config_map_and_the_missing_role(w: World) -> None:
    w.server.refused = {"get": 403}
    role = "the operator needs a role that allows get, list and watch of configmaps in all namespaces"
    with pytest.raises(StoreUnavailableError, match=f'configmaps "urls" is forbidden; {role}'):
        await w.read()
    w.sources = w.new_sources(["team"])
    with pytest.raises(StoreUnavailableError, match=r"of configmaps in namespace team$"):
        await w.read()


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
async def test_after_any_other_refusal_nothing_is_known(w: World, status: int) -> None:
    w.server.refused = {"get": status}
    with pytest.raises(StoreUnavailableError, match=f"HTTP {status}") as caught:
        await w.read()
    assert caught.value.retry_after == 7
    assert w.told == []


@pytest.mark.parametrize("metadata", [None, {}, {"resourceVersion": "x"}, {"resourceVersion": "9" * 5000}, []])
async def test_an_answer_without_a_version_is_no_config_map(w: World, metadata: Any) -> None:
    w.server.objects["urls"] = {"metadata": metadata, "data": {"list": URLS}}
    with pytest.raises(StoreUnavailableError, match="no ConfigMap"):
        await w.read()


@pytest.mark.parametrize("name", ["", "..", "../secrets/x", "a/b", "a?b", "A", "urls\n", "a" * 254])
async def test_a_name_that_no_object_has_leads_to_no_request(w: World, name: str) -> None:
    assert await w.read(name) is None
    assert w.server.asked == []


async def test_a_namespace_that_is_not_the_operators_is_not_asked(w: World) -> None:
    w.sources = w.new_sources(["other"])
    with pytest.raises(StoreUnavailableError, match="team/urls is not among those"):
        await w.read()
    assert w.server.asked == []


# --- watching -------------------------------------------------------------------------------------------------------


async def test_nothing_is_listed_before_a_config_map_is_read(w: World) -> None:
    async with w.running():
        await asyncio.sleep(0)  # the tasks have begun
        await w.connection.request("GET", "/api/v1/namespaces/team/configmaps/x")
        assert w.server.asked == [("get", JSON)]
        await w.read()
        await eventually(lambda: bool(w.server.watches))


async def test_only_reads_ask_for_data(w: World) -> None:
    w.server.put("urls")
    async with w.watching("urls"):
        w.server.end_watches()
        await eventually(lambda: w.server.count("watch") == 2)
    assert w.server.asked == [
        ("get", JSON), ("list", METADATA_LIST), ("watch", METADATA), ("look", METADATA_LIST), ("watch", METADATA),
    ]  # fmt: skip


async def test_a_change_of_a_config_map_that_was_read_is_reported(w: World) -> None:
    w.server.put("urls")
    async with w.watching("urls", "missing", "marker"):
        w.server.put("urls", "https://a/c")
        w.server.put("missing")
        w.server.drop("urls")
        await w.passed()
        assert w.told == ["urls", "missing", "urls"]
    assert w.server.count("get") == 3


async def test_what_nobody_reads_is_neither_kept_nor_reported(w: World) -> None:
    w.server.put("before")
    async with w.watching("marker"):
        w.server.put("before", "https://a/c")
        w.server.put("other")
        w.server.drop("other")
        await w.passed()
        assert w.told == []
    assert set(w.sources._known) == {("team", "marker")}


async def test_changes_between_a_read_and_the_watch_are_reported(w: World) -> None:
    for name in ("same", "changed", "gone"):
        w.server.put(name)
    for name in ("same", "changed", "gone", "comes", "absent"):
        await w.read(name)
    w.server.put("changed", "https://a/c")
    w.server.drop("gone")
    w.server.put("comes")
    async with w.watching("marker"):
        await w.passed()
    assert sorted(w.told) == ["changed", "comes", "gone"]


async def test_a_list_does_not_hide_what_is_read_while_it_arrives(w: World) -> None:
    scope = w.sources._scopes[None]
    scope.listed("", [], begins=True, ends=False)
    w.server.put("urls")
    assert await w.read() is not None
    scope.complete(str(w.server.version + 1))
    assert w.told == []


async def test_a_change_while_an_answer_is_on_its_way_is_reported(w: World) -> None:
    w.server.put("urls", "https://a/old")
    async with w.watching("urls", "marker"):
        await w.passed()
        w.server.held = asyncio.Event()
        gets = w.server.count("get")
        reading = asyncio.create_task(w.read())
        await eventually(lambda: w.server.count("get") > gets)
        w.server.put("urls", "https://a/new")
        await w.passed()
        w.told.clear()
        w.server.held.set()
        assert await reading == "https://a/old"
        assert w.told == ["urls"], "so that it is read again"
        assert await w.read() == "https://a/new"
        assert w.told == ["urls"]


async def test_what_one_reader_finds_is_reported_to_the_others(w: World) -> None:
    w.server.put("urls")
    for _ in range(2):
        await w.read()
    assert w.told == []
    w.server.put("urls", "https://a/c")
    for _ in range(2):
        assert await w.read() == "https://a/c"
    assert w.told == ["urls"]
    w.server.drop("urls")
    for _ in range(2):
        assert await w.read() is None
    assert w.told == ["urls", "urls"]


async def test_events_that_are_older_than_what_was_read_are_no_change(w: World) -> None:
    w.server.put("urls")
    async with w.watching("urls", "marker"):
        await w.passed()
        old = dict(w.server.objects["urls"]["metadata"])
        w.server.objects["urls"] = config_map("urls", w.server.version + 5, data={"list": URLS})
        await w.read()
        w.told.clear()
        for kind in ("MODIFIED", "DELETED"):
            w.server.version += 1
            w.server._tell(kind, {"metadata": old | {"resourceVersion": str(w.server.version)}})
        w.server.version += 3
        await w.passed()
        assert w.told == []


async def test_a_restored_server_counts_anew(w: World) -> None:
    w.server.version = 900
    w.server.put("urls")
    async with w.watching("urls", "marker"):
        await w.passed()
        w.server.version = 700
        w.server.put("urls", "https://a/restored")
        await eventually(lambda: w.told != [])
        assert await w.read() == "https://a/restored"


async def test_a_restore_that_nobody_watches_is_reported_once(w: World) -> None:
    w.server.version = 900
    w.server.put("urls")
    await w.read()
    w.server.version = 700
    w.server.put("urls", "https://a/restored")
    for _ in range(3):
        assert await w.read() == "https://a/restored"
    assert w.told == ["urls"]


# --- without the right to watch -------------------------------------------------------------------------------------


@pytest.mark.parametrize("refused", ["list", "watch"])
async def test_without_the_right_to_watch_changes_are_still_found_and_it_is_said_once(
    w: World, caplog: pytest.LogCaptureFixture, refused: str
) -> None:
    w.server.put("urls")
    w.server.refused = {refused: 403}
    w.sources = w.new_sources(poll=0.05)
    assert await w.read() == "https://a/b"
    assert await w.read("missing") is None
    async with w.running():
        await eventually(lambda: w.server.count(refused) > 2)
        for name in ("urls", "missing"):
            w.server.put(name, "https://a/c")
            await eventually(lambda: bool(w.told))
            assert w.told == [name]
            w.told.clear()
        assert {accept for what, accept in w.server.asked[2:] if what == "get"} <= {METADATA}
    (record,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert record.getMessage().startswith("ConfigMaps in all namespaces: HTTP 403")
    assert "a role that allows get, list and watch of configmaps in all namespaces" in record.getMessage()


async def test_when_the_right_to_watch_is_withdrawn_changes_are_still_found(w: World) -> None:
    w.server.put("urls")
    w.sources = w.new_sources(poll=0.05)
    async with w.watching("urls"):
        w.server.refused = {"list": 403, "watch": 403, "look": 403}
        w.server.end_watches()
        await eventually(lambda: w.server.count("list") > 1)
        w.server.put("urls", "https://a/c")
        await eventually(lambda: w.told == ["urls"])


async def test_what_is_watched_is_not_asked_for_again(w: World) -> None:
    w.server.put("urls")
    w.server.refused = {"list": 403}
    w.sources = w.new_sources(poll=0.0)
    await w.read()
    async with w.running():
        await eventually(lambda: w.server.count("get") > 2)
        w.server.refused = {}
        await eventually(lambda: w.sources._scopes[None].current)
        await w.read("marker")
        gets = w.server.count("get")
        for _ in range(30):
            await w.passed()
    assert w.server.count("get") <= gets + 1, "one that was on its way"


async def test_one_config_map_that_can_not_be_asked_for_does_not_hide_the_others(w: World) -> None:
    w.server.put("broken")
    w.server.put("urls")
    w.server.refused = {"list": 403}
    w.sources = w.new_sources(poll=0.02)
    for name in ("broken", "urls"):
        await w.read(name)
    w.server.objects["broken"] = {"metadata": None}
    w.server.put("urls", "https://a/c")
    async with w.running():
        await eventually(lambda: w.told == ["urls"])


# --- bounds ---------------------------------------------------------------------------------------------------------


async def test_the_number_of_config_maps_that_are_remembered_is_bounded(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_maps_module, "REMEMBERED", 2)
    for name in ("a", "b", "a", "c"):
        await w.read(name)
    assert list(w.sources._known) == [("team", "a"), ("team", "c")]


async def test_no_text_stays_in_memory(w: World) -> None:
    large = "x" * 1_000_000
    for number in range(20):
        w.server.objects[f"m{number}"] = config_map(f"m{number}", number, data={"list": large})
    await w.read("m0")
    tracemalloc.start()
    try:
        for number in range(20):
            assert await w.read(f"m{number}") == large
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 3 * len(large), "what the connection's buffers hold"
