import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from control_plane import ControlPlane, KubectlError
from esa_preload_operator.resources.crd import custom_resource_definition
from esa_preload_operator.resources.durations import parse_duration
from esa_preload_operator.resources.job import GROUP, PLURAL, RESET_KEY_PREFIXED, Status
from support.api import MERGE_PATCH, Api, eventually, job_body, jobs_path
from support.statuses import statuses

EPOCH = "1970-01-01T00:00:00Z"
PENDING = [
    {"type": kind, "status": status, "reason": "Pending", "message": "waiting for the operator"}
    | {"lastTransitionTime": EPOCH}
    for kind, status in (("Ready", "Unknown"), ("Reconciling", "True"))
]
NOT_MET = r"condition not met|timed out"
READY = {"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": EPOCH}

on_a_server = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def api(control_plane: ControlPlane) -> Api:
    api = Api(control_plane)
    api.install_crd()
    return api


@pytest.fixture
def namespace(api: Api) -> Iterator[str]:
    name = f"crd-{uuid4().hex[:8]}"
    api.control_plane.kubectl("create", "namespace", name)
    yield name
    api.control_plane.kubectl("delete", PLURAL, "--all", f"--namespace={name}")


def create(api: Api, namespace: str, name: str = "nightly", **spec: object) -> dict[str, Any]:
    reply = api.call("POST", jobs_path(namespace), job_body(name, **spec))
    assert reply.status == 201, reply.body
    assert reply.warning == ""
    return reply.body


def put_status(api: Api, body: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    path = jobs_path(body["metadata"]["namespace"], body["metadata"]["name"])
    reply = api.call("PUT", f"{path}/status", {**body, "status": status})
    assert reply.status == 200, reply.body
    return reply.body


def create_in_group(api: Api, group: str, spec: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    name = f"job-{uuid4().hex[:8]}"
    body = {**job_body(name), "apiVersion": f"{group}/v1alpha1", "spec": spec}
    reply = eventually(lambda: api.call("POST", jobs_path("default", group=group), body), 201)
    return jobs_path("default", name, group=group), reply.body


# --- what users write -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"jobId": "665d3af3621bccf3fe29e1a4"},
        {"jobId": "j" * 64},
        {"credentialsSecretRef": {"name": "esa-credentials"}},
        {"minResetInterval": "0"},
        {"minResetInterval": "1h30m"},
        {"minResetInterval": "720h"},
        {"minResetInterval": None},
    ],
)
def test_what_is_valid_is_taken_without_a_warning(api: Api, namespace: str, spec: dict[str, Any]) -> None:
    create(api, namespace, **spec)


def test_the_interval_is_zero_where_nobody_says_otherwise(api: Api, namespace: str) -> None:
    assert create(api, namespace)["spec"]["minResetInterval"] == "0s"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"jobId": None}, "exactly one of jobId (adopts a job) and siteId with source (creates a job) must be set"),
        ({"jobId": ""}, "spec.jobId in body should be at least 1 chars long"),
        ({"jobId": "a b"}, "spec.jobId in body should match"),
        ({"jobId": "j" * 65}, "spec.jobId: Too long"),
        ({"jobId": 4711}, "spec.jobId in body must be of type string"),
        ({"jobIds": "a"}, 'unknown field "spec.jobIds"'),
        ({"credentialsSecretRef": {}}, "spec.credentialsSecretRef.name: Required value"),
        ({"credentialsSecretRef": {"name": ""}}, "spec.credentialsSecretRef.name in body should be at least"),
        ({"credentialsSecretRef": {"name": "Mine"}}, "spec.credentialsSecretRef.name in body should match"),
        (
            {"credentialsSecretRef": {"name": "s", "namespace": "n"}},
            'unknown field "spec.credentialsSecretRef.namespace"',
        ),
        ({"minResetInterval": ""}, "minResetInterval must be a duration from 0s to 720h"),
        ({"minResetInterval": "soon"}, "minResetInterval must be a duration from 0s to 720h"),
        ({"minResetInterval": "30"}, "minResetInterval must be a duration from 0s to 720h"),
        ({"minResetInterval": "1d"}, "minResetInterval must be a duration from 0s to 720h"),
        ({"minResetInterval": "-1s"}, "minResetInterval must be a duration from 0s to 720h"),
        ({"minResetInterval": "720h1s"}, "minResetInterval must be a duration from 0s to 720h"),
        ({"minResetInterval": "1" * 33}, "spec.minResetInterval: Too long"),
        ({"minResetInterval": 30}, "spec.minResetInterval in body must be of type string"),
    ],
)
def test_what_is_wrong_is_refused_by_the_name_of_its_field(
    api: Api, namespace: str, spec: dict[str, Any], message: str
) -> None:
    reply = api.call("POST", jobs_path(namespace) + "?fieldValidation=Strict", job_body("wrong", **spec))
    assert reply.status in {400, 422}
    assert message in reply.body["message"]


