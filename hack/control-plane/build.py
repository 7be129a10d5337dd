#!/usr/bin/env python3
"""Builds etcd, kube-apiserver and kubectl once, from the Go modules that go.mod pins, into the user's cache folder.

Run as a script it prints the folder of the binaries on stdout; everything else goes to stderr.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gobuild import BuildError, GoModule, user_cache

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BuildError", "binaries", "cache_folder"]

HERE = Path(__file__).resolve().parent
PROGRAMS: Mapping[str, str] = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
}


def binaries() -> Path:
    """Returns the folder that holds `etcd`, `kube-apiserver` and `kubectl`, and builds them when they are missing.

    `KUBEBUILDER_ASSETS` names a folder that has them already. Two callers at once build only once.

    Raises:
        BuildError: there is no Go, a program does not compile, or `KUBEBUILDER_ASSETS` lacks a program.
    """
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        return _checked_assets(Path(assets))
    return _module().binaries(cache_folder())


def cache_folder() -> Path:
    """The folder of all that was ever built here."""
    return user_cache() / "control-plane"


def _checked_assets(folder: Path) -> Path:
    missing = [name for name in PROGRAMS if not (folder / name).is_file()]
    if missing:
        raise BuildError(f"KUBEBUILDER_ASSETS={folder} lacks {', '.join(missing)}")
    return folder


def _module() -> GoModule:
    advice = "install it on PATH, or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kubectl"
    bare = GoModule("control plane", HERE, PROGRAMS, {}, advice)
    version = bare.version_of("k8s.io/kubernetes")
    major, minor = version.removeprefix("v").split(".")[:2]
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    package = "k8s.io/component-base/version"
    return GoModule("control plane", HERE, PROGRAMS, {f"{package}.{k}": v for k, v in stamps.items()}, advice)


def main() -> int:
    """Prints the folder of the binaries."""
    try:
        print(binaries())
    except BuildError as error:
        print(f"control plane: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
