"""What must hold at the end of a walk: ESA is as the spec says, the status is as ESA is, and it is quiet."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from support.agreement import Agreement, epoch
from support.fakes import WALL
from support.walks.walk import CREATE, RESET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.walks.walk import Walk

SETTLE: Final = 10 * 3600.0
"""Seconds: longer than the longest pause between two calls of a reset that nothing proves."""
CALM: Final = 8 * 3600.0
LISTS: Final = {"ListScheduledPreloadJobs", "ListScheduledPreloadExecutions"}
MOST_LISTS: Final = 40
MOST_LISTS_OF_EXECUTIONS: Final = 3
"""The site is listed each half an hour, and the executions of a job with each twelfth list."""


def differences(walk: Walk) -> list[str]:
    """Let everything work and come to rest, and say what is wrong then."""
    walk.heal()
    walk.turn(SETTLE)
    since, writes = walk.loop.time(), walk.writes
    walk.turn(CALM)
    if walk.outside.brake.holds:
        asked = Counter(entry.action for entry in walk.calls())
        return [f"no rest: {walk.writes} writes, {dict(asked)}, {walk.body}"]
    found = [*_unrest(walk, since, writes), *_orphans(walk)]
    found += [f"failed: {error!r}" for error in walk.errors()]
    jobs = walk.simulator.state.jobs
    found += [f"a stranger's job {job_id} is gone" for job_id in walk.strangers if job_id not in jobs]
    if walk.body is None:
        return found
    if not walk.lives:
        return [*found, f"the resource never goes: {walk.status}"]
    agreement = Agreement(
        walk.body, walk.jobs(walk.uid), walk.texts(), walk.outside.clock.wall(), walk.story.stopped_by_hand
    )
    return [*found, *agreement.differences(), *_about_numbers(walk), *_about_resets(walk), *_about_on_reset(walk)]


def _unrest(walk: Walk, since: float, writes: int) -> Iterator[str]:
    if walk.writes != writes:
        yield f"{walk.writes - writes} writes at rest: {walk.status}"
    asked = Counter(entry.action for entry in walk.calls(since))
    lists = asked["ListScheduledPreloadExecutions"]
    if set(asked) - LISTS or lists > MOST_LISTS_OF_EXECUTIONS or asked.total() > MOST_LISTS:
        yield f"calls at rest: {dict(asked)}"


def _orphans(walk: Walk) -> Iterator[str]:
    alive = walk.uid[:8] if walk.body is not None else None
    excused = {uid[:8] for uid in walk.story.retained | walk.story.wiped}
    for job in walk.jobs():
        uid = job["name"].split("-")[-2]
        if uid != alive and uid not in excused:
            yield f"an orphan: {job['name']}"


def _about_numbers(walk: Walk) -> Iterator[str]:
    for job in walk.jobs(walk.uid):
        shown = walk.status.get("urlSubmitted")
        if job["id"] == walk.status.get("jobId") and job["urlSubmitted"] != shown:
            yield f"{job['urlSubmitted']} submitted, {shown} shown"


def _about_on_reset(walk: Walk) -> Iterator[str]:
    """Each reset has opened its windows, if they were there well before it."""
    reset = walk.status.get("reset", {})
    if reset.get("phase") not in {"Succeeded", "Replaced"} or walk.spec.get("suspend"):
        return
    made = epoch(reset["finishedAt"])
    entries = {entry["name"]: entry for entry in walk.status.get("executions", ())}
    for window in walk.spec.get("executions", ()):
        known = walk.story.put[window["name"]] + EARLIER < made
        if window.get("onReset") and known and epoch(entries[window["name"]].get("startTime", OLD)) < made:
            yield f"{window['name']} was not opened by the reset of {reset['finishedAt']}"


EARLIER: Final = 60.0
OLD: Final = "2020-01-01T00:00:00Z"


def _about_resets(walk: Walk) -> Iterator[str]:
    """A request is met by a call after it, and there are no more resets than requests and losses."""
    story, body = walk.story, walk.body
    if walk.spec.get("suspend") or body is None:
        return
    executed = [entry for entry in walk.calls() if entry.executed and entry.action in {CREATE, RESET}]
    token = body["metadata"]["annotations"].get("resetRequested")
    since = WALL + (story.asked_at or 0.0)
    if token is not None and story.asked_at is not None and not any(entry.time >= since for entry in executed):
        yield f"{token} is handled without a call: {walk.status.get('reset')}"
    resets = sum(entry.action == RESET for entry in executed)
    if resets > story.requests + walk.outside.observer.undecidable + story.losses:
        yield f"{resets} resets for {story.requests} requests"
