from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import pytest

from esa_preload_operator.domain.errors import StoreUnavailableError
from esa_preload_operator.k8s.config_maps import ConfigMapSources
from esa_preload_operator.k8s.connection import METADATA, METADATA_LIST, Connection, connect
from support.adapter import World, eventually, world
from support.api_proxy import Match

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from control_plane import ControlPlane

NAME = "urls"
KEY = "list.txt"
TEXT = "https://www.example.com/very-special.js\n"
GET_ONE = Match("GET", f"/configmaps/{NAME}$")
LIST = Match("GET", "/configmaps$", watch=False)
WATCH = Match("GET", "/configmaps$", watch=True)
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture
async def w(control_plane: ControlPlane) -> AsyncIterator[World]:
    async with world(control_plane) as made:
        yield made


class Sources(ConfigMapSources):
    """Notes what it reports."""

    def __init__(self, connection: Connection, namespaces: list[str] | None = None, *, poll: float = 600.0) -> None:
        self.told: list[tuple[str, str]] = []
        super().__init__(connection, namespaces, self.tell, slowest=0.2, rest=0.0, poll=poll)

    def tell(self, namespace: str, name: str) -> None:
        self.told.append((namespace, name))

    @property
    def follows(self) -> bool:
        return all(scope.current for scope in self._scopes.values())

    @contextlib.asynccontextmanager
    async def running(self, *, followed: bool = True) -> AsyncIterator[None]:
        task = asyncio.create_task(self.run())
        try:
            await eventually(lambda: not followed or self.follows)
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def path(w: World, tail: str = "") -> str:
    return f"/api/v1/namespaces/{w.namespace}/configmaps{tail}"


def body(text: str, name: str = NAME) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": {KEY: text}}


async def create(w: World, text: str = TEXT, name: str = NAME) -> None:
    await w.do("POST", path(w), body(text, name))


async def change(w: World, text: str, name: str = NAME) -> None:
    await w.do("PUT", path(w, f"/{name}"), body(text, name))


async def delete(w: World) -> None:
    await w.do("DELETE", path(w, f"/{NAME}"))


async def grant(w: World, user: str, *verbs: str) -> None:
    """Let a user do this with the ConfigMaps of the namespace; it may take a moment."""
    name = "-".join(verbs)
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": [*verbs]}]
    await w.do("POST", f"{RBAC}/namespaces/{w.namespace}/roles", {"metadata": {"name": name}, "rules": rules})
    await w.do("POST", f"{RBAC}/namespaces/{w.namespace}/rolebindings", {
        "metadata": {"name": name},
        "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"kind": "Role", "name": name, "apiGroup": "rbac.authorization.k8s.io"},
    })  # fmt: skip


