"""Operators that die at a chosen request, and their successors."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from esa_preload_operator.resources.job import RESET_KEY
from support.api_proxy import Match

if TYPE_CHECKING:
    from support.api_proxy import ApiProxy, Exchange
    from support.operator_process import OperatorProcess
    from support.world import Status, World

SETTINGS: Final = {"REQUEST_TIMEOUT": "1s", "NETWORK_GRACE": "1s", "LEADER_ELECTION": "false"}
"""Without an election a successor need not wait for a dead leader's lease; the test lets only one process run."""
PATIENCE: Final = 120.0
"""Seconds; a busy machine takes long to start an operator, and waiting costs nothing when all is well."""


@dataclass(frozen=True)
class Point:
    """A moment in a reset: one of its requests, counted from 0 on each side.

    `after` means that the work is done and the operator never learns it; else the request does not arrive.
    """

    side: Literal["Kubernetes", "ESA"]
    number: int
    what: str
    after: bool = False

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.side} {self.number} {self.what}"


@dataclass(frozen=True)
class Ending:
    """How a reset ended; `undecidable` is what the metric of the last operator says."""

    number: int
    status: Status
    resets: int
    undecidable: float


@dataclass
class Lane:
    """One world with one operator at a time, which dies at chosen points; each reset is about a job of its own."""

    world: World
    proxy: ApiProxy
    operator: OperatorProcess | None = None
    made: int = 0
    _since: tuple[int, int] = field(default=(0, 0))

    def start(self) -> OperatorProcess:
        """Start an operator, the only one."""
        if self.operator is not None:
            self.operator.kill()
        self.operator = self.world.operator(self.proxy.kubeconfig, **SETTINGS)
        return self.operator

    async def reset(self, submitted: int, *crashes: Point) -> Ending:
        """Ask for the reset of a new job, let one operator after the other die at these points, wait for the end."""
        self.made += 1
        number = self.made
        self.world.seed(number, urlSubmitted=submitted)
        if self.operator is None:
            self.start()
        self._mark()
        deaths = self._plan(number, crashes[:1])
        self.world.create(number, annotations={RESET_KEY: "t1"})
        for follower in range(1, len(crashes) + 1):
            await asyncio.gather(*deaths)
            self._mark()
            deaths = self._plan(number, crashes[follower : follower + 1])
            self.start()
        status = await self.world.handled(number, timeout=PATIENCE)
        assert self.operator is not None
        counted = await asyncio.to_thread(metric, self.operator, "esa_operator_resets_undecidable_total")
        return Ending(number, status, self.world.resets(number), counted)

    async def points(self, submitted: int, *crashes: Point) -> list[Point]:
        """Return the points of an undisturbed reset, or those that are left to its last successor."""
        number = (await self.reset(submitted, *crashes)).number
        await self.world.until(lambda: self._trace(number)[-1].what == "POST events")
        return [
            Point(each.side, each.number, each.what, after) for each in self._trace(number) for after in (False, True)
        ]

    def writes(self, number: int, since: int = 0) -> list[str]:
        """Return the writes about a job as method and last part of the path."""
        found = [each for each in self.proxy.log[since:] if _is_write(each, number)]
        return [f"{each.method} {each.path.rsplit('/', 1)[1]}" for each in found]

    def _mark(self) -> None:
        self._since = (len(self.proxy.log), self.world.simulator.last_call())

    def _trace(self, number: int) -> list[Point]:
        """Return the requests about a job since the mark, as points before them."""
        log, calls = self._since
        asked = [each["action"] for each in self._calls(number, calls)]
        return [
            *(Point("ESA", position, action) for position, action in enumerate(asked)),
            *(Point("Kubernetes", position, what) for position, what in enumerate(self.writes(number, log))),
        ]

    def _calls(self, number: int, since: int) -> list[dict[str, Any]]:
        return self.world.simulator.calls(job_id=self.world.esa_id(number), since=since)

    def _plan(self, number: int, crashes: tuple[Point, ...]) -> list[asyncio.Task[None]]:
        plans = {"ESA": self._die_over_call, "Kubernetes": self._die_over_write}
        return [asyncio.create_task(plans[point.side](number, point)) for point in crashes]

    async def _die_over_write(self, number: int, point: Point) -> None:
        dead = asyncio.Event()
        met = 0

        async def strike(request: Exchange) -> None:
            nonlocal met
            if not _is_write(request, number):
                return
            met += 1
            if met == point.number + 1:
                self._kill()
                dead.set()
                if not point.after:
                    await asyncio.Event().wait()  # the request is never passed on

        hook = self.proxy.after if point.after else self.proxy.before
        rule = hook(Match(), strike, times=None)
        async with asyncio.timeout(PATIENCE):
            await dead.wait()
        rule.remove()

    async def _die_over_call(self, number: int, point: Point) -> None:
        simulator, since = self.world.simulator, self._since[1]
        when = "after" if point.after else "before"
        job = self.world.esa_id(number)
        rule = simulator.fault("hang", job_id=job, when=when, skip=point.number, times=1)

        def there() -> bool:
            found = self._calls(number, since)
            return len(found) > point.number and (found[point.number]["executed"] or not point.after)

        await self.world.until(there, PATIENCE, every=0.02)
        self._kill()
        simulator.clear_faults(rule, abandon=True)

    def _kill(self) -> None:
        assert self.operator is not None
        self.operator.kill()


def _is_write(request: Exchange, number: int) -> bool:
    if request.method == "GET" or not isinstance(request.body, dict | list):
        return False
    if re.search(rf"/j{number}(/status)?$", request.path):
        return True
    return isinstance(request.body, dict) and request.body.get("regarding", {}).get("name") == f"j{number}"


def metric(operator: OperatorProcess, name: str) -> float:
    """Return the sum of a metric over its labels, 0 if it was never counted."""
    url = f"http://127.0.0.1:{operator.ports()[1]}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if re.match(rf"{name}(\{{| )", line))
