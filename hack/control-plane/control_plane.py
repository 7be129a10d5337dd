#!/usr/bin/env python3
"""A real Kubernetes API for tests, the demo and the bench: etcd, kube-apiserver and kubectl on this machine.

There is no kubelet, no controller and no garbage collection. Run as a script it prints the KUBECONFIG line and
stays in the foreground until it is interrupted.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import http.client
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml

from build import BuildError, binaries
from certificates import Authority, KeyPair, new_key
from children import Child

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

ADMIN = "admin"
HOST = "127.0.0.1"
# Below the range from which Linux takes the ports of outgoing connections: nobody takes ours during a restart.
PORTS = range(20_000, 32_000)
START_SECONDS = 90.0
ATTEMPTS = 5
POLL_SECONDS = 0.05
AUDIT_POLICY: Mapping[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


class ControlPlaneError(RuntimeError):
    """A program of the control plane did not start, or ended by itself; the message carries the end of its log."""


class KubectlError(RuntimeError):
    """kubectl ended with an error; the message is what it wrote to stderr."""


class ControlPlane:
    """etcd and kube-apiserver with an own certificate authority, RBAC and users by client certificate.

    All methods block; from asyncio call them through `asyncio.to_thread`. Use it as a context manager or call
    `start` and `stop`. The programs die with this process even if it is killed (on Linux).
    """

    def __init__(self, *, audit: bool = False, apiserver_args: Sequence[str] = ()) -> None:
        """Prepares a control plane.

        Args:
            audit: writes one audit event (level Metadata) per request, for `audit_events`.
            apiserver_args: more flags for kube-apiserver; they win over the ones given here.
        """
        self._audit = audit
        self._apiserver_args = tuple(apiserver_args)
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._children: dict[str, Child] = {}
        self._users: dict[str, KeyPair] = {}
        self._port = 0

    def __enter__(self) -> Self:
        """Starts it."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops it."""
        self.stop()

    # --- life ---------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Builds the programs if need be, starts them, and returns when the API is ready to be written to.

        Raises:
            BuildError: the programs can't be built.
            ControlPlaneError: a program did not start.
        """
        self._binaries = binaries()
        self._temporary = tempfile.TemporaryDirectory(prefix="control-plane-", ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        try:
            self._prepare()
            self._start_etcd()
            self._start_apiserver_on_a_free_port()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Kills the programs and removes their data; does nothing when they do not run."""
        for child in reversed(self._children.values()):
            child.stop()
        self._children.clear()
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def restart(self, *, grace: float = 0) -> None:
        """Ends kube-apiserver and starts it again on the same port with the same data.

        Args:
            grace: seconds that it has to end by itself; 0 kills it, and so all connections, at once.
        """
        self._children["kube-apiserver"].stop(grace=grace)
        self._start_apiserver()

    def save(self) -> None:
        """Copies what etcd holds now, for `restore`."""
        etcd = self._children["etcd"]
        etcd.signal(signal.SIGSTOP)
        try:
            shutil.copytree(self.folder / "etcd", self.folder / "saved", dirs_exist_ok=True)
        finally:
            etcd.signal(signal.SIGCONT)

    def restore(self) -> None:
        """Starts both programs anew with the data of the last `save`, so resourceVersions go back."""
        for name in ("kube-apiserver", "etcd"):
            self._children[name].stop()
        shutil.rmtree(self.folder / "etcd")
        shutil.copytree(self.folder / "saved", self.folder / "etcd")
        self._start_etcd()
        self._start_apiserver()

    def freeze(self) -> None:
        """Halts kube-apiserver (SIGSTOP): connections stay open and nothing is answered."""
        self._children["kube-apiserver"].signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets a frozen kube-apiserver go on (SIGCONT)."""
        self._children["kube-apiserver"].signal(signal.SIGCONT)

    # --- where and who ------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Base URL of the API server."""
        return f"https://{HOST}:{self._port}"

    @property
    def authority(self) -> Authority:
        """The authority that all certificates come from."""
        return self._authority

    @property
    def pids(self) -> dict[str, int]:
        """Process id by program (`etcd`, `kube-apiserver`); changes with `restart`."""
        return {name: child.pid for name, child in self._children.items()}

    def add_user(self, name: str, groups: Sequence[str] = ()) -> Path:
        """Issues a client certificate for `name` in `groups` and returns the path of a kubeconfig file."""
        file_name = _file_name(name)
        self._users[name] = self._authority.client(file_name, name, groups)
        path = self.folder / f"{file_name}.kubeconfig"
        user = {"client-certificate-data": _encoded(self._users[name].certificate),
                "client-key-data": _encoded(self._users[name].key)}  # fmt: skip
        return self.write_kubeconfig(path, self.url, user)

    def add_service_account(self, namespace: str, name: str) -> Path:
        """Adds a user that RBAC takes for the service account; returns the path of a kubeconfig file."""
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
        return self.add_user(f"system:serviceaccount:{namespace}:{name}", groups)

    def kubeconfig(self, user: str = ADMIN) -> Path:
        """Returns the path of a user's kubeconfig; `KeyError` when the user was never added."""
        if user not in self._users:
            raise KeyError(user)
        return self.folder / f"{_file_name(user)}.kubeconfig"

    def write_kubeconfig(self, path: Path, server: str, user: Mapping[str, str]) -> Path:
        """Writes a kubeconfig for `server`, which must hold a certificate of this authority, and returns `path`."""
        cluster = {"server": server, "certificate-authority-data": _encoded(self._authority.certificate)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "control-plane", "cluster": cluster}],
            "users": [{"name": "user", "user": dict(user)}],
            "contexts": [{"name": "default", "context": {"cluster": "control-plane", "user": "user"}}],
            "current-context": "default",
        }
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
        return path

    def ssl_context(self, user: str = ADMIN) -> ssl.SSLContext:
        """Returns a client context that trusts this authority alone and identifies itself as `user`."""
        context = ssl.create_default_context(cafile=str(self._authority.certificate))
        context.load_cert_chain(*self._users[user])
        return context

    # --- use ----------------------------------------------------------------------------------------------------

    def kubectl(self, *args: str, user: str = ADMIN, input: str | None = None, timeout: float = 60) -> str:  # noqa: A002 - subprocess.run's own name
        """Runs the real kubectl as `user` and returns its stdout.

        Raises:
            KubectlError: it ended with an error.
            subprocess.TimeoutExpired: it took longer than `timeout` seconds.
        """
        command = [str(self._binaries / "kubectl"), f"--kubeconfig={self.kubeconfig(user)}"]
        command += [f"--cache-dir={self.folder / 'kubectl-cache'}", *args]
        done = subprocess.run(
            command, input=input or "", capture_output=True, text=True, timeout=timeout, check=False,
            env={**self._environment(), "KUBERC": "off"},
        )  # fmt: skip
        if done.returncode != 0:
            raise KubectlError(done.stderr.strip())
        return done.stdout

    def audit_events(self, user: str | None = None) -> list[dict[str, Any]]:
        """Returns the audit events (audit.k8s.io/v1, level Metadata) so far, of one user or of all.

        A watch has two: ResponseStarted and ResponseComplete. An event may appear shortly after its answer.
        """
        if not self._audit:
            raise ControlPlaneError("this control plane was made without audit=True")
        log = self.folder / "audit.log"
        lines = log.read_text().split("\n")[:-1] if log.exists() else []  # the last is being written
        events = [json.loads(line) for line in lines]
        return [event for event in events if user in (None, event["user"].get("username"))]

    # --- inside -------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        self._authority = Authority(self.folder)
        new_key(self.folder / "service-account.key")
        self._server = self._authority.server("kube-apiserver")
        (self.folder / "audit-policy.yaml").write_text(yaml.safe_dump(dict(AUDIT_POLICY)))

    def _environment(self) -> dict[str, str]:
        # Proxy settings and the user's own configuration have no business here.
        kept = {name: os.environ[name] for name in ("PATH", "GOGC") if name in os.environ}
        return {**kept, "HOME": str(self.folder)}

    def _spawn(self, name: str, flags: Sequence[str]) -> Child:
        log = self.folder / f"{name}.log"
        command: list[str | Path] = [self._binaries / name, *flags]
        self._children[name] = Child(command, folder=self.folder, log=log, env=self._environment())
        return self._children[name]

    def _start_etcd(self) -> None:
        # Sockets in our own folder, not ports: nobody else can take them. etcd wants names of the form host:port.
        client, peer = "unix://client:0", "unix://peer:0"
        child = self._spawn("etcd", [
            "--name=default", "--data-dir=etcd", "--unsafe-no-fsync", "--log-level=warn",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
        ])  # fmt: skip
        _wait(child, lambda: _accepts(self.folder / "client:0"))

    def _start_apiserver_on_a_free_port(self) -> None:
        for attempt in range(ATTEMPTS):
            self._port = free_port()
            self.add_user(ADMIN, ["system:masters"])
            try:
                self._start_apiserver()
            except ControlPlaneError as error:
                if "address already in use" not in str(error) or attempt == ATTEMPTS - 1:
                    raise
            else:
                return

    def _start_apiserver(self) -> None:
        flags = [
            "--etcd-servers=unix://client:0", f"--bind-address={HOST}", f"--advertise-address={HOST}",
            f"--secure-port={self._port}", "--endpoint-reconciler-type=none",
            f"--tls-cert-file={self._server.certificate}", f"--tls-private-key-file={self._server.key}",
            f"--client-ca-file={self._authority.certificate}", f"--cert-dir={self.folder}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-account-key-file=service-account.key", "--service-account-signing-key-file=service-account.key",
            "--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16",
            "--disable-admission-plugins=ServiceAccount",  # nothing here would make the default service accounts
            "--profiling=false",
        ]  # fmt: skip
        if self._audit:
            flags += ["--audit-policy-file=audit-policy.yaml", "--audit-log-path=audit.log", "--audit-log-maxsize=4096"]
        child = self._spawn("kube-apiserver", [*flags, *self._apiserver_args])
        _wait(child, self._is_ready)

    def _is_ready(self) -> bool:
        # The namespace is made by a controller in the server, which readiness does not wait for.
        return self._answers("/readyz") and self._answers("/api/v1/namespaces/default")

    def _answers(self, path: str) -> bool:
        connection = http.client.HTTPSConnection(HOST, self._port, timeout=5, context=self.ssl_context())
        with contextlib.closing(connection):
            try:
                connection.request("GET", path)
                return connection.getresponse().status == http.HTTPStatus.OK
            except (OSError, http.client.HTTPException):
                return False


def _wait(child: Child, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if child.exited:
            raise ControlPlaneError(f"{child.log.stem} ended:\n{child.last_lines()}")
        if time.monotonic() > deadline:
            raise ControlPlaneError(f"{child.log.stem} is not ready after {START_SECONDS} s:\n{child.last_lines()}")
        time.sleep(POLL_SECONDS)


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Returns a port of 127.0.0.1 on which nobody listens, outside the range of outgoing connections."""
    for port in random.sample(PORTS, 200):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return port
    raise ControlPlaneError(f"no free port between {PORTS.start} and {PORTS.stop}")


def _file_name(user: str) -> str:
    return "user-" + "".join(letter if letter.isalnum() or letter == "-" else "_" for letter in user)


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def main() -> int:
    """Runs a control plane until SIGINT or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ControlPlane() as control_plane:
            print(f"export KUBECONFIG={control_plane.kubeconfig()}", flush=True)
            while True:
                signal.pause()
    except KeyboardInterrupt:
        return 0
    except (BuildError, ControlPlaneError) as error:
        print(f"control plane: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
