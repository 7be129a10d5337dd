"""Resources whose jobs were created, and that need nothing: a process that starts leaves them, and ESA, alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from esa_preload_operator.domain.cleaning import format_time
from esa_preload_operator.domain.identity import job_name
from esa_preload_operator.domain.source import content_of
from esa_preload_operator.domain.spec import UrlSource
from esa_preload_operator.domain.steps import SurplusListed
from esa_preload_operator.domain.view import view_of
from esa_preload_operator.resources.job import FINALIZER
from support.fakes import SITE, WALL
from support.operating import Operator

if TYPE_CHECKING:
    from esa_preload_operator.domain.ports import ObjectRef

DAY: Final = 86_400
SITES: Final = 4
MANY: Final = 1000
URLS: Final = ["https://www.example.com/a.js"]
WINDOW: Final = {"name": "launch", "intervalSeconds": 60, "sliceLen": 10}


def _times() -> dict[str, str]:
    return {"startTime": format_time(WALL + DAY), "endTime": format_time(WALL + 2 * DAY)}


async def rested(size: int = MANY) -> tuple[Operator, list[ObjectRef]]:
    """Return an operator that has not started, and resources as another process has left them, at rest."""
    first = Operator()
    content = content_of(UrlSource(tuple(URLS)))
    refs = []
    for number in range(size):
        site = SITE + number % SITES
        spec: dict[str, Any] = {"siteId": site, "source": {"urls": URLS}, "executions": [{**WINDOW, **_times()}]}
        ref = first.jobs.create(f"j{number}", **spec)
        body = first.jobs.objects[ref]
        del body["spec"]["jobId"]
        body["metadata"] |= {"uid": f"{number:08x}-1111-4222-8333-444444444444", "finalizers": [FINALIZER]}
        job_id = f"{number:024x}"
        first.esa.add(job_id, site=site)
        name = job_name(f"shop-j{number}", body["metadata"]["uid"], 1)
        first.esa.jobs[job_id] = replace(first.esa.jobs[job_id], name=name)
        window = {**WINDOW, **_times(), "id": f"e{number}", "state": "waiting"}
        body["status"] = {"jobId": job_id, "source": getattr(content, "hash", ""), "executions": [window]}
        refs.append(ref)
    return first, refs


async def settled(operator: Operator) -> None:
    """Work until the queue is empty, however many wait."""
    operator.watch()
    while operator.queue:
        ref = next(iter(operator.queue))
        await operator.turn(ref, operator.queue.pop(ref))
        operator.watch()


async def seen_once(size: int = MANY) -> tuple[Operator, list[ObjectRef]]:
    """Return a second process over resources that a first one has seen to work."""
    first, refs = await rested(size)
    first.relist()
    await settled(first)
    second = Operator(first.outside)
    second.esa.looks = second.jobs.reads = 0
    second.jobs.writes.clear()
    second.jobs.changes.clear()
    return second, refs


async def test_a_start_with_a_thousand_created_jobs_writes_nothing_and_lists_no_executions() -> None:
    operator, refs = await seen_once()
    operator.relist()  # a call about executions would fail: this account knows none
    await settled(operator)
    assert len(operator.registry) == len(refs)
    assert (operator.jobs.writes, operator.esa.looks, operator.esa.lists, operator.jobs.reads) == ([], 0, 0, 0)


async def test_at_rest_an_interval_costs_one_list_a_site_whatever_there_is_of_resources() -> None:
    operator, _ = await seen_once()
    operator.relist()
    await settled(operator)
    for site in range(SITES):
        await operator.refresh(site=SITE + site)
    assert (operator.esa.lists, operator.esa.looks, operator.jobs.writes) == (SITES, 0, [])


async def test_a_change_in_esa_is_seen_with_the_next_list_and_touches_that_resource_alone() -> None:
    operator, refs = await seen_once(40)
    operator.relist()
    await settled(operator)
    job_id = view_of(operator.jobs.objects[refs[5]]).job_id
    operator.esa.jobs[job_id] = replace(operator.esa.jobs[job_id], url_submitted=7)
    operator.turns.clear()
    await operator.refresh(site=SITE + 1)
    assert set(operator.turns) == {refs[5]}
    assert [written["urlSubmitted"] for written in operator.jobs.writes] == [7]


@pytest.mark.parametrize("deleted", [True, False])
async def test_a_list_that_goes_on_showing_a_deleted_job_is_not_written_about(*, deleted: bool) -> None:
    operator, (ref,) = await seen_once(1)
    operator.relist()
    await settled(operator)
    tracked = operator.tracked(ref)
    if deleted:
        tracked.local = replace(tracked.local, work=replace(tracked.local.work, deleted=frozenset({"old"})))
    told: list[dict[str, Any]] = []
    operator.reconciler.members.tell(tracked, SurplusListed(("old",)))
    if deleted:
        await settled(operator)
    else:
        with pytest.raises(NotImplementedError):  # this account can't delete
            await settled(operator)
    told += [written for written in operator.jobs.writes if "old" in written.get("retiredJobs", [])]
    assert bool(told) is not deleted
