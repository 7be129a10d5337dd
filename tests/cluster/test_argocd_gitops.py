"""A token in Git, applied as Argo CD does: by server-side apply, again and again. ESA counts the resets."""

from __future__ import annotations

import asyncio
import functools
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from control_plane import KubectlError
from esa_preload_operator.resources.job import GROUP, KIND, RESET_KEY, RESET_KEY_PREFIXED
from support.api import job_body, jobs_path
from support.calls import lonely
from support.lua import Sandbox

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.world import World

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "argocd"
SCRIPTS = FOLDER / "resource_customizations" / GROUP / KIND
APPLY = "application/apply-patch+yaml"


def sync(world: World, token: str | None, number: int = 1, **spec: Any) -> dict[str, Any]:
    """Apply the manifest from Git with Argo CD's options for ServerSideApply=true."""
    body = job_body(f"j{number}", jobId=world.esa_id(number), **spec)
    if token is not None:
        body["metadata"]["annotations"] = {RESET_KEY: token}
    path = jobs_path(world.namespace, f"j{number}") + "?fieldManager=argocd-controller&force=true"
    reply = world.api.call("PATCH", path, body, APPLY)
    assert reply.status in {200, 201}, reply
    return reply.body


def health(world: World, number: int = 1) -> str:
    return str(Sandbox(SCRIPTS / "health.lua").run(world.get(number))["status"])


async def healthy(world: World, number: int = 1) -> None:
    await world.until(lambda: health(world, number) == "Healthy")


def annotations_of(world: World, number: int = 1) -> Mapping[str, str]:
    found: dict[str, str] = world.get(number)["metadata"].get("annotations", {})
    return found


async def test_a_token_in_git_is_one_reset_however_often_it_is_applied(world: World) -> None:
    world.seed(1)
    sync(world, "deploy-1")
    assert health(world) == "Progressing"
    lonely(world)
    await world.handled(1, "deploy-1")
    await healthy(world)
    assert world.resets() == 1

    for _ in range(30):  # self-heal
        await asyncio.to_thread(sync, world, "deploy-1")
    await asyncio.to_thread(sync, world, "deploy-1", minResetInterval="1s")  # another commit that asks for nothing
    await world.until(lambda: world.status()["observedGeneration"] == 2)
    await healthy(world)
    assert world.resets() == 1

    assert health_right_after(sync(world, "deploy-2", minResetInterval="1s")) == "Progressing"
    await world.handled(1, "deploy-2")
    await healthy(world)
    assert world.resets() == 2

    sync(world, None, minResetInterval="1s")  # the annotation leaves Git and the object, and is forgotten
    await world.until(lambda: not world.status().get("handledResets"))
    sync(world, "deploy-2", minResetInterval="1s")
    await world.handled(1, "deploy-2")
    assert world.resets() == 3
    assert_only_status_is_written(world)


def health_right_after(applied: dict[str, Any]) -> str:
    return str(Sandbox(SCRIPTS / "health.lua").run(applied)["status"])


def assert_only_status_is_written(world: World) -> None:
    """The operator never touches what Git may own."""
    owners = {entry["manager"]: entry.get("subresource", "") for entry in world.get()["metadata"]["managedFields"]}
    assert owners == {"argocd-controller": "", "esa-preload-operator": "status"}
    writes = [
        event["requestURI"].partition("?")[0]
        for event in world.control_plane.audit_events(world.user)
        if event["verb"] not in {"get", "list", "watch"} and "/scheduledpreloadjobs/" in event["requestURI"]
    ]
    assert writes
    assert all(path.endswith("/status") for path in writes)


async def test_an_operator_that_starts_anew_repeats_nothing_that_stands_in_git(world: World) -> None:
    world.seed(1)
    sync(world, "deploy-1")
    first = lonely(world)
    await world.handled(1, "deploy-1")
    first.kill()
    second = lonely(world)
    await asyncio.to_thread(sync, world, "deploy-1")
    sync(world, "deploy-2")
    await world.handled(1, "deploy-2")
    assert world.resets() == 2
    assert not second.exited


async def test_what_is_pruned_and_restored_with_an_old_time_is_not_reset_again(world: World) -> None:
    world.seed(1, 2)
    sync(world, "2026-01-01T00:00:00Z")
    sync(world, "deploy-1", 2)
    lonely(world)
    status = await world.handled(1, "2026-01-01T00:00:00Z")
    assert status["reset"]["message"].startswith("StaleToken")
    await world.handled(2, "deploy-1")
    assert (world.resets(1), world.resets(2)) == (0, 1)
    for number, token in ((1, "2026-01-01T00:00:00Z"), (2, "deploy-1")):
        assert world.api.call("DELETE", jobs_path(world.namespace, f"j{number}")).status == 200
        sync(world, token, number)
        await world.handled(number, token)
        await healthy(world, number)
    # A time is known to be older than the new object; any other token is a new request, as for every controller.
    assert (world.resets(1), world.resets(2)) == (0, 2)


