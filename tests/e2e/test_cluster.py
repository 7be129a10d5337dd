"""The chart with the image in a real cluster: whatever happens to its pods, one request is one reset.

The tests are one story and run in this order; resets are counted at the simulated ESA.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from support.chart import CHART
from support.cluster import CRD, NAME, TAGS, run, until
from support.simulator import ACCESS_KEY_SECRET, SITE_ID, job_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.cluster import Cluster
    from support.simulator import SimulatorControl

RELEASE: Final = "esa-preload-operator"
PODS: Final = f"--selector=app.kubernetes.io/name={RELEASE}"
TOKEN: Final = "deploy-4711"
PER_SECOND: Final = 20
"""Calls to ESA: slow enough that a batch of resets outlasts what is done to the pods meanwhile."""


class Batch:
    """Some jobs of their own, each with its resource."""

    numbers = iter(range(1, 1_000_000))

    def __init__(self, cluster: Cluster, esa: SimulatorControl, name: str, size: int) -> None:
        self.cluster, self.esa, self.name = cluster, esa, name
        self.jobs = {f"{name}-{place}": job_id(next(self.numbers)) for place in range(size)}
        esa.seed_jobs(
            [
                {"id": job, "siteId": SITE_ID, "name": resource, "urlCount": 10, "urlSubmitted": 5, "taskSubmitted": 5}
                for resource, job in self.jobs.items()
            ]
        )
        cluster.apply(
            {
                "apiVersion": "esa.preload-operator.io/v1alpha1",
                "kind": "ScheduledPreloadJob",
                "metadata": {"name": resource, "labels": {"batch": name}},
                "spec": {"jobId": job, "credentialsSecretRef": {"name": "esa-credentials"}},
            }
            for resource, job in self.jobs.items()
        )
        cluster.kubectl("wait", "--for=condition=Ready", "spj", f"--selector=batch={name}", "--timeout=180s")

    def ask(self) -> None:
        """Annotate all of them as people do, again where the API server went away meanwhile."""
        words = ("annotate", "spj", f"--selector=batch={self.name}", f"resetRequested={TOKEN}", "--overwrite")
        until(lambda: self.cluster.kubectl(*words), f"all of {self.name} are asked for")

    def executed(self) -> int:
        return sum(self.counts().values())

    def counts(self) -> dict[str, int]:
        resets = self.esa.resets()
        return {job: resets.get(job, 0) for job in self.jobs.values()}

    def statuses(self) -> list[dict[str, Any]]:
        return [item["status"] for item in self.cluster.items("spj", f"--selector=batch={self.name}")]

    def wait(self) -> list[dict[str, Any]]:
        """Wait until all are handled; return the statuses."""

        def all_handled() -> list[dict[str, Any]]:
            found = self.statuses()
            return found if all(each.get("handledResets", {}).get("resetRequested") == TOKEN for each in found) else []

        found: list[dict[str, Any]] = until(all_handled, f"all of {self.name} are handled")
        return found

    def each_was_reset_once(self) -> None:
        statuses = self.wait()
        assert {each["reset"]["phase"] for each in statuses} == {"Succeeded"}
        assert self.counts() == dict.fromkeys(self.jobs.values(), 1)


@pytest.fixture(scope="module", autouse=True)
def release(cluster: Cluster) -> Iterator[None]:
    """The chart, installed for the whole module."""
    cluster.helm("install", RELEASE, str(CHART), *values(TAGS[0]), "--wait", "--timeout=3m")
    yield
    if cluster.kubectl("get", f"deployment/{RELEASE}", "--ignore-not-found", "--output=name"):
        cluster.helm("uninstall", RELEASE, "--wait", "--timeout=2m")


def values(tag: str) -> list[str]:
    registry, _, repository = NAME.partition("/")
    settings = {
        "image.registry": registry,
        "image.repository": repository,
        "image.tag": tag,
        "config.endpoint": "http://esa-simulator:8089",
        "config.allowHttpEndpoint": "true",
        "config.maxCallsPerSecond": str(PER_SECOND),
        "credentials.existingSecret": "esa-credentials",
    }
    return [f"--set={name}={value}" for name, value in settings.items()]


@pytest.fixture(autouse=True)
def told(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[None]:
    """Show what the cluster says when a test fails."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        print(cluster.describe())  # noqa: T201 - for who reads the failure


def ready_pods(cluster: Cluster) -> list[str]:
    def ready(pod: dict[str, Any]) -> bool:
        conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
        return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]

    return [pod["metadata"]["name"] for pod in cluster.items("pods", PODS) if ready(pod)]


