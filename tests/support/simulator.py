"""The simulator for tests, demo and bench: as a process of its own, steered over its control API."""

import asyncio
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

ACCESS_KEY_ID = "simulator-key-id"
ACCESS_KEY_SECRET = "simulator-key-secret"
ALI_UID = "1000000000000001"
SITE_ID = 190007158391808

_SOURCES = Path(__file__).parents[2] / "operator"
_READY = "esa-simulator ready at "

Json = Any
JsonObject = Mapping[str, Json]


def job_id(number: int) -> str:
    """An id of ESA's form, the same for the same number."""
    return f"665d3af3{number:016x}"


class SimulatorControl:
    """A small client of the control API; each method is one request, with values as the API takes them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._address = urlsplit(url).netloc
        self._prefix = urlsplit(url).path  # a proxy may stand in between

    def request(self, method: str, path: str, body: Json = None) -> Json:
        connection = http.client.HTTPConnection(self._address, timeout=60)
        try:
            content = None if body is None else json.dumps(body).encode()
            connection.request(method, f"{self._prefix}/_sim{path}", content)
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            message = f"{method} /_sim{path}: {response.status} {answer}"
            raise RuntimeError(message)
        return answer

    def seed_jobs(self, jobs: Sequence[JsonObject]) -> list[str]:
        return list(self.request("POST", "/jobs", list(jobs))["ids"])

    def seed_executions(self, executions: Sequence[JsonObject]) -> list[str]:
        return list(self.request("POST", "/executions", list(executions))["ids"])

    def job(self, job_id: str) -> dict[str, Json]:
        return dict(self.request("GET", f"/jobs/{quote(job_id)}"))

    def jobs(self) -> list[dict[str, Json]]:
        return list(self.request("GET", "/jobs")["jobs"])

    def change_job(self, job_id: str, **changes: Json) -> dict[str, Json]:
        return dict(self.request("PATCH", f"/jobs/{quote(job_id)}", changes))

    def delete_job(self, job_id: str) -> bool:
        return bool(self.request("DELETE", f"/jobs/{quote(job_id)}")["deleted"])

    def add_credentials(self, credentials: Sequence[JsonObject]) -> None:
        self.request("POST", "/credentials", list(credentials))

    def delete_credential(self, access_key_id: str) -> bool:
        return bool(self.request("DELETE", f"/credentials/{quote(access_key_id)}")["deleted"])

    def fault(self, kind: str, **options: Json) -> int:
        """Put one rule in force; its id."""
        return int(self.request("POST", "/faults", [{"kind": kind, **options}])["ids"][0])

    def faults(self) -> list[dict[str, Json]]:
        return list(self.request("GET", "/faults")["faults"])

    def clear_faults(self, fault_id: int | None = None, *, abandon: bool = False) -> None:
        path = "/faults" if fault_id is None else f"/faults/{fault_id}"
        self.request("DELETE", f"{path}?abandon=true" if abandon else path)

    def settings(self, **changes: Json) -> dict[str, Json]:
        return dict(self.request("PATCH", "/settings", changes))

    def clock(self, *, freeze: bool | None = None, advance_seconds: float = 0) -> None:
        changes: dict[str, Json] = {"advanceSeconds": advance_seconds}
        self.request("POST", "/clock", changes if freeze is None else {"freeze": freeze, **changes})

    def calls(self, action: str | None = None, *, job_id: str | None = None, since: int = 0) -> list[dict[str, Json]]:
        query = {name: value for name, value in (("action", action), ("jobId", job_id), ("since", since)) if value}
        return list(self.request("GET", f"/calls?{urlencode(query)}")["calls"])

    def last_call(self) -> int:
        """The sequence number to give as `since`."""
        return int(self.request("GET", f"/calls?since={2**53}")["last"])

    def call_counts(self) -> dict[str, dict[str, int]]:
        """How often each action ended in each outcome."""
        return dict(self.request("GET", f"/calls?since={2**53}")["counts"])

    def clear_calls(self) -> None:
        self.request("DELETE", "/calls")

    def resets(self) -> dict[str, int]:
        """How many resets were executed, per job; also those whose answers were lost."""
        return dict(self.request("GET", "/resets")["resets"])

    def clear_resets(self) -> None:
        self.request("DELETE", "/resets")

    def clear(self) -> None:
        """Leave nothing of what was there: no job, no fault and no count; calls that hang are dropped."""
        for job in self.jobs():
            self.delete_job(job["id"])
        self.clear_faults(abandon=True)
        self.clear_calls()
        self.clear_resets()


class AsyncSimulatorControl:
    """The frequent ones of them for coroutines."""

    def __init__(self, control: SimulatorControl) -> None:
        self.control = control

    async def seed_jobs(self, jobs: Sequence[JsonObject]) -> list[str]:
        return await asyncio.to_thread(self.control.seed_jobs, jobs)

    async def job(self, job_id: str) -> dict[str, Json]:
        return await asyncio.to_thread(self.control.job, job_id)

    async def change_job(self, job_id: str, **changes: Json) -> dict[str, Json]:
        return await asyncio.to_thread(self.control.change_job, job_id, **changes)

    async def fault(self, kind: str, **options: Json) -> int:
        return await asyncio.to_thread(self.control.fault, kind, **options)

    async def clear_faults(self, fault_id: int | None = None, *, abandon: bool = False) -> None:
        await asyncio.to_thread(self.control.clear_faults, fault_id, abandon=abandon)

    async def calls(
        self, action: str | None = None, *, job_id: str | None = None, since: int = 0
    ) -> list[dict[str, Json]]:
        return await asyncio.to_thread(self.control.calls, action, job_id=job_id, since=since)

    async def resets(self) -> dict[str, int]:
        return await asyncio.to_thread(self.control.resets)

    async def wait_for_calls(
        self, action: str, number: int = 1, *, since: int = 0, deadline: float = 10
    ) -> list[dict[str, Json]]:
        """The calls of an action as soon as there are so many, answered or not."""
        ends = time.monotonic() + deadline
        while len(calls := await self.calls(action, since=since)) < number:
            if time.monotonic() > ends:
                message = f"{len(calls)} of {number} calls of {action} after {deadline} s"
                raise TimeoutError(message)
            await asyncio.sleep(0.01)
        return calls


class SimulatorProcess(SimulatorControl):
    """`python -m esa_simulator` on a free port, ending with this process: `with SimulatorProcess() as sim: sim.url`."""

    def __init__(self, *arguments: str, port: int = 0) -> None:
        environment = {**os.environ, "PYTHONPATH": str(_SOURCES)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "esa_simulator", "--port", str(port), "--exit-with-stdin", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith(_READY):
            self.stop()
            message = f"the simulator did not start: {line!r}"
            raise RuntimeError(message)
        super().__init__(line.removeprefix(_READY).strip())
        self.aio = AsyncSimulatorControl(self)

    def stop(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
