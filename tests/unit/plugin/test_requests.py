"""The requests of one reset, from asked to outcome."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from esa_preload_operator.cli.plugin.jobs import Job, Ref
from esa_preload_operator.cli.plugin.layout import plain, width_of
from esa_preload_operator.cli.plugin.outcome import End
from esa_preload_operator.cli.plugin.requests import Requests, as_data, picture, told
from support.plugin_jobs import asked, job


def named(one: Job, name: str, version: int = 1) -> Job:
    return replace(one, ref=Ref("web", name), uid=f"uid-{name}", version=version)


def requests_for(*names: str, limit: int = 0, submitted: bool = False) -> Requests:
    made = Requests("t", limit, submitted)
    made.add(job(name) for name in names)
    return made


def done(name: str, version: int = 2, **status: Any) -> Job:
    return named(asked("t", phase="Succeeded", handled="t", urlCount=10, **status), name, version)


def test_as_many_are_asked_for_at_once_as_the_limit_allows() -> None:
    made = requests_for("a", "b", "c", limit=2)
    assert [each.ref.name for each in made.due()] == ["a", "b"]
    made.was_asked([named(asked("t"), "a"), named(asked("t"), "b")], 0.0)
    assert made.due() == []
    assert made.observe(done("a"), 1.0)
    assert [each.ref.name for each in made.due()] == ["c"]


def test_a_version_from_before_the_request_says_nothing_about_it() -> None:
    made = requests_for("a")
    made.was_asked([named(asked("t"), "a", 7)], 0.0)
    assert not made.observe(named(asked("older"), "a", 6), 1.0)
    assert made.open
    made.observe(named(asked("newer"), "a", 8), 2.0)
    assert [each.verdict.word for each in made.failed] == ["Overtaken"]


def test_what_was_handled_before_is_done_at_once() -> None:
    made = requests_for("a")
    made.was_asked([done("a")], 5.0)
    assert not made.open
    assert not made.failed


def test_an_end_is_final() -> None:
    made = requests_for("a")
    made.was_asked([named(asked("t"), "a")], 0.0)
    made.observe(done("a", 2), 1.0)
    made.observe(named(asked("newer"), "a", 3), 2.0)
    made.gone(Ref("web", "a"), 3.0)
    assert not made.failed


def test_a_deleted_or_recreated_resource_has_failed() -> None:
    made = requests_for("a", "b")
    made.was_asked([named(asked("t"), "a"), named(asked("t"), "b")], 0.0)
    assert made.gone(Ref("web", "a"), 1.0)
    assert made.observe(replace(named(asked("t"), "b", 9), uid="another"), 1.0)
    assert [each.verdict.word for each in made.failed] == ["Deleted", "Deleted"]


def test_until_submitted_waits_for_the_urls_and_keeps_the_outcome() -> None:
    made = requests_for("a", submitted=True)
    made.was_asked([named(asked("t"), "a")], 0.0)
    assert made.observe(done("a", 2, urlSubmitted=3), 1.0)
    assert made.open
    assert made.observe(done("a", 3, urlSubmitted=10), 60.0)
    assert not made.open
    assert "Succeeded after 1m, 10/10 URLs submitted" in plain([told(made.entries[Ref("web", "a")], namespaces=False)])


def test_what_kubectl_could_not_ask_for_has_failed() -> None:
    made = requests_for("a")
    made.was_refused([job("a")], 0.0)
    assert [each["outcome"] for each in as_data(made)] == ["NotAsked"]
    assert not made.open


@pytest.mark.parametrize("width", [80, 200])
def test_the_picture_fits_the_screen_and_shows_trouble_first(width: int) -> None:
    names = [f"job-{number}" for number in range(30)]
    made = requests_for(*names)
    made.was_asked([named(asked("t"), name) for name in names], 0.0)
    made.observe(named(asked("t", phase="Failed", handled="t"), "job-29", 2), 1.0)
    made.observe(done("job-3", 2, urlSubmitted=4), 1.0)
    lines = picture(made, 2.0, width, 24, namespaces=True)
    text = plain(lines).splitlines()
    assert len(text) <= 24
    assert max(map(width_of, text)) <= width
    assert text[1].split()[:3] == ["web", "job-29", "Failed"]
    assert text[-1].startswith("1 of 30 reset, 1 failed")
    assert made.entries[Ref("web", "job-3")].verdict.end is End.MADE
