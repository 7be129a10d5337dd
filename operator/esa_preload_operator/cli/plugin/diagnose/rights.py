"""Who may do what: the reviews that `kubectl auth can-i` asks for, all in one call."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from esa_preload_operator.cli.plugin.jobs import entries, part
from esa_preload_operator.cli.plugin.kubectl import Kubectl, KubectlError, documents
from esa_preload_operator.resources.names import GROUP, PLURAL


@dataclass(frozen=True, slots=True)
class Right:
    """A verb on a resource, and what it is for."""

    verb: str
    group: str
    resource: str
    purpose: str
    sub: str = ""
    name: str = ""
    everywhere: bool = False
    """Not in the namespace that is asked about, but in all."""

    def __str__(self) -> str:
        """`patch scheduledpreloadjobs/status`, as kubectl users write it."""
        return f"{self.verb} {self.resource}" + (f"/{self.sub}" if self.sub else "")


OF_USER: Final = (
    Right("get", GROUP, PLURAL, "status"),
    Right("list", GROUP, PLURAL, "list, watch and several names"),
    Right("watch", GROUP, PLURAL, "reset --wait and watch"),
    Right("patch", GROUP, PLURAL, "reset, suspend and resume"),
    Right("list", "", "events", "the Events that status shows"),
)
OF_OPERATOR: Final = (
    Right("list", GROUP, PLURAL, "to see the jobs", everywhere=True),
    Right("watch", GROUP, PLURAL, "to see changes", everywhere=True),
    Right("get", GROUP, PLURAL, "to read a job before a call", everywhere=True),
    Right("patch", GROUP, PLURAL, "to set its finalizer", everywhere=True),
    Right("update", GROUP, PLURAL, "to write intents and outcomes", sub="status", everywhere=True),
    Right("create", "events.k8s.io", "events", "to post Events", everywhere=True),
    Right("list", "", "secrets", "to read credentials", name="esa-credentials", everywhere=True),
    Right("list", "", "configmaps", "to read lists of URLs", everywhere=True),
    Right("get", "coordination.k8s.io", "leases", "to elect a leader", name="esa-preload-operator"),
    Right("patch", "coordination.k8s.io", "leases", "to stay the leader", name="esa-preload-operator"),
)
_API: Final = "authorization.k8s.io/v1"


def review(kubectl: Kubectl, rights: Sequence[Right], user: str | None, namespace: str) -> dict[Right, bool | None]:
    """Return whether a user, or one's own, has each right; None where nobody may tell."""
    bodies = [_question(right, user, namespace) for right in rights]
    given = json.dumps({"apiVersion": "v1", "kind": "List", "items": bodies})
    try:
        output = kubectl.text("create", "--filename=-", "--output=json", given=given)
    except KubectlError as error:
        output = error.output
    answers = _answers(output)
    return {right: answers[at] if len(answers) == len(rights) else None for at, right in enumerate(rights)}


def _question(right: Right, user: str | None, namespace: str) -> Mapping[str, Any]:
    attributes = {
        "verb": right.verb,
        "group": right.group,
        "resource": right.resource,
        "subresource": right.sub,
        "name": right.name,
        "namespace": "" if right.everywhere else namespace,
    }
    spec: dict[str, Any] = {"resourceAttributes": {key: each for key, each in attributes.items() if each}}
    if user is None:
        return {"apiVersion": _API, "kind": "SelfSubjectAccessReview", "spec": spec}
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{user.split(':')[2]}", "system:authenticated"]
    return {"apiVersion": _API, "kind": "SubjectAccessReview", "spec": spec | {"user": user, "groups": groups}}


def _answers(output: str) -> list[bool]:
    """Return the verdicts, of a list or one after the other."""
    found: list[bool] = []
    for body in documents(output.splitlines(keepends=True)):
        for each in entries(part(body).get("items")) or [part(body)]:
            found.append(part(each, "status").get("allowed") is True)  # noqa: PERF401 - two loops read better
    return found
