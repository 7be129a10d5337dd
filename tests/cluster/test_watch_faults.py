"""The watch fails, is denied, or finds an older state: the operator goes on, and each request is one reset."""

from __future__ import annotations

import asyncio
import http.client
from typing import TYPE_CHECKING, Any, Final

import pytest

from control_plane import ControlPlane
from support.api import Api, job_body, jobs_path
from support.api_proxy import ApiProxy, Match
from support.world import World, new_world
from support.writes import OUTCOME, write_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.operator_process import OperatorProcess
    from support.simulator import SimulatorProcess

LIST: Final = Match("GET", "/scheduledpreloadjobs$", watch=False)
WATCH: Final = Match("GET", "/scheduledpreloadjobs$", watch=True)
CRD: Final = "crd/scheduledpreloadjobs.esa.preload-operator.io"


@pytest.fixture
async def proxy(world: World) -> AsyncIterator[ApiProxy]:
    async with ApiProxy(world.control_plane, user=world.user) as running:
        yield running


async def start(world: World, proxy: ApiProxy, **options: Any) -> OperatorProcess:
    operator = world.operator(kubeconfig=proxy.kubeconfig, LEADER_ELECTION="false", **options)
    await asyncio.to_thread(operator.wait_to_lead)
    return operator


async def one_reset(world: World, number: int, token: str) -> None:
    """Ask for a reset and wait for it; nothing else may have been one."""
    before = world.resets(number)
    world.annotate(number, token)
    await world.handled(number, token, timeout=60)
    assert world.resets(number) == before + 1


