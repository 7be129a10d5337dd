"""The bill of materials: what the image installs, as CycloneDX, the same bytes each time.

CycloneDX' own tool reads licences and the graph from the packages of this environment, which has the same versions, and
hashes from the file that pins them. Neither of its two readings has all three.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

Bill = dict[str, Any]

PYTHON: Final = f"{sys.prefix}-bill/bin/python"
"""Python of the environment that `make` prepares for CycloneDX' tool, since what it draws in slows others down."""
_TOOL: Final = (PYTHON, "-m", "cyclonedx_py")
_OPTIONS: Final = ("--output-reproducible", "--short-PURLs", "--spec-version=1.6", "--no-validate", "--output-file=-")
_EXTRAS: Final = ("otel",)
"""Extras that requirements.txt holds."""


class BillError(RuntimeError):
    """The bill can't be written; the message says why."""


def bill_of_materials(folder: Path) -> str:
    """Return the bill as JSON of what `requirements.txt` in a folder pins for the project beside it.

    Raises:
        BillError: the tool failed, or this environment lacks a package or has another version of it.
    """
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = folder / "requirements.txt"
    pinned = {_normal(each["name"]): each for each in _asked("requirements", str(requirements))["components"]}
    bill = _asked("environment", sys.executable)
    parts = {_normal(each["name"]): each for each in bill["components"] if _normal(each["name"]) in pinned}
    for name, pin in pinned.items():
        if name not in parts or parts[name]["version"] != pin["version"]:
            raise BillError(f"{name} {pin['version']} of requirements.txt is not installed here")
        sources = [each for each in parts[name].get("externalReferences", ()) if each["type"] != "distribution"]
        parts[name]["externalReferences"] = [*sources, *pin["externalReferences"]]
    refs = {name: each["bom-ref"] for name, each in parts.items()}
    bill["components"] = list(parts.values())
    bill["dependencies"] = [_root_of_the_graph(project, refs), *_within(bill["dependencies"], set(refs.values()))]
    bill["metadata"]["component"] = _component(project)
    key = f"{project['name']} {project['version']} {requirements.read_text(encoding='utf-8')}"
    bill["serialNumber"] = f"urn:uuid:{uuid5(NAMESPACE_URL, key)}"
    return json.dumps(bill, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _asked(reading: str, subject: str) -> Bill:
    options = [each for each in _OPTIONS if reading == "environment" or each != "--short-PURLs"]
    done = subprocess.run([*_TOOL, reading, *options, subject], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BillError(f"cyclonedx-py {reading} ended with {done.returncode}: {done.stderr[-2000:]}")
    found: Bill = json.loads(done.stdout)
    found["metadata"].pop("timestamp", None)
    return found


def _component(project: dict[str, Any]) -> Bill:
    licence = [{"license": {"id": project["license"], "acknowledgement": "declared"}}]
    return {"type": "application", "bom-ref": project["name"], "licenses": licence} | {
        key: project[key] for key in ("name", "version", "description")
    }


def _root_of_the_graph(project: dict[str, Any], refs: dict[str, str]) -> Bill:
    wanted = [*project["dependencies"]]
    for extra in _EXTRAS:
        wanted += project["optional-dependencies"][extra]
    names = {_normal(re.split(r"[\s<>=!~;\[]", each, maxsplit=1)[0]) for each in wanted}
    return {"ref": project["name"], "dependsOn": sorted(refs[name] for name in names)}


def _within(dependencies: list[Bill], refs: set[str]) -> list[Bill]:
    """Return the part of a graph that is about some components, whose optional dependencies may lie outside."""
    return [
        each | {"dependsOn": sorted(refs & set(each.get("dependsOn", ())))}
        for each in dependencies
        if each["ref"] in refs
    ]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
