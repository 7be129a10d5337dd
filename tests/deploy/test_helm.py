"""The chart on a real API server, by real Helms, and the operator with what it was given there."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from control_plane import ControlPlane, KubectlError
from esa_preload_operator.resources.job import GROUP, PLURAL, RESET_KEYS
from support.api import job_body
from support.chart import (
    CHART,
    HELMS,
    NAME,
    ROOT,
    VERSION,
    container,
    helm,
    render,
)
from support.chart_values import FULL
from support.release import CRD, Release
from support.world import World
from tools import prometheus_crds, tool

if TYPE_CHECKING:
    from pathlib import Path

    from support.simulator import SimulatorProcess


@pytest.fixture(params=HELMS)
def release(request: pytest.FixtureRequest, kubernetes: ControlPlane) -> Release:
    return Release(kubernetes, request.param)


@pytest.fixture
def previous(tmp_path: Path) -> Path:
    """Package what could have been the release before: other versions, and a CRD without its short name."""
    chart = tmp_path / NAME
    shutil.copytree(CHART, chart)
    about = (chart / "Chart.yaml").read_text()
    (chart / "Chart.yaml").write_text(re.sub(r"(?m)^(version|appVersion): .*$", r"\1: 0.0.9", about))
    crd = chart / "templates" / "crd.yaml"
    crd.write_text(crd.read_text().replace("    shortNames:\n    - spj\n", ""))
    helm("helm3", "package", str(chart), f"--destination={tmp_path}")
    return tmp_path / f"{NAME}-0.0.9.tgz"


# --- the life of a release --------------------------------------------------------------------------------------


def test_an_upgrade_brings_the_new_crd_and_keeps_the_resources(release: Release, previous: Path) -> None:
    release.install(previous)
    assert release.image().endswith(":0.0.9")
    release.make_job()
    release.upgrade()
    assert release.image().endswith(f":{VERSION}")
    names = release.get(CRD)["spec"]["names"]
    assert names["shortNames"] == ["spj"]
    assert release.exists(f"{PLURAL}/nightly")
    release.helm("rollback", NAME, "1")
    assert release.image().endswith(":0.0.9")
    assert release.exists(f"{PLURAL}/nightly")


def test_an_uninstallation_keeps_the_crd_and_the_next_release_takes_it_over(release: Release) -> None:
    release.install()
    release.make_job()
    release.helm("uninstall", NAME)
    assert not release.exists(f"deployment/{NAME}")
    assert release.exists(f"{PLURAL}/nightly")
    release.install()
    assert release.exists(f"{PLURAL}/nightly")


def test_an_uninstallation_takes_the_crd_with_it_if_so_asked(release: Release) -> None:
    release.install(crds__keep=False)
    release.make_job()
    assert "deletes every ScheduledPreloadJob" in release.helm("get", "notes", NAME)
    release.helm("uninstall", NAME)
    release.kubectl("wait", "--for=delete", CRD, "--timeout=30s")


def test_two_releases_of_one_name_live_in_two_namespaces(release: Release) -> None:
    release.install()
    second = Release(release.kubernetes, release.program)
    second.install(crds__install=False, watch__clusterWide=False)
    third = Release(release.kubernetes, release.program)
    third.install(crds__install=False)
    for each in (release, second, third):
        assert each.exists(f"deployment/{NAME}")
    second.helm("uninstall", NAME)
    assert release.exists(f"clusterrole/{NAME}-{release.namespace}")
    assert release.exists(CRD)


@pytest.mark.parametrize("own", [False, True])
def test_the_notes_say_what_to_do_next_and_after_an_upgrade(release: Release, *, own: bool) -> None:
    values = {"credentials__existingSecret": "own"} if own else {"credentials__secretNames": ["keys", "other"]}
    first = release.install(**values)
    manifest = first.split("<<END\n")[1].split("END\n")[0]
    release.kubectl("wait", "--for=condition=Established", CRD, "--timeout=30s")
    release.kubectl("create", "--validate=strict", "--filename=-", input=textwrap.dedent(manifest))
    named = release.get(f"{PLURAL}/nightly")["spec"].get("credentialsSecretRef")
    assert named == (None if own else {"name": "keys"})
    assert ("create secret generic keys" in first) != own
    assert "annotate scheduledpreloadjob nightly" in first
    again = release.upgrade(**values)
    assert ("rollout restart" in again) == own
    assert "After this upgrade" in again
    assert "What to do next" not in again


def test_pods_are_replaced_by_an_upgrade_when_their_secret_has_changed(release: Release) -> None:
    release.install(credentials__existingSecret="own")

    def checksum() -> str | None:
        pod = release.get(f"deployment/{NAME}")["spec"]["template"]["metadata"]
        found: str | None = pod.get("annotations", {}).get("checksum/credentials")
        return found

    assert checksum() is None  # there is no such Secret yet
    release.kubectl("create", "secret", "generic", "own", "--from-literal=accessKeyId=a")
    seen = []
    for _ in range(2):
        release.upgrade(credentials__existingSecret="own")
        seen.append(checksum())
    assert seen[0] == seen[1] is not None
    release.kubectl("patch", "secret", "own", '--patch={"stringData": {"accessKeyId": "b"}}')
    release.upgrade(credentials__existingSecret="own")
    assert checksum() != seen[0]


def test_server_side_apply_meets_no_conflict(kubernetes: ControlPlane) -> None:
    release = Release(kubernetes, "helm4")
    release.install(CHART, "--server-side=true")
    release.upgrade("--server-side=true", config__workers=8)
    manifest = release.helm("get", "manifest", NAME)
    for _ in range(2):
        release.kubectl("apply", "--server-side", "--field-manager=argocd-controller", "--filename=-", input=manifest)
    release.upgrade("--server-side=true", config__workers=8)
    release.kubectl(
        "apply", "--filename=-", "--server-side", "--field-manager=helm", "--dry-run=server", input=manifest
    )


def test_everything_at_once_is_accepted(kubernetes: ControlPlane) -> None:
    release = Release(kubernetes, "helm4")
    pods = {name: FULL[name] for name in FULL if name.startswith(("extra", "dns", "host", "startup"))}
    release.install(
        CHART,
        "--server-side=true",  # an unknown field is an error there
        **pods,
        resetPolicy__enabled=True,
        networkPolicy__enabled=True,
        metrics__grafanaDashboard__enabled=True,
        metrics__service={"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"]},
        credentials__rrsa={"enabled": True, "roleName": "esa"},
        credentials__ecsRamRole=True,
        **{name: FULL[name] for name in ("proxy", "caBundle", "tracing", "minReadySeconds")},
    )
    pod = release.get(f"deployment/{NAME}")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 45
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "restricted", "labels": labels}}
    kubernetes.kubectl("apply", "--filename=-", input=json.dumps(body))
    for each in render():  # the pods themselves pass the strictest of the Pod Security Standards
        if each["kind"] in ("Pod", "Deployment"):
            spec = each["spec"]["template"]["spec"] if each["kind"] == "Deployment" else each["spec"]
            name = f"{NAME}-{each['kind'].lower()}"
            made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "restricted"}}
            kubernetes.kubectl("create", "--filename=-", "--dry-run=server", input=json.dumps({**made, "spec": spec}))


@pytest.mark.parametrize("monitor", ["serviceMonitor", "podMonitor"])
def test_prometheus_operator_knows_every_field_of_the_monitors_and_the_rule(
    kubernetes: ControlPlane, monitor: str
) -> None:
    for kind in ("servicemonitors", "podmonitors", "prometheusrules"):
        path = prometheus_crds() / f"monitoring.coreos.com_{kind}.yaml"
        kubernetes.kubectl("apply", "--server-side", f"--filename={path}")
        kubernetes.kubectl("wait", "--for=condition=Established", f"--filename={path}", "--timeout=30s")
    relabelings = [{"action": "labeldrop", "regex": "pod"}]
    more = {"scheme": "https", "tlsConfig": {"insecureSkipVerify": True}, "jobLabel": "team", "sampleLimit": 5000}
    release = Release(kubernetes, "helm4")
    release.install(
        CHART,
        "--server-side=true",  # an unknown field is an error there
        metrics__renderMode="failIfMissing",
        **{
            f"metrics__{monitor}": {
                "enabled": True,
                "relabelings": relabelings,
                "metricRelabelings": relabelings,
                **more,
            }
        },
        metrics__prometheusRule={"enabled": True, "labels": {"release": "x"}, "alertLabels": {"team": "edge"}},
    )
    assert release.exists(f"{monitor}/{NAME}")
    assert release.exists(f"prometheusrule/{NAME}")


# --- who may ask for a reset ------------------------------------------------------------------------------------


def role(*verbs: str) -> dict[str, Any]:
    return {"apiGroups": [GROUP], "resources": [PLURAL], "verbs": list(verbs)}


def bind(release: Release, user: str, *verbs: str) -> str:
    """Make a user with some verbs in the release's namespace."""
    release.kubernetes.add_user(user, ["system:authenticated"])
    api = {"apiVersion": "rbac.authorization.k8s.io/v1"}
    metadata = {"name": user, "namespace": release.namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": user}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
    bodies = [
        {**api, "kind": "Role", "metadata": metadata, "rules": [role(*verbs)]},
        {**api, "kind": "RoleBinding", "metadata": metadata, "roleRef": reference, "subjects": [subject]},
    ]
    release.kubectl("apply", "--filename=-", input=yaml.safe_dump_all(bodies))
    return user


async def test_the_verb_reset_decides_who_may_ask(kubernetes: ControlPlane, simulator: SimulatorProcess) -> None:
    release = Release(kubernetes, "helm3")
    release.install(resetPolicy__enabled=True)
    release.make_job()
    edit = ("get", "list", "create", "patch", "update", "delete")
    editor, resetter = (
        bind(release, f"e-{release.namespace}", *edit),
        bind(release, f"r-{release.namespace}", *edit, "reset"),
    )

    def annotate(user: str, annotation: str) -> str:
        """Return what was refused, or nothing."""
        try:
            release.kubectl("annotate", f"{PLURAL}/nightly", annotation, "--overwrite", user=user)
        except KubectlError as error:
            return str(error)
        return ""

    world = World(kubernetes, simulator, ROOT, release.namespace, "none")
    tokens = map(str, itertools.count())
    await world.until(lambda: "needs the verb reset" in annotate(editor, f"{RESET_KEYS[0]}={next(tokens)}"))
    for key in RESET_KEYS:
        assert f"refused to {editor}" in annotate(editor, f"{key}=mine")
        assert annotate(resetter, f"{key}=theirs") == ""
        assert annotate(editor, f"{key}=theirs") == ""  # an apply that changes nothing asks for nothing
        assert "at most 256 bytes" in annotate(resetter, f"{key}={'é' * 129}")
        assert annotate(resetter, f"{key}={'é' * 128}") == ""
    assert annotate(editor, "other=value") == ""
    for key in RESET_KEYS:
        assert f"refused to {editor}" in annotate(editor, f"{key}-")  # set again, it would be a new request
        assert f"refused to {editor}" in annotate(editor, f"{key}=")
    assert annotate(resetter, f"{RESET_KEYS[1]}-") == ""
    assert_a_failed_request_is_asked_again_only_by(resetter, editor, release)
    assert_a_schedule_is_set_only_by(resetter, editor, release)
    body = job_body("second", jobId="job2")
    body["metadata"]["annotations"] = {RESET_KEYS[0]: "t1"}
    with pytest.raises(KubectlError, match="needs the verb reset"):
        release.kubectl("create", "--filename=-", input=json.dumps(body), user=editor)
    release.kubectl("create", "--filename=-", input=json.dumps(body), user=resetter)


def assert_a_failed_request_is_asked_again_only_by(resetter: str, editor: str, release: Release) -> None:
    """Change the spec of a resource that has a token, before and after its reset has failed."""
    intervals = (f"{number}s" for number in itertools.count(1))

    def change(user: str) -> str:
        try:
            patch = json.dumps({"spec": {"minResetInterval": next(intervals)}})
            release.kubectl("patch", f"{PLURAL}/nightly", "--type=merge", f"--patch={patch}", user=user)
        except KubectlError as error:
            return str(error)
        return ""

    def store(phase: str) -> None:
        patch = json.dumps({"status": {"reset": {"phase": phase}}})
        release.kubectl("patch", f"{PLURAL}/nightly", "--subresource=status", "--type=merge", f"--patch={patch}")

    store("Succeeded")
    assert change(editor) == ""
    store("Failed")
    assert "whose reset has failed" in change(editor)
    assert change(resetter) == ""
    release.kubectl("annotate", f"{PLURAL}/nightly", f"{RESET_KEYS[0]}-", user=resetter)
    assert change(editor) == ""  # no request stands that could be made again


def assert_a_schedule_is_set_only_by(resetter: str, editor: str, release: Release) -> None:
    """Set, change and remove a schedule, and change the rest of the spec beside it."""

    def change(user: str, **spec: Any) -> str:
        try:
            patch = json.dumps({"spec": spec})
            release.kubectl("patch", f"{PLURAL}/nightly", "--type=merge", f"--patch={patch}", user=user)
        except KubectlError as error:
            return str(error)
        return ""

    nightly, hourly = {"cron": "0 2 * * *"}, {"cron": "0 * * * *"}
    assert "to set or change resetSchedule" in change(editor, resetSchedule=nightly)
    assert change(resetter, resetSchedule=nightly) == ""
    assert change(editor, resetSchedule=nightly, suspend=True) == ""  # an apply that leaves it as it is
    assert "to set or change resetSchedule" in change(editor, resetSchedule=hourly)
    assert change(editor, suspend=False, executions=[]) == ""
    body = job_body("third", jobId="job3", resetSchedule=nightly)
    with pytest.raises(KubectlError, match="to set or change resetSchedule"):
        release.kubectl("create", "--filename=-", input=json.dumps(body), user=editor)
    assert change(editor, resetSchedule=None) == ""
    created = job_body("fourth", siteId=1, source={"urls": ["https://www.example.com/a.js"]})
    del created["spec"]["jobId"]
    release.kubectl("create", "--filename=-", input=json.dumps(created), user=editor)
    patch = json.dumps({"spec": {"source": {"urls": ["https://www.example.com/b.js"]}}})  # no reset of a job
    release.kubectl("patch", f"{PLURAL}/fourth", "--type=merge", f"--patch={patch}", user=editor)


def test_the_service_accounts_of_argo_cd_may_ask(kubernetes: ControlPlane) -> None:
    release = Release(kubernetes, "helm3")
    accounts = ["argocd-server", "argocd-application-controller"]
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": "argocd"} for name in accounts]
    release.install(resetPolicy__enabled=True, resetPolicy__aggregateToAdmin=False, resetPolicy__subjects=subjects)

    def may_reset(account: str) -> str:
        user = f"--as=system:serviceaccount:argocd:{account}"
        words = ["auth", "can-i", "reset", f"{PLURAL}.{GROUP}", "--namespace=website", user]
        try:
            return kubernetes.kubectl(*words).strip()
        except KubectlError:
            return "no"

    assert [may_reset(account) for account in (*accounts, "default")] == ["yes", "yes", "no"]


# --- the README ---------------------------------------------------------------------------------------------------


def test_the_readmes_three_lines_install_it(kubernetes: ControlPlane, tmp_path: Path) -> None:
    section = (ROOT / "README.md").read_text().split("\n## Install\n")[1].split("\n## ")[0]
    found = re.search(r"(?m)^    helm .*\n(?:    .*\n)*", section)
    assert found, "no helm in the section"
    lines = [line.strip() for line in found[0].splitlines()]
    assert len(lines) == 3
    (tmp_path / "helm").symlink_to(tool("helm4"))
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["sh", "-euc", "\n".join(lines)],
        cwd=ROOT,
        env={**environment, "KUBECONFIG": str(kubernetes.kubeconfig())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    deployment = json.loads(kubernetes.kubectl("get", "deployment", NAME, f"--namespace={NAME}", "--output=json"))
    assert container([deployment])["image"].endswith(f"/esa-preload-operator:{VERSION}")
    assert "kubectl annotate scheduledpreloadjob" in done.stdout
