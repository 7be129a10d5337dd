"""Judges the facts: each check is a pure function, and says what to do."""

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from esa_preload_operator.cli.plugin.advice import advice
from esa_preload_operator.cli.plugin.diagnose.facts import LEASE, Facts
from esa_preload_operator.cli.plugin.diagnose.rights import Right
from esa_preload_operator.cli.plugin.jobs import Json, entries, part, text
from esa_preload_operator.cli.plugin.kubectl import KubectlError
from esa_preload_operator.cli.plugin.listing import sorted_by_trouble
from esa_preload_operator.cli.plugin.pods import Pod
from esa_preload_operator.cli.plugin.trouble import Level
from esa_preload_operator.cli.plugin.words import counted, span
from esa_preload_operator.domain.cleaning import clean_count, parse_time
from esa_preload_operator.resources.names import GROUP, KIND, PLURAL, RELIED_ON, VERSION


class Result(enum.Enum):
    """What a check has found."""

    GOOD = "ok"
    WARNING = "warning"
    BAD = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    """One finding, and what to do."""

    topic: str
    result: Result
    found: str
    todo: str = ""


_MAX_SKEW: Final = 30.0
"""Seconds; ESA refuses signatures that are older than 15 minutes, and a Lease lasts 15 seconds."""
_SHOWN: Final = 10


def checks(facts: Facts, now: float) -> list[Check]:
    """Return all findings."""
    if facts.version.error is not None:
        todo = "See whether `kubectl version` works: login, context and network are kubectl's."
        return [Check("API server", Result.BAD, f"it can't be asked: {facts.version.why}", todo)]
    found = [Check("API server", Result.GOOD, text(part(facts.version.body, "serverVersion").get("gitVersion")))]
    judges: Sequence[Callable[[Facts, float], Iterator[Check]]] = (
        _crd,
        _pods,
        _lease,
        _operator_rights,
        _user_rights,
        _credentials,
        _endpoint,
        _clocks,
        _policies,
        _jobs,
    )
    return [*found, *(check for judge in judges for check in judge(facts, now))]


# --- the CRD --------------------------------------------------------------------------------------------------------


def _crd(facts: Facts, _now: float) -> Iterator[Check]:
    todo = "Install it: esa-preload-operator crd | kubectl apply --server-side -f -"
    if facts.schema.error is not None:
        if facts.schema.error.is_missing or "could not find" in facts.schema.why:
            yield Check("CRD", Result.BAD, f"{PLURAL}.{GROUP} is not installed", todo)
        else:
            yield Check("CRD", Result.UNKNOWN, facts.schema.why)
        return
    served = [
        text(each.get("name")) for each in entries(part(facts.crd.body, "spec").get("versions")) if each.get("served")
    ]
    lacks = [name for name in RELIED_ON if name not in _status_fields(facts.schema.body)]
    if lacks:
        yield Check("CRD", Result.BAD, f"it does not keep status fields: {', '.join(lacks)}", f"It is old. {todo}")
        return
    yield Check("CRD", Result.GOOD, f"{PLURAL}.{GROUP} {', '.join(served) or VERSION} is served")


def _status_fields(document: Any) -> Mapping[str, Any]:
    for schema in part(document, "components", "schemas").values():
        kinds = entries(part(schema).get("x-kubernetes-group-version-kind"))
        if any(each.get("kind") == KIND for each in kinds):
            return part(schema, "properties", "status", "properties")
    return {}


# --- the operator ---------------------------------------------------------------------------------------------------


def _pods(facts: Facts, _now: float) -> Iterator[Check]:
    if isinstance(facts.pods, KubectlError):
        yield Check("Operator", Result.UNKNOWN, f"its pods can't be listed: {facts.pods}")
        return
    ready = [pod for pod in facts.pods if pod.ready]
    if not facts.pods:
        todo = "Install it by Helm or kustomize, or name its namespace by --operator-namespace."
        todo += " One outside of the cluster shows only by its Lease."
        yield Check("Operator", Result.WARNING, "none of its pods was found", todo)
    elif not ready:
        found = f"none of {counted(len(facts.pods), 'pod')} is ready: {_why(facts.pods)}"
        yield Check("Operator", Result.BAD, found, f"Read why: kubectl logs {_named(facts.pods[0])}")
    else:
        images = ", ".join(sorted({pod.image for pod in facts.pods}))
        found = f"{len(ready)} of {counted(len(facts.pods), 'pod')} ready in {ready[0].namespace}, {images}"
        yield Check("Operator", Result.GOOD, found)
    restarted = [pod for pod in facts.pods if pod.restarts > 3]
    if restarted:
        told = "; ".join(f"{pod.name} {pod.restarts} times, last {pod.ended or 'unknown'}" for pod in restarted)
        todo = f"Read why: kubectl logs --previous {_named(restarted[0])}"
        yield Check("Operator", Result.WARNING, f"pods were restarted: {told}", todo)


