"""The life of a job that the operator creates: made, replaced, adopted, and what it never touches."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from esa_preload_operator.resources.job import RESET_KEY
from support.life import (
    CREATE,
    WAITS,
    agreed,
    all_windows,
    calls,
    create,
    edit,
    entry,
    job_of,
    jobs_of,
    site,
    start,
    switch,
    uid,
    urls,
    window,
)
from support.owned import put_config_map

if TYPE_CHECKING:
    from support.world import World

DELETED = "DeleteScheduledPreloadJob"
FINALIZER = "esa.preload-operator.io/job"


async def test_a_job_is_made_with_its_windows_and_an_adopted_one_stays_as_it_was(early_world: World) -> None:
    world = early_world
    world.seed(2)
    world.create(2)
    start(world)
    create(world, 1, token="t1", executions=all_windows())
    await agreed(world, 1)
    body, job = world.get(1), job_of(world, 1)
    assert body["metadata"]["finalizers"] == [FINALIZER]
    assert job["name"].startswith(f"{world.namespace}-j1-{uid(world, 1)[:8]}-")
    assert body["status"]["reset"]["phase"] == "Replaced", "the new job submits every URL, so no reset is needed"
    assert {each["name"]: each["state"] for each in body["status"]["executions"]} == {
        "runs": "running", "waits": "waiting", "each": "running",
    }  # fmt: skip
    assert (world.resets(1), len(calls(world, 1, CREATE))) == (0, 1)
    assert world.events("JobCreated")
    await world.reason(2, "Ready")
    world.annotate(2)
    await world.handled(2)
    adopted = world.get(2)
    assert "finalizers" not in adopted["metadata"]
    assert set(adopted["status"]).isdisjoint({"source", "creating", "retiredJobs", "executions"})
    assert world.resets(2) == 1


async def test_a_changed_list_replaces_the_job_with_its_windows_and_changed_back_makes_no_other(
    early_world: World,
) -> None:
    world = early_world
    start(world)
    create(world, 1, executions=all_windows())
    create(world, 2, executions=all_windows(), replacePolicy="DeleteFirst")
    await agreed(world, 1, 2)
    first = {number: job_of(world, number)["id"] for number in (1, 2)}
    for number in (1, 2):
        switch(world, number, "B")
    await agreed(world, 1, 2)
    for number in (1, 2):
        assert job_of(world, number)["id"] != first[number]
        actions = [each["action"] for each in calls(world, number) if each["action"] in {CREATE, DELETED}]
        wanted = [CREATE, CREATE, DELETED] if number == 1 else [CREATE, DELETED, CREATE]
        assert actions[: len(wanted)] == wanted, actions
    for name in "ABCB":  # faster than anybody can follow
        switch(world, 1, name)
    await agreed(world, 1)
    made = len(calls(world, 1, CREATE))
    edit(world, 1, source={"urls": urls("B")}, executions=all_windows()[1:2])
    await agreed(world, 1)
    assert len(calls(world, 1, CREATE)) == made


async def test_a_list_in_a_config_map_acts_within_seconds(world: World) -> None:
    start(world, REFRESH_IDLE="10m")
    source = {"configMapKeyRef": {"name": "urls", "key": "list.txt"}}
    create(world, 1, source=source)
    await world.reason(1, "SourceNotFound")
    put_config_map(world, "urls", "# first\n" + "\n".join(urls("A")))
    await agreed(world, 1, timeout=20)
    first = job_of(world)["id"]
    put_config_map(world, "urls", "\n".join(urls("B")))
    await world.until(lambda: [job["id"] for job in jobs_of(world)] not in ([], [first]), 20)
    await agreed(world, 1)
    assert len(calls(world, 1, CREATE)) == 2
    put_config_map(world, "urls", "no URL at all")
    await world.reason(1, "InvalidSpec", 20)
    assert [job["id"] for job in jobs_of(world)] == [world.status(1)["jobId"]]


async def test_without_room_the_old_job_keeps_its_windows_and_delete_first_makes_room(early_world: World) -> None:
    world = early_world
    start(world)
    for number in (1, 2):
        create(world, number, executions=all_windows()[:2])
    await agreed(world, 1, 2)
    old = {number: job_of(world, number) for number in (1, 2)}
    world.simulator.settings(maxJobsPerSite=1)
    try:
        for number in (1, 2):
            both = {"metadata": {"annotations": {RESET_KEY: "t1"}}, "spec": {"source": {"urls": urls("B")}}}
            world.patch(number, both)
        for number in (1, 2):
            await world.reason(number, "QuotaExceeded")
            kept = job_of(world, number)
            assert [kept["id"], kept["executions"]] == [old[number]["id"], old[number]["executions"]]
            assert kept["resets"] == 0, "a list that the spec no longer wants is not reset"
        edit(world, 1, replacePolicy="DeleteFirst")
        world.patch(2, {"metadata": {"annotations": {RESET_KEY: "t2"}}, "spec": {"source": {"urls": urls("A")}}})
        await agreed(world, 1, 2)
    finally:
        world.simulator.settings(maxJobsPerSite=None)
    assert job_of(world, 1)["id"] != old[1]["id"]
    assert (job_of(world, 2)["id"], job_of(world, 2)["resets"]) == (old[2]["id"], 1)


async def test_jobs_of_strangers_survive_and_jobs_too_many_go(world: World) -> None:
    create(world, 1)
    own, here = uid(world), site(world, 1)
    prefix = f"{world.namespace}-j1"
    strangers = [f"{prefix}-0badf00d-00000001", f"{prefix}-{own[:8]}", f"x{prefix}-{own[:8]}-00000001", prefix]
    for number, name in enumerate(strangers, start=11):
        world.seed(number, name=name, siteId=here)
    world.seed(21, name=f"{prefix}-{own[:8]}-00000001", siteId=here)
    start(world)
    await agreed(world, 1)
    names = {job["name"] for job in world.simulator.jobs() if job["siteId"] == here}
    assert names == {*strangers, job_of(world)["name"]}
    world.create(2, jobId=job_of(world)["id"])
    await world.reason(2, "JobClaimed")


async def test_a_job_that_somebody_deletes_is_made_again_and_a_wiped_status_leads_to_one_job(
    early_world: World,
) -> None:
    world = early_world
    start(world)
    for number in (1, 2):
        create(world, number, executions=all_windows())
    await agreed(world, 1, 2)
    old = {number: job_of(world, number)["id"] for number in (1, 2)}
    world.simulator.delete_job(old[1])
    world.patch(2, {"status": None}, "/status")
    await asyncio.gather(*(_another_job(world, number, old[number]) for number in (1, 2)))
    assert world.events("JobNotFound")


async def _another_job(world: World, number: int, old: str) -> None:
    await world.until(lambda: world.status(number).get("jobId") not in ("", None, old))
    await agreed(world, number)


async def test_a_create_that_nobody_can_find_again_says_so_and_is_not_repeated(world: World) -> None:
    rule = world.fault("override", action=CREATE, fields={"Name": "cut"}, times=None)
    start(world)
    create(world, 1, executions=[window(WAITS, begins_in=5)])
    await world.until(lambda: entry(world, 1, WAITS).get("state") == "waiting")
    world.simulator.clear_faults(rule)
    (event,) = world.events("JobCreated")
    assert "a lost create could not be found again" in event["note"]
    assert len(calls(world, 1, CREATE)) == 1
