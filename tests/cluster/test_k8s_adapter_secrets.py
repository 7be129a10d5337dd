from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import pytest

from esa_preload_operator.domain.errors import EsaError, StoreUnavailableError
from esa_preload_operator.domain.ports import SECRET_VALUE_LIMIT
from esa_preload_operator.esa.credentials import from_secret
from esa_preload_operator.k8s import secrets as secrets_module
from esa_preload_operator.k8s.connection import Connection, connect
from esa_preload_operator.k8s.secrets import SecretCache
from support.adapter import DEADLINE, World, eventually, world
from support.api_proxy import Match

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from control_plane import ControlPlane

NAME = "esa-credentials"
VALUE = "LTAI-very-secret"
GET_ONE = Match("GET", f"/secrets/{NAME}$")
LIST = Match("GET", "/secrets$", watch=False)
WATCH = Match("GET", "/secrets$", watch=True)


@pytest.fixture
async def w(control_plane: ControlPlane) -> AsyncIterator[World]:
    async with world(control_plane) as made:
        yield made


class Told(list[tuple[str, str]]):
    def __call__(self, namespace: str, name: str) -> None:
        self.append((namespace, name))


def new_cache(connection: Connection, names: list[str], namespaces: list[str] | None = None, **kw: Any) -> SecretCache:
    return SecretCache(connection, names, namespaces, keys=("accessKeyId", "accessKeySecret", "securityToken"), **kw)


def encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def body(value: str, name: str = NAME, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}, "data": {"accessKeyId": encoded(value)}}


def path(w: World, tail: str = "") -> str:
    return f"/api/v1/namespaces/{w.namespace}/secrets{tail}"


async def create(w: World, value: str = VALUE, name: str = NAME) -> None:
    await w.do("POST", path(w), body(value, name))


async def change(w: World, value: str) -> None:
    await w.do("PUT", path(w, f"/{NAME}"), body(value))


def lists(w: World) -> int:
    """How often all Secrets were listed; a look for the newest version reads one."""
    return sum("limit" not in each.query for each in w.proxy.requests(LIST))


def follows(cache: SecretCache) -> bool:
    return all(scope.current for scope in cache._scopes.values())


@contextlib.asynccontextmanager
async def running(cache: SecretCache) -> AsyncIterator[None]:
    task = asyncio.create_task(cache.run())
    try:
        await eventually(lambda: task.done() or follows(cache))
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def value(cache: SecretCache, w: World) -> str | None:
    read = await cache.read(w.namespace, NAME)
    return None if read is None else base64.b64decode(read["accessKeyId"]).decode()


async def becomes(cache: SecretCache, w: World, wanted: str | None) -> None:
    async with asyncio.timeout(DEADLINE):
        while await value(cache, w) != wanted:  # noqa: ASYNC110 - the cache has no event for a test to wait for
            await asyncio.sleep(0.02)


async def test_before_the_watch_runs_each_read_asks_the_server(w: World) -> None:
    await create(w)
    cache = new_cache(w.connection, [NAME])
    assert await value(cache, w) == VALUE
    await change(w, "new")
    assert await value(cache, w) == "new"
    assert len(w.proxy.requests(GET_ONE)) == 2


@pytest.mark.parametrize("everywhere", [True, False])
async def test_once_watched_a_read_costs_no_request(w: World, everywhere: bool) -> None:
    await create(w)
    cache = new_cache(w.connection, [NAME], None if everywhere else [w.namespace])
    async with running(cache):
        assert await value(cache, w) == VALUE
        assert await value(cache, w) == VALUE
    assert w.proxy.requests(GET_ONE) == []


async def test_a_change_is_told_but_a_label_is_not(w: World) -> None:
    await create(w)
    told = Told()
    cache = new_cache(w.connection, [NAME], on_change=told, rest=0.0)
    async with running(cache):
        await value(cache, w)
        await w.do("PUT", path(w, f"/{NAME}"), body(VALUE, labels={"a": "b"}))
        await change(w, "new")
        await becomes(cache, w, "new")
        assert told == [(w.namespace, NAME)]
        await w.do("DELETE", path(w, f"/{NAME}"))
        await becomes(cache, w, None)
        await create(w)
        await becomes(cache, w, VALUE)
    assert len(told) == 3


