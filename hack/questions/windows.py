"""Questions about windows, and about resets of what was submitted: ESA fetches the URLs for them."""

import time
from dataclasses import dataclass
from typing import Final

from hack.questions.account import Reply, always
from hack.questions.answers import Answer, Question, Scene, answered, code_is, unclear
from hack.questions.jobs import listed

from esa_preload_operator.domain.esa import Execution, ExecutionChange, NewExecution

INTERVAL: Final = 60
_AHEAD: Final = 10
"""Seconds by which a window opens later than it is made, as the operator does it."""
_HOUR: Final = 3600


async def windows(scene: Scene) -> dict[str, Execution]:
    """Return the windows of the job by their ids."""
    found = await scene.account.ask(
        "ListScheduledPreloadExecutions", scene.account.client.list_executions(scene.job_id)
    )
    return {each.id: each for each in found.value or ()}


@dataclass(frozen=True)
class Opened:
    """The answer to the opening of a window, and its id where there is one."""

    reply: str
    code: str
    id: str = ""


async def _open(scene: Scene, new: NewExecution) -> Opened:
    call = scene.account.client.create_executions(scene.job_id, [new], always)
    reply = await scene.account.ask("CreateScheduledPreloadExecutions", call)
    if reply.value is None:
        return Opened(str(reply), reply.code)
    if reply.value.succeeded:
        return Opened(str(reply), reply.code, reply.value.succeeded[0].id)
    why = reply.value.failed[0][1] if reply.value.failed else ""
    code = why.partition(":")[0][:40]
    return Opened(f"{reply}, which opened none: {code}", code)


async def _state(scene: Scene, window_id: str) -> str:
    found = (await windows(scene)).get(window_id)
    return found.state if found is not None else "not listed"


async def _submitted(scene: Scene) -> int | None:
    job = (await scene.account.get(scene.job_id)).value
    return None if job is None else job.url_submitted


async def _backwards(scene: Scene) -> Answer:
    now = int(time.time()) + _HOUR
    opened = await _open(scene, NewExecution(now + _HOUR, now, INTERVAL, 1))
    if opened.id:
        await scene.account.ask("Delete", scene.account.client.delete_execution(opened.id, always))
    return answered(opened.code == "InvalidEndTime.Mismatch", opened.reply)


async def _window(scene: Scene) -> Answer:
    start = int(time.time()) + _HOUR
    new = NewExecution(start, start + _HOUR, INTERVAL, 1)
    opened = await _open(scene, new)
    scene.window_id = opened.id
    if not opened.id:
        return unclear(opened.reply)

    async def look() -> Execution | None:
        return (await windows(scene)).get(opened.id)

    found, seconds = await scene.until(look)
    if found is None:
        return unclear(opened.reply, f"not listed within {seconds:.0f} s")
    kept = NewExecution(found.start or 0, found.end or 0, found.interval_seconds or 0, found.slice_len or 0)
    return answered(kept == new, opened.reply, f"state {found.state}", f"listed after {seconds:.1f} s")


async def _stop_waiting(scene: Scene) -> Answer:
    if not scene.window_id:
        return unclear("there is no window that waits")
    stop = scene.account.client.stop_execution(scene.window_id, always)
    reply = await scene.account.ask("StopScheduledPreloadExecution", stop)
    state = await _state(scene, scene.window_id)
    await scene.account.ask("Delete", scene.account.client.delete_execution(scene.window_id, always))
    scene.window_id = ""
    return answered(state == "waiting", reply, f"its state is {state}")


async def _runs(scene: Scene) -> Answer:
    now = int(time.time())
    opened = await _open(scene, NewExecution(now + _AHEAD, now + _HOUR, INTERVAL, 1))
    if not opened.id:
        return unclear(opened.reply)

    async def look() -> bool | None:
        running = await _state(scene, opened.id) in {"running", "finished"}
        return True if running and await _submitted(scene) else None

    found, seconds = await scene.until(look)
    if found is None:
        return answered(False, opened.reply, f"not within {seconds:.0f} s", f"state {await _state(scene, opened.id)}")
    scene.window_id = opened.id
    return answered(True, opened.reply, f"after {seconds:.0f} s")


