"""Writes what the chart and the kustomize base take from other files, or with `--check` fails when one has drifted.

The CRD comes from `crds/`, alerts and dashboard from `deploy/monitoring/`, the version from `pyproject.toml`; README.md
and values.schema.json come from the comments of values.yaml.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from generated import write_or_compare

ROOT: Final = Path(__file__).resolve().parents[2]
CHART: Final = ROOT / "deploy" / "helm" / "esa-preload-operator"
KUSTOMIZE: Final = ROOT / "deploy" / "kustomize"
MONITORING: Final = ROOT / "deploy" / "monitoring"
CRD: Final = ROOT / "crds" / "esa.preload-operator.io_scheduledpreloadjobs.yaml"
DEFINITIONS: Final = {
    # A template checks the form, since a message of the schema would not say what is missing.
    "duration": {"description": "A duration such as 30s, 500ms or 1h30m", "type": ["string", "number"]},
    "port": {"type": "integer", "minimum": 1, "maximum": 65535},
}
_TYPES: Final[Mapping[type, str]] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
_VERSIONS: Final = re.compile(
    r"(?m)^(version: |appVersion: | +image: esa-preload-operator:| +app\.kubernetes\.io/version: "
    r"| +newTag: | +tag: (?=[0-9])| +targetRevision: (?=[0-9]))\S+$"
)
_KEY: Final = re.compile(r"^( *)([A-Za-z][\w-]*):")


@dataclass(frozen=True)
class Described:
    """A value of values.yaml with what its comment says."""

    path: tuple[str, ...]
    text: str
    schema: Mapping[str, Any]


def described(values: str) -> Iterator[Described]:
    """Read the comments; a value without one is a group of others, or part of a described one."""
    stack: list[tuple[int, str]] = []
    text, schema = "", "{}"
    for line in values.splitlines():
        if found := re.match(r" *# -- (.*)", line):
            text = found[1]
        elif found := re.match(r" *# @schema (.*)", line):
            schema = found[1]
        elif found := _KEY.match(line):
            indent, key = len(found[1]), found[2]
            stack = [*(each for each in stack if each[0] < indent), (indent, key)]
            if text:
                yield Described(tuple(name for _, name in stack), text, json.loads(schema))
            text, schema = "", "{}"


def schema_of(values: str) -> str:
    """Make the JSON schema: draft-07, closed but for `global` and what Kubernetes itself defines."""
    known = {each.path: each for each in described(values)}

    def node(path: tuple[str, ...], value: Any) -> dict[str, Any]:
        if path not in known:
            return {
                "type": "object",
                "additionalProperties": False,
                "properties": {key: node((*path, key), each) for key, each in value.items()},
            }
        said = known[path]
        if "$ref" in said.schema:  # in draft-07 a reference stands alone
            return dict(said.schema)
        kind = {} if value is None else {"type": _TYPES[type(value)]}
        return {"description": said.text} | kind | dict(said.schema)

    root = node((), yaml.safe_load(values))
    # A chart that depends on this one may switch it off by a condition of that name.
    root["properties"]["enabled"] = {"type": "boolean"}
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of esa-preload-operator"}
    return json.dumps(head | root | {"definitions": DEFINITIONS}, indent=2, ensure_ascii=False) + "\n"


def readme_of(values: str, head: str) -> str:
    """Make the README: the head, and a table of all values."""
    data = yaml.safe_load(values)
    rows = ["| Value | Default | Meaning |", "|---|---|---|"]
    for each in described(values):
        value = data
        for key in each.path:
            value = value[key]
        default = json.dumps(value, ensure_ascii=False)
        rows.append(f"| `{'.'.join(each.path)}` | `{default}` | {each.text.replace('|', chr(92) + '|')} |")
    return head + "\n".join(rows) + "\n"


def crd_template(crd: str) -> str:
    """Make the chart's template of the CRD: a switch around it, and its metadata from the values."""
    note, body = crd.split("\n", 1)
    head, spec = re.split(r"(?m)^spec:$", body, maxsplit=1)
    if "{{" in crd or re.search(r"(?m)^  (labels|annotations):", head):
        raise ValueError("the CRD holds what the template can't")
    return (
        f"{{{{- /* {note.removeprefix('# ')} */}}}}\n"
        "{{- if .Values.crds.install }}\n"
        f"{head}"
        '  {{- $keep := dict "helm.sh/resource-policy" "keep" }}\n'
        "  {{- $annotations := merge dict .Values.crds.annotations (.Values.crds.keep | ternary $keep dict) }}\n"
        '  {{- $metadata := dict "root" . "labels" .Values.crds.labels "annotations" $annotations }}\n'
        '  {{- include "esa.metadata" $metadata | nindent 2 }}\n'
        f"spec:{spec}"
        "{{- end }}\n"
    )


def versioned() -> dict[Path, str]:
    """Put the project's version into every file that names it."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    examples = [ROOT / "deploy" / name for name in ("argocd/apps/operator.yaml", "flux/operator/helmrelease.yaml")]
    paths = [CHART / "Chart.yaml", *sorted(KUSTOMIZE.glob("**/kustomization.yaml")), *examples]
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    texts = {path: _VERSIONS.sub(lambda found: found[1] + version, text) for path, text in texts.items()}
    early = str(not re.fullmatch(r"[0-9.]+", version)).lower()
    texts[paths[0]] = re.sub(r"(?m)^(  artifacthub\.io/prerelease: ).*$", rf'\1"{early}"', texts[paths[0]])
    return texts


def files() -> dict[Path, str]:
    """Return all generated files and what they must hold."""
    crd = CRD.read_text(encoding="utf-8")
    values = (CHART / "values.yaml").read_text(encoding="utf-8")
    head = (Path(__file__).with_name("chart-readme.md")).read_text(encoding="utf-8")
    monitoring = {CHART / "files" / name: MONITORING / name for name in ("alerts.yaml", "dashboard.json")}
    return {
        CHART / "templates" / "crd.yaml": crd_template(crd),
        CHART / "values.schema.json": schema_of(values),
        CHART / "README.md": readme_of(values, head),
        KUSTOMIZE / "base" / "crd.yaml": crd,
        **versioned(),
        **{copy: source.read_text(encoding="utf-8") for copy, source in monitoring.items()},
    }


def main(arguments: list[str]) -> int:
    """Write the files, or show how they differ."""
    return write_or_compare(files(), ROOT, "make chart", compare="--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