def _named(pod: Pod) -> str:
    return f"--namespace={pod.namespace} {pod.name}"


def _why(pods: Sequence[Pod]) -> str:
    return "; ".join(f"{pod.name} is {pod.phase}" + (f", {pod.ended}" if pod.ended else "") for pod in pods[:3])


def _lease(facts: Facts, now: float) -> Iterator[Check]:
    if facts.leases.error is not None:
        yield Check("Lease", Result.UNKNOWN, facts.leases.why)
        return
    found = [each for each in facts.leases.items if _is_ours(each)]
    if not found:
        why = f"there is no Lease {LEASE}: no operator has ever led, or it runs without leader election"
        yield Check("Lease", Result.WARNING, why, "Read its log, or the text of /readyz.")
    for each in found:
        yield _one_lease(each, now + _server_ahead(facts))


def _is_ours(lease: Json) -> bool:
    return part(lease, "metadata").get("name") == LEASE


def _one_lease(lease: Json, now: float) -> Check:
    spec = part(lease, "spec")
    place, holder = text(part(lease, "metadata").get("namespace")), text(spec.get("holderIdentity"))
    renewed, lasts = parse_time(text(spec.get("renewTime"))), clean_count(spec.get("leaseDurationSeconds")) or 15
    todo = "Nobody works: see whether the operator's pods run and what their log says."
    if not holder or renewed is None:
        return Check("Lease", Result.BAD, f"nobody holds {place}/{LEASE}", todo)
    age = now - renewed
    if age > 2 * lasts:
        return Check("Lease", Result.BAD, f"{holder} has not renewed {place}/{LEASE} for {span(age)}", todo)
    return Check("Lease", Result.GOOD, f"{holder} leads, renewed {span(max(0.0, age))} ago")


# --- rights, credentials, ways --------------------------------------------------------------------------------------


def _operator_rights(facts: Facts, _now: float) -> Iterator[Check]:
    todo = (
        "Apply the roles of the chart or of deploy/kustomize again; where it watches single namespaces, they do there."
    )
    yield from _rights("Operator's rights", facts.operator_rights, todo)


def _user_rights(facts: Facts, _now: float) -> Iterator[Check]:
    todo = "Ask for the role that the chart adds to edit and view, or for these verbs."
    yield from _rights("Your rights", facts.user_rights, todo)


def _rights(topic: str, rights: Mapping[Right, bool | None], todo: str) -> Iterator[Check]:
    denied = [f"{right} ({right.purpose})" for right, allowed in rights.items() if allowed is False]
    if denied:
        yield Check(topic, Result.WARNING, f"denied: {', '.join(denied)}", todo)
    elif rights and all(rights.values()):
        yield Check(topic, Result.GOOD, f"all {len(rights)} that were asked for")
    elif rights:
        yield Check(topic, Result.UNKNOWN, "you may not ask for them (create subjectaccessreviews)")


def _credentials(facts: Facts, _now: float) -> Iterator[Check]:
    for (namespace, name), keys in facts.secrets.items():
        where = f"Secret {namespace}/{name}"
        if isinstance(keys, KubectlError):
            result = Result.BAD if keys.is_missing else Result.UNKNOWN
            found = f"{where} does not exist" if keys.is_missing else f"{where} can't be looked at: {keys}"
            yield Check("Credentials", result, found, "Create it, see docs/credentials.md." if keys.is_missing else "")
            continue
        missing = [key for key in ("accessKeyId", "accessKeySecret") if key not in keys]
        if missing:
            yield Check("Credentials", Result.BAD, f"{where} lacks {', '.join(missing)}", "Add what is missing.")
        else:
            yield Check("Credentials", Result.GOOD, f"{where} has an access key")