def leader(cluster: Cluster) -> str:
    """Wait until two pods are ready and one of them leads; return its name."""

    def found() -> str:
        pods, name = ready_pods(cluster), cluster.leader()
        return name if len(pods) == 2 and name in pods else ""

    return str(until(found, "two pods are ready, and one leads"))


def while_it_resets(batch: Batch, disturb: Callable[[], object]) -> None:
    """Ask for all resets of a batch, and disturb when some are done and most are not."""
    asking = threading.Thread(target=batch.ask)
    asking.start()
    until(lambda: batch.executed() >= len(batch.jobs) // 10, "some resets are done", every=0.1)
    assert batch.executed() < len(batch.jobs) // 2
    disturb()
    asking.join()


# --- the story ------------------------------------------------------------------------------------------------------


def test_two_replicas_are_ready_and_one_of_them_leads(cluster: Cluster) -> None:
    assert leader(cluster) in ready_pods(cluster)


def test_an_annotation_by_kubectl_is_one_reset(cluster: Cluster, esa: SimulatorControl) -> None:
    batch = Batch(cluster, esa, "one", 1)
    batch.ask()
    cluster.kubectl(
        "wait", f"--for=jsonpath={{.status.handledResets.resetRequested}}={TOKEN}", "spj/one-0", "--timeout=60s"
    )
    batch.each_was_reset_once()
    (status,) = batch.statuses()
    assert (status["urlCount"], status["taskSubmitted"]) == (10, 0)
    events = cluster.items("events", "--field-selector=involvedObject.name=one-0,reason=ResetSucceeded")
    assert len(events) == 1


def test_the_operators_own_credentials_come_from_the_charts_secret(cluster: Cluster, esa: SimulatorControl) -> None:
    batch = Batch(cluster, esa, "own", 1)
    cluster.kubectl(
        "patch", "spj/own-0", "--type=json", '--patch=[{"op":"remove","path":"/spec/credentialsSecretRef"}]'
    )
    batch.ask()
    batch.each_was_reset_once()


def test_helms_own_test_passes(cluster: Cluster) -> None:
    assert "Phase:          Succeeded" in cluster.helm("test", RELEASE, "--timeout=2m")


def test_an_upgrade_during_200_resets_neither_loses_nor_repeats_one(cluster: Cluster, esa: SimulatorControl) -> None:
    batch = Batch(cluster, esa, "upgrade", 200)
    before = set(ready_pods(cluster))
    upgrade = ("upgrade", RELEASE, str(CHART), *values(TAGS[1]), "--wait", "--timeout=3m")
    while_it_resets(batch, lambda: cluster.helm(*upgrade))
    batch.each_was_reset_once()
    owners = {status["reset"]["owner"].rpartition("_")[0] for status in batch.statuses()}
    assert owners & before
    assert owners - before
    pods = cluster.items("pods", PODS)
    assert {
        pod["spec"]["containers"][0]["image"] for pod in pods if pod["metadata"]["name"] in ready_pods(cluster)
    } == {f"{NAME}:{TAGS[1]}"}


def test_the_death_of_the_leader_neither_loses_nor_repeats_a_reset(cluster: Cluster, esa: SimulatorControl) -> None:
    batch = Batch(cluster, esa, "death", 50)
    first = leader(cluster)
    while_it_resets(batch, lambda: cluster.kubectl("delete", "pod", first, "--force", "--grace-period=0"))
    batch.each_was_reset_once()
    assert leader(cluster) != first


def test_a_drain_of_the_leader_neither_loses_nor_repeats_a_reset(cluster: Cluster, esa: SimulatorControl) -> None:
    batch = Batch(cluster, esa, "drain", 50)
    first = leader(cluster)
    node = cluster.get(f"pod/{first}")["spec"]["nodeName"]
    cluster.kubectl("label", "pod", first, "e2e=drained")  # on a single node the others must stay
    drain = ("drain", node, "--pod-selector=e2e=drained", "--timeout=2m")
    try:
        while_it_resets(batch, lambda: cluster.kubectl(*drain))
    finally:
        cluster.kubectl("uncordon", node)
    batch.each_was_reset_once()
    assert leader(cluster) != first


def test_a_restart_of_the_api_server_neither_loses_nor_repeats_a_reset(cluster: Cluster, esa: SimulatorControl) -> None:
    batch = Batch(cluster, esa, "restart", 50)
    leader(cluster)
    while_it_resets(batch, lambda: restart_api_server(cluster))
    batch.each_was_reset_once()
    leader(cluster)


def test_a_job_is_created_replaced_reset_and_deleted(cluster: Cluster, esa: SimulatorControl) -> None:
    def ours() -> list[dict[str, Any]]:
        return [job for job in esa.jobs() if str(job["name"]).startswith(f"{cluster.namespace}-life-")]

    def life() -> dict[str, Any]:
        status: dict[str, Any] = cluster.get("spj/life").get("status", {})
        return status

    def source(name: str) -> dict[str, Any]:
        return {"siteId": SITE_ID, "source": {"urls": [f"https://www.example.com/{name}.js"]}}

    def manifest(name: str) -> dict[str, Any]:
        window = {"name": "now", "duration": "1h", "intervalSeconds": 1, "sliceLen": 1}
        spec = {**source(name), "executions": [window], "credentialsSecretRef": {"name": "esa-credentials"}}
        kind = {"apiVersion": "esa.preload-operator.io/v1alpha1", "kind": "ScheduledPreloadJob"}
        return {**kind, "metadata": {"name": "life"}, "spec": spec}

    cluster.apply([manifest("a")])
    cluster.kubectl("wait", "--for=condition=Ready", "spj/life", "--timeout=180s")
    first = life()["jobId"]
    until(lambda: (life().get("executions") or [{}])[0].get("id"), "the window is open")
    cluster.kubectl("annotate", "spj/life", f"resetRequested={TOKEN}")
    until(lambda: life().get("handledResets", {}).get("resetRequested") == TOKEN, "the job is reset")
    cluster.apply([manifest("b")])
    until(lambda: life().get("jobId") not in {None, first} and not life().get("retiredJobs"), "the job is replaced")
    assert [job["id"] for job in ours()] == [life()["jobId"]]
    assert esa.resets().get(first) == 1
    cluster.kubectl("delete", "spj/life", "--timeout=180s")
    assert ours() == []


def test_no_credential_stands_in_a_log(cluster: Cluster) -> None:
    log = cluster.kubectl("logs", PODS, "--tail=-1", "--max-log-requests=10")
    assert "leading as" in log
    assert ACCESS_KEY_SECRET not in log


def test_an_uninstallation_leaves_the_resources_and_nothing_that_hangs(cluster: Cluster, esa: SimulatorControl) -> None:
    counts, resources = esa.resets(), len(cluster.items("spj"))
    cluster.helm("uninstall", RELEASE, "--wait", "--timeout=2m")
    assert len(cluster.items("spj")) == resources
    assert cluster.get(f"crd/{CRD}")
    cluster.kubectl("delete", "spj", "--all", "--wait=false")
    until(lambda: not cluster.items("spj"), "all are gone, since no finalizer waits for the operator", seconds=60)
    assert esa.resets() == counts == dict.fromkeys(counts, 1)


# --- the API server -------------------------------------------------------------------------------------------------

KILLER: Final = """
import os, signal
for name in filter(str.isdigit, os.listdir("/proc")):
    try:
        found = open(f"/proc/{name}/comm").read().strip()
    except OSError:
        continue
    if found == "kube-apiserver":
        print("killed", name)
        os.kill(int(name), signal.SIGKILL)
"""


def restart_api_server(cluster: Cluster) -> None:
    before = cluster.running_since()
    if command := os.environ.get("E2E_RESTART_API"):
        run(command)
    else:
        kill_api_server(cluster)
    until(lambda: cluster.running_since() > before, "the API server is another process")


def kill_api_server(cluster: Cluster) -> None:
    """Let a pod on a node of the control plane kill the process; the kubelet starts it again."""
    control = cluster.items("nodes", "--selector=node-role.kubernetes.io/control-plane")
    if not control:
        pytest.fail("no node of the control plane is seen: E2E_RESTART_API must name a command that restarts it")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "esa-e2e-killer", "namespace": "kube-system"},
        "spec": {
            "nodeName": control[0]["metadata"]["name"],
            "hostPID": True,
            "restartPolicy": "Never",
            "tolerations": [{"operator": "Exists"}],
            "containers": [
                {
                    "name": "killer",
                    "image": f"{NAME}:{TAGS[0]}",
                    "command": ["python3", "-c", KILLER],
                    "securityContext": {"privileged": True, "runAsUser": 0},
                }
            ],
        },
    }
    cluster.kubectl("apply", "--filename=-", "--namespace=kube-system", given=yaml.safe_dump(pod))
    until(
        lambda: (
            cluster.kubectl("delete", "pod/esa-e2e-killer", "--namespace=kube-system", "--now")
            if cluster.get("pod/esa-e2e-killer", "--namespace=kube-system")["status"]["phase"]
            in ("Succeeded", "Failed")
            else ""
        ),
        "the API server was killed",
    )
