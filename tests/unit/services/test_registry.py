"""What is known of each resource, who acts on a job, and what the watch shows of a write before its answer comes."""

from __future__ import annotations

from typing import Any

import pytest

from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.domain.view import view_of
from esa_preload_operator.services.registry import Registry, TrackedResource

STATUS: dict[str, Any] = {
    "jobId": "job1",
    "handledResets": {"resetRequested": "t1"},
    "reset": {"phase": "InFlight", "jobId": "job1", "tokens": {"resetRequested": "t2"}, "owner": "me", "attempts": 1},
}
META: dict[str, Any] = {
    "name": "nightly",
    "namespace": "shop",
    "uid": "u1",
    "resourceVersion": "7",
    "generation": 2,
    "annotations": {"resetRequested": "t2"},
}


def seen(meta: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    """Return what the watch shows after the write, or after another one."""
    return {
        "metadata": META | {"resourceVersion": "8"} | (meta or {}),
        "spec": {"jobId": "job1"},
        "status": STATUS | status,
    }


def writing() -> TrackedResource:
    """Return a resource whose status is being written."""
    view = view_of({"metadata": META, "spec": {"jobId": "job1"}})
    return TrackedResource(ObjectRef("shop", "nightly"), "u1", 0.0, "job1", version=7, writing=(view, STATUS))


def test_the_echo_of_a_write_under_way_is_no_news() -> None:
    assert writing().is_writing(seen())
    assert writing().is_writing(seen({"labels": {"team": "web"}, "managedFields": []}))


@pytest.mark.parametrize(
    "news",
    [
        seen({"annotations": {"resetRequested": "t3"}}),
        seen({"annotations": None}),
        seen({"generation": 3}),
        seen({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        seen(handledResets={"resetRequested": "t2"}),
        seen(reset={"phase": "InFlight", "jobId": "job1", "owner": "somebody else"}),
        seen(conditions=[]),
        seen(urlCount=1),
        seen(urlCount="unreadable"),
        {"metadata": META},
    ],
)
def test_whatever_else_the_watch_shows_is_news(news: dict[str, Any]) -> None:
    assert not writing().is_writing(news)


def test_without_a_write_everything_is_news() -> None:
    idle = writing()
    idle.writing = None
    assert not idle.is_writing(seen())


# --- who acts on a job --------------------------------------------------------------------------------------------


def resource(name: str, created: float, job_id: str = "job1") -> TrackedResource:
    return TrackedResource(ObjectRef("shop", name), f"uid-{name}", created, job_id)


def test_the_oldest_resource_owns_its_job_whatever_the_order_in_which_they_come() -> None:
    for order in ("abc", "cba", "bca"):
        registry = Registry()
        for name in order:
            registry.put(resource(name, created=float(ord(name))))
        owner = registry.owner_of("job1")
        assert owner is not None
        assert owner.ref.name == "a"


def test_of_resources_of_the_same_age_the_uid_decides() -> None:
    registry = Registry()
    for name in "ba":
        registry.put(resource(name, 1.0))
    owner = registry.owner_of("job1")
    assert owner is not None
    assert owner.uid == "uid-a"


def test_a_confirmed_resource_goes_before_an_older_one_that_is_not() -> None:
    registry = Registry()
    older, younger = registry.put(resource("a", 1.0)), registry.put(resource("b", 2.0))
    assert registry.confirm(younger) is older
    assert registry.owner_of("job1") is younger
    assert registry.confirm(younger) is None
    assert registry.confirm(older) is younger
    assert registry.owner_of("job1") is older


def test_a_job_without_resources_has_no_owner() -> None:
    registry = Registry()
    registry.put(resource("a", 1.0))
    registry.drop(ObjectRef("shop", "a"))
    assert registry.owner_of("job1") is None
    assert (len(registry), registry._rivals, registry._owners) == (0, {}, {})


def test_a_resource_that_takes_the_name_of_another_takes_its_place() -> None:
    registry = Registry()
    registry.put(resource("a", 1.0))
    successor = registry.put(resource("a", 9.0, "job2"))
    assert list(registry) == [successor]
    assert (registry.owner_of("job1"), registry.owner_of("job2")) == (None, successor)


def test_a_resource_without_a_job_claims_none() -> None:
    registry = Registry()
    registry.put(resource("a", 1.0, ""))
    registry.put(resource("b", 2.0, ""))
    assert registry.owner_of("") is None
    registry.drop(ObjectRef("shop", "a"))
    assert len(registry) == 1


def test_the_owner_of_a_job_is_found_without_a_walk_over_its_resources(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry()
    for number in range(1000):
        registry.put(resource(f"r{number}", float(number)))
    asked: list[TrackedResource] = []

    def counted(each: TrackedResource) -> tuple[bool, float, str]:
        asked.append(each)
        return not each.confirmed, each.created, each.uid

    monkeypatch.setattr(TrackedResource, "seniority", property(counted))
    for _ in range(1000):
        assert registry.owner_of("job1") is not None
    registry.drop(ObjectRef("shop", "r999"))
    registry.confirm(registry.put(resource("late", 9999.0)))
    assert len(asked) < 10