async def readable(sources: Sources, w: World) -> None:
    """Returns when the right to read has come into force."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(StoreUnavailableError):
                await sources.read(w.namespace, NAME, KEY)
                return
            await asyncio.sleep(0.05)  # the API server tells nobody


@pytest.mark.parametrize("everywhere", [True, False])
async def test_a_change_an_appearance_and_a_deletion_are_reported(w: World, everywhere: bool) -> None:
    await create(w)
    sources = Sources(w.connection, None if everywhere else [w.namespace])
    assert await sources.read(w.namespace, NAME, KEY) == TEXT
    assert await sources.read(w.namespace, "later", KEY) is None
    async with sources.running():
        await create(w, name="unread")
        for expected, doing in (
            (NAME, change(w, "new")),
            ("later", create(w, name="later")),
            (NAME, delete(w)),
        ):
            sources.told.clear()
            await doing
            await eventually(lambda: bool(sources.told))
            assert sources.told == [(w.namespace, expected)]
    assert await sources.read(w.namespace, NAME, KEY) is None
    assert await sources.read(w.namespace, "later", KEY) == TEXT


async def test_lists_and_watches_carry_metadata_only(w: World) -> None:
    await create(w)
    sources = Sources(w.connection, [w.namespace])
    await sources.read(w.namespace, NAME, KEY)
    async with sources.running():
        await change(w, TEXT + TEXT)
        await eventually(lambda: bool(sources.told))
    (listed,) = w.proxy.requests(LIST)
    assert listed.answer["kind"] == "PartialObjectMetadataList"
    assert all(set(each) <= {"kind", "apiVersion", "metadata"} for each in listed.answer["items"])
    assert TEXT not in str(listed.answer)
    assert {each.accept for each in w.proxy.requests(LIST)} == {METADATA_LIST}
    assert {each.accept for each in w.proxy.requests(WATCH)} == {METADATA}
    query = {"watch": "true", "resourceVersion": listed.answer["metadata"]["resourceVersion"], "timeoutSeconds": "1"}
    async with w.direct.stream(path(w), query, 30, accept=METADATA) as lines:
        events = b"".join([line async for line in lines])
    assert b'"MODIFIED"' in events
    assert b'"PartialObjectMetadata"' in events
    assert TEXT.strip().encode() not in events


async def test_a_list_as_long_as_a_config_map_can_be_is_read_whole(w: World) -> None:
    text = "".join(f"https://www.example.com/{number:05d}/{'&' * 69}\n" for number in range(10_000))
    assert len(text) > 990_000
    await create(w, text)
    assert await Sources(w.connection).read(w.namespace, NAME, KEY) == text


@pytest.mark.parametrize("clean", [True, False])
async def test_a_change_during_a_cut_is_reported_afterwards(w: World, clean: bool) -> None:
    await create(w)
    sources = Sources(w.connection)
    await sources.read(w.namespace, NAME, KEY)
    async with sources.running():
        w.proxy.blackhole(True)
        await change(w, "new")
        w.proxy.cut_watches(clean=clean)
        w.proxy.blackhole(False)
        await eventually(lambda: bool(sources.told))
    assert sources.told == [(w.namespace, NAME)]
    assert sum("limit" not in each.query for each in w.proxy.requests(LIST)) == 1, "a cut watch goes on where it was"


@pytest.mark.parametrize("deleted", [True, False])
async def test_what_happens_before_a_version_has_expired_is_reported(w: World, deleted: bool) -> None:
    await create(w)
    sources = Sources(w.connection)
    await sources.read(w.namespace, NAME, KEY)
    async with sources.running():
        w.proxy.blackhole(True)
        await (delete(w) if deleted else change(w, "new"))
        w.proxy.gone()
        w.proxy.cut_watches()
        w.proxy.blackhole(False)
        await eventually(lambda: bool(sources.told))
    assert sources.told == [(w.namespace, NAME)]


async def test_with_the_right_to_get_alone_changes_are_found_and_with_all_rights_watched(
    w: World, control_plane: ControlPlane, caplog: pytest.LogCaptureFixture
) -> None:
    user = f"reader-{w.namespace}"
    control_plane.add_user(user)
    await create(w)
    async with await connect(str(control_plane.kubeconfig(user))) as connection:
        sources = Sources(connection, [w.namespace], poll=0.1)
        role = f"the operator needs a role that allows get, list and watch of configmaps in namespace {w.namespace}"
        with pytest.raises(StoreUnavailableError, match=f'configmaps "{NAME}" is forbidden: .*; {role}'):
            await sources.read(w.namespace, NAME, KEY)
        await grant(w, user, "get")
        await readable(sources, w)
        with caplog.at_level(logging.INFO):
            async with sources.running(followed=False):
                for doing in (change(w, "new"), delete(w), create(w)):
                    sources.told.clear()
                    await doing
                    await eventually(lambda: bool(sources.told))
                assert not sources.follows
                await grant(w, user, "list", "watch")
                await eventually(lambda: sources.follows)
                sources.told.clear()
                await change(w, "newer")
                await eventually(lambda: bool(sources.told))
        said = [each.getMessage() for each in caplog.records if each.name.endswith("k8s.feed")]
    assert len(said) == 2, said
    assert "configmaps is forbidden" in said[0]
    assert f"{role}; until then" in said[0]
    assert said[1] == f"ConfigMaps in namespace {w.namespace}: watched again"
