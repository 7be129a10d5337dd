"""What `diagnose` makes of the facts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from esa_preload_operator.cli.plugin.diagnose.checks import Check, Result, checks
from esa_preload_operator.cli.plugin.diagnose.command import endpoint_of, finding_lines
from esa_preload_operator.cli.plugin.diagnose.facts import Answer, Facts, named_secrets
from esa_preload_operator.cli.plugin.diagnose.rights import OF_OPERATOR
from esa_preload_operator.cli.plugin.kubectl import KubectlError
from esa_preload_operator.cli.plugin.layout import plain, width_of
from esa_preload_operator.cli.plugin.pods import read_pods
from esa_preload_operator.domain.cleaning import format_micro_time, format_time
from esa_preload_operator.resources.names import RELIED_ON
from support.plugin_jobs import NOW, condition, job

DENIED = KubectlError("Error from server (Forbidden): pods is forbidden: User cannot list")
MISSING = KubectlError("Error from server (NotFound): the server could not find the requested resource")


def schema(fields: tuple[str, ...] = RELIED_ON) -> Answer:
    status: dict[str, Any] = {"properties": {name: {} for name in fields}}
    kind = [{"group": "esa.preload-operator.io", "kind": "ScheduledPreloadJob", "version": "v1alpha1"}]
    one = {"x-kubernetes-group-version-kind": kind, "properties": {"status": status}}
    return Answer({"components": {"schemas": {"spj": one}}})


def lease(age: float, holder: str = "op-1_abcd") -> Answer:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": format_micro_time(NOW - age)}
    return Answer({"items": [{"metadata": {"name": "esa-preload-operator", "namespace": "esa"}, "spec": spec}]})


def pod(*, ready: bool = True, restarts: int = 0, **state: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "op-1", "namespace": "esa"},
        "spec": {"containers": [{"image": "registry.example.com/esa:1"}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"restartCount": restarts, **state}],
        },
    }


def sound(**changes: Any) -> Facts:
    """Return the facts of an installation that works, with changes."""
    facts = Facts(
        version=Answer({"serverVersion": {"gitVersion": "v1.37.2"}}),
        schema=schema(),
        whoami=Answer({"metadata": {"creationTimestamp": format_time(NOW)}}),
        asked_at=(NOW - 0.1, NOW + 0.1),
        pods=read_pods({"items": [pod()]}),
        leases=lease(2),
        jobs=[job()],
    )
    return replace(facts, **changes)


def found(facts: Facts, topic: str) -> list[Check]:
    return [each for each in checks(facts, NOW) if each.topic == topic]


def test_nothing_is_wrong_with_an_installation_that_works() -> None:
    assert {each.result for each in checks(sound(), NOW)} == {Result.GOOD}


@pytest.mark.parametrize(
    ("changes", "topic", "result", "told"),
    [
        ({"schema": Answer(error=MISSING)}, "CRD", Result.BAD, "is not installed"),
        ({"schema": schema(("reset", "conditions"))}, "CRD", Result.BAD, "does not keep status fields: handledResets"),
        ({"pods": []}, "Operator", Result.WARNING, "none of its pods was found"),
        ({"pods": DENIED}, "Operator", Result.UNKNOWN, "can't be listed"),
        ({"pods": read_pods({"items": [pod(ready=False, state={"waiting": {"reason": "ImagePullBackOff"}})]})},
         "Operator", Result.BAD, "op-1 is Running, ImagePullBackOff"),
        ({"leases": lease(120)}, "Lease", Result.BAD, "op-1_abcd has not renewed esa/esa-preload-operator for 2m"),
        ({"leases": lease(1, holder="")}, "Lease", Result.BAD, "nobody holds"),
        ({"leases": Answer({"items": []})}, "Lease", Result.WARNING, "no operator has ever led"),
        ({"leases": lease(-90)}, "Clock", Result.WARNING, "the clock of the operator is 1m30s ahead of"),
        ({"whoami": Answer({"metadata": {"creationTimestamp": format_time(NOW - 600)}}), "leases": lease(602)},
         "Clock", Result.WARNING, "the clock of the API server is 9m59s behind"),
        ({"endpoint": "https://esa.example.com", "reach_error": "timed out"},
         "ESA endpoint", Result.WARNING, "timed out"),
        ({"jobs": DENIED}, "Jobs", Result.UNKNOWN, "Forbidden"),
        ({"secrets": {("web", "esa-credentials"): MISSING}}, "Credentials", Result.BAD, "does not exist"),
        ({"secrets": {("web", "s"): ("accessKeyId",)}}, "Credentials", Result.BAD, "lacks accessKeySecret"),
        ({"secrets": {("web", "s"): ("accessKeyId", "accessKeySecret")}},
         "Credentials", Result.GOOD, "has an access key"),
        ({"secrets": {("web", "s"): DENIED}}, "Credentials", Result.UNKNOWN, "can't be looked at"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(changes: dict[str, Any], topic: str, result: Result, told: str) -> None:
    (check,) = found(sound(**changes), topic)
    assert check.result is result
    assert told in check.found


def test_a_lease_is_judged_by_the_api_servers_clock() -> None:
    behind = sound(whoami=Answer({"metadata": {"creationTimestamp": format_time(NOW - 600)}}), leases=lease(602))
    assert found(behind, "Lease")[0].result is Result.GOOD


def test_many_restarts_are_told_with_their_cause() -> None:
    ended: Any = {"lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}
    told = found(sound(pods=read_pods({"items": [pod(restarts=9, **ended)]})), "Operator")
    assert "op-1 9 times, last OOMKilled (exit code 137)" in told[1].found


def test_rights_that_are_missing_are_named_with_what_they_are_for() -> None:
    rights = dict.fromkeys(OF_OPERATOR, True) | {OF_OPERATOR[4]: False}
    (check,) = found(sound(operator_rights=rights), "Operator's rights")
    assert check.found == "denied: update scheduledpreloadjobs/status (to write intents and outcomes)"
    unknown = sound(operator_rights=dict.fromkeys(OF_OPERATOR))
    assert found(unknown, "Operator's rights")[0].result is Result.UNKNOWN


@pytest.mark.parametrize(
    ("rule", "concerns"),
    [
        ({"apiGroups": ["esa.preload-operator.io"], "resources": ["scheduledpreloadjobs"]}, True),
        ({"apiGroups": ["*"], "resources": ["*/*"]}, True),
        ({"apiGroups": ["*"], "resources": ["scheduledpreloadjobs/status"]}, True),
        ({"apiGroups": ["apps"], "resources": ["*"]}, False),
        ({"apiGroups": ["*"], "resources": ["pods"]}, False),
    ],
)
def test_policies_and_webhooks_that_judge_the_jobs_are_named(rule: dict[str, Any], concerns: bool) -> None:
    policy = {
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "p"},
        "spec": {"matchConstraints": {"resourceRules": [rule]}},
    }
    hook = {"kind": "ValidatingWebhookConfiguration", "metadata": {"name": "h"}, "webhooks": [{"rules": [rule]}]}
    (check,) = found(sound(policies=Answer({"items": [policy]}), hooks=Answer({"items": [hook]})), "Admission")
    assert (check.result is Result.WARNING) is concerns
    assert ("ValidatingAdmissionPolicy p, ValidatingWebhookConfiguration h" in check.found) is concerns


def test_jobs_in_trouble_are_told_with_what_to_do() -> None:
    denied = job(conditions=(condition("Ready", "False", "AccessDenied", "Forbidden.RAM: no"),))
    (check,) = found(sound(jobs=[job("fine"), denied]), "Job")
    assert check.found == "web/nightly: AccessDenied: Forbidden.RAM: no"
    assert "deploy/ram/policy.json" in check.todo


def test_without_an_api_server_nothing_else_is_judged() -> None:
    (check,) = checks(Facts(version=Answer(error=KubectlError("connection refused"))), NOW)
    assert (check.result, check.found) == (Result.BAD, "it can't be asked: connection refused")


@pytest.mark.parametrize("width", [80, 200])
def test_findings_fit_the_screen(width: int) -> None:
    many = [job(f"j{n}", conditions=(condition("Ready", "False", "EsaError", "why " * 80),)) for n in range(20)]
    lines = plain(finding_lines(checks(sound(jobs=many, pods=DENIED), NOW), width)).splitlines()
    assert max(map(width_of, lines)) <= width
    assert "10 more need somebody: see `list`" in "\n".join(lines)


def test_the_endpoint_is_the_one_of_the_operators_deployment() -> None:
    container = {"env": [{"name": "ESA_OPERATOR_ENDPOINT", "value": "china"}]}
    deployment = {"spec": {"template": {"spec": {"containers": [container]}}}}
    assert endpoint_of(sound(deployments=Answer({"items": [deployment]}))) == "china"
    assert endpoint_of(sound()) == ""


def test_each_secret_that_a_job_names_is_looked_at_once() -> None:
    named = {"credentialsSecretRef": {"name": "s"}}
    assert named_secrets([job("a", spec=named), job("b", spec=named), job("c")]) == [("web", "s")]
    assert named_secrets(DENIED) == []
