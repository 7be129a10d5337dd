"""Jobs that the operator creates, on a real API server and the simulator: what people do to them, and rest."""

from __future__ import annotations

import re
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from esa_preload_operator.esa.client import EsaClient
from esa_preload_operator.esa.credentials import Credentials
from esa_preload_operator.esa.throttle import Throttle
from esa_preload_operator.esa.transport import Connections
from support.agreement import Agreement
from support.api import jobs_path
from support.owned import make_owned, own_jobs
from support.world import SITE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from support.operator_process import OperatorProcess
    from support.world import World

FAST: Final = {
    "REQUEST_TIMEOUT": "1s",
    "NETWORK_GRACE": "500ms",
    "LIST_GRACE": "0s",
    "REFRESH_IDLE": "1s",
    "REFRESH_ACTIVE": "1s",
}
"""Nothing is on the wire any more after 1.5 s, and what is wrong at ESA shows within a second."""
EARLY: Final = 60
"""Seconds that the simulator of these tests is ahead, so that a window without a start runs at once."""
PATIENCE: Final = 60.0
CREATE: Final = "CreateScheduledPreloadJob"
OPEN: Final = "CreateScheduledPreloadExecutions"
LISTS: Final = "ABC"


def site(world: World, number: int) -> int:
    """Return the site of a resource: each has its own, so that a list of it tells whom it is for."""
    return SITE + world.offset + number


def urls(name: str) -> list[str]:
    return [f"https://www.example.com/{name}/{number}.js" for number in range(20)]


def start(world: World, **settings: str) -> OperatorProcess:
    """Start an operator that needs no lease, and wait until it watches."""
    return world.operator(None, **FAST | {"LEADER_ELECTION": "false"} | settings).wait_to_lead()


@asynccontextmanager
async def console(world: World) -> AsyncIterator[EsaClient]:
    """Let a person act on the jobs of the account."""
    connections = Connections(world.simulator.url, request_timeout=30)
    credentials = Credentials(world.access_key_id, world.access_key_secret)
    yield EsaClient(credentials, connections, Throttle(1000.0))
    await connections.close()


def yes() -> bool:
    """Let a call leave."""
    return True


def create(world: World, number: int = 1, *, token: str = "", **spec: Any) -> None:
    """Make a resource whose job is made from list A, unless the spec says otherwise."""
    defaults = {"siteId": site(world, number), "source": {"urls": urls("A")}}
    make_owned(world, number, token=token, **defaults | spec)


def edit(world: World, number: int = 1, **spec: Any) -> None:
    """Change the spec."""
    world.patch(number, {"spec": spec})


def switch(world: World, number: int, name: str) -> None:
    """Let the spec have another list of URLs."""
    edit(world, number, source={"urls": urls(name)})


def window(name: str, *, hours: float = 100, begins_in: float | None = None, slice_len: int = 1) -> dict[str, Any]:
    """Return a window of the spec: one that begins at once, or one between two instants."""
    fields: dict[str, Any] = {"name": name, "intervalSeconds": 86_400, "sliceLen": slice_len}
    if begins_in is None:
        return fields | {"duration": f"{int(hours * 3600)}s"}
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=begins_in)
    return fields | {"startTime": _text(start), "endTime": _text(start + timedelta(hours=hours))}


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


RUNS, WAITS, EACH = "runs", "waits", "each"


def all_windows() -> list[dict[str, Any]]:
    """Return one window that runs, one that waits, and one that every reset opens."""
    each = window(EACH) | {"onReset": True, "sliceLen": 3}
    return [window(RUNS), window(WAITS, begins_in=100, slice_len=2), each]


def entry(world: World, number: int, name: str) -> dict[str, Any]:
    """Return what the status says of a window."""
    entries = world.status(number).get("executions", [])
    return next((dict(each) for each in entries if each["name"] == name), {})


def uid(world: World, number: int = 1) -> str:
    found: str = world.get(number)["metadata"]["uid"]
    return found


def jobs_of(world: World, number: int = 1, *, uid: str | None = None) -> list[dict[str, Any]]:
    """Return the jobs at ESA that were made for a resource, or for one with this uid."""
    text = uid if uid is not None else world.get(number)["metadata"]["uid"]
    prefix = f"{world.namespace}-j{number}-{text[:8]}-"
    return [job for job in own_jobs(world) if job["name"].startswith(prefix)]


