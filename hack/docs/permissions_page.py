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
_WHERE: Final = {
    "ClusterRole esa-preload-operator": "The operator, in the watched namespaces",
    "Role esa-preload-operator": "The operator, in its own namespace",
    "ClusterRole esa-preload-operator-view": "Whoever may view, edit or administer a namespace",
    "ClusterRole esa-preload-operator-edit": "Whoever may edit or administer a namespace",
}


def made() -> str:
    """Return the RAM actions, and a table for each role."""
    return "\n".join((_ram(), *_roles("rbac.yaml"), *_roles("aggregation.yaml")))


def _ram() -> str:
    policy = json.loads(_POLICY.read_text(encoding="utf-8"))
    parts = [
        f"{each['Effect']} on {code(each['Resource'])}:\n\n" + "".join(f"- {code(name)}\n" for name in each["Action"])
        for each in policy["Statement"]
    ]
    return "## RAM\n\n" + "\n".join(parts)


def _roles(file: str) -> Iterator[str]:
    """Yield a table for each role of a file; the comment above a rule says which code needs it."""
    text = (_BASE / file).read_text(encoding="utf-8")
    why = iter(re.findall(r"(?m)^# (.*)\n- apiGroups", text))
    for role in yaml.safe_load_all(text):
        if role["kind"] in {"ClusterRole", "Role"}:
            rows = [(*_rule(rule), _linked(next(why, ""))) for rule in role["rules"]]
            titles = ("Resources", "Verbs", "Which code needs it")
            shown = 3 if any(row[-1] for row in rows) else 2
            head = _WHERE[f"{role['kind']} {role['metadata']['name']}"]
            yield f"## {head}\n\n" + table(titles[:shown], [row[:shown] for row in rows])


def _rule(rule: Mapping[str, Any]) -> Iterator[str]:
    groups = [f".{group}" if group else "" for group in rule["apiGroups"]]
    names = f" named {', '.join(code(each) for each in rule['resourceNames'])}" if "resourceNames" in rule else ""
    yield ", ".join(code(f"{each}{group}") for each in rule["resources"] for group in groups) + names
    yield ", ".join(rule["verbs"])


def _linked(text: str) -> str:
    """Return a comment with its modules as code."""
    return re.sub(r"([\w/]+\.py)", r"`\1`", text)
