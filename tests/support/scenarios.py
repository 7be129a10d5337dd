"""Resets that meet trouble at ESA, all of them side by side under one operator."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from esa_preload_operator.resources.job import RESET_KEY
from support.calls import GET, RESET
from support.crashes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.world import World

ACCESS_KEY_ID: Final = "LTAI5tNobodyMaySeeThis"
ACCESS_KEY_SECRET: Final = "0Sesame1Sesame2Sesame3Sesame4"
SIGNED_URL: Final = "https://b.oss.example.com/list.txt?OSSAccessKeyId=x&Signature=abc"
QUOTED: Final = f"for {ACCESS_KEY_ID} with {ACCESS_KEY_SECRET}: server string to sign is:POST\n/\nSignature={'ab' * 32}"
"""An error message that quotes what nobody may see, as ESA's gateway does with the signed request."""


@dataclass(frozen=True)
class Scenario:
    """What goes wrong with one job's calls, and what has to come of it.

    Attributes:
        faults: rules of the simulator, for this job only.
        seeds: fields of the job in ESA; None: there is no such job.
        job_id: in place of the job's own.
        calls: how often ESA is asked to reset; None: any number.
        ends_as: reason of the Event about the end.
        before: reason of the Event that tells of the trouble meanwhile.
    """

    faults: tuple[Mapping[str, Any], ...] = ()
    seeds: Mapping[str, Any] | None = field(default_factory=dict)
    job_id: str | None = None
    calls: int | None = 1
    ends_as: str = "ResetSucceeded"
    before: str | None = None


def at(action: str, kind: str, **options: Any) -> tuple[Mapping[str, Any], ...]:
    return ({"action": action, "kind": kind, **options},)


def answer(**fields: Any) -> tuple[Mapping[str, Any], ...]:
    """All answers about the job carry these fields."""
    return ({"kind": "override", "times": None, "fields": fields},)


def body(text: str) -> tuple[Mapping[str, Any], ...]:
    """The reset is done and answered with exactly this; `ID` is the job's."""
    return at(RESET, "garbage", status=200, when="after", body=text)


def refused(action: str, status: int, code: str, **options: Any) -> tuple[Mapping[str, Any], ...]:
    return at(action, "refuse", status=status, code=code, **options)


AGAIN: Final[dict[str, Any]] = {"calls": 2}
CONFIRMED: Final[dict[str, Any]] = {"ends_as": "ResetConfirmed"}

LOST: Final = {
    "the answer is lost after the work": Scenario(at(RESET, "drop_after"), **CONFIRMED),
    "the call is lost before the work": Scenario(at(RESET, "drop_before"), **AGAIN),
    "the answer comes too late": Scenario(at(RESET, "delay", when="after", seconds=5), **CONFIRMED),
    "the work is done too late": Scenario(at(RESET, "delay", seconds=2.5), **CONFIRMED),
    "a page of HTML, no work": Scenario(at(RESET, "garbage", status=200), **AGAIN),
    "a page of HTML, work done": Scenario(at(RESET, "garbage", status=200, when="after"), **CONFIRMED),
    "half an answer, no work": Scenario(at(RESET, "garbage", status=200, truncated=True), **AGAIN),
    "half an answer, work done": Scenario(at(RESET, "garbage", status=200, truncated=True, when="after"), **CONFIRMED),
    "a gateway's 502, work done": Scenario(at(RESET, "garbage", status=502, when="after"), **CONFIRMED),
    "500, no work": Scenario(refused(RESET, 500, "InternalError"), **AGAIN),
    "500, work done": Scenario(refused(RESET, 500, "InternalError", when="after"), **CONFIRMED),
    "503, no work": Scenario(refused(RESET, 503, "ServiceUnavailable"), **AGAIN),
    "503, work done": Scenario(refused(RESET, 503, "ServiceUnavailable", when="after"), **CONFIRMED),
    "an empty object, work done": Scenario(body("{}"), **CONFIRMED),
    "endless nesting, work done": Scenario(body("[" * 100_000), **CONFIRMED),
}
"""Nobody knows at first whether ESA did it."""

