"""Helm, kubectl and what they render."""

from __future__ import annotations

import functools
import importlib.resources
import json
import os
import re
import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from build import binaries
from tools import tool

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "deploy" / "helm" / "esa-preload-operator"
KUSTOMIZE: Final = ROOT / "deploy" / "kustomize"
NAME: Final = "esa-preload-operator"
VERSION: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
HELMS: Final = ("helm3", "helm4")
# What a cluster has that the chart asks for.
MONITORING: Final = tuple(
    f"monitoring.coreos.com/v1/{kind}" for kind in ("ServiceMonitor", "PodMonitor", "PrometheusRule")
)

Manifest = dict[str, Any]


class HelmError(RuntimeError):
    """Helm ended with an error; the message is what it wrote to stderr."""


def helm(program: str, *arguments: str, kubeconfig: Path | None = None, cwd: Path = ROOT) -> str:
    """Run a Helm with folders of its own; without a kubeconfig it finds no cluster."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "KUBECONFIG": str(kubeconfig or Path(folder) / "none"),
            "GOGC": "off",  # a Helm lives too shortly to collect garbage: half the CPU of a render
        }
        done = subprocess.run(
            [tool(program), *arguments], env=environment, cwd=cwd, capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        raise HelmError(done.stderr.strip() or done.stdout.strip())
    return done.stdout


@functools.cache
def _rendered(program: str, values: str, arguments: tuple[str, ...]) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(values)
        file.flush()
        return helm(program, "template", NAME, str(CHART), f"--namespace={NAME}", f"--values={file.name}", *arguments)


def render_text(values: Mapping[str, Any] | None = None, *arguments: str, program: str = "helm3") -> str:
    """Render the chart as the release and in the namespace of its own name."""
    return _rendered(program, json.dumps(values or {}), arguments)


def render(values: Mapping[str, Any] | None = None, *arguments: str, program: str = "helm3") -> list[Manifest]:
    """Render the chart and read what came out."""
    return read(render_text(values, *arguments, program=program))


def read(text: str) -> list[Manifest]:
    """Read YAML documents with libyaml where there is one, which is ten times as fast."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [each for each in yaml.load_all(text, loader) if each]


def kustomize(folder: Path) -> list[Manifest]:
    """Build a kustomization with the kustomize that is part of kubectl."""
    kubectl = binaries() / "kubectl"
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=True)
    return read(done.stdout)


def overlay(folder: Path, *resources: Path, **fields: Any) -> Path:
    """Write a kustomization on top of others, as people do; return its folder."""
    paths = [os.path.relpath(each, folder) for each in resources]
    body = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": paths, **fields}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(body))
    return folder


def named(manifests: list[Manifest], kind: str, name: str = NAME) -> Manifest:
    """Return the one object of a kind and name."""
    (found,) = (each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def key(manifest: Manifest) -> tuple[str, str, str]:
    """Return kind, namespace and name of an object."""
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace", ""), metadata["name"]


def container(manifests: list[Manifest], name: str = NAME) -> Manifest:
    """Return the operator's container."""
    containers = named(manifests, "Deployment", name)["spec"]["template"]["spec"]["containers"]
    (found,) = (each for each in containers if each["name"] == "operator")
    return dict(found)


def environment_of(container: Manifest, namespace: str = NAME) -> dict[str, str]:
    """Return the variables whose values stand in the manifest or are fields of the pod, as the kubelet sets them."""
    fields = {"metadata.name": f"{NAME}-0", "metadata.namespace": namespace}
    found = {}
    for each in container["env"]:
        if "value" in each:
            found[each["name"]] = each["value"]
        elif "fieldRef" in each["valueFrom"]:
            found[each["name"]] = fields[each["valueFrom"]["fieldRef"]["fieldPath"]]
    return found


def arguments_of(container: Manifest, namespace: str = NAME) -> list[str]:
    """Return the arguments with the variables in them replaced, as the kubelet does."""
    values = environment_of(container, namespace)
    return [re.sub(r"\$\((\w+)\)", lambda found: values[found[1]], each) for each in container["args"]]


# --- schemas ----------------------------------------------------------------------------------------------------


def schemas(kubernetes: str, manifests: list[Manifest], folder: Path) -> str:
    """Write the schemas of some objects for a version, as `1.30`; return kubeconform's location of them.

    They come from the package kubernetes-validate, whose references only its own code can follow.
    """
    source = Path(str(importlib.resources.files("kubernetes_validate"))) / "kubernetes-json-schema"
    source /= f"v{kubernetes}.0-local-strict"
    for name in {"_definitions.json", *map(_schema_name, manifests)}:
        schema = json.loads((source / name).read_text().replace("/api/_definitions.json", "_definitions.json"))
        schema.pop("$id")  # kubeconform would fetch what it refers to
        (folder / name).write_text(json.dumps(schema))
    return f"{folder}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"


def _schema_name(manifest: Manifest) -> str:
    group, _, version = manifest["apiVersion"].rpartition("/")
    parts = [manifest["kind"].lower(), *([group.split(".")[0]] if group else []), version]
    return "-".join(parts) + ".json"
