"""What ends the process and what does not: a running reset is never cut, and a successor never waits for nothing."""

from __future__ import annotations

import asyncio
import http.client
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from control_plane import ControlPlane
from support.api import Api
from support.api_proxy import ApiProxy, Match
from support.calls import RESET
from support.operator_process import OperatorProcess
from support.world import ROOT, World, new_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.simulator import SimulatorProcess

LEADS: Final = "leading as"
TAKING: Final = Match("POST", "/leases")
CRD: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/scheduledpreloadjobs.esa.preload-operator.io"


@pytest.fixture
async def proxy(world: World) -> AsyncIterator[ApiProxy]:
    async with ApiProxy(world.control_plane, user=world.user) as running:
        yield running


def failing(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """Let operators that start from now on have a part that fails at SIGUSR1."""
    monkeypatch.setenv("FAILING_PART", part)
    monkeypatch.setattr(OperatorProcess, "program", (sys.executable, str(ROOT / "tests/support/failing_operator.py")))


async def leader(world: World, pod: str = "one", proxy: ApiProxy | None = None, **settings: str) -> OperatorProcess:
    operator = world.operator(proxy.kubeconfig if proxy is not None else None, pod=pod, **settings)
    await asyncio.to_thread(operator.wait_to_lead)
    return operator


async def said(operator: OperatorProcess, text: str, timeout: float = 60) -> None:
    await asyncio.to_thread(operator.wait_for, text, timeout)


async def ended(operator: OperatorProcess) -> int:
    return await asyncio.to_thread(operator.wait)


def readiness(operator: OperatorProcess) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", operator.ports()[0], timeout=30)
    connection.request("GET", "/readyz")
    answer = connection.getresponse()
    found = answer.status, answer.read().decode()
    connection.close()
    return found


def lease_path(world: World) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{world.namespace}/leases/esa-preload-operator"


def lease(world: World) -> dict[str, Any]:
    body = world.api.call("GET", lease_path(world)).body
    return dict(body.get("spec", {}))


async def test_a_watch_that_fails_cuts_no_reset_and_frees_the_lease(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, "watch")
    world.seed(1, 2)
    world.create(1)
    world.create(2)
    one = await leader(world)
    world.fault("delay", action=RESET, job_id=world.esa_id(1), seconds=1.5, when="after")
    world.annotate(1, "t1")
    await world.until(lambda: world.resets(1))
    one.process.send_signal(signal.SIGUSR1)
    assert await ended(one) == 1
    assert "watch has ended" in one.log
    assert "RuntimeError: a bug" in one.log
    status = world.status(1)
    assert status["handledResets"] == {"resetRequested": "t1"}
    assert (status["reset"]["phase"], status["reset"]["attempts"]) == ("Succeeded", 1)
    assert not lease(world).get("holderIdentity")
    await leader(world, "two")
    for number in (1, 2):
        world.annotate(number, "t2")
        await world.handled(number, "t2")
    assert (world.calls(RESET, 1), world.calls(RESET, 2)) == (2, 1)


async def test_a_keeper_of_the_lease_that_fails_ends_the_process_with_one_line(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, "lease")
    one = await leader(world)
    one.process.send_signal(signal.SIGUSR1)
    assert await ended(one) == 1
    assert "the lease can't be kept: RuntimeError: a bug in two lines" in one.log.splitlines()[-1]


@pytest.mark.parametrize("part", ["secrets", "refresh"])
async def test_a_failure_beside_the_resets_starts_that_part_anew_and_ends_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    failing(monkeypatch, part)
    world.seed(1)
    world.create(1)
    one = await leader(world)
    for seconds in (1, 2):
        await world.until(lambda: one.log.count("can fail now") == seconds)  # noqa: B023 - awaited at once
        one.process.send_signal(signal.SIGUSR1)
        await said(one, f"{part} has failed and starts anew in {seconds} s")
    assert one.log.count("RuntimeError: a bug") == 2
    world.annotate(1, "t1")
    await world.handled(1, "t1")
    assert not one.exited


async def test_an_operator_that_may_use_no_secret_runs(world: World) -> None:
    world.seed(1)
    world.make_secret()
    world.create(1)
    world.create(2, credentialsSecretRef={"name": "esa-credentials"})
    one = await leader(world, CREDENTIALS_SECRET_NAMES=",")
    world.annotate(1, "t1")
    await world.handled(1, "t1")
    await world.reason(2, "CredentialsNotAllowed")
    assert not one.exited


@pytest.mark.parametrize("answered", [True, False])
async def test_a_process_stopped_while_it_takes_the_lease_leaves_it_free(
    world: World, proxy: ApiProxy, answered: bool
) -> None:
    gate = proxy.hold(TAKING, after=True)
    one = world.operator(proxy.kubeconfig)
    await gate.met.wait()
    assert lease(world)["holderIdentity"]
    one.terminate()
    await said(one, "told to stop")
    if answered:
        gate.release()
    assert await ended(one) == 0
    assert not lease(world).get("holderIdentity")
    assert LEADS not in one.log


async def test_a_lease_deleted_by_hand_is_made_again_by_its_holder(world: World) -> None:
    world.seed(1)
    world.create(1)
    one = await leader(world, "one")
    two = world.operator(pod="two")
    await said(two, "waiting for the lease")
    holder = lease(world)["holderIdentity"]
    assert world.api.call("DELETE", lease_path(world)).status == 200
    await world.until(lambda: lease(world).get("holderIdentity") == holder)
    await said(one, "was deleted; it is made again")
    world.annotate(1, "t1")
    status = await world.handled(1, "t1")
    assert status["reset"]["owner"] == holder
    assert LEADS not in two.log
    assert not one.exited


async def test_a_namespace_of_the_lease_that_does_not_exist_shows_in_log_and_probe(world: World) -> None:
    admin = world.control_plane.kubeconfig()
    one = world.operator(admin, LEASE_NAMESPACE="not-there")
    await said(one, 'namespaces "not-there" not found; create the namespace, or name another one by LEASE_NAMESPACE')
    status, text = await asyncio.to_thread(readiness, one)
    assert status == 503
    assert 'the lease not-there/esa-preload-operator can\'t be taken: HTTP 404 NotFound: namespaces "not-there"' in text


async def test_a_standby_is_ready_unless_it_may_not_have_the_lease(world: World, proxy: ApiProxy) -> None:
    await leader(world)
    two = world.operator(proxy.kubeconfig, pod="two")
    await said(two, "waiting for the lease")
    assert await asyncio.to_thread(readiness, two) == (200, "ok\n")
    rule = proxy.refuse(Match(path="/leases"), status=403, reason="Forbidden", times=None)
    await said(two, "can't be taken: HTTP 403 Forbidden.*grant get, create and patch of leases")
    status, text = await asyncio.to_thread(readiness, two)
    assert status == 503
    assert "can't be taken: HTTP 403 Forbidden" in text
    rule.remove()
    await world.until(lambda: readiness(two) == (200, "ok\n"))
    assert two.log.count("can't be taken") == 1


async def test_a_standby_that_takes_the_lead_without_the_crd_waits_for_it(
    simulator: SimulatorProcess, tmp_path: Path
) -> None:
    with ControlPlane() as own, new_world(own, simulator, tmp_path) as world:
        Api(own).install_crd()
        world.seed(1)
        one = await leader(world)
        two = world.operator(pod="two")
        await said(two, "waiting for the lease")
        one.kill()
        Api(own).wait_until_served()
        assert world.api.call("DELETE", CRD).status == 200
        await world.until(lambda: world.api.call("GET", CRD).status == 404)
        await said(two, "waiting for the CRD")
        held = lease(world)
        await world.until(lambda: lease(world)["renewTime"] != held["renewTime"])
        status, text = await asyncio.to_thread(readiness, two)
        assert (status, "waiting for the CRD" in text) == (503, True)
        Api(own).install_crd()
        world.create(1, annotations={"resetRequested": "t1"})
        await world.handled(1, "t1")
        assert world.resets() == 1
        await world.until(lambda: readiness(two) == (200, "ok\n"))
        assert two.log.count("waiting for the CRD") == 1


async def test_a_leader_that_waits_for_the_crd_can_be_told_to_stop(simulator: SimulatorProcess, tmp_path: Path) -> None:
    with ControlPlane() as own, new_world(own, simulator, tmp_path) as world:
        one = world.operator()
        await said(one, "waiting for the CRD")
        one.terminate()
        assert await ended(one) == 0
        assert not lease(world).get("holderIdentity")