async def test_a_secret_that_was_missed_is_told_when_it_comes(w: World) -> None:
    told = Told()
    cache = new_cache(w.connection, [NAME], on_change=told)
    assert await value(cache, w) is None
    await create(w)
    async with running(cache):
        await eventually(lambda: bool(told))
        assert await value(cache, w) == VALUE


@pytest.mark.parametrize("clean", [True, False])
async def test_a_change_during_a_cut_is_told_afterwards(w: World, clean: bool) -> None:
    await create(w)
    told = Told()
    cache = new_cache(w.connection, [NAME], on_change=told)
    async with running(cache):
        await value(cache, w)
        w.proxy.blackhole(True)
        await change(w, "new")
        w.proxy.cut_watches(clean=clean)
        w.proxy.blackhole(False)
        await eventually(lambda: bool(told))
        assert await value(cache, w) == "new"
    assert lists(w) == 1, "a cut watch goes on where it was"


@pytest.mark.parametrize("as_event", [True, False])
async def test_an_expired_version_is_listed_anew_and_a_deletion_noticed(w: World, as_event: bool) -> None:
    await create(w)
    told = Told()
    cache = new_cache(w.connection, [NAME], on_change=told)
    async with running(cache):
        assert await value(cache, w) == VALUE
        w.proxy.blackhole(True)
        await w.do("DELETE", path(w, f"/{NAME}"))
        w.proxy.gone(as_event=as_event)
        w.proxy.cut_watches()
        w.proxy.blackhole(False)
        await eventually(lambda: bool(told))
        assert await value(cache, w) is None
    assert lists(w) == 2


async def test_a_secret_that_is_not_seen_yet_is_asked_for_before_it_is_called_missing(w: World) -> None:
    cache = new_cache(w.connection, [NAME])
    async with running(cache):
        assert await value(cache, w) is None
    # The watch has ended here, as if the event were still on its way.
    await create(w)
    assert await value(cache, w) == VALUE
    await w.do("DELETE", path(w, f"/{NAME}"))
    cache.store((w.namespace, NAME), 2**62, None, cache._scope(w.namespace, NAME))
    assert await value(cache, w) is None


async def test_a_secret_that_is_deleted_while_it_may_not_be_watched_is_missing(w: World) -> None:
    await create(w)
    told = Told()
    cache = new_cache(w.connection, [NAME], on_change=told, slowest=0.2)
    async with running(cache):  # the right is withdrawn later
        assert await value(cache, w) == VALUE
        for each in (LIST, WATCH):
            w.proxy.refuse(each, status=403, reason="Forbidden", times=None)
        w.proxy.cut_watches()
        await eventually(lambda: not follows(cache))
        await w.do("DELETE", path(w, f"/{NAME}"))
        await becomes(cache, w, None)
    assert told == [(w.namespace, NAME)]


async def test_a_secret_may_be_read_but_not_watched_although_all_may_be_listed(w: World) -> None:
    await create(w)
    rule = w.proxy.refuse(WATCH, status=403, reason="Forbidden", times=None)
    cache = new_cache(w.connection, [NAME], slowest=0.2)
    task = asyncio.create_task(cache.run())
    await eventually(lambda: len(rule.hits) > 2)
    assert await value(cache, w) == VALUE
    await w.do("DELETE", path(w, f"/{NAME}"))
    assert await value(cache, w) is None
    task.cancel()


async def test_after_a_restore_of_etcd_older_versions_count_again(w: World) -> None:
    await create(w)
    told = Told()
    cache = new_cache(w.connection, [NAME], on_change=told)
    scope = cache._scope(w.namespace, NAME)
    async with running(cache):
        await value(cache, w)
        cache.store((w.namespace, NAME), 2**62, {"accessKeyId": encoded("from the future")}, scope)
        assert await value(cache, w) == "from the future"
        scope.rewound("")
        await change(w, "restored")
        await becomes(cache, w, "restored")
        await eventually(lambda: told == [(w.namespace, NAME)] * 2)


