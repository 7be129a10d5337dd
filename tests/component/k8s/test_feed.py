from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from esa_preload_operator.k8s.feed import RELIST, Backoff, Event
from support.feeding import Fed, Reply, bookmark, error, fed, lines, listed, refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

STATUSES = [400, 401, 403, 404, 409, 410, 418, 429, 500, 503, 504]
UNREADABLE = {
    "html": Reply(b"<html>login</html>"),
    "nothing": Reply(b""),
    "a list without version": Reply(b'{"items":[],"metadata":{}}'),
    "a list with null metadata": Reply(b'{"items":[{"a":1}],"metadata":null}'),
    "no map": Reply(b"[]"),
    "cut in the middle": Reply(b'{"items":[{"a":1},{"a":', cut=True),
    "ends too early": Reply(b'{"items":[{"a":1},{"a":'),
    "a redirect": Reply(b"", 302, {"Location": "http://127.0.0.1:1/"}),
    "no content": Reply(b"", 204),
}
BAD_STREAMS = {
    "html": Reply(b"<html>login</html>\n"),
    "no leader": lines(error(500)),
    "expired": lines(error(410)),
    "an error that is no map": lines(("ERROR", "x")),
    "an unknown kind": lines(("RENAMED", {})),
    "an object that is no map": lines(("ADDED", None)),
    "no event": Reply(b"[]\n"),
}


class Runner:
    """Fails some times at one version, and ends the feed at the next."""

    def __init__(self, poisoned: str, times: int) -> None:
        self.poisoned = poisoned
        self.times = times
        self.taken: list[str] = []

    def complete(self, _version: str) -> None:
        self.note("complete")

    def take(self, event: Event) -> None:
        if event is not RELIST:
            self.note(event.version)

    def note(self, what: str) -> None:
        self.taken.append(what)
        if what == self.poisoned:
            self.times -= 1
            raise KeyError(what) if self.times >= 0 else asyncio.CancelledError


@pytest.fixture
async def fed_(tmp_path: Path) -> AsyncIterator[Fed]:
    async with fed(tmp_path) as made:
        yield made


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name.endswith("k8s.feed")]


