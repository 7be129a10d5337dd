from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from esa_preload_operator.domain.errors import (
    ObjectGoneError,
    StoreUnavailableError,
    VersionConflictError,
    WriteRefusedError,
    WriteUnknownError,
)
from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.k8s.jobs import FIELD_MANAGER, JobRepository
from esa_preload_operator.resources.job import API_VERSION, KIND, ResetStatus, ScheduledPreloadJob, Status
from support.adapter import DEADLINE, World, world
from support.api_proxy import Match

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import Any

    from control_plane import ControlPlane

STATUS_WRITE = Match("PUT", "/status$")


@pytest.fixture
async def w(control_plane: ControlPlane) -> AsyncIterator[World]:
    async with world(control_plane) as made:
        yield made


def store(w: World, timeout: float = 10.0) -> JobRepository:
    return JobRepository(w.connection, timeout=timeout)


async def write(w: World, job: ScheduledPreloadJob, status: Status, timeout: float = 10.0) -> Mapping[str, Any]:
    body = status.model_dump(by_alias=True, exclude_none=True)
    return await store(w, timeout).write_status(ref(job), job.metadata.resource_version, body)


def ref(job: ScheduledPreloadJob) -> ObjectRef:
    return ObjectRef(job.metadata.namespace, job.metadata.name)


async def test_a_missing_object_reads_as_none_but_a_missing_kind_as_unknown(w: World) -> None:
    assert await store(w).read(ObjectRef(w.namespace, "absent")) is None
    with pytest.raises(StoreUnavailableError):
        await store(w).read(ObjectRef("no/such/path", "absent"))


async def test_a_write_replaces_the_whole_status_and_leaves_the_spec_alone(w: World) -> None:
    job = await w.create_job()
    first = Status(
        job_id="a", handled_resets={"resetRequested": "1", "other": "x"}, reset=ResetStatus(phase="InFlight")
    )
    stored = ScheduledPreloadJob.model_validate(await write(w, job, first))
    assert stored.status.handled_resets == first.handled_resets

    await write(w, stored, Status(handled_resets={"resetRequested": "2"}))

    read = await store(w).read(ref(job))
    assert read is not None
    assert read["status"]["handledResets"] == {"resetRequested": "2"}
    assert "jobId" not in read["status"]
    assert "reset" not in read["status"]
    assert read["spec"]["jobId"] == job.spec.job_id
    assert read["metadata"]["generation"] == 1


async def test_the_seconds_of_stored_writes_are_reported_and_not_those_of_refused_ones(w: World) -> None:
    job = await w.create_job()
    reported: list[tuple[str, float]] = []
    jobs = JobRepository(w.connection, on_written=lambda *each: reported.append(each))
    begun = time.monotonic()
    await jobs.write_status(ref(job), job.metadata.resource_version, {"jobId": "a"})
    with pytest.raises(VersionConflictError):
        await jobs.write_status(ref(job), job.metadata.resource_version, {"jobId": "b"})
    ((namespace, seconds),) = reported
    assert namespace == w.namespace
    assert 0 < seconds < time.monotonic() - begun


async def test_a_write_takes_nothing_but_the_status_from_whom_it_belongs_to(w: World) -> None:
    path = f"{w.jobs}/nightly"
    applied = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "nightly", "labels": {"team": "web"}, "finalizers": ["example.org/hold"]},
        "spec": {"jobId": "665d3af3621b", "minResetInterval": "5m"},
    }
    await w.do("PATCH", f"{path}?fieldManager=argocd", applied, "application/apply-patch+yaml")
    note = {"metadata": {"annotations": {"resetRequested": "1"}}}
    before = await w.do("PATCH", f"{path}?fieldManager=kubectl-annotate", note, "application/merge-patch+json")

    after = await write(w, ScheduledPreloadJob.model_validate(before), Status(job_id="665d3af3621b"))

    assert after["spec"] == before["spec"]
    own = {"resourceVersion", "managedFields"}
    assert without(after["metadata"], own) == without(before["metadata"], own)
    owners = after["metadata"]["managedFields"]
    assert [owner for owner in owners if owner["manager"] != FIELD_MANAGER] == before["metadata"]["managedFields"]
    (ours,) = (owner for owner in owners if owner["manager"] == FIELD_MANAGER)
    assert (ours["subresource"], ours["fieldsV1"]) == ("status", {"f:status": {}})
    await w.do("PATCH", path, {"metadata": {"finalizers": None}}, "application/merge-patch+json")


def without(values: dict[str, Any], keys: set[str]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in keys}


async def test_a_write_on_an_old_version_conflicts_and_stores_nothing(w: World) -> None:
    job = await w.create_job()
    await write(w, job, Status(job_id="first"))
    with pytest.raises(VersionConflictError):
        await write(w, job, Status(job_id="second"))
    read = await store(w).read(ref(job))
    assert read is not None
    assert read["status"]["jobId"] == "first"


