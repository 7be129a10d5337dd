"""Whether the condition Effective says that a window submits URLs, or will."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from esa_preload_operator.domain.effective import idle_count, judge
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.steps import Write
from esa_preload_operator.domain.view import View, view_of

TIMES = {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-01T01:00:00Z", "intervalSeconds": 1, "sliceLen": 1}
RESET = "2026-01-01T00:00:00Z"


def window(state: str, number: str = "e1") -> dict[str, Any]:
    return {"name": "w", "state": state, "id": number, **TIMES}


def view(*windows: dict[str, Any], said: str = "", reset: str = RESET, submitted: int = 0, **spec: Any) -> View:
    status: dict[str, Any] = {"jobId": "job1", "urlCount": 10, "urlSubmitted": submitted, "executions": [*windows]}
    if reset:
        status["lastResetTime"] = reset
    if said:
        condition = {"type": "Effective", "status": said, "reason": "X", "message": "", "lastTransitionTime": RESET}
        status["conditions"] = [condition]
    meta = {"name": "j", "namespace": "n", "uid": "u", "resourceVersion": "7"}
    return view_of({"metadata": meta, "spec": {"jobId": "job1", **spec}, "status": status})


def judged(shown: View, *, idle: bool | None, job: EsaJob | None = None) -> str | None:
    return judge(Write(shown, None, (), job=job), idle=idle)


@pytest.mark.parametrize("state", ["waiting", "running", "Pending"])
def test_a_window_that_waits_or_runs_is_effective(state: str) -> None:
    entry = window(state, "" if state == "Pending" else "e1")
    assert judged(view(entry), idle=None) == "True"
    assert judged(view(entry, said="True"), idle=None) is None
    assert judged(view(entry, said="False"), idle=True) == "True"


@pytest.mark.parametrize("windows", [(), (window("finished"),), (window("stopped"),), (window("Missed", ""),)])
def test_after_a_reset_without_a_window_nothing_is_effective(windows: tuple[dict[str, Any], ...]) -> None:
    assert judged(view(*windows), idle=True) == "False"
    assert judged(view(*windows, said="False"), idle=True) is None
    assert judged(view(*windows, said="False"), idle=None) is None  # another process has seen it


def test_nothing_is_said_where_windows_of_others_may_be_open() -> None:
    assert judged(view(), idle=None) is None
    assert judged(view(), idle=False) is None
    assert judged(view(said="False"), idle=False) == ""


@pytest.mark.parametrize("other", [{"reset": ""}, {"submitted": 10}, {"suspend": True}])
def test_it_is_about_a_reset_whose_urls_are_not_all_submitted(other: dict[str, Any]) -> None:
    assert judged(view(**other), idle=True) is None
    assert idle_count(view(**other)) is None


def test_a_window_that_has_ended_is_no_longer_effective() -> None:
    assert judged(view(window("finished"), said="True", submitted=10), idle=None) == ""


def test_numbers_that_are_stored_along_count() -> None:
    told = EsaJob("job1", url_count=10, url_submitted=10)
    assert judged(view(said="False"), idle=None, job=told) == ""
    assert judged(view(), idle=True, job=replace(told, url_submitted=3)) == "False"


def test_a_list_is_idle_if_it_shows_no_more_than_the_windows_that_have_ended() -> None:
    assert idle_count(view()) == 0
    assert idle_count(view(window("finished"))) == 1
    assert idle_count(view(window("running"))) is None