@pytest.mark.parametrize("status", STATUSES)
async def test_a_list_that_is_refused_is_tried_again_and_logged_once(
    fed_: Fed, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    caplog.set_level(logging.INFO)
    fed_.server.lists = [refusal(status)] * 4 + [listed(7, {"a": 1})]
    assert await fed_.feed.list() == "7"
    assert fed_.sink.objects == [{"a": 1}]
    assert fed_.pauses == [0.1, 0.2, 0.4, 0.8]
    assert len(logged(caplog)) == 1
    assert ("waiting for the CRD scheduledpreloadjobs" in caplog.text) is (status == 404)
    assert "Traceback" not in caplog.text
    assert fed_.sink.signs_of_life >= 5, "an API server that refuses is alive, and so is the watch"


@pytest.mark.parametrize("reply", UNREADABLE.values(), ids=UNREADABLE)
async def test_a_list_that_cannot_be_read_is_tried_again(
    fed_: Fed, caplog: pytest.LogCaptureFixture, reply: Reply
) -> None:
    fed_.server.lists = [reply, reply, listed(7, {"b": 1})]
    assert await fed_.feed.list() == "7"
    assert fed_.sink.objects[-1] == {"b": 1}
    assert fed_.sink.told[-2:] == ["begins", "ends"]
    assert len(fed_.pauses) == 2
    assert "Traceback" not in caplog.text


async def test_each_change_of_the_cause_is_one_line(fed_: Fed, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fed_.server.lists = [refusal(500, "a"), refusal(500, "b"), refusal(403), refusal(403), refusal(500), listed(7)]
    await fed_.feed.list()
    await fed_.watch("7")
    assert [line.split(": ")[1].partition(" R")[0] for line in logged(caplog)] == [
        "HTTP 500", "HTTP 403", "HTTP 500", "watched again",
    ]  # fmt: skip


async def test_retry_after_is_honoured_up_to_half_a_minute(fed_: Fed) -> None:
    fed_.server.lists = [refusal(429, Retry_After="3"), refusal(503, Retry_After="3600"), listed(7)]
    await fed_.feed.list()
    assert fed_.pauses == [3, 30]


@pytest.mark.parametrize("status", STATUSES)
async def test_a_watch_that_is_refused_is_begun_anew_with_a_list(fed_: Fed, status: int) -> None:
    fed_.server.watches = [refusal(status)]
    assert await fed_.watch("10") == [RELIST]
    assert len(fed_.pauses) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_a_watch_that_stays_refused_is_tried_ever_more_rarely_and_logged_once(
    fed_: Fed, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    fed_.server.watches = [refusal(status)]
    for _ in range(12):
        await fed_.watch(await fed_.feed.list())
    assert fed_.pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert fed_.pauses[-2:] == [30, 30]
    assert len(logged(caplog)) == 1
    fed_.server.watches = [lines(bookmark(11))]
    await fed_.watch("10")
    assert fed_.sink.told[-1] == "well"


@pytest.mark.parametrize("stream", BAD_STREAMS.values(), ids=BAD_STREAMS)
async def test_a_watch_that_fails_in_its_stream_is_begun_anew_with_a_list(
    fed_: Fed, caplog: pytest.LogCaptureFixture, stream: Reply
) -> None:
    before = lines(bookmark(11))
    fed_.server.watches = [Reply(before.body + stream.body)]
    *events, last = await fed_.watch("10")
    assert [event.version for event in events] == ["11"]
    assert last == RELIST
    assert "Traceback" not in caplog.text


async def test_a_watch_that_fails_at_once_each_time_is_logged_once(fed_: Fed, caplog: pytest.LogCaptureFixture) -> None:
    fed_.server.watches = [lines(error(500))]
    for _ in range(4):
        assert await fed_.watch("10") == [RELIST]
    assert len(logged(caplog)) == 1
    assert fed_.pauses == [0.1, 0.2, 0.4, 0.8]


async def test_a_watch_that_is_cut_goes_on_from_its_last_version(fed_: Fed) -> None:
    fed_.server.watches = [lines(bookmark(11), cut=True)]
    assert [event.version for event in await fed_.watch("10")] == ["11"]
    assert len(fed_.pauses) == 1


async def test_half_a_line_before_a_cut_is_no_event(fed_: Fed) -> None:
    half = lines(bookmark(12)).body[:20]
    fed_.server.watches = [Reply(lines(bookmark(11)).body + half, cut=True)]
    assert [event.version for event in await fed_.watch("10")] == ["11"]


async def test_a_server_that_ends_each_watch_at_once_is_not_flooded(fed_: Fed) -> None:
    for _ in range(3):
        await fed_.watch("10")
    assert fed_.pauses == [0.1, 0.2, 0.4]


# --- a feed that runs by itself -------------------------------------------------------------------------------------


@pytest.mark.parametrize("poisoned", ["complete", "21"])
async def test_what_can_not_be_handled_is_named_and_read_again(
    fed_: Fed, caplog: pytest.LogCaptureFixture, poisoned: str
) -> None:
    fed_.server.lists, fed_.server.watches = [listed(21)], [lines(bookmark(21))]
    runner = Runner(poisoned, 5)
    with pytest.raises(asyncio.CancelledError):
        await fed_.feed.run(runner.complete, runner.take)
    assert fed_.server.asked.count("list") == 6
    assert fed_.pauses == [0.1, 0.2, 0.4, 0.8, 1.6]
    assert f"resources in namespace team: KeyError: '{poisoned}'; trying again" in logged(caplog)


async def test_a_watch_that_does_not_open_again_goes_on_where_it_was(fed_: Fed) -> None:
    cut = lines(bookmark(11), cut=True)
    fed_.server.watches = [cut, lines(cut=True), lines(cut=True), lines(bookmark(12))]
    fed_.server.looks = [listed(11)]
    runner = Runner("12", 0)
    with pytest.raises(asyncio.CancelledError):
        await fed_.feed.run(runner.complete, runner.take)
    assert [each for each in fed_.server.asked if each != "look"] == ["list", "watch10", *["watch11"] * 3]
    assert runner.taken == ["complete", "11", "12"]


# --- an API server that was restored to an older state ------------------------------------------------------------


async def test_a_list_of_an_older_version_is_read_again_after_the_versions_are_dropped(fed_: Fed) -> None:
    fed_.server.lists = [listed(900), listed(700, {"a": 1})]
    await fed_.feed.list()
    fed_.sink.told.clear()
    assert await fed_.feed.list() == "700"
    assert fed_.sink.told == ["begins", "rewound", "restored", "begins", "ends"]
    assert fed_.sink.objects == [{"a": 1}, {"a": 1}]


async def test_an_event_of_an_older_version_begins_the_watch_anew(fed_: Fed) -> None:
    fed_.server.watches = [lines(bookmark(11), bookmark(9))]
    assert [event.version for event in await fed_.watch("10")] == ["11", ""]
    assert fed_.sink.told == ["well", "rewound", "restored"]


@pytest.mark.parametrize("last", [lines(bookmark(900), cut=True), lines()], ids=["cut", "told no version"])
async def test_after_a_watch_that_may_have_hidden_a_restore_the_present_version_is_asked_for(
    fed_: Fed, last: Reply
) -> None:
    fed_.server.watches = [last]
    await fed_.watch("900")
    fed_.server.looks = [listed(700)]
    assert await fed_.watch("900") == [RELIST]
    assert fed_.server.asked == ["watch900", "look"]


async def test_a_watch_that_tells_its_version_costs_no_other_request(fed_: Fed) -> None:
    fed_.server.watches = [lines(bookmark(11)), lines(bookmark(12))]
    await fed_.watch("10")
    await fed_.watch("11")
    assert fed_.server.asked == ["watch10", "watch11"]


async def test_an_event_that_was_seen_before_a_cut_is_no_restore(fed_: Fed) -> None:
    fed_.server.looks = [listed(20)]
    fed_.server.watches = [lines(bookmark(12), cut=True), lines(bookmark(11), bookmark(12))]
    await fed_.watch("10")
    assert [event.version for event in await fed_.watch("10")] == ["11", "12"]
    assert "rewound" not in fed_.sink.told


@pytest.mark.parametrize("version", ["abc", "", "9" * 5000])
async def test_a_version_that_is_no_number_stops_nothing(fed_: Fed, version: str) -> None:
    fed_.server.watches = [lines(("ADDED", {"metadata": {"resourceVersion": version}}), bookmark(12))]
    assert [event.version for event in await fed_.watch("10")] == [version, "12"]


# --- waits ----------------------------------------------------------------------------------------------------------


def test_waits_double_with_jitter_and_begin_anew_after_a_watch_that_lasted() -> None:
    backoff = Backoff(jitter=lambda low, high: (low + high) / 2)
    waits = [backoff.wait() for _ in range(10)]
    assert waits[:3] == pytest.approx([0.075, 0.15, 0.3])
    assert max(waits) == 22.5
    backoff.lasted(30)
    assert backoff.wait() == 22.5
    backoff.lasted(62)
    assert backoff.wait() == pytest.approx(0.075)