async def test_the_reset_action_asks_once_and_survives_self_heal(world: World) -> None:
    world.seed(1)
    sync(world, "deploy-1")
    lonely(world)
    await world.handled(1, "deploy-1")
    await healthy(world)
    live = world.get()
    assert Sandbox(SCRIPTS / "actions/discovery.lua").run(live)["reset"]["disabled"] is False
    after = Sandbox(SCRIPTS / "actions/reset/action.lua").run(live)
    token = after["metadata"]["annotations"][RESET_KEY_PREFIXED]
    assert annotations_of(world) == {RESET_KEY: "deploy-1"}
    # The API server of Argo CD sends the difference as a merge patch.
    world.patch(1, {"metadata": {"annotations": {RESET_KEY_PREFIXED: token}}})
    assert Sandbox(SCRIPTS / "actions/discovery.lua").run(world.get())["reset"]["disabled"] in {True, False}
    await world.handled(1, token, RESET_KEY_PREFIXED)
    for _ in range(5):
        await asyncio.to_thread(sync, world, "deploy-1")
    await healthy(world)
    assert annotations_of(world) == {RESET_KEY: "deploy-1", RESET_KEY_PREFIXED: token}
    assert world.resets() == 2


# --- the hook -------------------------------------------------------------------------------------------------------


def hook_parts(world: World) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The Job and the objects that it needs, for this namespace."""
    found = list(yaml.safe_load_all((FOLDER / "example" / "reset-after-sync.yaml").read_text()))
    for each in found:
        for subject in each.get("subjects", ()):
            subject["namespace"] = world.namespace
    return found[0], found[1:]


def run_hook(world: World, job: dict[str, Any], user: str, token: str) -> None:
    """Run the containers in turn, as the kubelet does; raises when one fails."""
    pod = job["spec"]["template"]["spec"]
    for container in (*pod["initContainers"], *pod["containers"]):
        args = [arg.replace("$(TOKEN)", token) for arg in container["args"]]
        world.control_plane.kubectl(f"--namespace={world.namespace}", *args, user=user, timeout=60)


@pytest.fixture
def hook(world: World) -> tuple[dict[str, Any], str]:
    """The Job of the hook, accepted by the API server, and the user that its pods are."""
    job, others = hook_parts(world)
    namespace = f"--namespace={world.namespace}"
    world.control_plane.kubectl("apply", namespace, "--filename=-", input=yaml.safe_dump_all([job, *others]))
    world.control_plane.kubectl("apply", namespace, "--filename=-", "--dry-run=server",
                                input=(FOLDER / "example" / "job.yaml").read_text())  # fmt: skip
    world.control_plane.add_service_account(world.namespace, "reset-nightly")
    return job, f"system:serviceaccount:{world.namespace}:reset-nightly"


def make_nightly(world: World) -> None:
    body = job_body("nightly", jobId=world.esa_id(1))
    assert world.api.call("POST", jobs_path(world.namespace), body).status == 201


async def test_the_hook_resets_once_for_each_sync_and_waits_for_the_answer(
    world: World, hook: tuple[dict[str, Any], str]
) -> None:
    world.seed(1)
    make_nightly(world)
    lonely(world)
    job, user = hook
    for resets in (1, 2):
        token = str(uuid.uuid4())  # the Job's uid
        await asyncio.to_thread(run_hook, world, job, user, token)
        assert world.resets() == resets
        await asyncio.to_thread(run_hook, world, job, user, token)  # its pod is made anew
        assert world.resets() == resets


async def test_the_hook_fails_when_the_reset_does(world: World, hook: tuple[dict[str, Any], str]) -> None:
    make_nightly(world)  # about a job that ESA does not know
    lonely(world)
    job, user = hook
    with pytest.raises(KubectlError, match="timed out"):
        await asyncio.to_thread(run_hook, world, job, user, str(uuid.uuid4()))
    assert world.api.call("GET", jobs_path(world.namespace, "nightly")).body["status"]["reset"]["phase"] == "Failed"


def test_the_hook_may_do_nothing_else(world: World, hook: tuple[dict[str, Any], str]) -> None:
    _, user = hook
    make_nightly(world)
    world.create(2)
    for refused in (("annotate", "spj/j2", "a=b"), ("get", "spj"), ("delete", "spj/nightly"), ("get", "secrets")):
        with pytest.raises(KubectlError, match="forbidden"):
            world.control_plane.kubectl(f"--namespace={world.namespace}", *refused, user=user)


def test_the_token_of_the_hook_is_the_uid_of_its_job_and_needs_no_shell(hook: tuple[dict[str, Any], str]) -> None:
    pod = hook[0]["spec"]["template"]["spec"]
    for container in (*pod["initContainers"], *pod["containers"]):
        assert "command" not in container
        token = container["env"][0]
        assert token["name"] == "TOKEN"
        assert token["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['batch.kubernetes.io/controller-uid']"


def test_the_snippet_is_merged_into_what_is_configured_already(world: World) -> None:
    kubectl = functools.partial(world.control_plane.kubectl, f"--namespace={world.namespace}")
    kubectl("create", "configmap", "argocd-cm", "--from-literal=url=https://argocd.example.com")
    text = (FOLDER / "argocd-cm.yaml").read_text().replace("namespace: argocd\n", f"namespace: {world.namespace}\n")
    kubectl("patch", "configmap", "argocd-cm", f"--patch={text}")
    data = yaml.safe_load(kubectl("get", "configmap", "argocd-cm", "--output=yaml"))["data"]
    assert data.pop("url") == "https://argocd.example.com"
    assert data == yaml.safe_load(text)["data"]