REFUSED: Final = {
    "throttled": Scenario(at(RESET, "throttle"), **AGAIN, before="Throttled"),
    "throttled for a while": Scenario(at(RESET, "throttle", retry_after_ms=3000), **AGAIN, before="Throttled"),
    "busy": Scenario(refused(RESET, 400, "Site.ServiceBusy"), **AGAIN, before="ServiceUnavailable"),
    "the look is throttled": Scenario(at(GET, "throttle", times=2), before="Throttled"),
    "the look gets 503": Scenario(refused(GET, 503, "ServiceUnavailable"), before="ServiceUnavailable"),
    "the look gets HTML": Scenario(at(GET, "garbage", status=200), before="ServiceUnavailable"),
    "the look gets no answer": Scenario(at(GET, "drop_after"), before="ServiceUnavailable"),
}
"""ESA did nothing, and time heals it."""

ACCOUNT: Final = {
    "permission denied": ("AccessDenied", refused(RESET, 403, "InvalidUid.PermissionDenied", times=None)),
    "the look is not allowed": ("AccessDenied", refused(GET, 403, "NoPermission", times=None)),
    "a wrong signature": (
        "CredentialsInvalid",
        refused(GET, 400, "SignatureDoesNotMatch", times=None, message=f"not matched {QUOTED}"),
    ),
    "a quota": ("QuotaExceeded", refused(RESET, 400, "InvalidJob.JobCountOfSiteFull", times=None)),
    "an unpaid bill": ("AccountUnusable", refused(RESET, 400, "Account.Arrearage", times=None)),
    "an unknown code when called": (
        "EsaError",
        refused(RESET, 400, "Strange.New", times=None, message=f"no {QUOTED}"),
    ),
    "an unknown code at the look": ("EsaError", refused(GET, 409, "Strange.New", times=None, message="because")),
}
"""The account's owner heals; reason and faults."""

REJECTED: Final = {
    "QuotaExcess": Scenario(seeds={"errorInfo": "QuotaExcess", "failedFileOss": SIGNED_URL}),
    "InvalidDomain": Scenario(seeds={"errorInfo": "invalid domain:test.com", "failedFileOss": SIGNED_URL}),
    "OtherErrors": Scenario(seeds={"errorInfo": "something else", "failedFileOss": SIGNED_URL}),
}
"""ESA did it with HTTP 200 and an ErrorInfo; the key is the reason."""

AUTHOR: Final = {
    "JobNotFound": Scenario(seeds=None, calls=0),
    "InvalidJobId": Scenario(seeds=None, calls=0, job_id="not-an-object-id"),
    "JobNotFound when called": Scenario(refused(RESET, 404, "InvalidJob.NotFound", message=f"no {QUOTED}")),
}
"""The author heals: the key begins with the reason."""

LONG: Final = "ä" * 5_000
TEXTS: Final = ("Name", "Domains", "ErrorInfo", "FailedFileOss", "TaskType", "InsertWay", "FileId", "AliUid")
COUNTERS: Final = ("UrlCount", "UrlSubmitted", "TaskSubmitted", "SiteId")


def counters(value: Any) -> tuple[Mapping[str, Any], ...]:
    return answer(**dict.fromkeys(COUNTERS, value))


