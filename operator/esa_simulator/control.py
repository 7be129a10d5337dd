"""The control API under `/_sim/`: JSON without signatures, for whoever runs the simulator."""

import json
from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import asdict, fields
from typing import Any

from aiohttp import web

from esa_simulator.calls import Calls, Entry
from esa_simulator.errors import EsaError
from esa_simulator.execution_actions import build_execution
from esa_simulator.faults import KINDS, Fault, Faults
from esa_simulator.progress import Execution, Job
from esa_simulator.signature import Credential
from esa_simulator.state import DEFAULT_CREDENTIAL, DEFAULT_SITE, Settings, State
from esa_simulator.wire import micros, moment, zulu

Json = Any
Handler = Callable[[web.Request], Awaitable[web.Response]]


_NONE: frozenset[str] = frozenset()


class SeedError(ValueError):
    """What was sent can't be read; the text says what."""


class Control:
    """Everything that the control API can do, taking and returning plain JSON values."""

    def __init__(self, state: State, faults: Faults, calls: Calls) -> None:
        self.state = state
        self.faults = faults
        self.calls = calls

    def seed(self, content: Mapping[str, Json]) -> None:
        """All at once, as a seed file holds it: settings, credentials, jobs, executions, faults.

        Raises:
            SeedError: something in it can't be read
        """
        unknown = set(content) - {"settings", "credentials", "jobs", "executions", "faults"}
        if unknown:
            raise SeedError(f"unknown: {', '.join(sorted(unknown))}")
        self.change_settings(content.get("settings", {}))
        self.add_credentials(content.get("credentials", []))
        self.seed_jobs(content.get("jobs", []))
        self.seed_executions(content.get("executions", []))
        self.add_faults(content.get("faults", []))

    def seed_jobs(self, jobs: list[Json]) -> list[str]:
        """Create or replace jobs; their ids. Absent fields get plain defaults, an absent id a fresh one."""
        built = [self._job(item) for item in jobs]
        for job in built:
            self.state.add_job(job)
        return [job.id for job in built]

    def _job(self, item: Mapping[str, Json]) -> Job:
        values = _snake(item, Job, without={"created", "executions"}, also={"created_at"})
        created = values.pop("created_at", None)
        values.setdefault("id", self.state.new_id())
        values.setdefault("ali_uid", self._default_account())
        values.setdefault("site_id", DEFAULT_SITE)
        values.setdefault("name", f"job-{values['id']}")
        values.setdefault("file_id", self.state.new_id())
        values["site_id"] = int(values["site_id"])
        values["created"] = self.state.clock.now() if created is None else _moment(created)
        return Job(**values)

    def _default_account(self) -> str:
        return next((credential.ali_uid for credential in self.state.credentials.values()), DEFAULT_CREDENTIAL.ali_uid)

    def job(self, job_id: str) -> Json:
        """A job as it is now, with its executions and the number of resets executed."""
        job = self.state.refreshed(self.state.jobs[job_id])
        return job_json(job) | {"resets": self.state.resets[job.id]}

    def change_job(self, job_id: str, changes: Mapping[str, Json]) -> Json:
        """Change fields of a job in place."""
        job = self.state.refreshed(self.state.jobs[job_id])
        values = _snake(changes, Job, without={"id", "ali_uid", "site_id", "created", "executions"})
        for name, value in values.items():
            setattr(job, name, value)
        return self.job(job_id)

    def seed_executions(self, executions: list[Json]) -> list[str]:
        """Create executions: `jobId`, the API's fields in lower camel case, also `id` and `status`; their ids."""
        return [self._execution(item).id for item in executions]

    def _execution(self, item: Mapping[str, Json]) -> Execution:
        job = self.state.jobs.get(item.get("jobId", ""))
        if job is None:
            raise SeedError(f"no such job: {item.get('jobId')}")
        self.state.refreshed(job)
        wire = {name[:1].upper() + name[1:]: value for name, value in item.items()}
        try:
            execution = build_execution(self.state, job, wire)
        except EsaError as error:
            raise SeedError(f"{error.code}: {error.message}") from None
        execution.id = item.get("id", execution.id)
        execution.status = item.get("status", "waiting")
        execution.next_batch = self.state.clock.now() + execution.period
        self.state.add_execution(job, execution)
        return execution

    def add_credentials(self, credentials: list[Json]) -> None:
        """Add or replace credentials by their access key id."""
        for item in credentials:
            values = _snake(item, Credential)
            values.setdefault("ali_uid", DEFAULT_CREDENTIAL.ali_uid)
            values["deny"] = frozenset(values.get("deny", ()))
            credential = _build(Credential, values)
            self.state.credentials[credential.access_key_id] = credential

    def add_faults(self, rules: list[Json]) -> list[int]:
        """Put fault rules in force; their ids. A `limit` or `lag` holds for ever unless `times` is given."""
        built = []
        for item in rules:
            if item.get("kind") not in KINDS:
                raise SeedError(f"kind must be one of {', '.join(KINDS)}")
            defaults: dict[str, Json] = {"times": None} if item["kind"] in {"limit", "lag"} else {}
            if item["kind"] == "garbage":
                defaults["status"] = 200
            built.append(_build(Fault, defaults | _snake(item, Fault, without={"id", "hits"})))
        return [self.faults.add(fault) for fault in built]

    def list_faults(self) -> list[Json]:
        """The rules in force, with what is left of `times`, and `hits`."""
        return [_camel(asdict(fault)) for fault in self.faults.rules]

    def change_settings(self, changes: Mapping[str, Json]) -> Json:
        """Change settings; all of them as they are now. A new speed holds for executions created from then on."""
        self.state.change_settings(_snake(changes, Settings))
        return _camel(asdict(self.state.settings))

    def change_clock(self, changes: Mapping[str, Json]) -> Json:
        """`freeze` or let go, and `advanceSeconds`; the time as it is then."""
        unknown = set(changes) - {"freeze", "advanceSeconds"}
        if unknown:
            raise SeedError(f"unknown: {', '.join(sorted(unknown))}")
        if "freeze" in changes:
            (self.state.clock.freeze if changes["freeze"] else self.state.clock.resume)()
        self.state.clock.advance(changes.get("advanceSeconds", 0))
        return {"now": moment(self.state.clock.now()).isoformat()}

    def log(self, *, action: str | None = None, job_id: str | None = None, since: int = 0) -> Json:
        """Calls, the last sequence number, and how often each action ended in each outcome."""
        entries = self.calls.select(action=action, job_id=job_id, since=since)
        counts: dict[str, dict[str, int]] = {}
        for (name, outcome), count in self.calls.counts.items():
            counts.setdefault(name, {})[outcome] = count
        return {"calls": [entry_json(entry) for entry in entries], "last": self.calls.seq, "counts": counts}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Serve all of it; each route is a few lines, see `_routes`."""
        for method, path, handler in _routes(self):
            router.add_route(method, f"/_sim{path}", _guarded(handler))


Route = tuple[str, str, Callable[[web.Request, Json], Json]]  # an answer of None is an empty object


def _routes(control: Control) -> list[Route]:
    """Method, path, and what to do with the request and its JSON body."""
    state, faults = control.state, control.faults

    def delete_job(request: web.Request, _: Json) -> Json:
        return {"deleted": state.remove_job(request.match_info["id"])}

    def delete_credential(request: web.Request, _: Json) -> Json:
        return {"deleted": state.credentials.pop(request.match_info["id"], None) is not None}

    def clear_faults(request: web.Request, _: Json) -> None:
        fault_id = request.match_info.get("id")
        faults.clear(None if fault_id is None else int(fault_id), abandon=request.query.get("abandon") == "true")

    def calls(request: web.Request, _: Json) -> Json:
        query = request.query
        return control.log(action=query.get("action"), job_id=query.get("jobId"), since=int(query.get("since", "0")))

    return [
        ("GET", "/healthz", lambda _, __: {"ok": True}),
        ("POST", "/seed", lambda _, body: control.seed(body)),
        ("PUT", "/jobs", lambda _, body: {"ids": control.seed_jobs(_many(body))}),
        ("POST", "/jobs", lambda _, body: {"ids": control.seed_jobs(_many(body))}),
        ("GET", "/jobs", lambda _, __: {"jobs": [control.job(job_id) for job_id in state.jobs]}),
        ("GET", "/jobs/{id}", lambda request, _: control.job(request.match_info["id"])),
        ("PATCH", "/jobs/{id}", lambda request, body: control.change_job(request.match_info["id"], body)),
        ("DELETE", "/jobs/{id}", delete_job),
        ("POST", "/executions", lambda _, body: {"ids": control.seed_executions(_many(body))}),
        ("POST", "/credentials", lambda _, body: control.add_credentials(_many(body))),
        ("DELETE", "/credentials/{id}", delete_credential),
        ("POST", "/faults", lambda _, body: {"ids": control.add_faults(_many(body))}),
        ("GET", "/faults", lambda _, __: {"faults": control.list_faults()}),
        ("DELETE", "/faults", clear_faults),
        ("DELETE", "/faults/{id}", clear_faults),
        ("GET", "/settings", lambda _, __: control.change_settings({})),
        ("PATCH", "/settings", lambda _, body: control.change_settings(body)),
        ("POST", "/clock", lambda _, body: control.change_clock(body)),
        ("GET", "/calls", calls),
        ("DELETE", "/calls", lambda _, __: control.calls.clear()),
        ("GET", "/resets", lambda _, __: {"resets": dict(state.resets)}),
        ("DELETE", "/resets", lambda _, __: state.resets.clear()),
    ]


def _guarded(handler: Callable[[web.Request, Json], Json]) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        try:
            body = json.loads(await request.read() or b"{}")
            return web.json_response(handler(request, body) or {})
        except KeyError as error:
            return web.json_response({"error": f"not found: {error}"}, status=404)
        except (ValueError, TypeError, AttributeError) as error:  # all of them say what is wrong with the body
            return web.json_response({"error": str(error)}, status=400)

    return handle


def _many(body: Json) -> list[Json]:
    return body if isinstance(body, list) else [body]


def job_json(job: Job) -> dict[str, Json]:
    """A job in the control API's own lower camel case."""
    values = _camel(
        {entry.name: getattr(job, entry.name) for entry in fields(job) if entry.name not in {"created", "executions"}}
    )
    values["createdAt"] = zulu(job.created)
    values["executions"] = [execution_json(execution) for execution in job.executions.values()]
    return values


