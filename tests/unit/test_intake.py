from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.k8s.feed import Interruption
from esa_preload_operator.runtime.intake import identify
from esa_preload_operator.services.tombstones import Tombstones
from support.intake import Hall, body, new_hall

if TYPE_CHECKING:
    from esa_preload_operator.services.registry import TrackedResource

ASKS: dict[str, Any] = {"annotations": {"resetRequested": "t1"}}
DENIED = Interruption("HTTP 403", "HTTP 403 Forbidden", denied=True)


@pytest.fixture
def hall() -> Hall:
    """An intake that has seen an empty list."""
    made = new_hall()
    made.list()
    return made


def record(hall: Hall, name: str = "j1") -> TrackedResource:
    found = hall.registry.get(ObjectRef("team", name))
    assert found is not None
    return found


# --- what is queued ---------------------------------------------------------------------------------------------


def test_those_that_ask_for_a_reset_go_first(hall: Hall) -> None:
    hall.list(body("a", 1, "a"), body("b", 2, "b", **ASKS), body("c", 3, "c"))
    assert hall.added == ["b!", "a", "c"]


def test_a_worker_gets_what_was_decided_on(hall: Hall) -> None:
    hall.intake.observe(body(version=5, **ASKS))
    assert hall.added == ["j1!"]
    assert (hall.views["j1"].version, hall.views["j1"].asked) == (5, (("resetRequested", "t1"),))


def test_what_needs_nothing_is_not_queued_and_what_is_due_later_comes_back_then(hall: Hall) -> None:
    hall.looker.answers = {"idle": False, "held": 1234.5}
    hall.list(body("idle", 1, "a"), body("held", 2, "b"), body("c", 3, "c"))
    assert hall.added == ["c"]
    assert hall.due == [("held", 1234.5)]


def test_a_version_that_was_seen_is_no_news(hall: Hall) -> None:
    hall.intake.observe(body(version=5))
    assert hall.intake.knows(body(version=5))
    assert hall.intake.knows(body(version=4))
    assert not hall.intake.knows(body(version=6))
    hall.intake.observe(body(version=5))
    assert hall.added == ["j1"]


def test_an_old_event_of_the_object_that_had_the_name_before_is_no_news(hall: Hall) -> None:
    hall.intake.observe(body(version=9, uid="new"))
    hall.intake.observe(body(version=7, uid="old"))
    assert record(hall).uid == "new"


def test_what_a_later_list_lacks_is_read(hall: Hall) -> None:
    hall.list(body("a", 1, "a"), body("b", 2, "b"))
    hall.added.clear()
    hall.list(body("a", 1, "a"))
    assert hall.added == ["b?"]


def test_resources_that_are_not_adopted_wait_until_all_are_listed() -> None:
    hall = new_hall("team", "other")
    hall.list(body("a", 1, "a"), scope="team")
    assert hall.added == []
    hall.list(scope="other")
    assert hall.added == ["a?"]


def test_a_resource_that_is_not_adopted_is_read_after_all_are_listed_even_if_it_would_be_due_later() -> None:
    hall = new_hall("team", "other")
    hall.looker.answers["a"] = 1234.5
    hall.list(body("a", 1, "a"), scope="team")
    assert hall.due == []
    hall.list(scope="other")
    assert hall.added == ["a?"]


@pytest.mark.parametrize(("reason", "waits"), [("AccessDenied", False), ("JobClaimed", True)])
def test_a_resource_that_acts_on_its_job_already_waits_for_no_other_namespace(reason: str, *, waits: bool) -> None:
    hall = new_hall("team", "other")
    ready = {"type": "Ready", "status": "False", "reason": reason, "message": "m", "lastTransitionTime": "t"}
    hall.list(body("a", 1, "a") | {"status": {"jobId": "665d", "conditions": [ready]}}, scope="team")
    assert hall.added == ([] if waits else ["a"])