@pytest.mark.parametrize("in_time", [True, False])
async def test_without_a_watch_a_deleted_secret_is_missing_at_the_next_read(w: World, in_time: bool) -> None:
    await create(w)
    told = Told()
    cache = new_cache(w.connection, [NAME], on_change=told)
    assert await value(cache, w) == VALUE
    await w.do("DELETE", path(w, f"/{NAME}"))
    if in_time:
        assert await value(cache, w) is None
        assert told == [(w.namespace, NAME)]
        return
    gate = w.proxy.hold(GET_ONE, after=True)
    reading = asyncio.create_task(value(cache, w))
    await gate.met.wait()
    await create(w, "new")
    assert await value(cache, w) == "new"
    gate.release()
    assert await reading == "new", "a late answer is older than what was read meanwhile"


async def test_those_who_are_told_can_not_end_the_watch(w: World, caplog: pytest.LogCaptureFixture) -> None:
    await create(w)

    def fail(_namespace: str, _name: str) -> None:
        raise RuntimeError("a bug")

    cache = new_cache(w.connection, [NAME], on_change=fail)
    async with running(cache):
        await value(cache, w)
        for new in ("one", "two"):
            await change(w, new)
            await becomes(cache, w, new)
    assert f"the change of Secret {w.namespace}/{NAME} was not handled" in caplog.text


async def test_only_the_keys_of_credentials_are_kept_and_long_values_are_refused(w: World) -> None:
    data = {"accessKeyId": "a", "accessKeySecret": "b" * 5000, "tls.key": "c" * 5000}
    await w.do("POST", path(w), body("") | {"data": {key: encoded(text) for key, text in data.items()}})
    cache = new_cache(w.connection, [NAME])
    async with running(cache):
        read = await cache.read(w.namespace, NAME)
        assert read is not None
        assert set(read) == {"accessKeyId", "accessKeySecret"}
        assert len(read["accessKeySecret"]) == SECRET_VALUE_LIMIT + 1
        with pytest.raises(EsaError, match=r"key accessKeySecret of Secret n/s is longer than 4 kB"):
            from_secret(read, "n/s")


async def test_what_is_remembered_is_bounded(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets_module, "REMEMBERED", 2)
    await create(w)
    cache = new_cache(w.connection, ["*"], [w.namespace])
    async with running(cache):
        for number in range(5):
            assert await cache.read(w.namespace, f"absent-{number}") is None
        assert await value(cache, w) == VALUE
        assert await value(cache, w) == VALUE
    assert len(cache._wanted) == len(cache._entries) == 2
    assert len(w.proxy.requests(GET_ONE)) == 1


async def test_an_outage_leaves_the_last_value_in_use(w: World) -> None:
    await create(w)
    cache = new_cache(w.connection, [NAME], slowest=0.2)
    async with running(cache):
        rule = w.proxy.refuse(Match(), status=503, reason="ServiceUnavailable", times=None)
        w.proxy.cut_watches()
        await eventually(lambda: len(rule.hits) > 3)
        assert await value(cache, w) == VALUE
        await change(w, "new")
        rule.remove()
        await becomes(cache, w, "new")


async def test_a_late_answer_does_not_bring_a_deleted_secret_back(w: World) -> None:
    await create(w)
    cache = new_cache(w.connection, [NAME])
    gate = w.proxy.hold(GET_ONE, after=True)
    reading = asyncio.create_task(value(cache, w))
    await gate.met.wait()
    await w.do("DELETE", path(w, f"/{NAME}"))
    async with running(cache):
        gate.release()
        assert await reading is None
        assert await value(cache, w) is None