async def test_a_write_never_reaches_another_object_of_the_same_name(w: World) -> None:
    old = await w.create_job()
    await w.do("DELETE", f"{w.jobs}/nightly")
    with pytest.raises(ObjectGoneError):
        await write(w, old, Status(job_id="old"))
    await w.create_job()
    with pytest.raises(VersionConflictError):
        await write(w, old, Status(job_id="old"))


async def test_a_status_against_the_schema_is_refused(w: World) -> None:
    job = await w.create_job()
    with pytest.raises(WriteRefusedError, match="422"):
        await store(w).write_status(ref(job), job.metadata.resource_version, {"jobId": 5})


@pytest.mark.parametrize(("status", "reason"), [(403, "Forbidden"), (404, "NotFound"), (409, "Conflict"), (418, "")])
async def test_a_webhook_that_denies_a_write_is_a_refusal_with_its_message_in_one_line(
    w: World, status: int, reason: str
) -> None:
    job = await w.create_job()
    message = 'admission webhook "guard.example.org" denied the request: no status\non Fridays' + "!" * 5000
    w.proxy.refuse(STATUS_WRITE, status=status, reason=reason, message=message)
    with pytest.raises(
        WriteRefusedError, match=r'"guard.example.org" denied the request: no status on Fridays'
    ) as caught:
        await write(w, job, Status(job_id="a"))
    assert len(str(caught.value)) < 700


async def test_an_admission_policy_that_denies_a_write_is_a_refusal_with_its_message(w: World) -> None:
    job = await w.create_job()
    admission = "/apis/admissionregistration.k8s.io/v1"
    kept = {"apiGroups": ["esa.preload-operator.io"], "apiVersions": ["*"], "operations": ["UPDATE"],
            "resources": ["scheduledpreloadjobs/status"]}  # fmt: skip
    await w.do("POST", f"{admission}/validatingadmissionpolicies", {
        "metadata": {"name": w.namespace},
        "spec": {
            "matchConstraints": {
                "resourceRules": [kept],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": w.namespace}},
            },
            "validations": [{"expression": "false", "message": "the status is frozen"}],
        },
    })  # fmt: skip
    binding = {"policyName": w.namespace, "validationActions": ["Deny"]}
    await w.do("POST", f"{admission}/validatingadmissionpolicybindings", {
        "metadata": {"name": w.namespace},
        "spec": binding,
    })  # fmt: skip
    refusal = await refused_in_the_end(w, job)
    assert "the status is frozen" in str(refusal)


async def refused_in_the_end(w: World, job: ScheduledPreloadJob) -> WriteRefusedError:
    """Write until the policy is in force, which takes the API server a moment."""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                job = ScheduledPreloadJob.model_validate(await write(w, job, job.status))
            except WriteRefusedError as error:
                return error
            await asyncio.sleep(0.05)


async def test_being_throttled_is_a_refusal_with_the_wish_of_the_server(w: World) -> None:
    job = await w.create_job()
    w.proxy.refuse(STATUS_WRITE, status=429, reason="TooManyRequests", retry_after=7)
    with pytest.raises(WriteRefusedError) as caught:
        await write(w, job, Status(job_id="a"))
    assert caught.value.retry_after == 7


async def test_a_server_error_leaves_open_whether_it_was_stored(w: World) -> None:
    job = await w.create_job()
    w.proxy.refuse(STATUS_WRITE, status=500, reason="InternalError")
    with pytest.raises(WriteUnknownError, match="500"):
        await write(w, job, Status(job_id="a"))


async def test_a_lost_answer_is_unknown_and_the_write_is_not_repeated(w: World) -> None:
    job = await w.create_job()
    await store(w).read(ref(job))  # the write takes the open connection, where a repetition would be tempting
    w.proxy.lose_answer(STATUS_WRITE)
    with pytest.raises(WriteUnknownError):
        await write(w, job, Status(job_id="stored"))
    assert len(w.proxy.requests(STATUS_WRITE)) == 1
    read = await store(w).read(ref(job))
    assert read is not None
    assert read["status"]["jobId"] == "stored"


async def test_an_answer_that_does_not_come_is_unknown(w: World) -> None:
    job = await w.create_job()
    gate = w.proxy.hold(STATUS_WRITE, after=True)
    with pytest.raises(WriteUnknownError):
        await write(w, job, Status(job_id="late"), timeout=0.5)
    gate.release()


async def test_an_outage_reads_as_unknown_not_as_gone(w: World) -> None:
    job = await w.create_job()
    w.proxy.refuse(Match("GET"), status=503, reason="ServiceUnavailable", retry_after=1)
    with pytest.raises(StoreUnavailableError) as caught:
        await store(w).read(ref(job))
    assert caught.value.retry_after == 1
