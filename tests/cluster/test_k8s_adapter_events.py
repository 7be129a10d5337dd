"""Events on the real API server."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

from esa_preload_operator.domain.errors import Reason
from esa_preload_operator.domain.ports import Involved, ObjectRef
from esa_preload_operator.k8s import events
from esa_preload_operator.k8s.events import EventRecorder
from support.adapter import DEADLINE, World, eventually, world
from support.api_proxy import Match

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from control_plane import ControlPlane
    from esa_preload_operator.resources.job import ScheduledPreloadJob

POST = Match("POST", "/events$")


@pytest.fixture
async def w(control_plane: ControlPlane) -> AsyncIterator[World]:
    async with world(control_plane) as made:
        yield made


def involved(job: ScheduledPreloadJob) -> Involved:
    meta = job.metadata
    return Involved(ObjectRef(meta.namespace, meta.name), meta.uid, meta.resource_version)


async def post(
    recorder: EventRecorder, job: ScheduledPreloadJob, reason: Reason, message: str, *, warning: bool
) -> None:
    recorder.post(involved(job), reason, message, warning=warning)
    await recorder.drain(DEADLINE)


async def events_of(w: World) -> list[dict[str, Any]]:
    listed = await w.do("GET", f"/apis/events.k8s.io/v1/namespaces/{w.namespace}/events")
    found: list[dict[str, Any]] = listed["items"]
    return found


async def test_an_event_names_the_resource_and_its_controller(w: World, control_plane: ControlPlane) -> None:
    job = await w.create_job()
    recorder = EventRecorder(w.connection, "pod-1")
    await post(recorder, job, Reason.RESET_SUCCEEDED, "2 URLs", warning=False)
    (event,) = await events_of(w)
    assert event["regarding"]["uid"] == job.metadata.uid
    assert event["regarding"]["kind"] == "ScheduledPreloadJob"
    assert event["reportingController"] == "esa-preload-operator"
    assert (event["type"], event["reason"], event["note"]) == ("Normal", "ResetSucceeded", "2 URLs")
    assert re.search(r"ResetSucceeded.*2 URLs", control_plane.kubectl("describe", "spj", "nightly", "-n", w.namespace))


async def test_the_same_event_is_counted_and_another_one_is_posted(w: World) -> None:
    job = await w.create_job()
    recorder = EventRecorder(w.connection, "pod-1")
    for _ in range(3):
        await post(recorder, job, Reason.THROTTLED, "slow down", warning=True)
    await post(recorder, job, Reason.THROTTLED, "slow down more", warning=True)
    counts = {event["note"]: event.get("series", {}).get("count") for event in await events_of(w)}
    assert counts == {"slow down": 3, "slow down more": None}


async def test_an_event_that_was_deleted_or_is_old_is_posted_anew(w: World) -> None:
    job = await w.create_job()
    now = 0.0
    recorder = EventRecorder(w.connection, "pod-1", clock=lambda: now)
    await post(recorder, job, Reason.THROTTLED, "slow down", warning=True)
    await w.do("DELETE", f"/apis/events.k8s.io/v1/namespaces/{w.namespace}/events")
    await post(recorder, job, Reason.THROTTLED, "slow down", warning=True)
    assert len(await events_of(w)) == 1
    now = 3601.0
    await post(recorder, job, Reason.THROTTLED, "slow down", warning=True)
    assert len(await events_of(w)) == 2


async def test_a_long_note_and_a_long_name_are_cut(w: World) -> None:
    job = await w.create_job("n" * 253)
    await post(EventRecorder(w.connection, "p" * 300), job, Reason.URLS_REJECTED, "ü" * 2000, warning=True)
    (event,) = await events_of(w)
    assert event["note"].endswith("ü…")
    assert len(event["note"].encode()) <= 1024


async def test_an_event_that_fails_is_logged_once_and_raises_nothing(
    w: World, caplog: pytest.LogCaptureFixture
) -> None:
    job = await w.create_job()
    w.proxy.refuse(Match("POST", "/events"), status=403, reason="Forbidden")
    w.proxy.lose_request(Match("POST", "/events"), times=2)
    recorder = EventRecorder(w.connection, "pod-1")
    with caplog.at_level("WARNING"):
        for number in range(3):
            await post(recorder, job, Reason.THROTTLED, f"note {number}", warning=True)
    (record,) = caplog.records
    assert f"{w.namespace}/nightly" in record.getMessage()


async def test_what_happens_again_before_it_is_posted_is_one_event_with_its_count(w: World) -> None:
    job = await w.create_job()
    recorder = EventRecorder(w.connection, "pod-1")
    for _ in range(3):
        recorder.post(involved(job), Reason.THROTTLED, "slow down", warning=True)
    await recorder.drain(DEADLINE)
    (event,) = await events_of(w)
    assert event["series"]["count"] == 3
    assert len(w.proxy.requests(POST)) == 1


async def test_an_event_waits_for_nobody_and_is_posted_in_the_background(w: World) -> None:
    job = await w.create_job()
    recorder = EventRecorder(w.connection, "pod-1", timeout=DEADLINE)
    gate = w.proxy.hold(POST)
    task = asyncio.create_task(recorder.run())
    recorder.post(involved(job), Reason.THROTTLED, "first", warning=True)
    await gate.met.wait()
    recorder.post(involved(job), Reason.THROTTLED, "second", warning=True)
    await recorder.drain(0.01)  # the process ends in time although an Event is under way
    gate.release()
    await eventually(lambda: len(w.proxy.requests(POST)) == 2)
    await recorder.drain(DEADLINE)
    assert {event["note"] for event in await events_of(w)} == {"first", "second"}
    task.cancel()


async def test_a_namespace_with_many_events_leaves_the_others_their_turns(
    w: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(events, "WAITING", 10)
    drops: list[int] = []
    recorder = EventRecorder(w.connection, "pod-1", on_drop=lambda: drops.append(1))
    other = Involved(ObjectRef("default", "other"), "u", "1")
    recorder.post(other, Reason.THROTTLED, f"other {w.namespace}", warning=True)
    for number in range(20):
        flood = Involved(ObjectRef(w.namespace, f"j{number}"), f"u{number}", "1")
        recorder.post(flood, Reason.THROTTLED, "flood", warning=True)
    recorder.post(other, Reason.THROTTLED, f"again {w.namespace}", warning=True)
    await recorder.drain(DEADLINE)
    sent = [request.body["note"] for request in w.proxy.requests(POST)]
    assert sent[:4] == [f"other {w.namespace}", "flood", f"again {w.namespace}", "flood"]
    names = {event["regarding"]["name"] for event in await events_of(w)}
    assert names == {f"j{number}" for number in range(12, 20)}, "the oldest of the namespace with the most are dropped"
    assert len(drops) == 12
    (record,) = caplog.records
    assert record.getMessage() == f"{w.namespace}/j0: Events are dropped, because the API server is too slow"


async def test_beyond_its_limit_a_resource_posts_no_event_but_repeats_are_counted(w: World) -> None:
    job = await w.create_job()
    now = 0.0
    drops: list[int] = []
    recorder = EventRecorder(w.connection, "pod-1", clock=lambda: now, on_drop=lambda: drops.append(1))
    for number in range(30):
        await post(recorder, job, Reason.THROTTLED, f"note {number}", warning=True)
    assert len(await events_of(w)) == 25
    assert len(drops) == 5
    for _ in range(10):
        await post(recorder, job, Reason.THROTTLED, "note 0", warning=True)
    assert len(w.proxy.requests(Match("PATCH"))) == 0
    now = 300.0
    await post(recorder, job, Reason.THROTTLED, "note 0", warning=True)
    counts = {event["note"]: event.get("series", {}).get("count") for event in await events_of(w)}
    assert counts["note 0"] == 12
    assert len(drops) == 5


async def test_the_servers_wish_for_a_pause_is_kept_between_events(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = await w.create_job()
    recorder = EventRecorder(w.connection, "pod-1")
    w.proxy.refuse(POST, status=429, reason="TooManyRequests", retry_after=17)
    paused = asyncio.Event()
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        if seconds == 17:
            paused.set()
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", noted)
    task = asyncio.create_task(recorder.run())
    recorder.post(involved(job), Reason.THROTTLED, "first", warning=True)
    async with asyncio.timeout(DEADLINE):
        await paused.wait()
    task.cancel()