def job_of(world: World, number: int = 1) -> dict[str, Any]:
    """Return the one job at ESA of a resource."""
    (job,) = jobs_of(world, number)
    return job


def executions(world: World, number: int = 1) -> list[dict[str, Any]]:
    return [execution for job in jobs_of(world, number) for execution in job["executions"]]


def calls(world: World, number: int, action: str | None = None, since: int = 0) -> list[dict[str, Any]]:
    """Return the calls about the jobs of a resource, those that are gone too, and about its site."""
    found = [call for call in world.simulator.calls(action, since=since) if call["aliUid"] == world.account]
    here = str(site(world, number))
    ids = {job["id"] for job in own_jobs(world) if job["siteId"] == site(world, number)} | _gone(world, number)
    return [call for call in found if call["jobId"] in ids or call["params"].get("SiteId") == here]


def _gone(world: World, number: int) -> set[str]:
    """Return the jobs that Events about a resource have named."""
    about = [each["note"] for each in world.events() if each["regarding"]["name"] == f"j{number}"]
    return {word for note in about for word in re.findall(r"\bESA job ([0-9a-f]{24})\b", note)}


def disagreements(world: World, *numbers: int, stopped_by_hand: bool = False) -> dict[int, list[str]]:
    """Say in what spec, status and ESA differ about these resources; one that is not there differs in everything."""
    bodies = {
        each["metadata"]["name"]: each for each in world.api.call("GET", jobs_path(world.namespace)).body["items"]
    }
    jobs = own_jobs(world)
    made = [call["params"] for call in world.simulator.calls(CREATE)]  # later than the jobs, so that all are there
    texts = {each["Name"]: each.get("UrlList", "") for each in made}
    found = {}
    for number in numbers:
        body = bodies.get(f"j{number}")
        if body is None:
            found[number] = ["is not there"]
            continue
        prefix = f"{world.namespace}-j{number}-{body['metadata']['uid'][:8]}-"
        own = [job for job in jobs if job["name"].startswith(prefix)]
        found[number] = Agreement(body, own, texts, time.time(), stopped_by_hand).differences()
    return found


async def agreed(
    world: World, *numbers: int, stopped_by_hand: bool = False, timeout: float = PATIENCE, gone: Sequence[int] = ()
) -> None:
    """Wait until spec, status and ESA agree about these resources, and until others are gone."""
    said: dict[int, list[str]] = {}

    def look() -> bool:
        said.clear()
        said.update(disagreements(world, *numbers, *gone, stopped_by_hand=stopped_by_hand))
        return not any(said[each] for each in numbers) and all(said[each] == ["is not there"] for each in gone)

    try:
        await world.until(look, timeout, every=0.2)
    except AssertionError as error:
        wrong = [f"j{number}: {text}" for number, texts in said.items() for text in texts]
        raise AssertionError("\n".join([*wrong, str(error)])) from None


async def silent(world: World, *numbers: int, spare: int) -> None:
    """Check that while another resource goes through its life nothing happens about these.

    `spare` is the number of that other one.
    """
    await world.until(lambda: all(_numbers_show(world, number) for number in numbers))
    versions = [world.get(number)["metadata"]["resourceVersion"] for number in numbers]
    since = world.simulator.last_call()
    create(world, spare, executions=all_windows())
    await agreed(world, spare)
    switch(world, spare, "B")
    await agreed(world, spare)
    assert [world.get(number)["metadata"]["resourceVersion"] for number in numbers] == versions, world.describe()
    assert made_since(world, numbers, since) == []


def _numbers_show(world: World, number: int) -> bool:
    shown, jobs = world.status(number).get("urlSubmitted"), jobs_of(world, number)
    return all(job["urlSubmitted"] == shown for job in jobs)


def made_since(world: World, numbers: Sequence[int], since: int) -> list[tuple[int, str]]:
    """Return the calls about resources since a call, but the refresh: lists of sites, and rarely of executions."""
    return [
        (number, call["action"])
        for number in numbers
        for call in calls(world, number, since=since)
        if not call["action"].startswith("List")
    ]


def delete(world: World, number: int = 1) -> None:
    assert world.api.call("DELETE", jobs_path(world.namespace, f"j{number}")).status == 200


def is_gone(world: World, number: int = 1) -> bool:
    return world.api.call("GET", jobs_path(world.namespace, f"j{number}")).status == 404
