"""Questions about jobs, which cost a few throw-away jobs and submit no URL."""

import time
import uuid
from typing import Final

from hack.questions.account import Reply, always
from hack.questions.answers import Answer, Question, Scene, answered, code_is, unclear

from esa_preload_operator.domain.cleaning import format_time, parse_time
from esa_preload_operator.domain.esa import EsaJob, ListedJob
from esa_preload_operator.domain.signing import CLOCK_MARGIN, Signing

_LONGEST_NAME: Final = 80
_NONCE_USED: Final = "SignatureNonceUsed"
_FOREIGN: Final = "https://open-questions.invalid/"


class NoJobError(Exception):
    """The throw-away job could not be made, so there is nothing to ask about."""


def name_of(scene: Scene) -> str:
    """Return the name of the job that is asked about: as long as the operator's own."""
    return f"{scene.account.prefix}-".ljust(_LONGEST_NAME, "x")


async def _name(scene: Scene) -> Answer:
    made = await scene.account.create(name_of(scene), scene.urls)
    if made.value is None:
        raise NoJobError(str(made))
    scene.job_id = made.value.id
    return answered(made.value.name == name_of(scene), made)


async def _get(scene: Scene) -> Answer:
    async def look() -> Reply[EsaJob] | None:
        reply = await scene.account.get(scene.job_id)
        return reply if reply.value is not None else None

    found, seconds = await scene.until(look)
    if found is None:
        return unclear(f"not within {seconds:.0f} s")
    return answered(seconds == 0, found, *_late(seconds))


async def listed(scene: Scene, job_id: str) -> ListedJob | None:
    """Return a job as the list of the site shows it."""
    jobs = (await scene.account.listing()).value
    return next((job for job in jobs.jobs if job.id == job_id), None) if jobs is not None else None


def _late(seconds: float) -> tuple[str, ...]:
    return (f"after {seconds:.1f} s",) if seconds else ()


async def _list(scene: Scene) -> Answer:
    found, seconds = await scene.until(lambda: listed(scene, scene.job_id))
    if found is None:
        return answered(False, f"not within {seconds:.0f} s")
    return answered(seconds == 0, f"after {seconds:.1f} s" if seconds else "in the first list")


async def _clock(scene: Scene) -> Answer:
    job = (await scene.account.get(scene.job_id)).value
    created = parse_time(job.created_at) if job is not None else None
    if job is None or created is None:
        return unclear("CreatedAt can't be read")
    off = created - scene.begun
    return answered(abs(off) <= CLOCK_MARGIN, f"the job was made {off:+.0f} s off this machine's clock", job.request_id)


async def _total(scene: Scene) -> Answer:
    reply = await scene.account.listing()
    if reply.value is None:
        return unclear(reply)
    return answered(reply.value.complete, f"jobs that were listed: {len(reply.value.jobs)}")


async def _plans(scene: Scene) -> Answer:
    job = await listed(scene, scene.job_id)
    if job is None:
        return unclear("the list does not show the job")
    return answered(job.execution_count == 0, f"ExecutionCount of a job without a window: {job.execution_count}")


async def _same_name(scene: Scene) -> Answer:
    second = await scene.account.create(name_of(scene), scene.urls)
    if second.value is not None:
        scene.gone_id = second.value.id
        return answered(False, second, "a second job was made")
    if second.code == "InvalidJob.JobCountOfSiteFull" or second.http_status == 0:
        return unclear(second)
    return answered(True, second)


async def _delisted(scene: Scene) -> Answer:
    if not scene.gone_id:
        return unclear("there is no second job to delete")
    done = await scene.account.delete(scene.gone_id)
    if done.problem is not None:
        return unclear(done)

    async def look() -> bool | None:
        reply = await scene.account.listing()
        shown = reply.value is None or any(job.id == scene.gone_id for job in reply.value.jobs)
        return None if shown else True

    found, seconds = await scene.until(look)
    return answered(found is True and seconds == 0, f"still shown after {seconds:.1f} s" if seconds else "at once")


async def _gone(scene: Scene) -> Answer:
    if scene.gone_id not in scene.account.deleted:
        return unclear("there is no deleted job")
    get, again = await scene.account.get(scene.gone_id), await scene.account.delete(scene.gone_id)
    return answered({get.code, again.code} == {"InvalidJob.NotFound"}, get, again)


async def _malformed(scene: Scene) -> Answer:
    return code_is(await scene.account.get("no-id-of-a-job"), "InvalidParameter.ObjectId")


async def _no_urls(scene: Scene) -> Answer:
    return code_is(await scene.account.create(f"{scene.account.prefix}-empty", ()), "MissingUrlList")


async def _foreign(scene: Scene) -> Answer:
    made = await scene.account.create(f"{scene.account.prefix}-foreign", (_FOREIGN,))
    if made.value is None:
        return unclear(made) if made.http_status == 0 else answered(False, made)
    await scene.account.delete(made.value.id)
    told = made.value.error_info or ""
    return answered(
        bool(told), made, f"ErrorInfo begins with {told.partition(':')[0][:20]!r}", f"{made.value.url_count} URLs"
    )


async def _idle_reset(scene: Scene) -> Answer:
    return code_is(await scene.account.reset(scene.job_id), "OK")


async def _twice(scene: Scene, job_id: str) -> tuple[Reply[EsaJob], Reply[EsaJob]]:
    """Send one signed reset twice."""
    same = Signing(uuid.uuid4().hex, format_time(time.time()), "")
    client = scene.account.client
    first, second = [
        await scene.account.ask("ResetScheduledPreloadJob", client.reset_job(job_id, always, same)) for _ in range(2)
    ]
    return first, second


async def _nonce(scene: Scene) -> Answer:
    first, second = await _twice(scene, scene.job_id)
    if first.code != "OK":
        return unclear(first)
    return answered(second.code == _NONCE_USED, first, second)


async def _nonce_refused(scene: Scene) -> Answer:
    if scene.gone_id not in scene.account.deleted:
        return unclear("there is no deleted job whose reset would be refused")
    first, second = await _twice(scene, scene.gone_id)
    if first.code in {"OK", _NONCE_USED} or second.code not in {_NONCE_USED, first.code}:
        return unclear(first, second)
    return answered(second.code == _NONCE_USED, first, second)


JOBS: Final = (
    Question("name", "Does ESA keep a job's name of 80 characters as it was sent?", _name),
    Question("get", "Does a Get show a job right after its create?", _get),
    Question("list", "Does the list of the site show a job right after its create?", _list),
    Question("clock", "Do ESA's clock and this machine's agree within a minute?", _clock),
    Question("total", "Is TotalCount the number of jobs that the pages show?", _total),
    Question("plans", "Does the list tell how many windows a job has (ExecutionCount)?", _plans),
    Question("same-name", "Does ESA refuse a second job of the same name?", _same_name),
    Question("delisted", "Does the list stop showing a job right after its deletion?", _delisted),
    Question("gone", "Is a job that is gone answered by InvalidJob.NotFound?", _gone),
    Question("malformed", "Is a malformed id answered by InvalidParameter.ObjectId?", _malformed),
    Question("no-urls", "Is an empty list answered by MissingUrlList?", _no_urls),
    Question("foreign", "Is a URL of a foreign domain told by ErrorInfo, and the job made all the same?", _foreign),
    Question("idle-reset", "Is a reset taken where nothing is submitted and no window is open?", _idle_reset),
    Question("nonce", "Does ESA refuse a signed request that it has executed before, by its nonce?", _nonce),
    Question("nonce-refused", "Is a nonce used up by a request that ESA has refused?", _nonce_refused),
)