STRANGE: Final = {
    **{
        f"created at {value!r}": Scenario(answer(CreatedAt=value))
        for value in ("yesterday", "0000-00-00T00:00:00Z", "9999-12-31T23:59:59-23:59", 1717294406, None, "", {"a": 1})
    },
    "Beijing time without a colon": Scenario(answer(CreatedAt="2024-06-02T10:11:12+0800")),
    "very long texts": Scenario(answer(**dict.fromkeys(TEXTS, LONG))),
    "control characters": Scenario(answer(**dict.fromkeys(TEXTS, "a\0b\x1b[31m\r\n\x7f\u2028\ufeff"))),
    "lists and objects for texts": Scenario(answer(**{name: [{"a": [1]}] for name in TEXTS})),
    "counters as texts": Scenario(counters("12")),
    "negative counters": Scenario(counters(-5)),
    "huge counters": Scenario(counters(2**80)),
    "counters with a point": Scenario(counters(1.5)),
    "no counters": Scenario(counters(None)),
    "counters of a strange kind": Scenario(counters([True])),
    "words that nobody knows": Scenario(answer(InsertWay="carrierPigeon", TaskType="prewarm2", Unknown={"x": 1})),
    "an answer of nothing but the id": Scenario(body('{"Id": "ID"}')),
    "half a character": Scenario(body('{"Id": "ID", "Name": "\\ud800", "ErrorInfo": "\\udfff"}')),
    "numbers that are none": Scenario(
        body('{"Id": "ID", "UrlCount": NaN, "UrlSubmitted": 1e999, "SiteId": -Infinity}')
    ),
}
"""ESA did it and says so, in words that nobody has foreseen."""


@dataclass
class Running:
    """All scenarios under one operator; job numbers and fault ids by the scenario's name."""

    world: World
    numbers: dict[str, int] = field(default_factory=dict)
    rules: dict[str, list[int]] = field(default_factory=dict)

    def begin(self, name: str, scenario: Scenario) -> None:
        world = self.world
        number = self.numbers[name] = len(self.numbers) + 1
        if scenario.seeds is not None:
            world.seed(number, **scenario.seeds)
        self.rules[name] = [self._fault(number, dict(fault)) for fault in scenario.faults]
        world.create(number, annotations={RESET_KEY: "t1"}, jobId=scenario.job_id or world.esa_id(number))

    def _fault(self, number: int, fault: dict[str, Any]) -> int:
        job = self.world.esa_id(number)
        if "body" in fault:
            fault["body"] = fault["body"].replace("ID", job)
        return self.world.fault(fault.pop("kind"), job_id=job, **fault)

    def heal(self, name: str) -> None:
        for rule in self.rules[name]:
            self.world.simulator.clear_faults(rule)

    async def ended(self, name: str) -> None:
        number = self.numbers[name]
        await self.world.until(lambda: self.world.status(number).get("handledResets"), PATIENCE)

    async def told(self, number: int, reason: str) -> dict[str, Any]:
        """Wait for an Event about a job."""
        event: dict[str, Any] = await self.world.until(lambda: self.events(number).get(reason))
        return event

    def events(self, number: int) -> dict[str, dict[str, Any]]:
        """Return the Events about a job by their reasons."""
        return {event["reason"]: event for event in self.world.events() if event["regarding"]["name"] == f"j{number}"}


def credential(world: World, **changes: Any) -> dict[str, Any]:
    """Return a world's credentials as the simulator takes them."""
    own = {"accessKeyId": world.access_key_id, "accessKeySecret": world.access_key_secret, "aliUid": world.account}
    return own | changes


def use_telling_credentials(world: World) -> None:
    """Give the world credentials that can be told from ordinary words, wherever they turn up."""
    world.access_key_id, world.access_key_secret = ACCESS_KEY_ID, ACCESS_KEY_SECRET
    world.simulator.add_credentials([credential(world)])


def shown(world: World) -> str:
    """Return everything that people get to see: objects, Events and logs."""
    objects = world.api.call(
        "GET", f"/apis/esa.preload-operator.io/v1alpha1/namespaces/{world.namespace}/scheduledpreloadjobs"
    )
    logs = "".join(path.read_text(errors="replace") for path in world.folder.glob("operator-*.log"))
    return json.dumps([objects.body, world.events()], ensure_ascii=False) + logs
