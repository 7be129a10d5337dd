from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from esa_preload_operator.k8s.connection import Connection, connect
from esa_preload_operator.k8s.lease import Elector
from support.adapter import DEADLINE, ROOT, World, eventually, world
from support.api_proxy import Match

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from control_plane import ControlPlane

LEASE = "/leases"
DURATION, RENEW, RETRY = 3.0, 2.0, 0.3


@pytest.fixture
async def w(control_plane: ControlPlane) -> AsyncIterator[World]:
    async with world(control_plane) as made:
        yield made


def elector(w: World, identity: str, connection: Connection | None = None) -> Elector:
    return Elector(
        connection or w.connection, namespace=w.namespace, name="lease", identity=identity,
        lease_duration=DURATION, renew_deadline=RENEW, retry_period=RETRY,
    )  # fmt: skip


def path(w: World, tail: str = "/lease") -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{w.namespace}/leases{tail}"


async def acquired(one: Elector) -> None:
    async with asyncio.timeout(DEADLINE):
        await one.acquire()


@contextlib.asynccontextmanager
async def kept(one: Elector) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(one.keep())
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def lost(task: asyncio.Task[None]) -> None:
    async with asyncio.timeout(DEADLINE):
        await task


async def test_the_first_one_leads_and_writes_a_lease_that_others_can_read(w: World) -> None:
    one = elector(w, "pod-a_1")
    before = time.monotonic()
    await acquired(one)
    assert before + RENEW <= one.valid_until() <= time.monotonic() + RENEW
    spec = (await w.do("GET", path(w)))["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("pod-a_1", 3, 0)
    assert spec["renewTime"].endswith("Z")


async def test_who_keeps_the_lease_leads_on_and_nobody_else_does(w: World) -> None:
    one, two = elector(w, "one"), elector(w, "two", w.direct)
    await acquired(one)
    first = one.valid_until()
    async with kept(one):
        waiting = asyncio.create_task(two.acquire())
        await eventually(lambda: one.valid_until() > first + DURATION)
        assert not waiting.done()
        waiting.cancel()
    renewals = w.proxy.requests(Match("PATCH", LEASE))
    reads = w.proxy.requests(Match("GET", LEASE))
    assert len(reads) == 1 < len(renewals), "a renewal needs no read before it"


async def test_a_released_lease_is_taken_within_the_retry_period(w: World) -> None:
    one, two = elector(w, "one"), elector(w, "two", w.direct)
    await acquired(one)
    waiting = asyncio.create_task(acquired(two))
    async with kept(one):
        await eventually(lambda: not waiting.done() and bool(w.proxy.log))
        await one.release()
        assert one.valid_until() < time.monotonic()
    held = (await w.do("GET", path(w)))["spec"].get("holderIdentity")
    assert held in {"", None, "two"}
    async with asyncio.timeout(DURATION - RETRY):  # without the release it would take the whole duration
        await waiting
    assert (await w.do("GET", path(w)))["spec"]["leaseTransitions"] == 1


async def test_a_release_leaves_the_lease_of_a_successor_alone(w: World) -> None:
    one, two = elector(w, "one"), elector(w, "two", w.direct)
    await acquired(one)
    await acquired(two)  # nobody keeps the first one's lease
    await one.release()
    assert (await w.do("GET", path(w)))["spec"]["holderIdentity"] == "two"


async def test_leading_ends_in_time_when_the_api_server_is_silent(w: World) -> None:
    one = elector(w, "one")
    await acquired(one)
    async with kept(one) as task:
        w.proxy.blackhole(True)
        until = one.valid_until()
        await lost(task)
        assert time.monotonic() < until + DURATION - RENEW, "the next one could lead already"
        assert one.valid_until() < time.monotonic()
        w.proxy.blackhole(False)


@pytest.mark.parametrize("fault", ["lose_answer", "lose_request"])
async def test_a_cut_renewal_is_tried_again(w: World, fault: str) -> None:
    one = elector(w, "one")
    await acquired(one)
    first = one.valid_until()
    getattr(w.proxy, fault)(Match("PATCH", LEASE))
    async with kept(one) as task:
        await eventually(lambda: one.valid_until() > first + RENEW)
        assert not task.done()


async def test_errors_of_the_server_count_as_failed_renewals(w: World) -> None:
    one = elector(w, "one")
    await acquired(one)
    w.proxy.refuse(Match(path=LEASE), status=500, reason="InternalError", times=None)
    async with kept(one) as task:
        await lost(task)


async def test_who_finds_another_name_in_the_lease_stops_at_once(w: World) -> None:
    one = elector(w, "one")
    await acquired(one)
    patch = {"spec": {"holderIdentity": "thief"}}
    await w.do("PATCH", path(w), patch, "application/merge-patch+json")
    async with kept(one) as task:
        await lost(task)
    assert (await w.do("GET", path(w)))["spec"]["holderIdentity"] == "thief"


async def test_a_lease_deleted_by_hand_is_made_again_by_its_holder_before_a_standby_may(w: World) -> None:
    one, two = elector(w, "one"), elector(w, "two", w.direct)
    await acquired(one)
    looks: list[str | None] = []
    waiting = asyncio.create_task(two.acquire(report=looks.append))
    async with kept(one) as task:
        await eventually(lambda: bool(looks))
        reads = len(w.proxy.requests(Match("GET", LEASE)))
        await w.do("DELETE", path(w))
        await eventually(lambda: len(w.proxy.requests(Match("GET", LEASE))) > reads)
        first = one.valid_until()
        await eventually(lambda: one.valid_until() > first)
        assert not task.done()
        assert not waiting.done()
    waiting.cancel()
    assert (await w.do("GET", path(w)))["spec"]["holderIdentity"] == "one"


async def test_a_deleted_lease_that_another_one_has_made_anew_is_lost(w: World) -> None:
    one = elector(w, "one")
    await acquired(one)
    await w.do("DELETE", path(w))
    await acquired(elector(w, "two", w.direct))  # has never seen the first one's lease
    async with kept(one) as task:
        await lost(task)
    assert (await w.do("GET", path(w)))["spec"]["holderIdentity"] == "two"


async def test_a_holder_that_finds_its_lease_deleted_and_may_not_make_it_stops_in_time(w: World) -> None:
    one = elector(w, "one")
    await acquired(one)
    w.proxy.refuse(Match("POST", LEASE), status=403, reason="Forbidden", times=None)
    await w.do("DELETE", path(w))
    async with kept(one) as task:
        await lost(task)


async def test_a_lease_that_was_never_asked_for_is_not_touched_by_a_release(w: World) -> None:
    await w.do("POST", path(w, ""), {"metadata": {"name": "lease"}, "spec": {"holderIdentity": "other"}})
    stopping = asyncio.Event()
    reports: list[str | None] = []
    two = elector(w, "two")
    waiting = asyncio.create_task(two.acquire(stopping, reports.append))
    await eventually(lambda: bool(reports))
    stopping.set()
    async with asyncio.timeout(DEADLINE):
        assert not await waiting
    assert reports[0] is None
    requests = len(w.proxy.log)
    await two.release()
    assert len(w.proxy.log) == requests


@pytest.mark.parametrize(
    "spec",
    [
        None,
        {},
        {"holderIdentity": ""},
        {"holderIdentity": "someone"},
        {"holderIdentity": "x", "renewTime": "2126-01-01T00:00:00.000000Z", "leaseDurationSeconds": 1},
        {"holderIdentity": "x", "leaseDurationSeconds": 2147483647, "leaseTransitions": 2147483647},
    ],
)
async def test_a_strange_lease_is_taken_in_the_end(w: World, spec: dict[str, Any] | None) -> None:
    body = {"metadata": {"name": "lease"}, "spec": spec}
    await w.do("POST", path(w, ""), body)
    await acquired(elector(w, "one"))
    assert (await w.do("GET", path(w)))["spec"]["holderIdentity"] == "one"


async def test_a_missing_permission_is_waited_out(w: World, caplog: pytest.LogCaptureFixture) -> None:
    rule = w.proxy.refuse(Match(path=LEASE), status=403, reason="Forbidden", times=None)
    waiting = asyncio.create_task(acquired(elector(w, "one")))
    with caplog.at_level("INFO"):
        await eventually(lambda: len(rule.hits) > 3)
    (told,) = [each.getMessage() for each in caplog.records if "403 Forbidden" in each.getMessage()]
    assert "grant get, create and patch of leases" in told
    rule.remove()
    await waiting


async def start(w: World, kubeconfig: str, identity: str) -> asyncio.subprocess.Process:
    command = [sys.executable, str(ROOT / "tests/support/elector_process.py"), kubeconfig, w.namespace, identity]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
    return await asyncio.create_subprocess_exec(
        *command, str(DURATION), str(RENEW), str(RETRY), stdout=asyncio.subprocess.PIPE, env=environment
    )


async def read(process: asyncio.subprocess.Process, spans: list[tuple[float, float]]) -> str:
    """Collects spans until one line says something else; returns its first word, or nothing at the end."""
    assert process.stdout is not None
    # A process that is terminated while it writes leaves a piece of a line behind.
    while (line := (await process.stdout.readline()).decode()).endswith("\n"):
        word, *numbers = line.split()
        if word != "leads":
            return word
        spans.append((float(numbers[0]), float(numbers[1])))
    return ""


async def test_a_frozen_leader_never_leads_beside_its_successor(w: World, control_plane: ControlPlane) -> None:
    frozen = await start(w, str(w.proxy.kubeconfig), "frozen")
    mine: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    reading = asyncio.create_task(read(frozen, mine))
    await eventually(lambda: bool(mine))
    other = await start(w, str(control_plane.kubeconfig()), "other")
    reading_other = asyncio.create_task(read(other, theirs))
    try:
        frozen.send_signal(signal.SIGSTOP)
        await eventually(lambda: bool(theirs))
        frozen.send_signal(signal.SIGCONT)
        assert await asyncio.wait_for(reading, DEADLINE) == "lost"
        other.terminate()
        await asyncio.wait_for(reading_other, DEADLINE)
    finally:
        for process in (frozen, other):
            if process.returncode is None:
                process.kill()
            await process.wait()
    assert max(until for _, until in mine) <= min(since for since, _ in theirs)


async def test_a_slow_leader_never_leads_beside_its_successor(w: World, control_plane: ControlPlane) -> None:
    one = elector(w, "one")
    await acquired(one)
    gate = w.proxy.hold(Match("PATCH", LEASE), times=None)
    async with kept(one) as task, await connect(str(control_plane.kubeconfig())) as straight:
        two = elector(w, "two", straight)
        end = one.valid_until()
        taking = asyncio.create_task(acquired(two))
        await lost(task)
        await taking
        assert two.valid_until() - RENEW >= end
        gate.release()  # the renewals that were on the wire arrive now
        await eventually(lambda: all(each.status == 409 for each in gate.hits))
    assert (await w.do("GET", path(w)))["spec"]["holderIdentity"] == "two"
