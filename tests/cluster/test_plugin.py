"""`kubectl esa-preload` by the real kubectl on a real API server, with an operator and a simulated ESA."""

from __future__ import annotations

import json
import re
import signal
import tarfile
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from support.api import job_body
from support.plugin import Plugin
from support.world import World, new_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from control_plane import ControlPlane
    from support.simulator import SimulatorProcess


@pytest.fixture(scope="module")
def operated(
    cluster: ControlPlane, simulator: SimulatorProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """One namespace with an operator at work; each test has jobs of its own."""
    with new_world(cluster, simulator, tmp_path_factory.mktemp("operated")) as made:
        made.operator().wait_to_lead()
        yield made


@pytest.fixture(scope="module")
def plugin(operated: World) -> Plugin:
    kubeconfig = operated.control_plane.kubeconfig()
    return Plugin(operated.folder / "bin", kubeconfig, operated.namespace).install()


def test_reset_waits_until_each_job_was_reset_once_and_says_so(operated: World, plugin: Plugin) -> None:
    operated.seed(1, 2)
    names = [operated.create(each) for each in (1, 2)]
    done = plugin.run("reset", *names, "--wait", "--timeout=30s")
    assert (done.code, done.err) == (0, "")
    assert [operated.resets(each) for each in (1, 2)] == [1, 1]
    for name in names:
        assert re.search(rf"{name}  Requested\n", done.out)
        assert re.search(rf"{name}  Succeeded after [\d.]+s, 0/10 URLs submitted", done.out)
    assert "2 of 2 reset" in done.out


def test_the_same_token_asks_only_once(operated: World, plugin: Plugin) -> None:
    operated.seed(3)
    operated.create(3)
    for _ in range(2):
        assert plugin.run("reset", "j3", "--token=deploy-1", "--wait").code == 0
    assert operated.resets(3) == 1


def test_a_failed_reset_is_told_and_ends_with_1(operated: World, plugin: Plugin) -> None:
    operated.seed(4)
    operated.create(4)
    operated.create(5)  # there is no such job in ESA
    done = plugin.run("reset", "j4", "j5", "--wait", "--output=json")
    outcomes = {each["name"]: (each["outcome"], each["succeeded"]) for each in json.loads(done.out)}
    assert outcomes == {"j4": ("Succeeded", True), "j5": ("Failed", False)}
    assert done.code == 1


def test_a_reset_without_an_outcome_in_time_ends_with_3_and_can_be_followed_later(
    operated: World, plugin: Plugin
) -> None:
    operated.seed(6)
    operated.create(6, suspend=True)
    done = plugin.run("reset", "j6", "--wait", "--timeout=1s")
    assert done.code == 3
    assert "j6  Held: the job is suspended: the reset waits for `resume`" in done.out
    follow = re.search(r"kubectl esa-preload (reset j6 --token=\S+ --wait)", done.err)
    assert follow is not None
    resumed = plugin.run("resume", "j6")
    assert (resumed.code, resumed.out) == (0, "j6  goes on\n")
    assert plugin.run(*follow[1].split()).code == 0
    assert operated.resets(6) == 1


def test_ctrl_c_leaves_the_requests_and_says_how_to_follow_them(operated: World, plugin: Plugin) -> None:
    operated.seed(7)
    operated.create(7, suspend=True)
    process = plugin.start("reset", "j7", "--wait")
    assert process.stdout is not None
    assert "j7" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "The requests stay as they are" in err
    assert "reset j7 --token=" in err
    assert "resetRequested" in operated.get(7)["metadata"]["annotations"]


def test_max_parallel_asks_for_the_next_reset_only_when_one_is_done(operated: World, plugin: Plugin) -> None:
    operated.seed(8, 9, 10)
    for each in (8, 9, 10):
        operated.create(each)
        operated.patch(each, {"metadata": {"labels": {"batch": "a"}}})
    done = plugin.run("reset", "--selector=batch=a", "--max-parallel=1")
    assert done.code == 0
    told = [line.split() for line in done.out.splitlines() if "Requested" in line or "Succeeded" in line]
    assert [each[1] for each in told] == ["Requested", "Succeeded"] * 3


def test_status_and_list_show_what_is_the_matter(operated: World, plugin: Plugin) -> None:
    operated.seed(11)
    operated.create(11, annotations={"reset-requested": "now"})
    operated.create(12)
    assert plugin.run("reset", "j11", "--wait").code == 0
    deadline = time.monotonic() + 20
    while "JobNotFound" not in plugin.run("list").out:
        assert time.monotonic() < deadline
    listed = plugin.run("list").out.splitlines()
    assert listed[0].split()[:2] == ["NAME", "STATE"]
    order = [line.split()[0] for line in listed[1:]]
    assert order.index("j12") < order.index("j11")
    shown = plugin.run("status", "j11").out
    assert "dealt with" in shown
    assert "Reset: Succeeded" in shown
    assert "ResetSucceeded: ESA reset job" in shown
    assert "the annotation reset-requested is not known" in shown
    for columns in (80, 200):
        screen = plugin.on_a_terminal("status", "j12", columns=columns, NO_COLOR="1")
        assert screen.code == 0
        assert "\033" not in screen.out
        assert max(map(len, screen.out.splitlines())) <= columns


def test_the_picture_on_a_terminal_ends_with_all_outcomes(operated: World, plugin: Plugin) -> None:
    operated.seed(13)
    operated.create(13)
    done = plugin.on_a_terminal("reset", "j13", "--wait")
    assert done.code == 0
    last = done.out.rpartition("NAME")[2]
    assert "Succeeded" in last
    assert "0/10" in last
    assert "1 of 1 reset" in last


def test_watch_draws_the_list_anew_until_ctrl_c(operated: World, plugin: Plugin) -> None:
    operated.seed(23)
    operated.create(23)
    done = plugin.on_a_terminal("watch", interrupt_at="j23")
    assert done.code == 130
    assert done.out.count("NAME") >= 1
    assert "Traceback" not in done.out


def test_suspend_lets_a_job_rest(operated: World, plugin: Plugin) -> None:
    operated.create(14)
    assert plugin.run("suspend", "j14").out == "j14  suspended\n"
    assert operated.get(14)["spec"]["suspend"] is True
    assert plugin.run("suspend", "j14").out == "j14  suspended already\n"


def test_names_are_completed_and_missing_ones_are_named(operated: World, plugin: Plugin) -> None:
    operated.create(15)
    assert "j15" in plugin.complete("status", f"--namespace={operated.namespace}", "j1")
    assert plugin.complete("res") == ["reset", "resume", ":4"]
    missing = plugin.run("reset", "j15", "nosuch")
    assert missing.code == 1
    assert 'scheduledpreloadjobs.esa.preload-operator.io "nosuch" not found' in missing.err
    assert "resetRequested" not in operated.get(15)["metadata"].get("annotations", {})


def test_diagnose_finds_the_leader_and_the_job_that_is_in_trouble(operated: World, plugin: Plugin) -> None:
    operated.create(16, credentialsSecretRef={"name": "nosuch"})
    found = plugin.run("diagnose", "-ojson", "--operator-namespace", operated.namespace)
    topics: dict[str, list[dict[str, str]]] = {}
    for each in json.loads(found.out):
        topics.setdefault(each["topic"], []).append(each)
    assert topics["CRD"][0]["result"] == "ok"
    assert "leads, renewed" in topics["Lease"][0]["found"]
    assert topics["Your rights"][0]["result"] == "ok"
    assert "nosuch does not exist" in topics["Credentials"][0]["found"]
    assert found.code == 1


def test_adopt_prints_resources_for_jobs_that_nothing_manages(operated: World, plugin: Plugin) -> None:
    operated.seed(20, 21, name="Nightly EU")
    operated.create(20)
    operated.make_secret()
    site = str(operated.simulator.job(operated.esa_id(21))["siteId"])
    words = ("adopt", f"--site={site}", f"--endpoint={operated.simulator.url}", f"--job={operated.esa_id(21)}")
    done = plugin.run(*words, "--credentials-secret=esa-credentials")
    assert done.code == 0, done.err
    (made,) = yaml.safe_load_all(done.out)
    assert made["spec"] == {"jobId": operated.esa_id(21), "credentialsSecretRef": {"name": "esa-credentials"}}
    assert made["metadata"] == {"name": "nightly-eu", "namespace": operated.namespace}
    operated.control_plane.kubectl("apply", "--filename=-", "--dry-run=server", input=done.out)
    assert operated.access_key_secret not in done.out + done.err.replace("esa-credentials", "")
    keys = {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": operated.access_key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "wrong-secret-0123",
    }
    refused = plugin.run(*words, more=keys)
    assert refused.code == 1
    assert "SignatureDoesNotMatch" in refused.err
    assert "wrong-secret-0123" not in refused.err


def test_the_archive_for_maintainers_holds_nothing_that_was_planted(operated: World, plugin: Plugin) -> None:
    planted = ("planted-variable", "plantedSignature", "planted-token-0815", "planted-key-id", "planted-key-secret")
    operated.make_secret("planted", accessKeyId="planted-key-id", accessKeySecret="planted-key-secret")
    source = {"ossUrl": "https://b.oss-cn-hangzhou.aliyuncs.com/l.txt?Signature=plantedSignature"}
    body = job_body("j22", source=source, siteId=1, credentialsSecretRef={"name": "planted"}, suspend=True)
    del body["spec"]["jobId"]
    body["metadata"]["annotations"] = {"resetRequested": "planted-token-0815"}
    operated.control_plane.kubectl(f"--namespace={operated.namespace}", "apply", "--filename=-", input=json.dumps(body))
    variable = {"name": "HTTPS_PROXY_PASSWORD", "value": "planted-variable"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "op-1", "labels": {"app.kubernetes.io/name": "esa-preload-operator"}},
        "spec": {"containers": [{"name": "operator", "image": "esa:1", "env": [variable]}]},
    }
    assert operated.api.call("POST", f"/api/v1/namespaces/{operated.namespace}/pods", pod).status == 201
    path = operated.folder / "support.tar.gz"
    done = plugin.run("diagnose", f"--output={path}", "--endpoint=none", "--operator-namespace", operated.namespace)
    assert path.stat().st_mode & 0o077 == 0
    with tarfile.open(path) as archive:
        files = {each.name.rpartition("support/")[2]: archive.extractfile(each) for each in archive}
        texts = {name: file.read().decode() for name, file in files.items() if file is not None}
    assert {"findings.txt", "jobs.json", "events.json", "leases.json", "pods.json", "logs/op-1.log"} <= set(texts)
    assert '"j22"' in texts["jobs.json"]
    assert [each for each in planted if any(each in text for text in (*texts.values(), done.out, done.err))] == []


def test_diagnose_judges_the_rights_of_a_user_in_the_namespace_that_he_works_in(
    operated: World, plugin: Plugin
) -> None:
    rule = {"apiGroups": ["esa.preload-operator.io"], "resources": ["scheduledpreloadjobs"]}
    role: dict[str, Any] = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "reader"},
    }
    role |= {"rules": [rule | {"verbs": ["get", "list", "watch"]}]}
    kubectl = operated.control_plane.kubectl
    kubectl("create", f"--namespace={operated.namespace}", "--filename=-", input=json.dumps(role))
    kubectl("create", "rolebinding", "reader", "--role=reader", "--user=reader", f"--namespace={operated.namespace}")
    found = json.loads(plugin.run("diagnose", "-o=json", "--as=reader", "--endpoint=none").out)
    (rights,) = (each for each in found if each["topic"] == "Your rights")
    assert rights["found"].startswith("denied: patch scheduledpreloadjobs (reset, suspend and resume), list events")
    assert {each["result"] for each in found if each["topic"] in {"Operator", "Lease", "Admission"}} == {"unknown"}