def readyz(operator: OperatorProcess) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", operator.ports()[0], timeout=5)
    connection.request("GET", "/readyz")
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def metric(operator: OperatorProcess, line: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", operator.ports()[1], timeout=5)
    connection.request("GET", "/metrics")
    found = line in connection.getresponse().read().decode().splitlines()
    connection.close()
    return found


FAULTS: Final[dict[str, dict[str, Any]]] = {
    "event 500": {"status": 500, "reason": "InternalError", "as_event": True},
    "event 504": {"status": 504, "reason": "Timeout", "as_event": True},
    "400": {"status": 400, "reason": "BadRequest"},
    "401": {"status": 401, "reason": "Unauthorized"},
    "403": {"status": 403, "reason": "Forbidden"},
    "404": {"status": 404, "reason": "NotFound"},
    "429": {"status": 429, "reason": "TooManyRequests", "retry_after": 1},
    "500": {"status": 500, "reason": "InternalError"},
    "504": {"status": 504, "reason": "Timeout"},
}


@pytest.mark.parametrize(
    ("match", "fault"),
    [(match, fault) for match in (WATCH, LIST) for fault in FAULTS if match is WATCH or "event" not in fault],
    ids=lambda value: value if isinstance(value, str) else "watch" if value is WATCH else "list",
)
async def test_a_call_under_way_is_finished_while_list_or_watch_fail_once(
    world: World, proxy: ApiProxy, match: Match, fault: str
) -> None:
    world.seed(1, 2, urlSubmitted=0, taskSubmitted=0)
    for number in (1, 2):
        world.create(number)
    operator = await start(world, proxy)
    gate = proxy.hold(write_of(OUTCOME, 1))
    world.annotate(1, "t1")
    await proxy.until(lambda: bool(gate.hits))
    if match is LIST:
        proxy.gone(WATCH)
    rule = proxy.refuse(match, **FAULTS[fault])
    lists = len(proxy.requests(LIST))
    proxy.cut_watches()
    await proxy.until(lambda: bool(rule.hits))
    await proxy.until(lambda: len(proxy.requests(LIST)) > lists + (match is LIST))
    await one_reset(world, 2, "t1")
    gate.release()
    await world.handled(1, "t1")
    assert world.resets(1) == 1
    await one_reset(world, 1, "t2")
    assert not operator.exited
    assert "Traceback" not in operator.log


async def test_data_of_one_resource_that_cannot_be_worked_with_stops_no_other(world: World, proxy: ApiProxy) -> None:
    world.seed(1, 2)
    world.create(1, minResetInterval="1h")
    world.create(2)
    first = await start(world, proxy)
    await one_reset(world, 1, "t1")
    first.kill()
    status = world.status(1) | {"lastResetTime": "9999-12-31T23:59:59Z"}
    world.patch(1, {"status": status}, "/status")
    world.annotate(1, "t2")
    second = await start(world, proxy)
    await one_reset(world, 2, "t1")
    world.patch(1, {"metadata": {"labels": {"edited": "yes"}}})  # and as an event
    await one_reset(world, 2, "t2")
    assert not second.exited


async def test_a_watch_that_is_forbidden_is_named_once_and_comes_back_by_itself(world: World, proxy: ApiProxy) -> None:
    world.seed(1)
    world.create(1)
    rule = proxy.refuse(WATCH, status=403, reason="Forbidden", times=None)
    operator = await start(world, proxy)
    await proxy.until(lambda: len(rule.hits) >= 4)
    assert operator.log.count("403 Forbidden") == 1
    assert len(rule.hits) < 20
    code, text = readyz(operator)
    assert (code, "403 Forbidden" in text) == (200, True)
    rule.remove()
    await one_reset(world, 1, "t1")
    await world.until(lambda: readyz(operator) == (200, "ok\n"))


async def test_a_namespace_without_rights_is_named_and_keeps_no_other_one_waiting(
    world: World, proxy: ApiProxy
) -> None:
    other = f"{world.namespace}-denied"
    world.control_plane.kubectl("create", "namespace", other)
    denied = proxy.refuse(
        Match(path=f"/namespaces/{other}/scheduledpreloadjobs$"), status=403, reason="Forbidden", times=None
    )
    world.seed(1)
    operator = await start(world, proxy, also=[other])
    world.create(1, annotations={"resetRequested": "t1"})
    await world.handled(1, "t1")
    assert operator.log.count(f"resources in namespace {other}: HTTP 403") == 1
    code, text = readyz(operator)
    assert (code, other in text) == (200, True)
    assert metric(operator, f'esa_operator_watch_denied{{watched_namespace="{other}"}} 1.0')
    made = world.api.call("POST", jobs_path(other), job_body("late"))
    assert made.status == 201, made
    denied.remove()
    await world.until(lambda: world.api.call("GET", jobs_path(other, "late")).body.get("status"), timeout=60)
    await world.until(lambda: readyz(operator) == (200, "ok\n"))
    assert metric(operator, f'esa_operator_watch_denied{{watched_namespace="{other}"}} 0.0')


async def test_after_etcd_was_restored_to_an_older_state_new_tokens_are_handled(
    simulator: SimulatorProcess, tmp_path: Path
) -> None:
    with ControlPlane() as own, new_world(own, simulator, tmp_path) as world:
        Api(own).install_crd()
        world.seed(1, 2)
        for number in (1, 2):
            world.create(number)
        operator = world.operator(LEADER_ELECTION="false")
        await asyncio.to_thread(operator.wait_to_lead)
        await one_reset(world, 1, "t1")
        own.save()
        for edit in range(400):  # more than the API server writes by itself when it starts
            world.patch(2, {"metadata": {"labels": {"edit": str(edit)}}})
        await one_reset(world, 1, "t2")
        newest = int(world.get(1)["metadata"]["resourceVersion"])
        await asyncio.to_thread(own.restore)
        for number in (1, 2):
            await one_reset(world, number, "t3")
            assert int(world.get(number)["metadata"]["resourceVersion"]) < newest
        assert not operator.exited
        assert "etcd was restored" in operator.log


async def test_a_crd_that_is_deleted_and_comes_back_is_found_again(simulator: SimulatorProcess, tmp_path: Path) -> None:
    with ControlPlane() as own, new_world(own, simulator, tmp_path) as world:
        Api(own).install_crd()
        world.seed(1, 2)
        world.create(1)
        operator = world.operator(LEADER_ELECTION="false")
        await asyncio.to_thread(operator.wait_to_lead)
        await one_reset(world, 1, "t1")
        own.kubectl("delete", CRD)
        await asyncio.to_thread(operator.wait_for, "waiting for the CRD")
        Api(own).install_crd()
        await asyncio.to_thread(Api(own).wait_until_served)
        world.create(2, annotations={"resetRequested": "t1"})
        await world.handled(2, "t1", timeout=60)
        assert operator.log.count("waiting for the CRD") == 1
        assert "Traceback" not in operator.log
        assert not operator.exited


async def test_a_crd_that_is_away_when_the_watch_begins_is_waited_for(world: World, proxy: ApiProxy) -> None:
    world.seed(1)
    world.create(1, annotations={"resetRequested": "t1"})
    operator = world.operator(kubeconfig=proxy.kubeconfig, LEADER_ELECTION="false")
    away = [
        proxy.refuse(Match("GET", path), status=404, reason="NotFound", times=None) for path in ("^/apis$", "jobs$")
    ]
    await proxy.until(lambda: len(away[1].hits) >= 3, deadline=60)
    for rule in away:
        rule.remove()
    await world.handled(1, "t1", timeout=60)
    assert operator.log.count("waiting for the CRD") == 1
    assert not operator.exited


async def test_a_read_from_before_a_deletion_does_not_revive_the_resource(world: World, proxy: ApiProxy) -> None:
    world.seed(1)
    world.make_secret()
    for number in (1, 2):
        world.create(number, jobId=world.esa_id(1), credentialsSecretRef={"name": "esa-credentials"})
    await start(world, proxy)
    await world.until(lambda: {world.condition(number).get("reason") for number in (1, 2)} == {"Ready", "JobClaimed"})
    older, younger = (1, 2) if world.condition(1)["reason"] == "Ready" else (2, 1)
    read = Match("GET", f"/j{older}$")
    answered = proxy.hold(read, after=True)
    renewed = {"accessKeyId": f"{world.access_key_id}2", "accessKeySecret": "secret"}
    world.simulator.add_credentials([{**renewed, "aliUid": world.account}])
    world.make_secret(**renewed)  # lets the operator read both resources
    await proxy.until(lambda: bool(answered.hits))
    world.api.call("DELETE", jobs_path(world.namespace, f"j{older}"))
    await world.reason(younger, "Ready")
    answered.release()
    await proxy.until(lambda: all(each.status is not None for each in proxy.requests(read)))
    world.annotate(younger, "t1")
    await world.handled(younger, "t1")
    assert world.resets(1) == 1