def test_a_resource_without_a_spec_is_refused(api: Api, namespace: str) -> None:
    body = job_body("wrong")
    del body["spec"]
    reply = api.call("POST", jobs_path(namespace), body)
    assert (reply.status, "spec: Required value" in reply.body["message"]) == (422, True)


def test_the_job_can_not_be_changed_or_removed(api: Api, namespace: str) -> None:
    body = create(api, namespace)
    path = jobs_path(namespace, "nightly")
    changed = api.call("PUT", path, {**body, "spec": {"jobId": "job2"}})
    assert changed.status == 422
    assert "spec.jobId: Invalid value" in changed.body["message"]
    assert "jobId is immutable: make a new resource for another job" in changed.body["message"]
    for spec in ({}, {"jobId": None}):
        removed = api.call("PUT", path, {**body, "spec": spec})
        assert (removed.status, "jobId can't be added or removed" in removed.body["message"]) == (422, True)
    patched = api.call("PATCH", path, {"spec": {"jobId": None}}, MERGE_PATCH)
    assert patched.status == 422


def test_credentials_and_interval_may_change(api: Api, namespace: str) -> None:
    body = create(api, namespace, credentialsSecretRef={"name": "one"}, minResetInterval="1h")
    path = jobs_path(namespace, "nightly")
    changed = {"jobId": "job1", "credentialsSecretRef": {"name": "two"}, "minResetInterval": "5m"}
    reply = api.call("PUT", path, {**body, "spec": changed})
    assert reply.status == 200
    assert api.call("PUT", path, {**reply.body, "spec": {"jobId": "job1"}}).status == 200


_parts = st.tuples(
    st.integers(0, 800), st.sampled_from(["", ".0", ".25"]), st.sampled_from(["us", "ms", "s", "m", "h"])
)
_durations = st.lists(_parts.map(lambda part: "".join(map(str, part))), max_size=3).map("".join)


@on_a_server
@given(text=st.one_of(_durations, st.text("0123456789.hmsnuµ٣+-", max_size=6)))
@example(text="٣s")
@example(text="+1s")
@example(text="-.1ns")
@example(text="9999999h")
@example(text="720h0.000000001s")
@example(text="1h\n")
def test_the_operator_reads_every_interval_that_the_api_server_takes(api: Api, text: str) -> None:
    reply = api.call("POST", jobs_path("default") + "?dryRun=All", job_body("dry", minResetInterval=text))
    if reply.status == 201:
        assert 0 <= parse_duration(text) <= 720 * 3600
    else:
        assert "minResetInterval must be a duration from 0s to 720h" in reply.body["message"]


@on_a_server
@given(text=_durations.filter(bool))
def test_the_api_server_takes_every_plain_interval_in_range(api: Api, text: str) -> None:
    reply = api.call("POST", jobs_path("default") + "?dryRun=All", job_body("dry", minResetInterval=text))
    assert (reply.status == 201) is (parse_duration(text) <= 720 * 3600)


# --- what the operator writes -----------------------------------------------------------------------------------


