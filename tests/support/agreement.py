"""Whether a resource's spec, its status and ESA agree, as they must once everything has come to rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from esa_preload_operator.domain.spec import instant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Json = dict[str, Any]

OPEN: Final = {"waiting", "running", "stopped"}
ENDED: Final = {"finished", "failed"}
FOREIGN: Final = 50
"""Executions of so many URLs a batch are not the operator's."""


@dataclass(frozen=True)
class Agreement:
    """A resource as the API server shows it, and its jobs as the simulator does.

    `texts` are the lists of URLs by the name of the job that was made from them.
    """

    body: Json
    jobs: Sequence[Json]
    texts: Mapping[str, str]
    now: float
    """Epoch seconds."""
    stopped_by_hand: bool = False

    @property
    def spec(self) -> Json:
        return dict(self.body["spec"])

    @property
    def status(self) -> Json:
        return dict(self.body.get("status", {}))

    @property
    def suspended(self) -> bool:
        return bool(self.spec.get("suspend"))

    def differences(self) -> list[str]:
        """Say what is wrong."""
        return [*self._about_work(), *self._about_job(), *self._about_windows(), *self._about_requests()]

    def _about_work(self) -> Iterator[str]:
        for name in ("creating", "retiredJobs"):
            if name in self.status:
                yield f"{name} at rest: {self.status[name]}"
        if self.status.get("reset", {}).get("phase") in {"InFlight", "Retrying"}:
            yield f"a reset at rest: {self.status['reset']}"

    def _about_job(self) -> Iterator[str]:
        if self.suspended:
            if len(self.jobs) > 1 and self.status.get("jobId"):  # of a wiped status nothing is looked for
                yield f"{len(self.jobs)} jobs while suspended"
            return
        if len(self.jobs) != 1:
            yield f"{len(self.jobs)} jobs: {[job['name'] for job in self.jobs]}; {self.status}"
            return
        (job,) = self.jobs
        if self.status.get("jobId") != job["id"]:
            yield f"job {job['id']} at ESA, {self.status.get('jobId')} in the status"
        wanted = self.spec["source"].get("urls")
        if wanted is not None and self.texts.get(job["name"], "").split("\n") != wanted:
            yield f"made from {self.texts.get(job['name'], '')[:200]!r}"
        none: Json = {}
        ready = next((each for each in self.status.get("conditions", ()) if each["type"] == "Ready"), none)
        if ready.get("status") != "True":
            yield f"not ready: {ready}"

    def _about_windows(self) -> Iterator[str]:
        entries = {entry["name"]: entry for entry in self.status.get("executions", [])}
        job = next((job for job in self.jobs if job["id"] == self.status.get("jobId")), {})
        found = {execution["id"]: execution for execution in job.get("executions", [])}
        wanted = {window["name"]: window for window in self.spec.get("executions", [])}
        if set(entries) != set(wanted) and not self.suspended:
            yield f"entries {sorted(entries)}, windows {sorted(wanted)}"
        for name, entry in entries.items():
            execution = found.pop(entry.get("id", ""), None)
            if execution is None:
                yield from self._without_execution(entry, wanted.get(name))
            else:
                yield from self._with_execution(entry, execution, wanted.get(name))
        yield from (f"a window too many: {each}" for each in found.values() if each["sliceLen"] < FOREIGN)

    def _without_execution(self, entry: Json, window: Json | None) -> Iterator[str]:
        if entry.get("id") and entry["state"] not in (ENDED | ({"stopped"} if self.suspended else set())):
            yield f"{entry['name']} has the id of nothing"
        if window is not None and not self.suspended and self._should_be_open(entry, window):
            yield f"{entry['name']} is not open: {entry}"

    def _with_execution(self, entry: Json, execution: Json, window: Json | None) -> Iterator[str]:
        name, state = entry["name"], execution["status"]
        if entry["state"] != state:
            yield f"{name} is {state}, shown {entry['state']}"
        rests = self.suspended and state == "stopped"  # somebody's change is undone when the resource goes on
        if state not in ENDED and not rests and _shown(entry) != _is(execution):
            yield f"{name} is shown as {_shown(entry)} and is {_is(execution)}"
        if self.suspended:
            if state in {"waiting", "running"}:
                yield f"{name} is {state} while suspended"
            return
        if entry.get("stopped"):
            yield f"{name} is marked as stopped"
        if state == "stopped" and not self.stopped_by_hand:
            yield f"{name} stays stopped"
        if window is not None and state in OPEN and epoch(execution["endTime"]) > self.now:
            yield from self._against_spec(execution, window)

    def _against_spec(self, execution: Json, window: Json) -> Iterator[str]:
        start, end, *numbers = _is(execution)
        if numbers != [window["intervalSeconds"], window["sliceLen"]] and not window.get("onReset"):
            yield f"{window['name']} has the numbers {numbers}"
        if "endTime" in window and end != epoch(window["endTime"]):
            yield f"{window['name']} ends at {execution['endTime']}"
        if "startTime" in window and start > self.now and start != epoch(window["startTime"]):
            yield f"{window['name']} starts at {execution['startTime']}"

    def _should_be_open(self, entry: Json, window: Json) -> bool:
        if entry["state"] in ENDED:
            return False
        if window.get("onReset"):
            return "endTime" in entry and epoch(entry["endTime"]) > self.now
        return "endTime" not in window or epoch(window["endTime"]) > self.now

    def _about_requests(self) -> Iterator[str]:
        token = self.body["metadata"].get("annotations", {}).get("resetRequested")
        if token and not self.suspended and self.status.get("handledResets", {}).get("resetRequested") != token:
            yield f"{token} is not handled: {self.status.get('reset')}"


def _shown(entry: Json) -> list[int]:
    return [epoch(entry["startTime"]), epoch(entry["endTime"]), entry["intervalSeconds"], entry["sliceLen"]]


def _is(execution: Json) -> list[int]:
    start, end = epoch(execution["startTime"]), epoch(execution["endTime"])
    return [start, end, execution["interval"], execution["sliceLen"]]


def epoch(text: str) -> int:
    moment = instant(text)
    assert moment is not None, text
    return int(moment.timestamp())
