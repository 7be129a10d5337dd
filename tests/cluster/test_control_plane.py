from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import pytest

import control_plane as module
from control_plane import ControlPlane, KubectlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEADLINE = 60.0


def wait_until(state: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not state():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        # A killed process stays a zombie for as long as its new parent does not reap it.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


@pytest.fixture(scope="module")
def own() -> Iterator[ControlPlane]:
    """A control plane that may be restarted without disturbing other tests."""
    with ControlPlane() as running:
        yield running


def test_kubectl_writes_and_reads(control_plane: ControlPlane) -> None:
    control_plane.kubectl("create", "configmap", "written", "--from-literal=key=value")
    assert control_plane.kubectl("get", "configmap", "written", "-o", "jsonpath={.data.key}") == "value"
    assert "Server Version: v1.37" in control_plane.kubectl("version")


def test_kubectl_applies_what_it_is_given(control_plane: ControlPlane) -> None:
    manifest = '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "given"}}'
    assert control_plane.kubectl("apply", "-f", "-", input=manifest) == "configmap/given created\n"


def test_a_client_that_does_not_trust_the_authority_is_refused_by_itself(control_plane: ControlPlane) -> None:
    connection = http.client.HTTPSConnection(control_plane.url[8:], context=ssl.create_default_context())
    with contextlib.closing(connection), pytest.raises(ssl.SSLCertVerificationError):
        connection.connect()
    assert "insecure" not in control_plane.kubeconfig().read_text()


def test_a_user_without_a_role_is_denied(control_plane: ControlPlane) -> None:
    control_plane.add_user("nobody", ["strangers"])
    with pytest.raises(KubectlError, match='User "nobody" cannot list resource "configmaps"'):
        control_plane.kubectl("get", "configmaps", user="nobody")


def test_a_role_bound_to_a_service_account_lets_it_in(control_plane: ControlPlane) -> None:
    control_plane.add_service_account("default", "reader")
    control_plane.kubectl("create", "role", "reader", "--verb=list", "--resource=configmaps")
    control_plane.kubectl("create", "rolebinding", "reader", "--role=reader", "--serviceaccount=default:reader")
    user = "system:serviceaccount:default:reader"

    def may_list() -> bool:  # the authorizer sees the binding through a watch, a moment later
        with contextlib.suppress(KubectlError):
            control_plane.kubectl("get", "configmaps", user=user)
            return True
        return False

    wait_until(may_list)
    with pytest.raises(KubectlError, match="cannot list resource"):
        control_plane.kubectl("get", "secrets", user=user)


def test_a_kubeconfig_is_for_its_owner_alone(control_plane: ControlPlane) -> None:
    assert control_plane.kubeconfig().stat().st_mode & 0o077 == 0
    with pytest.raises(KeyError):
        control_plane.kubeconfig("never-added")


def test_the_audit_log_names_who_asked_for_what(control_plane: ControlPlane) -> None:
    control_plane.add_user("audited", ["system:masters"])
    control_plane.kubectl("get", "configmaps", user="audited")

    def listed() -> bool:
        events = control_plane.audit_events("audited")
        assert {event["user"]["username"] for event in events} <= {"audited"}
        return any(e["verb"] == "list" and e["objectRef"]["resource"] == "configmaps" for e in events)

    wait_until(listed)


def test_a_restart_keeps_data_and_address(own: ControlPlane) -> None:
    own.kubectl("create", "configmap", "kept")
    url, pid = own.url, own.pids["kube-apiserver"]
    own.restart()
    assert own.pids["kube-apiserver"] != pid
    assert own.url == url
    assert "kept" in own.kubectl("get", "configmaps", "-o", "name")


async def test_a_frozen_server_answers_only_after_the_thaw(own: ControlPlane) -> None:
    own.freeze()
    try:
        stat = Path(f"/proc/{own.pids['kube-apiserver']}/stat")
        wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
        answer = asyncio.create_task(asyncio.to_thread(own.kubectl, "get", "configmaps"))
        done, _ = await asyncio.wait([answer], timeout=0.5)
        assert not done
    finally:
        own.thaw()
    assert "kube-root-ca.crt" not in await answer


def test_two_at_once_know_nothing_of_each_other(own: ControlPlane) -> None:
    with ControlPlane() as other:
        other.kubectl("create", "configmap", "elsewhere")
        assert "elsewhere" not in own.kubectl("get", "configmaps", "-o", "name")
        with pytest.raises(KubectlError, match="certificate signed by unknown authority"):
            own.kubectl("get", "configmaps", f"--server={other.url}")
        folder, pids = other.folder, other.pids
    assert not folder.exists()
    assert all(is_gone(pid) for pid in pids.values())


def test_a_taken_port_is_left_for_another_one() -> None:
    with socket.socket() as taken:
        taken.bind((module.HOST, 0))
        taken.listen()
        free = module.free_port()
        with mock.patch.object(module, "free_port", side_effect=[taken.getsockname()[1], free]), ControlPlane() as one:
            assert one.url.endswith(f":{free}")


def test_a_server_that_ends_says_why() -> None:
    control_plane = ControlPlane(apiserver_args=["--no-such-flag"])
    with pytest.raises(module.ControlPlaneError, match="unknown flag: --no-such-flag"):
        control_plane.start()
    assert not control_plane.folder.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties the life of a process to its parent's")
def test_a_killed_parent_leaves_no_process_behind() -> None:
    code = """import control_plane, signal
p = control_plane.ControlPlane().start()
print(*p.pids.values(), p.folder, flush=True)
signal.pause()"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=env) as parent:
        assert parent.stdout is not None
        *pids, folder = parent.stdout.readline().split()
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: all(is_gone(int(pid)) for pid in pids))
    shutil.rmtree(folder)


def test_the_script_prints_a_kubeconfig_and_ends_when_it_is_asked_to() -> None:
    with subprocess.Popen([sys.executable, module.__file__], stdout=subprocess.PIPE, text=True) as script:
        assert script.stdout is not None
        kubeconfig = Path(script.stdout.readline().removeprefix("export KUBECONFIG=").strip())
        assert kubeconfig.is_file()
        script.send_signal(signal.SIGTERM)
    assert script.returncode == 0
    assert not kubeconfig.parent.exists()
