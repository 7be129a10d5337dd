"""What becomes of ESA jobs when their resources are deleted, in whatever order things go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.api import jobs_path
from support.life import (
    CREATE,
    OPEN,
    agreed,
    all_windows,
    create,
    delete,
    edit,
    is_gone,
    job_of,
    jobs_of,
    site,
    start,
    switch,
    uid,
)
from support.owned import own_jobs

if TYPE_CHECKING:
    from support.world import World

DELETE_JOB = "DeleteScheduledPreloadJob"


async def test_the_job_goes_with_its_resource_unless_it_is_retained_or_adopted(early_world: World) -> None:
    world = early_world
    start(world)
    world.seed(4)
    world.create(4)
    for number in (1, 2, 3):
        create(world, number, executions=all_windows(), **({"deletionPolicy": "Retain"} if number == 2 else {}))
    await agreed(world, 1, 2, 3)
    uids = {number: uid(world, number) for number in (1, 2, 3)}
    assert "finalizers" not in world.get(2)["metadata"]
    kept = job_of(world, 2)
    world.fault("refuse", action=DELETE_JOB, job_id=job_of(world, 3)["id"], status=403, code="NoPermission", times=None)
    for number in (1, 2, 3, 4):
        delete(world, number)
    await world.until(lambda: all(is_gone(world, number) for number in (1, 2, 4)))
    assert jobs_of(world, 1, uid=uids[1]) == []
    assert jobs_of(world, 2, uid=uids[2]) == [kept]
    assert world.esa_id(4) in {job["id"] for job in own_jobs(world)}
    await world.reason(3, "AccessDenied")
    assert world.events("AccessDenied")
    edit(world, 3, deletionPolicy="Retain")
    await world.until(lambda: is_gone(world, 3))
    assert len(jobs_of(world, 3, uid=uids[3])) == 1
    create(world, 1, executions=all_windows())  # made anew under the same name
    create(world, 2)
    await agreed(world, 1, 2)
    assert jobs_of(world, 2, uid=uids[2]) == [kept], "what was retained belongs to nobody"


async def test_in_the_middle_of_a_create_or_a_replacement_everything_goes(early_world: World) -> None:
    world = early_world
    start(world)
    create(world, 2, executions=all_windows())
    create(world, 3, executions=all_windows())
    await agreed(world, 2, 3)
    lost = world.fault("drop_after", action=CREATE, ali_uid=world.account, times=3)
    create(world, 1, executions=all_windows())
    switch(world, 2, "B")
    world.fault("drop_after", action=OPEN, job_id=job_of(world, 3)["id"])
    edit(world, 3, executions=[*all_windows()[:2], all_windows()[0] | {"name": "more"}])
    uids = {number: uid(world, number) for number in (1, 2, 3)}
    await world.until(lambda: len(own_jobs(world)) >= 4)
    for number in uids:
        delete(world, number)
    await world.until(lambda: all(is_gone(world, number) for number in uids))
    assert own_jobs(world) == []
    world.simulator.clear_faults(lost)


async def test_a_namespace_goes_with_its_jobs_and_hangs_on_none_that_is_adopted(early_world: World) -> None:
    world = early_world
    operator = start(world)
    create(world, 1, executions=all_windows())
    world.seed(2)
    world.create(2)
    create(world, 3, deletionPolicy="Retain")
    await agreed(world, 1, 3)
    await world.reason(2, "Ready")
    path = jobs_path(world.namespace)
    assert world.api.call("DELETE", path).status == 200  # what the namespace controller does
    await world.until(lambda: not world.api.call("GET", path).body["items"])
    assert {job["siteId"] for job in own_jobs(world)} == {site(world, 3), site(world, 0)}
    create(world, 4, deletionPolicy="Retain")
    await agreed(world, 4)
    operator.kill()
    world.create(2)
    for number in (2, 4):
        delete(world, number)
        assert is_gone(world, number), "the operator is gone, and nobody waits for it"