def _endpoint(facts: Facts, _now: float) -> Iterator[Check]:
    if not facts.endpoint:
        return
    if facts.reach_error:
        found = f"{facts.endpoint} can't be reached from this machine: {facts.reach_error}"
        todo = "What counts is the way from the operator's pods: see the jobs below."
        yield Check("ESA endpoint", Result.WARNING, found, todo)
    else:
        yield Check("ESA endpoint", Result.GOOD, f"{facts.endpoint} answers this machine ({facts.reached})")
    closed = [
        text(part(each, "metadata").get("name"))
        for each in facts.network_policies.items
        if "Egress" in (part(each, "spec").get("policyTypes") or ())
    ]
    if closed:
        found = f"policies bound what leaves the operator's namespace: {', '.join(closed)}"
        yield Check("Network", Result.WARNING, found, "They must let it reach DNS, the API server and ESA's port 443.")


def _server_ahead(facts: Facts) -> float:
    """Return by how many seconds the API server's clock is ahead of this machine's; what nobody can tell is 0."""
    told = parse_time(text(part(facts.whoami.body, "metadata").get("creationTimestamp")))
    before, after = facts.asked_at
    if told is None or before - 1 <= told <= after:
        return 0.0  # it tells whole seconds
    return told - after if told > after else told - before


def _clocks(facts: Facts, now: float) -> Iterator[Check]:
    server = _server_ahead(facts)
    renewals = [parse_time(text(part(each, "spec").get("renewTime"))) for each in facts.leases.items if _is_ours(each)]
    operator = max((each - now for each in renewals if each is not None), default=0.0)
    ahead = {"the API server": server, "ESA": facts.endpoint_ahead or 0.0, "the operator": max(0.0, operator)}
    wrong = {whose: seconds for whose, seconds in ahead.items() if abs(seconds) > _MAX_SKEW}
    for whose, seconds in wrong.items():
        side = "ahead of" if seconds > 0 else "behind"
        found = f"the clock of {whose} is {span(abs(seconds))} {side} this machine's"
        todo = "Have both follow NTP: ESA refuses what is signed by a wrong clock."
        yield Check("Clock", Result.WARNING, found, todo)
    if not wrong:
        yield Check("Clock", Result.GOOD, "no clock differs by more than half a minute")


def _policies(facts: Facts, _now: float) -> Iterator[Check]:
    found = [
        f"{text(each.get('kind'))} {text(part(each, 'metadata').get('name'))}"
        for answer in (facts.policies, facts.hooks)
        for each in answer.items
        if _concerns_us(each)
    ]
    denied = [answer.why for answer in (facts.policies, facts.hooks) if answer.error is not None]
    if found:
        todo = "They may refuse resets or status writes; what they say stands in the job's condition."
        yield Check("Admission", Result.WARNING, f"these judge writes to the jobs: {', '.join(found)}", todo)
    elif denied:
        yield Check("Admission", Result.UNKNOWN, denied[0])
    else:
        yield Check("Admission", Result.GOOD, "no policy or webhook concerns the jobs")


def _concerns_us(body: Json) -> bool:
    rules = entries(part(body, "spec", "matchConstraints").get("resourceRules"))
    rules += [rule for hook in entries(body.get("webhooks")) for rule in entries(hook.get("rules"))]
    return any({GROUP, "*"} & set(each.get("apiGroups") or ()) and _covers(each.get("resources")) for each in rules)


def _covers(resources: Any) -> bool:
    return any(str(each).split("/")[0] in {PLURAL, "*"} for each in resources or ())


# --- the jobs -------------------------------------------------------------------------------------------------------


def _jobs(facts: Facts, _now: float) -> Iterator[Check]:
    if isinstance(facts.jobs, KubectlError):
        result = Result.BAD if facts.jobs.is_missing else Result.UNKNOWN
        yield Check("Jobs", result, str(facts.jobs))
        return
    ill = [(job, found) for job, found in sorted_by_trouble(facts.jobs) if found.level <= Level.RETRIED]
    for job, found in ill[:_SHOWN]:
        result = Result.BAD if found.level <= Level.BLOCKED else Result.WARNING
        why = found.why if found.why.startswith(found.word) else f"{found.word}: {found.why}".rstrip(": ")
        told = f"{job.ref.namespace}/{job.ref.name}: {why}"
        yield Check("Job", result, told, advice(found.word))
    if len(ill) > _SHOWN:
        yield Check("Jobs", Result.WARNING, f"{len(ill) - _SHOWN} more need somebody: see `list`")
    if not ill:
        yield Check("Jobs", Result.GOOD, f"{counted(len(facts.jobs), 'job')}, none in trouble")
