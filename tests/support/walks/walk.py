"""A walk: one resource, one simulated site, one process at a time, and whatever people, ESA and the network do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from esa_preload_operator.domain.cleaning import format_time
from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.domain.steps import WindowsSuspected
from esa_simulator.faults import Fault
from esa_simulator.progress import Execution, Job
from support.fakes import NAMESPACE, SITE, WALL
from support.queueing import Loop, clock_of
from support.walks.outside import KEY, LATENCY, Outside
from support.walks.process import Process

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from esa_simulator.calls import Entry

REF: Final = ObjectRef(NAMESPACE, "nightly")
PREFIX: Final = "shop-nightly"
LISTS: Final = {name: [f"https://www.example.com/{name}{number}" for number in range(3)] for name in "ABC"}
CREATE, RESET = "CreateScheduledPreloadJob", "ResetScheduledPreloadJob"
SLOW: Final = 1_000_000
"""Seconds between two batches: the numbers stand still while a test looks whether it is quiet."""
HOUR, DAY = 3600, 86_400
_LATE: Final = frozenset({"delay", "late"})


@dataclass
class Story:
    """What has happened that may excuse an ending."""

    retained: set[str] = field(default_factory=set)
    """Uids whose jobs may stay, because Retain was set for a while."""
    wiped: set[str] = field(default_factory=set)
    stopped_by_hand: bool = False
    """Somebody has stopped an execution in the console."""
    losses: int = 0
    """Crashes, and writes whose answers were lost: with them the count of undecidable calls may be lost."""
    requests: int = 0
    put: dict[str, float] = field(default_factory=dict)
    """When each window was put into the spec, in epoch seconds."""
    asked_at: float | None = None
    """When a token was set last that only a call can satisfy."""


async def _end_of(tasks: Iterable[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


class Walk:
    """The world of one walk; `run` lets time pass while something is done."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.outside = Outside(self.loop)
        self.cluster, self.simulator = self.outside.cluster, self.outside.simulator
        self.spec: dict[str, Any] = {"siteId": SITE, "source": {"urls": LISTS["A"]}}
        self.story = Story()
        self.process: Process | None = None
        self.processes = 0
        self.failures: list[BaseException] = []
        self.strangers = [self._stranger(f"{PREFIX}-0badf00d-00000001"), self._stranger(f"{PREFIX}-x")]

    def run(self, work: Coroutine[Any, Any, Any]) -> None:
        with clock_of(self.loop):
            self.loop.run_until_complete(work)

    def close(self) -> None:
        try:
            if self.process is not None:
                self.run(self.process.kill())
        finally:
            left = asyncio.all_tasks(self.loop)
            for task in left:
                task.cancel()
            self.run(_end_of(left))
            self.loop.close()

    # --- time and processes -------------------------------------------------------------------------------------

    def turn(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    def restart(self) -> None:
        """Kill the process where it stands and start another one."""

        async def change() -> None:
            if self.process is not None:
                self.failures += self.process.failures()
                await self.process.kill()
            self.processes += 1
            self.process = Process(self.outside, f"p{self.processes}")
            self.process.start()

        self.run(change())

    @property
    def writes(self) -> int:
        """How often anything was stored."""
        return self.cluster._version

    def errors(self) -> list[BaseException]:
        """Return what parts of processes have ended with."""
        return [*self.failures, *(self.process.failures() if self.process is not None else ())]

    # --- the resource -------------------------------------------------------------------------------------------

    @property
    def body(self) -> dict[str, Any] | None:
        return self.cluster.objects.get(REF)

    @property
    def lives(self) -> bool:
        """Whether there is a resource that is not being deleted."""
        return self.body is not None and "deletionTimestamp" not in self.body["metadata"]

    @property
    def uid(self) -> str:
        assert self.body is not None
        uid: str = self.body["metadata"]["uid"]
        return uid

    @property
    def status(self) -> dict[str, Any]:
        return self.cluster.status(REF)

    def create(self) -> None:
        if self.body is None:
            self.cluster.make(REF.name, self.spec)
            self._note_policy()

    def edit(self, **changes: Any) -> None:
        """Change the spec that is wanted, and the resource if it is there; None removes a field."""
        self.spec = {key: value for key, value in (self.spec | changes).items() if value is not None}
        if self.lives:
            self.cluster.put_spec(REF, self.spec)
            self._note_policy()

    def _note_policy(self) -> None:
        if self.spec.get("deletionPolicy") == "Retain":
            self.story.retained.add(self.uid)

    def ask(self, token: str | None) -> None:
        """Set the annotation, or remove it."""
        if not self.lives or self.body is None:
            return
        before = self.body["metadata"]["annotations"].get("resetRequested")
        if token is None and before is not None:
            self.cluster.annotate(REF, None)
        elif token is not None and token != before:
            self.cluster.annotate(REF, token)
            self.story.requests += 1
            job = self.simulator.state.jobs.get(self.status.get("jobId", ""))
            plain = self.status.get("handledResets", {}).get("resetRequested") != token
            submitted = job is None or bool(self.simulator.state.refreshed(job).url_submitted)
            self.story.asked_at = self.loop.time() if plain and submitted else None

    def delete(self) -> None:
        if self.lives:
            self.cluster.remove(REF)

    def wipe(self) -> None:
        if self.lives:
            self.story.wiped.add(self.uid)
            self.story.requests += 1
            self.cluster.wipe_status(REF)

    # --- ESA ----------------------------------------------------------------------------------------------------

    def fault(self, kind: Any, action: str | None = None, **options: Any) -> None:
        """Let a call fail; of what comes late each call meets one, or it would outlive what everybody waits for."""
        waiting = {rule.action for rule in self.simulator.faults.rules if rule.kind in _LATE and rule.times != 0}
        if kind not in _LATE or action not in waiting:
            self.simulator.faults.add(Fault(kind, action=action, **options))

    def jobs(self, uid: str = "") -> list[dict[str, Any]]:
        """Return the jobs that were made for the resource with this uid, or for any."""
        control = self.simulator.control
        found = [control.job(job_id) for job_id in list(self.simulator.state.jobs) if job_id not in self.strangers]
        return [job for job in found if job["name"].startswith(f"{PREFIX}-{uid[:8]}")]

    def executions(self) -> list[Execution]:
        jobs = self.simulator.state.jobs
        return [execution for job in self.jobs() for execution in jobs[job["id"]].executions.values()]

    def suspect_windows(self) -> None:
        """Let the list of the site say at once that something does not fit, instead of with its next turn."""
        assert self.process is not None
        tracked = self.process.registry.get(REF)
        assert tracked is not None
        self.process.members.tell(tracked, WindowsSuspected())

    def calls(self, since: float = 0.0) -> list[Entry]:
        """Return the calls since a moment of the loop's clock."""
        return [entry for entry in self.simulator.calls.select() if entry.time >= WALL + since]

    def texts(self) -> dict[str, str]:
        """Return the lists of URLs by the names of the jobs that were made from them."""
        made = self.simulator.calls.select(action=CREATE)
        return {entry.params["Name"]: entry.params["UrlList"] for entry in made}

    def heal(self) -> None:
        """Let ESA, the API server and the network work, let there be a resource again, and nothing scheduled."""
        self.simulator.faults.clear()
        self.outside.write_faults.clear()
        self.cluster.watch_delay = LATENCY
        self.simulator.state.settings.max_jobs_per_site = None
        self.edit(resetSchedule=None)
        self.create()

    def _stranger(self, name: str) -> str:
        job = Job(self.simulator.state.new_id(), KEY.ali_uid, SITE, name, 0, url_count=3)
        self.simulator.state.add_job(job)
        return job.id

    # --- windows ------------------------------------------------------------------------------------------------

    def window(self, kind: str, slice_len: int) -> dict[str, Any]:
        """Return a window of the spec, its times counted from now."""
        now = int(self.outside.clock.wall())
        bounds = {
            "soon": (now + 60, now + 300),
            "long": (now + 30, now + 30 * DAY),
            "far": (now + 20 * DAY, now + 40 * DAY),
            "past": (now - 2 * HOUR, now - HOUR),
            "twin": (int(WALL) + 30 * DAY, int(WALL) + 50 * DAY),
        }
        durations = {"now": "2h", "nowlong": "700h", "each": "30m", "eachlong": "700h"}
        fields: dict[str, Any] = {"intervalSeconds": SLOW, "sliceLen": slice_len}
        if kind in durations:
            return fields | {"duration": durations[kind]} | ({"onReset": True} if kind.startswith("each") else {})
        start, end = bounds[kind]
        return fields | {"startTime": format_time(start), "endTime": format_time(end)}

    def put_window(self, slot: str, window: dict[str, Any] | None) -> None:
        """Let the spec have a window under a name; None takes it away."""
        others = [each for each in self.spec.get("executions", []) if each["name"] != slot]
        self.story.put[slot] = self.outside.clock.wall()
        self.edit(executions=[*others, {"name": slot} | window] if window is not None else others)