# --- one object that is broken ------------------------------------------------------------------------------------

MALFORMED: dict[str, Any] = {
    "version is no number": body("bad", "x7"),
    "version is missing": body("bad", resourceVersion=None),
    "version has too many digits": body("bad", "9" * 5000),
    "uid is missing": body("bad", uid=""),
    "annotations are no map": body("bad", 5, annotations=["x"]),
}
NAMELESS: dict[str, Any] = {
    "no metadata": {"spec": {}},
    "metadata is null": {"metadata": None},
    "metadata is a list": {"metadata": []},
    "no name": body(name=""),
    "no namespace": body(namespace=None),
    "no map": "x",
    "null": None,
}


@pytest.mark.parametrize("bad", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_object_is_logged_once_and_read_and_keeps_no_other_waiting(
    hall: Hall, caplog: pytest.LogCaptureFixture, bad: Any
) -> None:
    hall.list(body("a", 1, "a"), bad, body("b", 2, "b", **ASKS))
    hall.intake.observe(bad)
    assert {"a", "b!"} <= set(hall.added)
    assert "bad?" in hall.added
    assert [each.getMessage().split(":")[0] for each in caplog.records if each.levelno >= logging.WARNING] == [
        "team/bad"
    ]


@pytest.mark.parametrize(
    ("status", "damaged"),
    [(["x"], "status"), ({"handledResets": ["x"]}, "status.handledResets"), ({"reset": {"tokens": 1}}, "status.reset")],
)
def test_a_status_that_cannot_be_read_is_handed_on_with_the_field_named_and_keeps_no_other_waiting(
    hall: Hall, status: Any, damaged: str
) -> None:
    hall.list(body("a", 1, "a"), body("bad", 5, "bad") | {"status": status}, body("b", 2, "b", **ASKS))
    assert hall.added == ["b!", "a", "bad"]
    assert hall.views["bad"].damaged.startswith(damaged)


@pytest.mark.parametrize("bad", NAMELESS.values(), ids=NAMELESS)
def test_an_object_without_a_name_is_logged_once_and_keeps_no_other_waiting(
    hall: Hall, caplog: pytest.LogCaptureFixture, bad: Any
) -> None:
    hall.list(body("a", 1, "a"), bad, body("b", 2, "b"))
    hall.intake.observe(bad)
    assert hall.added == ["a", "b"]
    assert len([each for each in caplog.records if each.levelno >= logging.WARNING]) == 1


@pytest.mark.parametrize("error", [ValueError("a date"), OverflowError("9999"), RecursionError(), KeyError("x")])
def test_whatever_the_data_of_one_object_raises_it_is_named_once_and_read(
    hall: Hall, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    hall.looker.broken["bad"] = error
    hall.list(body("a", 1, "a"), body("bad", 2, "bad"), body("b", 3, "b"))
    hall.intake.observe(body("bad", 4, "bad"))
    assert hall.added == ["a", "bad?", "b", "bad?"]
    (line,) = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert line.startswith("team/bad: cannot be taken")
    assert type(error).__name__ in line


def test_a_broken_object_of_the_first_list_waits_until_all_are_listed() -> None:
    hall = new_hall("team", "other")
    hall.looker.broken["bad"] = ValueError("x")
    hall.list(body("bad", 1), scope="team")
    assert hall.added == []
    hall.list(scope="other")
    assert hall.added == ["bad?"]


# --- deletions ----------------------------------------------------------------------------------------------------


def test_an_older_event_does_not_revive_what_is_gone(hall: Hall) -> None:
    hall.intake.observe(body(version=5))
    hall.intake.deleted(identify(body(version=8)))
    hall.added.clear()
    hall.intake.observe(body(version=7))
    assert hall.intake.knows(body(version=7))
    assert len(hall.registry) == 0
    assert hall.added == []
    assert hall.registry.tombstones.is_gone("u1", 7)
    assert not hall.registry.tombstones.is_gone("u1", 9)


def test_a_deletion_counts_from_when_it_is_on_the_wire(hall: Hall) -> None:
    hall.intake.observe(body(version=5))
    hall.intake.bury(identify(body(version=8)))
    hall.intake.observe(body(version=7))
    assert hall.looker.looked == [("j1", 5)]


def test_the_deletion_of_the_object_that_had_the_name_before_changes_nothing(hall: Hall) -> None:
    hall.intake.observe(body(version=9, uid="new"))
    hall.intake.deleted(identify(body(version=8, uid="old")))
    assert record(hall).uid == "new"


def test_tombstones_live_until_the_next_list_of_their_namespace_is_complete() -> None:
    hall = new_hall("team", "other")
    tombstones = hall.registry.tombstones
    hall.intake.deleted(identify(body(version=8)))
    hall.list(scope="other")
    assert tombstones.is_gone("u1", 8)
    hall.intake.listed("team", (), begins=True, ends=False)
    hall.intake.deleted(identify(body("j2", version=9, uid="u2")))
    assert tombstones.is_gone("u1", 8)
    hall.intake.listed("team", (), begins=False, ends=True)
    assert not tombstones.is_gone("u1", 8)
    assert tombstones.is_gone("u2", 9)  # that deletion may be younger than the list


def test_tombstones_are_bounded_and_the_oldest_go_first() -> None:
    tombstones = Tombstones(limit=3)
    for number in range(5):
        tombstones.bury(f"u{number}", number, "team")
    assert len(tombstones) == 3
    assert not tombstones.is_gone("u1", 1)
    assert tombstones.is_gone("u4", 4)


# --- events that kopf tells of while their object is not at hand --------------------------------------------------


def test_a_missed_event_is_read_unless_a_newer_version_was_seen(hall: Hall) -> None:
    hall.intake.observe(body(version=5))
    hall.added.clear()
    hall.intake.missed(identify(body(version=5)))
    assert hall.added == []
    hall.intake.missed(identify(body(version=6)))
    assert hall.added == ["j1?"]


# --- the state of the watch -----------------------------------------------------------------------------------------


def denied(hall: Hall, namespace: str) -> float | None:
    return hall.metrics.registry.get_sample_value("esa_operator_watch_denied", {"watched_namespace": namespace})


def test_a_namespace_without_rights_keeps_no_other_one_waiting() -> None:
    hall = new_hall("teama", "teamb")
    hall.list(body("a", 1, "a"), scope="teama")
    assert not hall.health.synced
    hall.intake.interrupted("teamb", DENIED)
    assert hall.health.synced
    assert hall.added == ["a?"]
    assert denied(hall, "teamb") == 1
    assert hall.health.notes() == ["resources in teamb are not watched: HTTP 403 Forbidden"]
    hall.intake.interrupted("teamb", None)
    assert denied(hall, "teamb") == 0
    assert not hall.health.notes()


def test_a_namespace_with_another_interruption_is_waited_for() -> None:
    hall = new_hall("teama", "teamb")
    hall.list(scope="teama")
    hall.intake.interrupted("teamb", Interruption("HTTP 500", "HTTP 500"))
    assert not hall.health.synced
    assert denied(hall, "teamb") == 0


def test_after_a_restore_older_versions_are_news(hall: Hall) -> None:
    hall.intake.observe(body(version=900))
    hall.intake.deleted(identify(body("j2", version=901, uid="u2")))
    hall.intake.rewound("")
    hall.added.clear()
    hall.list(body(version=700), body("j2", version=701, uid="u2"))
    assert hall.added == ["j1", "j2"]


def test_a_restore_of_one_namespace_drops_no_version_of_another() -> None:
    hall = new_hall("team", "other")
    hall.intake.observe(body(version=900))
    hall.intake.rewound("other")
    assert record(hall).version == 900
