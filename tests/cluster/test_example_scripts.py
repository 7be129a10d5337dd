"""The scripts of the examples, run as a pipeline runs them: by the real kubectl, with the rights beside them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from build import binaries
from esa_preload_operator.resources.job import RESET_KEY_PREFIXED
from support.api import jobs_path
from support.calls import lonely
from support.manifests import ROOT
from support.plugin import Done, Plugin

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from support.world import World

FOLDER: Final = ROOT / "deploy" / "examples"


@dataclass(frozen=True)
class Pipeline:
    """A runner that is logged in as the service account of an example."""

    world: World
    user: str
    environment: Mapping[str, str]

    def run(self, script: str, *words: str | Path, **more: str) -> Done:
        """Run a script of the examples to its end."""
        command = ["sh", str(FOLDER / script), *map(str, words)]
        done = subprocess.run(
            command, env={**self.environment, **more}, capture_output=True, text=True, timeout=60, check=False
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def verbs(self, resource: str) -> set[str]:
        """Return what it has asked the API server for, of one resource."""
        events = self.world.control_plane.audit_events(self.user)
        return {each["verb"] for each in events if each.get("objectRef", {}).get("resource") == resource}


def logged_in(world: World, folder: Path, user: str = "") -> dict[str, str]:
    """Return the variables of a shell in which kubectl is some user's, in this namespace."""
    path = folder / "kubeconfig"
    shutil.copy(world.control_plane.kubeconfig(user) if user else world.control_plane.kubeconfig(), path)
    kubectl = [str(binaries() / "kubectl"), f"--kubeconfig={path}"]
    subprocess.run([*kubectl, "config", "set-context", "--current", f"--namespace={world.namespace}"], check=True)
    return {"PATH": f"{binaries()}:/usr/bin:/bin", "KUBECONFIG": str(path), "HOME": str(folder), "KUBERC": "off"}


def pipeline(world: World, folder: Path, example: str) -> Pipeline:
    """Apply the rights of an example, and log in as the account that has them."""
    objects = list(yaml.safe_load_all((FOLDER / example / "rbac.yaml").read_text()))
    for each in objects:
        for subject in each.get("subjects", ()):
            subject["namespace"] = world.namespace
    namespace = f"--namespace={world.namespace}"
    world.control_plane.kubectl("apply", namespace, "--filename=-", input=yaml.safe_dump_all(objects))
    world.control_plane.add_service_account(world.namespace, "pipeline")
    user = f"system:serviceaccount:{world.namespace}:pipeline"
    return Pipeline(world, user, logged_in(world, folder, user))


def make_front_page(world: World, **spec: Any) -> None:
    body = {"apiVersion": "esa.preload-operator.io/v1alpha1", "kind": "ScheduledPreloadJob",
            "metadata": {"name": "front-page"}, "spec": {"jobId": world.esa_id(1), **spec}}  # fmt: skip
    assert world.api.call("POST", jobs_path(world.namespace), body).status == 201


