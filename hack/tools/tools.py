#!/usr/bin/env python3
"""Builds the tools that check and package what is shipped, each from its own go.mod, into the user's cache folder.

Run as a script with names of tools (none means all) it prints their paths on stdout; everything else goes to stderr.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
if str(HERE.parent / "control-plane") not in sys.path:
    sys.path.append(str(HERE.parent / "control-plane"))

from gobuild import BuildError, GoModule, user_cache  # noqa: E402 - the path comes first

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TOOLS", "BuildError", "prometheus_crds", "tool"]

PACKAGES: Mapping[str, str] = {
    "actionlint": "github.com/rhysd/actionlint/cmd/actionlint",
    "flux-status": ".",
    "helm3": "helm.sh/helm/v3/cmd/helm",
    "helm4": "helm.sh/helm/v4/cmd/helm",
    "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform",
    "promtool": "github.com/prometheus/prometheus/cmd/promtool",
}
TOOLS = tuple(PACKAGES)
TAGS: Mapping[str, str] = {"promtool": "remove_all_sd"}
"""Rules are checked without the service discoveries of all clouds, whose SDKs take most of the compiler's time."""


def tool(name: str) -> Path:
    """Returns the path of a tool's program, and builds it when it is missing. Two callers at once build only once.

    `PACKAGING_TOOLS` names a folder that has such programs already; what it lacks is built.

    Raises:
        KeyError: there is no such tool.
        BuildError: there is no Go, or the tool does not compile.
    """
    package = PACKAGES[name]
    given = Path(os.environ.get("PACKAGING_TOOLS") or "/nonexistent") / name
    if given.is_file():
        return given
    bare = GoModule(name, HERE / name, {name: package}, {})
    module = GoModule(name, HERE / name, {name: package}, _stamps(bare), tags=TAGS.get(name, ""))
    return module.binaries(user_cache() / "tools" / name) / name


def prometheus_crds() -> Path:
    """Returns the folder of the CRDs of Prometheus Operator.

    Raises:
        BuildError: there is no Go, or no way to its module.
    """
    name = "prometheus-operator"
    module = GoModule(name, HERE / name, {}, {})
    return module.source_of(f"github.com/{name}/{name}") / "example" / "prometheus-operator-crd"


def _stamps(module: GoModule) -> dict[str, str]:
    if module.title == "helm3":
        # Helm takes the Kubernetes version that it assumes without a cluster from its own client library.
        minor = module.version_of("k8s.io/client-go").split(".")[1]
        parts = {"k8sVersionMajor": "1", "k8sVersionMinor": minor}
        places = ("helm.sh/helm/v3/pkg/chartutil", "helm.sh/helm/v3/pkg/lint/rules")
        return {"helm.sh/helm/v3/internal/version.version": module.version_of("helm.sh/helm/v3")} | {
            f"{place}.{name}": value for place in places for name, value in parts.items()
        }
    if module.title == "helm4":
        return {"helm.sh/helm/v4/internal/version.version": module.version_of("helm.sh/helm/v4")}
    return {}


def main(names: list[str]) -> int:
    """Prints the path of each tool."""
    try:
        for name in names or TOOLS:
            print(tool(name), flush=True)
    except KeyError as error:
        print(f"tools: there is no {error}, only {', '.join(TOOLS)}", file=sys.stderr)
        return 2
    except BuildError as error:
        print(f"tools: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
