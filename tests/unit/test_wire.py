from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from esa_preload_operator.handlers.wire import SERVER, Stash, Wire
from support.intake import Hall, body, new_hall

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from esa_preload_operator.k8s.connection import Connection

JOBS = "/apis/esa.preload-operator.io/v1alpha1/scheduledpreloadjobs"
IN_TEAM = "/apis/esa.preload-operator.io/v1alpha1/namespaces/team/scheduledpreloadjobs"


@dataclass
class Streams:
    """Stands where the connection to the API server does: one answer for each path."""

    answers: dict[str, list[bytes]] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, _query: Mapping[str, str], _silence: float, *, by_line: bool = True, **_: Any
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        async def chunks() -> AsyncIterator[bytes]:
            for chunk in self.answers[path + ("" if by_line else "#list")]:
                yield chunk

        yield chunks()


class Side:
    """kopf's side of the wire, and what stands behind it."""

    def __init__(self, *namespaces: str) -> None:
        self.streams = Streams()
        self.hall: Hall = new_hall(*namespaces)
        self.wire = Wire(cast("Connection", self.streams), self.hall.intake)

    async def ask(self, path: str) -> Any:
        async with await self.wire.request(method="get", url=SERVER + path) as answer:
            return await answer.json()

    async def watch(self, *events: tuple[str, Any], path: str = JOBS) -> list[dict[str, Any]]:
        """Let a watch tell of events; return what kopf gets."""
        self.streams.answers[path] = [json.dumps({"type": kind, "object": obj}).encode() for kind, obj in events]
        answer = await self.wire.request(method="get", url=f"{SERVER}{path}?watch=true&resourceVersion=1")
        text = b"".join([chunk async for chunk in answer.content.iter_chunked(1024)])
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def side() -> Side:
    made = Side()
    made.hall.list()
    return made


def bookmark(version: int) -> dict[str, Any]:
    return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}


async def test_kopf_learns_the_name_of_an_object_and_the_intake_gets_the_object(side: Side) -> None:
    obj = body(version=7) | {"status": {"large": "x" * 100}}
    (event,) = await side.watch(("MODIFIED", obj))
    assert event["type"] == "MODIFIED"
    assert event["object"] == {
        "apiVersion": "esa.preload-operator.io/v1alpha1",
        "kind": "ScheduledPreloadJob",
        "metadata": {"namespace": "team", "name": "j1", "uid": "u1", "resourceVersion": "7"},
    }
    assert side.hall.looker.looked == []
    side.wire.take(event)
    assert side.hall.looker.looked == [("j1", 7)]
    assert side.hall.added == ["j1"]


async def test_what_is_known_already_becomes_a_bookmark_of_its_version(side: Side) -> None:
    side.hall.intake.observe(body(version=7))
    assert await side.watch(("ADDED", body(version=6)), ("MODIFIED", body(version=7))) == [bookmark(6), bookmark(7)]


async def test_a_bookmark_passes(side: Side) -> None:
    passed = await side.watch(("BOOKMARK", {"kind": "X", "metadata": {"resourceVersion": "9", "annotations": {}}}))
    assert passed == [bookmark(9)]


async def test_of_several_events_of_one_object_the_latest_is_taken_once(side: Side) -> None:
    events = await side.watch(("MODIFIED", body(version=7)), ("MODIFIED", body(version=8)))
    for event in events:
        side.wire.take(event)
    assert side.hall.looker.looked == [("j1", 8)]
    assert side.hall.added == ["j1"]


async def test_what_the_stash_has_no_room_for_is_read(side: Side) -> None:
    side.wire._stash = Stash(room=10)
    (event,) = await side.watch(("MODIFIED", body(version=7)))
    side.wire.take(event)
    assert side.hall.added == ["j1?"]


async def test_a_deletion_counts_before_kopf_hands_it_over(side: Side) -> None:
    side.hall.intake.observe(body(version=5))
    modified, deleted = await side.watch(("MODIFIED", body(version=6)), ("DELETED", body(version=7)))
    side.wire.take(modified)
    assert side.hall.looker.looked == [("j1", 5)]
    side.wire.take(deleted)
    assert len(side.hall.registry) == 0


async def test_a_malformed_object_is_read_and_the_events_behind_it_pass(
    side: Side, caplog: pytest.LogCaptureFixture
) -> None:
    passed = await side.watch(("MODIFIED", body("bad", 7, uid="")), ("ADDED", {"x": 1}), ("ADDED", body(version=8)))
    assert [event["type"] for event in passed] == ["BOOKMARK", "ADDED"]
    assert side.hall.added == ["bad?"]
    assert "team/bad" in caplog.text


async def test_after_a_failed_watch_kopf_is_told_to_list_anew(side: Side) -> None:
    (event,) = await side.watch(("ERROR", {"code": 500}))
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


@pytest.mark.parametrize(("path", "scope"), [(JOBS, ""), (IN_TEAM, "team")])
async def test_a_list_goes_to_the_intake_and_kopf_gets_its_version(path: str, scope: str) -> None:
    side = Side(*[scope] * bool(scope))
    listed = {"items": [body("a", 1, "a")], "metadata": {"resourceVersion": "9"}}
    side.streams.answers[path + "#list"] = [json.dumps(listed).encode()]
    assert await side.ask(path) == {"items": [], "metadata": {"resourceVersion": "9"}}
    assert side.hall.looker.looked == [("a", 1)]
    assert side.hall.health.synced


async def test_kopf_gets_no_other_request_through(side: Side) -> None:
    for method, path in (("patch", JOBS), ("get", "/api/v1/namespaces"), ("post", "/apis/events.k8s.io/v1/events")):
        with pytest.raises(LookupError, match=path):
            await side.wire.request(method=method, url=SERVER + path)


async def test_kopf_finds_the_resource_without_asking_the_api_server(side: Side) -> None:
    group = await side.ask("/apis")
    assert group["groups"][0]["name"] == "esa.preload-operator.io"
    (found,) = (await side.ask("/apis/esa.preload-operator.io/v1alpha1"))["resources"]
    assert (found["name"], found["namespaced"]) == ("scheduledpreloadjobs", True)


def test_a_stash_keeps_the_latest_object_within_its_room() -> None:
    stash = Stash(room=10)
    stash.put("a", {"v": 1}, 6)
    stash.put("a", {"v": 2}, 7)
    stash.put("b", {"v": 3}, 4)
    assert stash.pop("b") is None
    assert stash.pop("a") == {"v": 2}
    assert stash.pop("a") is None
    stash.put("b", {"v": 3}, 10)
    assert stash.pop("b") == {"v": 3}