def front_page(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.api.call("GET", jobs_path(world.namespace, "front-page")).body.get("status", {})
    return found


# --- a reset as the last step -----------------------------------------------------------------------------------------


async def test_a_pipeline_resets_once_for_each_token_and_waits_for_the_outcome(world: World, tmp_path: Path) -> None:
    runner = pipeline(world, tmp_path, "pipeline")
    world.seed(1)
    make_front_page(world)
    lonely(world)
    for token, resets in (("deploy-1", 1), ("deploy-1", 1), ("deploy 2", 2)):
        done = runner.run("pipeline/reset.sh", "front-page", token)
        assert (done.code, done.out.splitlines()[-1]) == (0, "reset.sh: Succeeded"), done.err
        assert front_page(world)["handledResets"] == {RESET_KEY_PREFIXED: token}
        assert world.resets() == resets


async def test_a_pipeline_ends_with_1_and_the_reason_when_its_reset_fails(world: World, tmp_path: Path) -> None:
    runner = pipeline(world, tmp_path, "pipeline")
    make_front_page(world)  # about a job that ESA does not know
    lonely(world)
    done = runner.run("pipeline/reset.sh", "front-page", "deploy-1")
    assert done.code == 1
    assert "reset.sh: Failed\nInvalidJob.NotFound: " in done.err


async def test_a_pipeline_ends_with_3_when_the_time_is_over_and_its_request_stays(world: World, tmp_path: Path) -> None:
    runner = pipeline(world, tmp_path, "pipeline")
    world.seed(1)
    make_front_page(world, suspend=True)
    lonely(world)
    await world.until(lambda: front_page(world).get("conditions"))
    done = runner.run("pipeline/reset.sh", "front-page", "deploy-1", "1s")
    assert done.code == 3
    assert "no outcome within 1s; the request stays\n" in done.err
    assert "spec.suspend is true" in done.err
    world.control_plane.kubectl(
        "patch",
        "spj/front-page",
        f"--namespace={world.namespace}",
        "--type=merge",
        '--patch={"spec":{"suspend":false}}',
    )
    assert runner.run("pipeline/reset.sh", "front-page", "deploy-1").code == 0
    assert world.resets() == 1


async def test_a_pipeline_has_exactly_the_rights_that_its_reset_needs(world: World, tmp_path: Path) -> None:
    runner = pipeline(world, tmp_path, "pipeline")
    world.seed(1)
    make_front_page(world)
    world.create(2)
    lonely(world)
    assert runner.run("pipeline/reset.sh", "front-page", "deploy-1").code == 0
    _, role, _ = yaml.safe_load_all((FOLDER / "pipeline" / "rbac.yaml").read_text())
    (rule,) = role["rules"]
    older = {"list"}  # kubectl lists before it watches where the API server can't stream lists
    assert runner.verbs("scheduledpreloadjobs") | older | {"reset"} == set(rule["verbs"])
    other = runner.run("pipeline/reset.sh", "j2", "deploy-1")
    assert other.code == 1
    assert "forbidden" in other.err


@pytest.mark.parametrize("words", [(), ("front-page",), ("front-page", ""), ("", "t"), ("front-page", "t" * 257)])
def test_a_command_line_that_asks_for_nothing_ends_with_2(words: tuple[str, ...]) -> None:
    command = ["sh", str(FOLDER / "pipeline" / "reset.sh"), *words]
    done = subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage: reset.sh JOB TOKEN [TIMEOUT]" in done.stderr


# --- a list of URLs ---------------------------------------------------------------------------------------------------


def jobs_of(world: World) -> dict[str, int]:
    """Return the jobs in ESA with their numbers of URLs."""
    return {each["id"]: each["urlCount"] for each in world.simulator.jobs() if each["aliUid"] == world.account}


async def test_each_list_that_a_pipeline_publishes_makes_a_job_and_the_same_list_makes_none(
    world: World, tmp_path: Path
) -> None:
    runner = pipeline(world, tmp_path, "url-list")
    world.make_secret()
    namespace = f"--namespace={world.namespace}"
    world.control_plane.kubectl("apply", namespace, f"--filename={FOLDER / 'url-list' / 'job.yaml'}")
    lonely(world)
    await world.until(lambda: "SourceNotFound" in str(front_page(world).get("conditions")))
    urls = tmp_path / "urls.txt"
    seen: set[str] = set()
    for number in (1, 2):
        urls.write_text("# made by the build\n" + "".join(f"https://www.example.com/{n}\n" for n in range(number)))
        for _ in range(2):
            done = runner.run("url-list/publish.sh", urls)
            assert done.code == 0, done.err
        await world.until(lambda: list(jobs_of(world).values()) == [number])  # noqa: B023 - awaited at once
        seen |= set(jobs_of(world))
    assert len(seen) == 2
    rules = next(
        each for each in yaml.safe_load_all((FOLDER / "url-list" / "rbac.yaml").read_text()) if "rules" in each
    )
    assert runner.verbs("configmaps") == {verb for rule in rules["rules"] for verb in rule["verbs"]} - {"create"}


async def test_a_list_that_is_not_there_is_published_by_nobody(world: World, tmp_path: Path) -> None:
    runner = pipeline(world, tmp_path, "url-list")
    assert runner.run("url-list/publish.sh", tmp_path / "missing.txt").code != 0
    assert runner.run("url-list/publish.sh").code == 2
    found = world.api.call("GET", f"/api/v1/namespaces/{world.namespace}/configmaps/front-page-urls")
    assert found.status == 404


# --- a whole site -----------------------------------------------------------------------------------------------------


async def test_all_jobs_of_a_site_are_adopted_and_those_made_since_by_the_next_run(
    world: World, tmp_path: Path
) -> None:
    plugin = Plugin(tmp_path / "bin", world.control_plane.kubeconfig(), world.namespace).install()
    environment = logged_in(world, tmp_path)
    environment |= {"PATH": f"{plugin.folder}:{environment['PATH']}", "PYTHONPATH": plugin.environment["PYTHONPATH"]}
    runner = Pipeline(world, "", environment)
    world.make_secret()
    lonely(world)
    site = str(world.offset)
    for numbers in ((1, 2), (3,), ()):
        world.seed(*numbers, siteId=site)
        done = runner.run("adopt-site.sh", site, world.namespace, ENDPOINT=world.simulator.url)
        assert done.code == 0, done.err
        assert len(done.out.splitlines()) == len(numbers)
    listed = world.api.call("GET", jobs_path(world.namespace)).body["items"]
    assert {each["spec"]["jobId"] for each in listed} == {world.esa_id(each) for each in (1, 2, 3)}
    assert {each["spec"]["credentialsSecretRef"]["name"] for each in listed} == {"esa-credentials"}
    failed = runner.run("adopt-site.sh", site, world.namespace, ENDPOINT="http://127.0.0.1:9")
    assert failed.code == 1
    assert runner.run("adopt-site.sh", site).code == 2