@on_a_server
@given(status=statuses)
@example(status=Status())
def test_no_status_is_refused_and_nothing_is_pruned(api: Api, namespace: str, status: Status) -> None:
    path = jobs_path(namespace, "nightly")
    found = api.call("GET", path)
    body = found.body if found.status == 200 else create(api, namespace)
    dumped = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert put_status(api, body, dumped)["status"] == dumped
    read = api.call("GET", path).body["status"]
    assert read == dumped
    assert Status.model_validate(read) == status


@pytest.mark.parametrize("status", [None, {"handledResets": {"resetRequested": "x"}, "conditions": []}])
def test_a_new_resource_waits_for_the_operator(api: Api, namespace: str, status: dict[str, Any] | None) -> None:
    body = job_body("nightly") | ({} if status is None else {"status": status})
    assert api.call("POST", jobs_path(namespace), body).body["status"] == {"conditions": PENDING}
    read = api.call("GET", jobs_path(namespace, "nightly")).body
    assert read["status"] == {"conditions": PENDING}
    Status.model_validate(read["status"])


@pytest.mark.parametrize("handled", [{}, {"handledResets": {"resetRequested": "deploy-4711"}}])
def test_a_wiped_status_waits_for_the_operator_and_keeps_what_it_says(
    api: Api, namespace: str, handled: dict[str, Any]
) -> None:
    body = put_status(api, create(api, namespace), {"handledResets": {"k": "old"}, "conditions": [READY]})
    assert put_status(api, body, handled)["status"] == {**handled, "conditions": PENDING}


def test_conditions_that_are_removed_leave_handled_resets_alone(api: Api, namespace: str) -> None:
    handled = {"handledResets": {"resetRequested": "deploy-4711"}}
    put_status(api, create(api, namespace), {**handled, "conditions": [READY]})
    path = jobs_path(namespace, "nightly") + "/status"
    assert api.call("PATCH", path, {"status": {"conditions": None}}, MERGE_PATCH).body["status"] == {
        **handled,
        "conditions": PENDING,
    }


def test_conditions_that_the_operator_wrote_are_not_mixed_with_defaults(api: Api, namespace: str) -> None:
    body = create(api, namespace)
    assert put_status(api, body, {"conditions": [READY]})["status"] == {"conditions": [READY]}


def test_users_can_not_write_the_status_along_with_the_spec(api: Api, namespace: str) -> None:
    body = create(api, namespace)
    forged = {**body, "status": {"handledResets": {"resetRequested": "forged"}}}
    assert api.call("PUT", jobs_path(namespace, "nightly"), forged).body["status"] == {"conditions": PENDING}


def test_a_resource_that_an_older_crd_took_still_takes_a_status(api: Api) -> None:
    crd = custom_resource_definition()
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    strict = json.loads(json.dumps(spec))
    for field in spec["properties"].values():
        for keyword in ("pattern", "maxLength", "minLength", "x-kubernetes-validations"):
            field.pop(keyword, None)
    with api.other_group(crd, "older.example.org") as group:
        path, body = create_in_group(api, group, {"jobId": "a b", "minResetInterval": "soon"})
        spec.update(strict)
        api.install_crd(crd)
        new = {**body, "metadata": {"name": "new"}}
        eventually(lambda: api.call("POST", f"{jobs_path('default', group=group)}?dryRun=All", new), 422)
        reply = api.call("PUT", f"{path}/status", {**body, "status": {"conditions": [READY]}})
        assert reply.status == 200, reply.body
        assert reply.body["status"] == {"conditions": [READY]}
        annotated = api.call("PATCH", path, {"metadata": {"annotations": {"resetRequested": "x"}}}, MERGE_PATCH)
        assert annotated.status == 200


# --- what kubectl shows -----------------------------------------------------------------------------------------