def execution_json(execution: Execution) -> dict[str, Json]:
    """An execution in the control API's own lower camel case."""
    return {
        "id": execution.id,
        "startTime": moment(execution.start).isoformat(),
        "endTime": None if execution.end is None else moment(execution.end).isoformat(),
        "interval": execution.interval,
        "sliceLen": execution.slice_len,
        "status": execution.status,
    }


def entry_json(entry: Entry) -> dict[str, Json]:
    """A call of the log."""
    return _camel({field.name: getattr(entry, field.name) for field in fields(entry)})


def _moment(value: Json) -> int:
    return int(value * 1_000_000) if isinstance(value, int | float) else micros(value)


def _camel(values: Mapping[str, Json]) -> dict[str, Json]:
    def convert(name: str) -> str:
        head, *tail = name.split("_")
        return head + "".join(part.capitalize() for part in tail)

    return {convert(name): value for name, value in values.items()}


def _snake(
    item: Mapping[str, Json], kind: type[Any], *, without: AbstractSet[str] = _NONE, also: AbstractSet[str] = _NONE
) -> dict[str, Json]:
    allowed = {entry.name for entry in fields(kind)} - without | also
    values = {
        "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name): item[name] for name in item
    }
    if unknown := sorted(set(values) - allowed):
        raise SeedError(f"unknown for {kind.__name__}: {', '.join(unknown)}")
    return values


def _build(kind: type[Any], values: dict[str, Json]) -> Any:
    try:
        return kind(**values)
    except TypeError as error:
        raise SeedError(str(error)) from None
