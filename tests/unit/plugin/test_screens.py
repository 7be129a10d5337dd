"""What people see: the list sorted by trouble, one job on one screen, windows on a time line."""

from __future__ import annotations

from typing import Any

import pytest

from esa_preload_operator.cli.plugin.advice import ADVICE
from esa_preload_operator.cli.plugin.jobs import read_job, read_jobs
from esa_preload_operator.cli.plugin.layout import plain, width_of
from esa_preload_operator.cli.plugin.listing import job_table, sorted_by_trouble, summary
from esa_preload_operator.cli.plugin.screenful import Event, screenful
from esa_preload_operator.cli.plugin.status import last_events
from esa_preload_operator.cli.plugin.timeline import timeline, windows_of
from esa_preload_operator.cli.plugin.trouble import trouble
from esa_preload_operator.domain.conditions import BLOCKING, TERMINAL
from support.plugin_jobs import NOW, READY, condition, job

STALLED = (condition("Ready", "False", "JobNotFound", "InvalidJob.NotFound: gone"), condition("Reconciling", "False"),
           condition("Stalled", "True", "JobNotFound", "InvalidJob.NotFound: gone"))  # fmt: skip
BLOCKED = (condition("Ready", "False", "AccessDenied", "Forbidden"), condition("Reconciling", "True", "AccessDenied"))
THROTTLED = (condition("Ready", "False", "Throttled", "slow"),)
WINDOWS = [
    {"name": "late", "state": "waiting", "startTime": "2026-12-01T00:00:00Z", "endTime": "2026-12-01T06:00:00Z"},
    {"name": "now", "state": "running", "startTime": "2026-11-30T00:00:00Z", "endTime": "2026-11-30T02:00:00Z"},
    {"name": "each", "state": "Pending"},
]
SCREENS = [
    job(),
    job(conditions=STALLED),
    job(conditions=BLOCKED, urlCount=7, urlSubmitted=3),
    job("n" * 63, namespace="s" * 63, executions=WINDOWS, labels={"resetRequested": "x"}),
    job(spec={"suspend": True, "resetSchedule": {"cron": "0 2 * * *"}}, nextResetTime="2026-12-01T00:00:00Z"),
    job(annotations={"resetRequested": "x" * 300}, reset={"phase": "Retrying", "attempts": 3, "message": "夜間 " * 60}),
]


def test_what_needs_somebody_comes_first() -> None:
    jobs = [
        job("fine"),
        job("throttled", conditions=THROTTLED),
        job("resting", spec={"suspend": True}),
        job("blocked", conditions=BLOCKED),
        job("refused", conditions=(*READY, condition("UrlsAccepted", "False", "InvalidUrl", "bad"))),
        job("stalled", conditions=STALLED),
        job("failed", reset={"phase": "Failed", "message": "no"}),
        job("unseen", conditions=()),
    ]
    order = [each.ref.name for each, _ in sorted_by_trouble(jobs)]
    assert order == ["stalled", "failed", "blocked", "refused", "unseen", "throttled", "resting", "fine"]
    assert plain([summary(jobs)]) == "8 jobs, 3 in trouble, 2 warnings, 1 at work\n"


@pytest.mark.parametrize("width", [80, 200])
def test_every_screen_fits(width: int) -> None:
    events = [Event(NOW - 60, "ResetFailed", "why " * 60, warning=True, count=3)]
    for each in SCREENS:
        lines = plain(screenful(each, events, NOW, width)).splitlines()
        assert max(map(width_of, lines)) <= width
    listed = plain(job_table(SCREENS, NOW, width, namespaces=True)).splitlines()
    assert max(map(width_of, listed)) <= width


def test_a_stalled_job_says_once_why_and_what_to_do() -> None:
    text = plain(screenful(job(conditions=STALLED), [], NOW, 120))
    assert text.count("InvalidJob.NotFound: gone") == 1
    assert text.count("To do: The job was deleted") == 1
    assert "Only a change of the resource helps." in text


def test_a_request_is_shown_as_open_or_dealt_with() -> None:
    waiting = job(annotations={"resetRequested": "t"})
    handled = job(annotations={"resetRequested": "t"}, handledResets={"resetRequested": "t"})
    assert "Token 't' by the annotation resetRequested, not dealt with yet" in plain(screenful(waiting, [], NOW, 120))
    assert "Token 't' by the annotation resetRequested, dealt with" in plain(screenful(handled, [], NOW, 120))


def test_windows_stand_on_one_time_line_with_now_on_it() -> None:
    windows = windows_of(job(executions=WINDOWS))
    assert [each.name for each in windows] == ["now", "late", "each"]
    now, late, each, scale = plain(timeline(windows, NOW, 80)).splitlines()
    assert now.split()[2].startswith("#|###.")
    assert late.endswith("=" * 10)
    assert "=" not in each
    assert {line.index("|") for line in (now, late, each)} == {now.index("|")}
    assert scale.split() == ["2026-11-30T00:00:00Z", "2026-12-01T06:00:00Z"]


def test_windows_are_told_in_words() -> None:
    text = plain(screenful(job(executions=WINDOWS), [], NOW, 120))
    assert "now: running, closes in 1h6m" in text
    assert "late: opens in 23h, for 6h" in text
    assert "each: Pending, opened by the next reset" in text


def test_the_newest_events_come_first_and_old_kinds_of_times_count() -> None:
    listed = {"items": [
        {"reason": "A", "message": "a", "lastTimestamp": "2026-11-30T00:00:00Z"},
        {"reason": "B", "message": "b", "eventTime": "2026-11-30T00:10:00.123456Z"},
        {"reason": "C", "message": "c", "series": {"count": 4, "lastObservedTime": "2026-11-30T00:20:00.000000Z"}},
    ]}  # fmt: skip
    found = last_events(listed, 2)
    assert [(each.reason, each.count) for each in found] == [("C", 4), ("B", 1)]


@pytest.mark.parametrize(
    "body",
    [
        {}, {"metadata": None, "status": []}, {"status": {"conditions": "x", "reset": 7, "executions": {}}},
        {"status": {"urlCount": "x", "handledResets": ["a"], "reset": {"tokens": None, "attempts": -1}}},
        {"metadata": {"annotations": {"resetRequested": None}}, "spec": "x"},
    ],
)  # fmt: skip
def test_a_resource_with_wrong_types_is_still_shown(body: Any) -> None:
    one = read_job(body)
    assert screenful(one, [], NOW, 80)
    assert job_table([one], NOW, 80, namespaces=True)


def test_text_from_outside_steers_no_terminal_and_shows_no_query_string() -> None:
    text = "see https://x.example/a?Signature=abc \x1b[2J\u202e"
    hostile = job("n\x1b[31m", conditions=(condition("Ready", "False", "EsaError", text),), jobId="\x1b[0m")
    events = last_events({"items": [{"reason": "R", "message": text, "lastTimestamp": "2026-11-30T00:00:00Z"}]})
    shown = plain(screenful(hostile, events, NOW, 200)) + plain(job_table([hostile], NOW, None, namespaces=True))
    assert "\x1b" not in shown
    assert "Signature" not in shown


def test_every_reason_that_needs_somebody_has_an_advice() -> None:
    assert set(ADVICE) >= {*BLOCKING, *TERMINAL}
    assert trouble(job(conditions=STALLED)).word in ADVICE


def test_one_object_or_a_list_are_read() -> None:
    assert len(read_jobs({"metadata": {"name": "a"}})) == 1
    assert [each.ref.name for each in read_jobs({"items": [{"metadata": {"name": "a"}}, "x"]})] == ["a"]