def test_the_columns_show_what_matters(api: Api, namespace: str) -> None:
    status = {
        "urlCount": 200, "urlSubmitted": 50, "progress": 25, "conditions": [READY], "reset": {"phase": "InFlight"},
        "lastResetTime": "2026-01-01T00:00:00Z", "errorInfo": "InvalidUrl", "siteId": 190007158391808,
        "requestId": "65C66B7B", "jobId": "job1", "nextResetTime": "2026-01-02T00:00:00Z",
    }  # fmt: skip
    put_status(api, create(api, namespace), status)
    kubectl = api.control_plane.kubectl
    heads, row = kubectl("get", "spj", "-n", namespace).splitlines()
    assert heads.split()[:7] == ["NAME", "JOB", "URLS", "SUBMITTED", "PROGRESS", "READY", "RESET"]
    assert heads.endswith("LAST RESET   AGE")
    assert row.split()[:7] == ["nightly", "job1", "200", "50", "25", "True", "InFlight"]
    heads, row = kubectl("get", "spj", "-n", namespace, "-o", "wide").splitlines()
    assert heads.split()[-7:] == ["NEXT", "RESET", "SUSPENDED", "ERROR", "SITE", "REQUEST", "MESSAGE"]
    assert row.split()[-5:] == ["2026-01-02T00:00:00Z", "false", "InvalidUrl", "190007158391808", "65C66B7B"]


def test_the_category_finds_the_resources(api: Api, namespace: str) -> None:
    create(api, namespace)
    assert api.control_plane.kubectl("get", "esa", "-n", namespace, "-o", "name").split() == [
        f"scheduledpreloadjob.{GROUP}/nightly"
    ]


def test_explain_reads_well(api: Api) -> None:
    text = " ".join(api.control_plane.kubectl("explain", "spj.status.reset").split())
    assert "DESCRIPTION: The reset that is under way, or the last one. FIELDS:" in text
    assert "submittedBefore <integer> URLs that were already submitted right before the call." in text
    assert "tokens <map[string]string>" in text
    text = " ".join(api.control_plane.kubectl("explain", "spj.spec").split())
    assert "jobId <string> Id of an ESA scheduled preload job that exists" in text


def wait(api: Api, namespace: str, condition: str) -> None:
    api.control_plane.kubectl("wait", f"--for={condition}", "spj/nightly", "-n", namespace, "--timeout=0s")


def test_kubectl_wait_sees_that_nothing_has_been_done_yet(api: Api, namespace: str) -> None:
    body = create(api, namespace)
    with pytest.raises(KubectlError, match=NOT_MET):
        wait(api, namespace, "condition=Ready")
    wait(api, namespace, "condition=Ready=Unknown")
    wait(api, namespace, "condition=Reconciling")
    put_status(api, body, {"conditions": [READY]})
    wait(api, namespace, "condition=Ready")


def test_kubectl_wait_finds_a_handled_token_under_both_keys(api: Api, namespace: str) -> None:
    handled = {"resetRequested": "one", RESET_KEY_PREFIXED: "two"}
    put_status(api, create(api, namespace), {"handledResets": handled, "conditions": [READY]})
    wait(api, namespace, "jsonpath={.status.handledResets.resetRequested}=one")
    escaped = RESET_KEY_PREFIXED.replace(".", "\\.")
    wait(api, namespace, f"jsonpath={{.status.handledResets.{escaped}}}=two")
    with pytest.raises(KubectlError, match=NOT_MET):
        wait(api, namespace, "jsonpath={.status.handledResets.resetRequested}=two")


def test_client_side_and_server_side_apply_keep_the_status(api: Api, namespace: str) -> None:
    handled = {"handledResets": {"resetRequested": "one"}, "conditions": [READY]}
    manifest = json.dumps(job_body("nightly"))
    kubectl = api.control_plane.kubectl
    kubectl("apply", "-n", namespace, "-f", "-", "--warnings-as-errors", input=manifest)
    put_status(api, api.call("GET", jobs_path(namespace, "nightly")).body, handled)
    for flags in ((), ("--server-side", "--force-conflicts")):
        kubectl("apply", "-n", namespace, "-f", "-", "--warnings-as-errors", *flags, input=manifest)
        assert api.call("GET", jobs_path(namespace, "nightly")).body["status"] == handled