async def _lowers(scene: Scene) -> Answer:
    before = await _submitted(scene)
    if not before:
        return unclear("nothing was submitted")
    reset = await scene.account.reset(scene.job_id)
    if reset.value is None:
        return unclear(reset)
    told, after = reset.value.url_submitted, await _submitted(scene)
    numbers = f"{before} before, {told} in the answer, {after} in a Get after it"
    if told is None or after is None:
        return unclear(reset, numbers)
    return answered(min(told, after) < before, reset, numbers)


async def _fresh(scene: Scene) -> Answer:
    async def look() -> int | None:
        return await _submitted(scene) or None

    if not scene.window_id or (await scene.until(look))[0] is None:
        return unclear("nothing was submitted")
    reset = await scene.account.reset(scene.job_id)
    if reset.value is None:
        return unclear(reset)
    before = await _submitted(scene)
    job = await listed(scene, scene.job_id)
    after = await _submitted(scene)
    if job is None:
        return unclear("the list does not show the job")
    shown = f"the list shows {job.url_submitted}, a Get before it {before} and after it {after}"
    return answered(job.url_submitted in {before, after}, shown)


async def _running(scene: Scene) -> Answer:
    if not scene.window_id or await _state(scene, scene.window_id) != "running":
        return unclear("no window runs")
    reset = await scene.account.reset(scene.job_id)
    state = await _state(scene, scene.window_id)
    return unclear(reset) if reset.problem is not None else answered(state == "running", reset, f"its state is {state}")


async def _stop(scene: Scene) -> Answer:
    if not scene.window_id or await _state(scene, scene.window_id) != "running":
        return unclear("no window runs")
    client, window = scene.account.client, scene.window_id
    stop = await scene.account.ask("StopScheduledPreloadExecution", client.stop_execution(window, always))
    stopped = await _state(scene, window)
    start = await scene.account.ask("StartScheduledPreloadExecution", client.start_execution(window, always))
    started = await _state(scene, window)
    states = f"{stopped} after the stop, {started} after the start"
    return answered(stopped == "stopped" and started in {"waiting", "running"}, stop, start, states)


async def _finished(scene: Scene) -> Answer:
    window = scene.window_id
    if not window:
        return unclear("no window has run")
    change = ExecutionChange(slice_len=len(scene.urls))
    update = scene.account.client.update_execution(window, change, always)
    updated = await scene.account.ask("UpdateScheduledPreloadExecution", update)
    if updated.problem is not None:
        return unclear(updated)

    async def ended() -> bool | None:
        return True if await _state(scene, window) == "finished" else None

    if (await scene.until(ended))[0] is None:
        return unclear(updated, f"it did not finish: {await _state(scene, window)}")
    reset = await scene.account.reset(scene.job_id)

    async def revived() -> str | None:
        state = await _state(scene, window)
        return state if state in {"waiting", "running"} or await _submitted(scene) else None

    found, seconds = await scene.until(revived, at_most=INTERVAL + 30)
    return answered(found is not None, reset, f"after {seconds:.0f} s its state is {await _state(scene, window)}")


async def _with_windows(scene: Scene) -> Answer:
    now = int(time.time()) + _HOUR
    await _open(scene, NewExecution(now, now + _HOUR, INTERVAL, 1))
    states = sorted(each.state for each in (await windows(scene)).values())
    reply: Reply[None] = await scene.account.delete(scene.job_id)
    if not states:
        return unclear(reply, "the job has no window")
    return (
        code_is(reply, "OK")
        if reply.problem is None
        else answered(False, reply, f"its windows are {', '.join(states)}")
    )


WINDOWS: Final = (
    Question("backwards", "Is a window that ends before it starts answered by InvalidEndTime.Mismatch?", _backwards),
    Question("window", "Does ESA keep a window's times and numbers as they were sent?", _window),
    Question("stop-waiting", "Does a window that waits go on waiting after a stop?", _stop_waiting),
    Question("runs", "Does a window begin to submit by itself when its time has come?", _runs),
    Question("lowers", "Does a reset lower UrlSubmitted?", _lowers),
    Question("fresh", "Does a list right after a reset show what a Get shows?", _fresh),
    Question("running", "Does a window that runs go on running after a reset?", _running),
    Question("stop", "Does a stopped window say so, and go on after a start?", _stop),
    Question("finished", "Does a reset revive a window that is finished?", _finished),
    Question("with-windows", "Is a job deleted together with its windows?", _with_windows),
)
