"""What the operator may do in RAM and in Kubernetes, from the files that are shipped."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from pages import ROOT
from tables import code, table

_BASE: Final = ROOT / "deploy" / "kustomize" / "base"
_POLICY: Final = ROOT / "deploy" / "ram" / "policy.json"
_WHO: Final = {
    "esa-preload-operator": "the operator",
    "esa-preload-operator-view": "whoever may view, edit or administer a namespace",
    "esa-preload-operator-edit": "whoever may edit or administer a namespace",
}


def made() -> str:
    """Return a table of RAM actions, and one for each role."""
    return "\n".join((_ram(), _roles("rbac.yaml", "operator"), _roles("aggregation.yaml", "people")))


def _ram() -> str:
    policy = json.loads(_POLICY.read_text(encoding="utf-8"))
    rows = (
        (code(action), code(statement["Resource"]))
        for statement in policy["Statement"]
        for action in statement["Action"]
    )
    return "## RAM\n\n" + table(("Action", "Resource"), rows)


def _roles(file: str, whose: str) -> str:
    text = (_BASE / file).read_text(encoding="utf-8")
    why = iter(re.findall(r"(?m)^# (.*)\n- apiGroups", text))
    commented = "\n# " in text.partition("rules:")[2]
    rows = [
        (_who(role), *_rule(rule), _linked(next(why)) if commented else "")
        for role in yaml.safe_load_all(text)
        if role["kind"] in {"ClusterRole", "Role"}
        for rule in role["rules"]
    ]
    titles = ("Role", "Resources", "Verbs", "Which code needs it")
    shown = rows if commented else [row[:-1] for row in rows]
    return f"## Kubernetes: {whose}\n\n" + table(titles if commented else titles[:-1], shown)


def _who(role: Mapping[str, Any]) -> str:
    name = role["metadata"]["name"]
    kind = "in all watched namespaces" if role["kind"] == "ClusterRole" else "in its own namespace"
    return f"{_WHO[name]}, {kind}" if name == "esa-preload-operator" else _WHO[name]


def _rule(rule: Mapping[str, Any]) -> Iterator[str]:
    groups = [f".{group}" if group else "" for group in rule["apiGroups"]]
    names = f" named {', '.join(code(each) for each in rule['resourceNames'])}" if "resourceNames" in rule else ""
    yield ", ".join(code(f"{each}{group}") for each in rule["resources"] for group in groups) + names
    yield ", ".join(rule["verbs"])


def _linked(text: str) -> str:
    """Return a comment with its modules as code."""
    return re.sub(r"([\w/]+\.py)", r"`\1`", text)