async def test_with_a_star_only_what_was_read_is_kept(w: World) -> None:
    await create(w)
    await create(w, name="other")
    told = Told()
    cache = new_cache(w.connection, ["*"], on_change=told)
    async with running(cache):
        assert await value(cache, w) == VALUE
        assert await value(cache, w) == VALUE
        await w.do("PUT", path(w, "/other"), body("x", "other"))
        await change(w, "new")
        await becomes(cache, w, "new")
    assert len(w.proxy.requests(GET_ONE)) == 1
    assert told == [(w.namespace, NAME)]
    assert set(cache._entries) == {(w.namespace, NAME)}


async def test_many_secrets_are_read_from_one_list(w: World) -> None:
    await asyncio.gather(*[create(w, name=f"s{number}") for number in range(120)])
    cache = new_cache(w.connection, ["*"], [w.namespace])
    async with running(cache):
        assert lists(w) == 1
        assert await cache.read(w.namespace, "s119") is not None


async def test_a_name_that_is_not_allowed_is_never_asked_for(w: World) -> None:
    cache = new_cache(w.connection, [NAME], [w.namespace])
    with pytest.raises(StoreUnavailableError):
        await cache.read(w.namespace, "other")
    with pytest.raises(StoreUnavailableError):
        await cache.read("kube-system", NAME)
    assert w.proxy.log == []


def role(verbs: list[str]) -> list[dict[str, Any]]:
    return [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": [NAME], "verbs": verbs}]


async def test_rules_by_resource_names_are_enough_everywhere(w: World, control_plane: ControlPlane) -> None:
    user = f"named-{w.namespace}"
    control_plane.add_user(user)
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    await w.do("POST", f"{rbac}/clusterroles", {"metadata": {"name": user}, "rules": role(["get", "list", "watch"])})
    await w.do("POST", f"{rbac}/clusterrolebindings", {
        "metadata": {"name": user},
        "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"kind": "ClusterRole", "name": user, "apiGroup": "rbac.authorization.k8s.io"},
    })  # fmt: skip
    await create(w)
    async with await connect(str(control_plane.kubeconfig(user))) as connection:
        told = Told()
        cache = new_cache(connection, [NAME], on_change=told)
        task = asyncio.create_task(cache.run())
        await becomes(cache, w, VALUE)
        await eventually(lambda: cache._scope(w.namespace, NAME).current)
        await change(w, "new")
        await eventually(lambda: bool(told))
        task.cancel()


async def test_a_missing_list_permission_leaves_single_reads_and_says_so_once(
    w: World, caplog: pytest.LogCaptureFixture
) -> None:
    await create(w)
    rule = w.proxy.refuse(LIST, status=403, reason="Forbidden", times=None)
    cache = new_cache(w.connection, [NAME], slowest=0.2)
    task = asyncio.create_task(cache.run())
    with caplog.at_level(logging.WARNING):
        await eventually(lambda: len(rule.hits) > 2)
        assert await value(cache, w) == VALUE
        await change(w, "new")
        assert await value(cache, w) == "new"
    (record,) = caplog.records
    assert f"get, list and watch of secrets with resourceNames [{NAME}] in all namespaces" in record.getMessage()
    rule.remove()
    await eventually(lambda: cache._scope(w.namespace, NAME).current)
    task.cancel()


async def test_a_missing_get_permission_names_the_rule(w: World) -> None:
    w.proxy.refuse(GET_ONE, status=403, reason="Forbidden")
    with pytest.raises(StoreUnavailableError, match="needs a role that allows get"):
        await value(new_cache(w.connection, [NAME]), w)


async def test_values_appear_in_no_log_and_no_repr(w: World, caplog: pytest.LogCaptureFixture) -> None:
    await create(w)
    cache = new_cache(w.connection, [NAME])
    with caplog.at_level(logging.DEBUG):
        async with running(cache):
            await value(cache, w)
            w.proxy.refuse(Match(), status=500, reason="InternalError")
            w.proxy.cut_watches()
            await change(w, "new")
            await becomes(cache, w, "new")
    shown = caplog.text + repr(cache._entries) + repr(await w.direct.request("GET", path(w)))
    for secret in (VALUE, encoded(VALUE), encoded("new")):
        assert secret not in shown
