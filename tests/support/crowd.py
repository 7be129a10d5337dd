"""Many resources under one operator, each held at a point of its own, so that one kill strikes all of them there."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from support.api_proxy import Match
from support.life import FAST, create, jobs_of, uid

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.api_proxy import ApiProxy, Exchange
    from support.operator_process import OperatorProcess
    from support.world import World

PATIENT: Final = FAST | {"REQUEST_TIMEOUT": "8s", "REFRESH_IDLE": "24h", "REFRESH_ACTIVE": "24h"}
"""The first operator waits for whoever is held, as long as the API server lets it, and lists nothing by itself."""
SHARED: Final = {"LEADER_ELECTION": "false", "CREDENTIALS_SECRET_NAMES": "*", "WORKERS": "200"}
LONG: Final = 120.0

Fate = Literal["stored", "done", "lost", "late"]
"""Of the request at which the operator dies: a write was stored; a call was carried out, was lost, or is carried out
once the next operator leads."""


@dataclass(frozen=True)
class Point:
    """The moment at which the operator dies over a resource: one of its writes or calls, counted from 0."""

    fate: Fate
    number: int
    what: str

    def __str__(self) -> str:
        return f"{self.what} {self.number} {self.fate}"


@dataclass(frozen=True)
class Scenario:
    """What people do to a resource: `prepare` has come to rest before `change`."""

    prepare: Callable[[World, int], None] | None
    change: Callable[[World, int], None]
    spec: dict[str, Any] = field(default_factory=dict)


@dataclass
class Member:
    """One resource of the crowd, and where it is held."""

    number: int
    name: str
    scenario: Scenario
    point: Point | None = None
    rule: int = 0
    uid: str = ""
    held: asyncio.Event = field(default_factory=asyncio.Event)
    writes: int = 0
    stopped: bool = False

    def __str__(self) -> str:
        return f"j{self.number}, {self.name}, {self.point}"


@dataclass
class Crowd:
    """One namespace; each resource has an access key of its own, by which its calls are told."""

    world: World
    proxy: ApiProxy
    members: list[Member] = field(default_factory=list)

    def operator(self, **settings: str) -> OperatorProcess:
        return self.world.operator(self.proxy.kubeconfig, **settings | SHARED).wait_to_lead()

    def join(self, name: str, scenario: Scenario, point: Point | None = None) -> Member:
        """Add a member with an access key of its own, and make its resource unless the change does."""
        member = Member(len(self.members) + 1, name, scenario, point)
        self.members.append(member)
        key, secret = self._key(member), self.world.access_key_secret
        values = {"accessKeyId": key, "accessKeySecret": secret, "aliUid": self.world.account}
        self.world.simulator.add_credentials([values])
        self.world.make_secret(f"esa-{member.number}", accessKeyId=key)
        if scenario.prepare is not None:
            self.make(member)
        return member

    def prepare(self, member: Member) -> None:
        """Bring a resource that was made to the state that is changed then."""
        if member.scenario.prepare is not None:
            member.scenario.prepare(self.world, member.number)

    def make(self, member: Member) -> None:
        secret = {"credentialsSecretRef": {"name": f"esa-{member.number}"}}
        create(self.world, member.number, **secret | member.scenario.spec)

    def change(self, member: Member) -> None:
        """Do what the operator dies over."""
        if member.scenario.prepare is None:
            self.make(member)
        member.uid = uid(self.world, member.number)
        member.scenario.change(self.world, member.number)

    def calls(self, member: Member, since: int = 0) -> list[dict[str, Any]]:
        found = self.world.simulator.calls(since=since)
        return [call for call in found if call["accessKeyId"] == self._key(member)]

    def _key(self, member: Member) -> str:
        return f"{self.world.access_key_id}-{member.number}"

    # --- points -------------------------------------------------------------------------------------------------

    def points(self, member: Member, calls: int, writes: int) -> list[Point]:
        """Return the points of what a member has gone through since these marks."""
        log = [each for each in self.proxy.log[writes:] if _is_write(each, member.number)]
        asked = [call["action"] for call in self.calls(member, calls)]
        stored = [Point("stored", number, each.method) for number, each in enumerate(log)]
        fates: tuple[Fate, ...] = ("done", "lost", "late")
        made = [
            Point(fate, number, action)
            for number, action in enumerate(asked)
            if not action.startswith(("Get", "List"))
            for fate in fates
        ]
        return [*stored, *made]

    async def hold(self, member: Member) -> None:
        """Let the operator come no further than to the member's point."""
        assert member.point is not None
        if member.point.fate == "stored":
            path = rf"/j{member.number}(/status)?$"
            self.proxy.before(Match(path=path), lambda each: self._before(member, each), times=None)
            self.proxy.after(Match(path=path), lambda each: self._after(member, each), times=None)
            return
        member.rule = await asyncio.to_thread(
            self.world.fault,
            "hang",
            access_key_id=self._key(member),
            when="after" if member.point.fate == "done" else "before",
            skip=member.point.number,
            times=1,
        )

    async def _before(self, member: Member, request: Exchange) -> None:
        if member.stopped:
            await asyncio.Event().wait()
        if _is_write(request, member.number):
            member.writes += 1

    async def _after(self, member: Member, request: Exchange) -> None:
        if member.point is None or not _is_write(request, member.number):
            return
        if member.writes == member.point.number + 1:
            member.stopped = True
            member.held.set()
            await asyncio.Event().wait()

    async def held(self, member: Member, since: int) -> None:
        """Wait until the operator stands at the member's point."""
        assert member.point is not None
        if member.point.fate == "stored":
            async with asyncio.timeout(LONG):
                await member.held.wait()
            return
        number, done = member.point.number, member.point.fate == "done"

        def there() -> bool:
            found = self.calls(member, since)
            return len(found) > number and (found[number]["executed"] or not done)

        await self.world.until(there, LONG, every=0.3)

    def release(self, *fates: Fate) -> None:
        """Let what is held be carried out where it is late, and be lost otherwise."""
        for member in self.members:
            if member.rule and member.point is not None and member.point.fate in fates:
                self.world.simulator.clear_faults(member.rule, abandon=member.point.fate != "late")
                member.rule = 0

    def let_go(self) -> None:
        """Hold nobody any more."""
        for member in self.members:
            member.stopped, member.point = False, member.point if member.rule else None

    def leftovers(self, member: Member) -> list[str]:
        """Return the names of jobs that a deleted resource has left."""
        return [job["name"] for job in jobs_of(self.world, member.number, uid=member.uid)]


def _is_write(request: Exchange, number: int) -> bool:
    return request.method in {"PUT", "PATCH"} and re.search(rf"/j{number}(/status)?$", request.path) is not None
