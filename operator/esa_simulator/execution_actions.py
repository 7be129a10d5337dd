"""What the operations on executions do (ESA API 2024-09-10, the ScheduledPreloadExecution family)."""

import json
from collections.abc import Mapping
from typing import Any

from esa_simulator import errors
from esa_simulator.actions import (
    Call,
    Operation,
    create_job,
    delete_job,
    get_job,
    list_executions,
    list_jobs,
    reset_job,
)
from esa_simulator.errors import EsaError
from esa_simulator.progress import Execution, Job, arm, period_of
from esa_simulator.state import State
from esa_simulator.wire import Body, execution_body, micros


def create_executions(call: Call) -> Body:
    """CreateScheduledPreloadExecutions: some may fail while HTTP says 200; when all fail alike, that is the answer."""
    job = call.job()
    wanted = _read_list(call.required("Executions"))
    created: list[Execution] = []
    failed: list[Body] = []
    reasons: list[EsaError] = []
    for position, fields in enumerate(wanted):
        try:
            if position in call.failing:
                raise errors.busy()
            created.append(build_execution(call.state, job, fields))
        except EsaError as error:
            kept = {name: fields[name] for name in ("StartTime", "EndTime", "Interval", "SliceLen") if name in fields}
            failed.append({"Id": "", "JobId": job.id, "AliUid": job.ali_uid, "Status": "failed"} | kept)
            reasons.append(error)
    if not created and len({error.code for error in reasons}) == 1:
        raise reasons[0]
    for execution in created:
        call.state.add_execution(job, execution)
    return {
        "TotalCount": len(wanted),
        "SuccessCount": len(created),
        "SuccessExecutions": [execution_body(execution, job.ali_uid) for execution in created],
        "FailedExecutions": failed,
        "FailedMessages": [f"{error.code}: {error.message}" for error in reasons],
    }


def _read_list(text: str) -> list[dict[str, Any]]:
    try:
        wanted = json.loads(text)
    except ValueError:
        raise errors.invalid_parameter("Executions") from None
    if not isinstance(wanted, list) or not wanted or not all(isinstance(fields, dict) for fields in wanted):
        raise errors.invalid_parameter("Executions")
    return wanted


def build_execution(state: State, job: Job, fields: Mapping[str, Any]) -> Execution:
    """An execution from its fields on the wire; without StartTime it opens at once (not documented).

    Raises:
        EsaError: MissingParameter, InvalidParameter, InvalidEndTime.Mismatch
    """
    now = state.clock.now()
    interval, slice_len = _positive(fields, "Interval"), _positive(fields, "SliceLen")
    start = _time(fields, "StartTime")
    end = _time(fields, "EndTime")
    start = now if start is None else start
    if end is not None and end < start:
        raise errors.end_before_start()
    return Execution(
        id=state.new_id(), job_id=job.id, start=start, end=end, interval=interval, slice_len=slice_len,
        period=period_of(interval, state.settings.speed), armed=now, created=now,
    )  # fmt: skip


def _positive(fields: Mapping[str, Any], name: str) -> int:
    if name not in fields or fields[name] in (None, ""):
        raise errors.missing_parameter(name)
    given = fields[name]
    try:
        value = 0 if isinstance(given, bool | float) else int(given)
    except (TypeError, ValueError):
        raise errors.invalid_parameter(name) from None
    if value < 1:
        raise errors.invalid_parameter(name)
    return value


def _time(fields: Mapping[str, Any], name: str) -> int | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    try:
        return micros(value)
    except (TypeError, ValueError):
        raise errors.invalid_parameter(name) from None


def update_execution(call: Call) -> Body:
    """UpdateScheduledPreloadExecution: absent fields keep their values; a live execution waits for its new window."""
    job, execution = call.state.execution(call.ali_uid, call.params.get("Id", ""))
    given = call.params
    interval = _positive(given, "Interval") if "Interval" in given else execution.interval
    slice_len = _positive(given, "SliceLen") if "SliceLen" in given else execution.slice_len
    new_start, new_end = _time(given, "StartTime"), _time(given, "EndTime")
    start = execution.start if new_start is None else new_start
    end = execution.end if new_end is None else new_end
    if end is not None and end < start:
        raise errors.end_before_start()
    execution.start, execution.end, execution.interval, execution.slice_len = start, end, interval, slice_len
    execution.period = period_of(interval, call.state.settings.speed)
    now = call.state.clock.now()
    if execution.status == "running" and start > now:
        arm(execution, now)
    return execution_body(execution, job.ali_uid)


def delete_execution(call: Call) -> Body:
    """DeleteScheduledPreloadExecution."""
    _, execution = call.state.execution(call.ali_uid, call.params.get("Id", ""))
    call.state.remove_execution(execution)
    return {}


def start_execution(call: Call) -> Body:
    """StartScheduledPreloadExecution: one that does not wait or run waits again; only the answer is documented."""
    job, execution = call.state.execution(call.ali_uid, call.params.get("Id", ""))
    if execution.status not in {"waiting", "running"}:
        arm(execution, call.state.clock.now())
    return execution_body(execution, job.ali_uid)


def stop_execution(call: Call) -> Body:
    """StopScheduledPreloadExecution: takes effect only while running; what else is answered is not documented."""
    job, execution = call.state.execution(call.ali_uid, call.params.get("Id", ""))
    if execution.status == "running":
        execution.status = "stopped"
    elif call.state.settings.stop_refused:
        raise EsaError(400, "UnsupportedOperation", f"A plan that is {execution.status} can't be stopped.")
    return execution_body(execution, job.ali_uid)


OPERATIONS: dict[str, tuple[str, Operation]] = {
    "CreateScheduledPreloadJob": ("POST", create_job),
    "GetScheduledPreloadJob": ("GET", get_job),
    "ListScheduledPreloadJobs": ("GET", list_jobs),
    "DeleteScheduledPreloadJob": ("POST", delete_job),
    "ResetScheduledPreloadJob": ("POST", reset_job),
    "CreateScheduledPreloadExecutions": ("POST", create_executions),
    "ListScheduledPreloadExecutions": ("GET", list_executions),
    "UpdateScheduledPreloadExecution": ("POST", update_execution),
    "DeleteScheduledPreloadExecution": ("POST", delete_execution),
    "StartScheduledPreloadExecution": ("POST", start_execution),
    "StopScheduledPreloadExecution": ("POST", stop_execution),
}
