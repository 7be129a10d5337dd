"""Progress in the status, at the price of one list per site."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from support.calls import GET, LIST, RESET, calls, lonely, writes
from support.world import SITE

if TYPE_CHECKING:
    from support.world import World

FAST = {"REFRESH_ACTIVE": "1s", "REFRESH_IDLE": "1s"}


def ready(world: World, *numbers: int) -> bool:
    return all(world.condition(number).get("status") == "True" for number in numbers)


def versions(world: World, *numbers: int) -> list[str]:
    return [world.get(number)["metadata"]["resourceVersion"] for number in numbers]


async def lists(world: World, more: int, **query: Any) -> list[dict[str, Any]]:
    """Wait for some more list calls that were answered; return them."""
    since = world.simulator.last_call()

    def look() -> list[dict[str, Any]]:
        found = [call for call in calls(world, LIST, since=since) if call["outcome"] is not None]
        return found if len(found) >= more else []

    made: list[dict[str, Any]] = await world.until(look, **query)
    return made


async def test_the_progress_of_a_running_execution_shows(world: World) -> None:
    world.seed(1, urlSubmitted=0, taskSubmitted=0)
    world.create(1)
    lonely(world, **FAST)
    await world.reason(1, "Ready")
    now = datetime.now(UTC)
    world.simulator.seed_executions(
        [
            {
                "jobId": world.esa_id(1),
                "startTime": (now - timedelta(seconds=1)).isoformat(timespec="seconds"),
                "endTime": (now + timedelta(hours=1)).isoformat(timespec="seconds"),
                "interval": 1,
                "sliceLen": 4,
            }
        ]
    )
    seen: list[int] = []

    def done() -> bool:
        progress = world.status(1)["progress"]
        if not seen or seen[-1] != progress:
            seen.append(progress)
        return bool(progress == 100)

    await world.until(done)
    assert seen == sorted(seen)
    status = world.status(1)
    assert (status["urlSubmitted"], status["urlCount"], status["taskSubmitted"]) == (10, 10, 10)
    assert [call["outcome"] for call in calls(world, GET)] == ["OK"], "progress comes from lists alone"


async def test_urls_that_a_refresh_finds_refused_are_told_once(world: World) -> None:
    world.seed(1)
    world.create(1)
    lonely(world, **FAST)
    await world.reason(1, "Ready")
    world.simulator.change_job(world.esa_id(1), errorInfo="InvalidUrl")
    await world.until(lambda: world.events("UrlsRejected"))
    assert world.condition(1, "UrlsAccepted")["reason"] == "InvalidUrl"
    world.simulator.change_job(world.esa_id(1), urlSubmitted=6)
    await world.until(lambda: world.status(1)["urlSubmitted"] == 6)
    (event,) = world.events("UrlsRejected")
    assert (event["type"], event["note"], "series" in event) == ("Warning", "InvalidUrl", False)


async def test_a_refresh_costs_a_list_per_site_and_no_write_where_nothing_has_changed(world: World) -> None:
    here, there = range(1, 26), range(26, 51)
    world.seed(*here)
    world.seed(*there, siteId=SITE + world.offset + 1)
    for number in (*here, *there):
        world.create(number)
    operator = lonely(world, **FAST)
    await world.until(lambda: ready(world, *here, *there))
    gets = len(calls(world, GET))
    assert gets == 50
    before = versions(world, *here, *there)
    made = await lists(world, 8)
    by_site = {site: [call for call in made if call["params"]["SiteId"] == site] for site in (
        str(SITE + world.offset), str(SITE + world.offset + 1))}  # fmt: skip
    assert sum(map(len, by_site.values())) == len(made)
    assert all(len(each) >= 2 for each in by_site.values())
    assert len(made) < 20, "lists are per site, not per resource"
    assert versions(world, *here, *there) == before
    assert len(calls(world, GET)) == gets

    # A start with resources that need nothing writes nothing and asks for none of them.
    operator.terminate()
    operator.wait()
    written, since = len(writes(world)), world.simulator.last_call()
    lonely(world, **FAST)
    await lists(world, 4)
    assert versions(world, *here, *there) == before
    assert len(writes(world)) == written
    assert {call["action"] for call in calls(world, since=since)} == {LIST}

    world.simulator.change_job(world.esa_id(30), urlSubmitted=9)
    await world.until(lambda: world.status(30)["urlSubmitted"] == 9)
    changed = [number for number, old in zip((*here, *there), before, strict=True) if versions(world, number) != [old]]
    assert changed == [30]


async def test_a_job_that_a_list_lacks_is_asked_for_before_it_counts_as_gone(world: World) -> None:
    world.seed(1, 2)
    world.create(1)
    world.create(2)
    lonely(world, **FAST)
    await world.until(lambda: ready(world, 1, 2))
    since = world.simulator.last_call()
    world.simulator.delete_job(world.esa_id(1))
    condition = await world.reason(1, "JobNotFound")
    assert "InvalidJob.NotFound" in condition["message"]
    assert world.condition(1, "Stalled")["status"] == "True"
    await lists(world, 3)
    asked = [call["jobId"] for call in calls(world, GET, since=since)]
    assert asked == [world.esa_id(1)], "asked once, not with every list"
    assert ready(world, 2)
    assert len(world.events("JobNotFound")) == 1
    world.seed(1)
    await world.reason(1, "Ready")
    world.annotate(1, "first")
    await world.handled(1, "first")
    assert world.resets(1) == 1


@pytest.mark.parametrize("with_the_secret", [True, False])
async def test_an_account_that_may_not_list_shows_on_all_of_its_resources_until_it_may(
    world: World, with_the_secret: bool
) -> None:
    numbers = (1, 2, 3)
    world.seed(*numbers)
    world.make_secret()
    for number in numbers:
        world.create(number, credentialsSecretRef={"name": "esa-credentials"})
    lonely(world, **FAST)
    await world.until(lambda: ready(world, *numbers))
    fault = world.fault(
        "refuse", action=LIST, aliUid=world.account, code="InvalidUid.PermissionDenied", status=403, times=None
    )
    for number in numbers:
        await world.reason(number, "AccessDenied")
        assert world.condition(number, "Reconciling")["status"] == "True"
        assert world.condition(number, "Stalled")["status"] == "False"
    world.annotate(1, "meanwhile")  # listing is not resetting: this is still done
    await world.handled(1, "meanwhile")
    assert len(world.events("AccessDenied")) == 3
    world.simulator.delete_job(world.esa_id(3))
    world.simulator.clear_faults(fault)
    if with_the_secret:
        world.make_secret(note="changed")
    await world.reason(2, "Ready")
    await world.reason(1, "Ready")
    await world.reason(3, "JobNotFound")
    assert [call["jobId"] for call in calls(world, RESET)] == [world.esa_id(1)]


async def test_what_failed_for_lack_of_a_secret_works_when_it_comes(world: World) -> None:
    world.seed(1, 2)
    world.create(1, credentialsSecretRef={"name": "esa-credentials"})
    world.create(2, credentialsSecretRef={"name": "esa-credentials"}, annotations={"resetRequested": "first"})
    lonely(world)
    await world.reason(1, "CredentialsMissing")
    await world.reason(2, "CredentialsMissing")
    world.make_secret(accessKeySecret="wrong")
    await world.reason(1, "CredentialsInvalid")
    await world.reason(2, "CredentialsInvalid")
    world.make_secret()
    await world.reason(1, "Ready")
    await world.handled(2, "first")
    assert world.resets(2) == 1
