"""What `diagnose` asks the cluster: each question by itself, so that one that is denied hides no other."""

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from esa_preload_operator.cli.plugin.diagnose.rights import OF_OPERATOR, OF_USER, Right, review
from esa_preload_operator.cli.plugin.flags import Given
from esa_preload_operator.cli.plugin.jobs import Job, Json, entries, part, read_jobs, text
from esa_preload_operator.cli.plugin.kubectl import Kubectl, KubectlError
from esa_preload_operator.cli.plugin.pods import LABEL, Pod, find_pods
from esa_preload_operator.cli.plugin.targets import RESOURCE
from esa_preload_operator.resources.names import GROUP, VERSION

LEASE: Final = "esa-preload-operator"
DEFAULT_SECRET: Final = "esa-credentials"  # noqa: S105 - the name of a Secret, no password
_AT_ONCE: Final = 4
_KEYS: Final = '{{range $key, $value := .data}}{{$key}}{{"\\n"}}{{end}}'
"""Of a Secret only the names of its keys leave kubectl."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of kubectl, or why there is none."""

    body: Any = None
    error: KubectlError | None = None

    @property
    def items(self) -> list[Json]:
        """The objects of a list."""
        return entries(part(self.body).get("items"))

    @property
    def why(self) -> str:
        """Why there is no answer."""
        return "" if self.error is None else str(self.error)


@dataclass(slots=True)
class Facts:
    """Everything that is judged."""

    version: Answer = field(default_factory=Answer)
    crd: Answer = field(default_factory=Answer)
    schema: Answer = field(default_factory=Answer)
    whoami: Answer = field(default_factory=Answer)
    asked_at: tuple[float, float] = (0.0, 0.0)
    """This machine's time before and after `whoami` was asked."""
    deployments: Answer = field(default_factory=Answer)
    pods: list[Pod] | KubectlError = field(default_factory=list)
    leases: Answer = field(default_factory=Answer)
    policies: Answer = field(default_factory=Answer)
    hooks: Answer = field(default_factory=Answer)
    network_policies: Answer = field(default_factory=Answer)
    jobs: list[Job] | KubectlError = field(default_factory=list)
    secrets: Mapping[tuple[str, str], tuple[str, ...] | KubectlError] = field(default_factory=dict)
    """Names of the keys of each Secret that a job names."""
    user_rights: Mapping[Right, bool | None] = field(default_factory=dict)
    operator_rights: Mapping[Right, bool | None] = field(default_factory=dict)
    endpoint: str = ""
    reached: str = ""
    """What the endpoint answered to this machine."""
    reach_error: str = ""
    endpoint_ahead: float | None = None
    """Seconds by which its clock is ahead of this machine's."""


def ask(kubectl: Kubectl, *words: str, given: str | None = None) -> Answer:
    """Return kubectl's answer."""
    try:
        return Answer(kubectl.json(*words, given=given))
    except KubectlError as error:
        return Answer(error=error)


def gather(kubectl: Kubectl, given: Given, name: str | None, place: str | None) -> Facts:
    """Ask all questions, some at a time; the operator is looked for in `place`, or wherever it may be."""
    facts = Facts(version=ask(kubectl, "version"))
    if facts.version.error is not None:
        return facts
    where = ("--all-namespaces",) if place is None else (f"--namespace={place}",)
    questions: dict[str, tuple[str, ...]] = {
        "crd": ("get", "crd", RESOURCE),
        "deployments": ("get", "deployments", f"--selector={LABEL}", *where),
        "policies": ("get", "validatingadmissionpolicies,validatingadmissionpolicybindings"),
        "hooks": ("get", "validatingwebhookconfigurations,mutatingwebhookconfigurations"),
    }
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = {key: pool.submit(ask, kubectl, *words) for key, words in questions.items()}
        schema = pool.submit(_raw, kubectl, f"/openapi/v3/apis/{GROUP}/{VERSION}")
        pods = pool.submit(_try, lambda: find_pods(kubectl, place))
        jobs = pool.submit(_try, lambda: _jobs(kubectl, name, given.scope))
        facts.asked_at, facts.whoami = _timed(kubectl)
        for key, answer in answers.items():
            setattr(facts, key, answer.result())
        facts.schema, facts.pods, facts.jobs = schema.result(), pods.result(), jobs.result()
        _about_operator(kubectl, facts, pool, place)
        secrets = {key: pool.submit(_try, _reader(kubectl, key)) for key in named_secrets(facts.jobs)}
        rights = pool.submit(review, kubectl, OF_USER, None, _namespace(kubectl, given))
        facts.secrets = {key: each.result() for key, each in secrets.items()}
        facts.user_rights = rights.result()
    return facts


def _about_operator(kubectl: Kubectl, facts: Facts, pool: ThreadPoolExecutor, named: str | None) -> None:
    """Ask what is known only once the operator is found: its Lease, its rights, what may cut it off.

    `named` is the namespace that the user says it runs in, which counts where no pod of it is found.
    """
    known = facts.pods if isinstance(facts.pods, list) else []
    place = next((pod.namespace for pod in known), named)
    where = (f"--namespace={place}",) if place is not None else ("--all-namespaces",)
    leases = pool.submit(ask, kubectl, "get", "leases.coordination.k8s.io", *where)
    if place is not None and known:
        closed = pool.submit(ask, kubectl, "get", "networkpolicies", *where)
        user = f"system:serviceaccount:{place}:{known[0].account}"
        facts.operator_rights = review(kubectl, OF_OPERATOR, user, place)
        facts.network_policies = closed.result()
    facts.leases = leases.result()


def named_secrets(jobs: list[Job] | KubectlError) -> list[tuple[str, str]]:
    """Return namespace and name of each Secret that a job names."""
    if isinstance(jobs, KubectlError):
        return []
    found = {(job.ref.namespace, text(part(job.spec, "credentialsSecretRef").get("name"))) for job in jobs}
    return sorted(each for each in found if each[1])


def _namespace(kubectl: Kubectl, given: Given) -> str:
    """Return the namespace that kubectl works in; nothing for all."""
    if given.all_namespaces or given.namespace:
        return "" if given.all_namespaces else given.namespace
    found = _try(lambda: kubectl.text("config", "view", "--minify", "--output=jsonpath={..namespace}"))
    return found.strip() if isinstance(found, str) and found.strip() else "default"


def _reader(kubectl: Kubectl, key: tuple[str, str]) -> Callable[[], tuple[str, ...]]:
    def read() -> tuple[str, ...]:
        namespace, name = key
        words = ("get", "secret", name, f"--namespace={namespace}", f"--output=go-template={_KEYS}")
        return tuple(kubectl.text(*words).split())

    return read


def _jobs(kubectl: Kubectl, name: str | None, scope: tuple[str, ...]) -> list[Job]:
    chosen = scope if name is None else (name,)
    return read_jobs(kubectl.json("get", RESOURCE, *chosen))


def _raw(kubectl: Kubectl, path: str) -> Answer:
    try:
        return Answer(json.loads(kubectl.text("get", f"--raw={path}")))
    except KubectlError as error:
        return Answer(error=error)
    except ValueError:
        return Answer(error=KubectlError("the API server's schema is no JSON"))


def _timed(kubectl: Kubectl) -> tuple[tuple[float, float], Answer]:
    began = time.time()
    answer = ask(kubectl, "auth", "whoami")
    return (began, time.time()), answer


def _try(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except KubectlError as error:
        return error
