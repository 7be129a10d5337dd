"""What the API server makes of a job's whole life: source, windows, schedule, policies."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from control_plane import ControlPlane
from esa_preload_operator.domain.cron import cron_problem
from esa_preload_operator.domain.source import Urls, url_list
from esa_preload_operator.domain.spec import instant, spec_problem, windows_of
from esa_preload_operator.resources.crd import custom_resource_definition
from esa_preload_operator.resources.job import API_VERSION, KIND, PLURAL
from esa_preload_operator.resources.spec import Spec
from support.api import MERGE_PATCH, Api, eventually, job_body, jobs_path

SITE = 190007158391808
URL = "https://www.example.com/a.js"
WINDOW = {"name": "now", "duration": "2h", "intervalSeconds": 60, "sliceLen": 10}
START, END = "2026-12-01T16:00:00Z", "2026-12-01T22:00:00Z"
BUCKET = "https://bucket.oss-cn-hangzhou.aliyuncs.com/urls.txt"

on_a_server = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def api(control_plane: ControlPlane) -> Api:
    api = Api(control_plane)
    api.install_crd()
    return api


@pytest.fixture(scope="module")
def namespace(api: Api) -> Iterator[str]:
    name = f"life-{uuid4().hex[:8]}"
    api.control_plane.kubectl("create", "namespace", name)
    yield name
    api.control_plane.kubectl("delete", PLURAL, "--all", f"--namespace={name}")


def created(**fields: Any) -> dict[str, Any]:
    spec = {"siteId": SITE, "source": {"urls": [URL]}, **fields}
    return {key: value for key, value in spec.items() if value is not None}


def from_source(**source: Any) -> dict[str, Any]:
    return created(source=source)


def window(**fields: Any) -> dict[str, Any]:
    entry = {key: value for key, value in {**WINDOW, **fields}.items() if value is not None}
    return created(executions=[entry])


def schedule(cron: str = "0 2 * * *", **fields: Any) -> dict[str, Any]:
    return {"jobId": "job1", "resetSchedule": {"cron": cron, **fields}}


def job(spec: dict[str, Any], name: str = "") -> dict[str, Any]:
    meta = {"name": name or f"job-{uuid4().hex[:8]}"}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": meta, "spec": spec}


def stored(api: Api, namespace: str, spec: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    reply = api.call("POST", f"{jobs_path(namespace)}?fieldValidation=Strict", job(spec))
    assert reply.status == 201, reply.body["message"]
    assert reply.warning == ""
    return jobs_path(namespace, reply.body["metadata"]["name"]), reply.body


VALID = [
    created(),
    created(name="front page"),
    created(name="图 夜间"),
    created(siteId=2**53 - 1, replacePolicy="DeleteFirst", deletionPolicy="Delete"),
    created(replacePolicy="CreateFirst", deletionPolicy="Retain", suspend=True),
    from_source(urls=[f"http://example.com/{number}" for number in range(1000)], revision="v42"),
    from_source(urls=[f"https://example.com/{number}".ljust(2048, "x") for number in range(64)]),
    from_source(configMapKeyRef={"name": "urls", "key": "list.txt"}),
    from_source(ossUrl=f"{BUCKET}?Expires=1&Signature=2"),
    window(),
    window(startTime=START, endTime=END, duration=None),
    window(startTime=START),
    window(endTime=END, duration=None),
    window(onReset=True),
    window(duration="720h", intervalSeconds=86_400, sliceLen=100_000),
    created(executions=[{**WINDOW, "name": f"w{number}"} for number in range(64)]),
    {"jobId": "job1", "executions": [WINDOW], "suspend": True, "deletionPolicy": "Retain"},
    {"jobId": "job1", "replacePolicy": "CreateFirst"},
    schedule(),
    schedule("@daily", timeZone="Asia/Shanghai", startingDeadlineSeconds=60, jitterSeconds=0),
    schedule("*/5 0-23/2 1,15 JAN-DEC MON#1", timeZone="America/Argentina/Buenos_Aires"),
    schedule("0  2 L * *", timeZone="Etc/GMT+5", startingDeadlineSeconds=604_800, jitterSeconds=3600),
]


@pytest.mark.parametrize("spec", VALID)
def test_what_is_valid_is_taken_and_read(api: Api, namespace: str, spec: dict[str, Any]) -> None:
    _, body = stored(api, namespace, spec)
    read = Spec.model_validate(body["spec"])
    assert spec_problem(read) is None
    if read.source is not None and read.source.urls is not None:
        assert isinstance(url_list(read.source.urls), Urls)


EITHER = "exactly one of jobId (adopts a job) and siteId with source (creates a job) must be set"
WRONG = [
    ({}, EITHER),
    (created(jobId="job1"), EITHER),
    ({"jobId": "job1", "siteId": SITE}, EITHER),
    ({"jobId": "job1", "source": {"urls": [URL]}}, EITHER),
    (created(source=None), "siteId and source must be set together"),
    (created(siteId=None), "siteId and source must be set together"),
    (created(siteId=0), "spec.siteId in body should be greater than or equal to 1"),
    (created(siteId=2**53), "spec.siteId in body should be less than or equal to"),
    (created(siteId="4711"), "spec.siteId in body must be of type integer"),
    (created(name=""), "spec.name in body should be at least 1 chars long"),
    (created(name="n" * 81), "spec.name: Too long"),
    (created(name=" nightly"), "name must be words of visible characters with one space between two"),
    (created(name="night\nly"), "name must be words of visible characters with one space between two"),
    (created(name="night\u202ely"), "name must be words of visible characters with one space between two"),
    ({"jobId": "job1", "name": "nightly"}, "name is only for a job that is created"),
    ({"jobId": "job1", "replacePolicy": "DeleteFirst"}, "replacePolicy DeleteFirst is only for a job that is created"),
    ({"jobId": "job1", "deletionPolicy": "Delete"}, "deletionPolicy must be Retain for a job that is adopted"),
    (created(replacePolicy="Never"), 'spec.replacePolicy: Unsupported value: "Never"'),
    (created(deletionPolicy="Orphan"), 'spec.deletionPolicy: Unsupported value: "Orphan"'),
    (created(suspend="yes"), "spec.suspend in body must be of type boolean"),
    (from_source(), "source must have exactly one of urls, configMapKeyRef and ossUrl"),
    (from_source(urls=[URL], ossUrl=BUCKET), "source must have exactly one of urls, configMapKeyRef and ossUrl"),
    (from_source(urls=[]), "spec.source.urls in body should have at least 1 items"),
    (from_source(urls=[f"https://a.b/{number}" for number in range(1001)]), "spec.source.urls: Too many"),
    (from_source(urls=["ftp://a.b/c"]), "spec.source.urls[0] in body should match"),
    (from_source(urls=["https:///c"]), "spec.source.urls[0] in body should match"),
    (from_source(urls=["https://a.b/c d"]), "spec.source.urls[0] in body should match"),
    (from_source(urls=["https://a.b/".ljust(2049, "c")]), "spec.source.urls[0]: Too long"),
    (
        from_source(urls=[f"https://example.com/{number}".ljust(2048, "x") for number in range(65)]),
        "urls must have at most 131072 characters in all; use configMapKeyRef or ossUrl for more",
    ),
    (from_source(ossUrl="http://bucket/urls.txt"), "spec.source.ossUrl in body should match"),
    (from_source(ossUrl="https://me@bucket/urls.txt"), "spec.source.ossUrl in body should match"),
    (from_source(ossUrl="https://bucket"), "spec.source.ossUrl in body should match"),
    (from_source(configMapKeyRef={"name": "urls"}), "spec.source.configMapKeyRef.key: Required value"),
    (
        from_source(configMapKeyRef={"name": "Urls", "key": "k"}),
        "spec.source.configMapKeyRef.name in body should match",
    ),
    (
        from_source(configMapKeyRef={"name": "urls", "key": "a/b"}),
        "spec.source.configMapKeyRef.key in body should match",
    ),
    (from_source(urls=[URL], revision="r" * 257), "spec.source.revision: Too long"),
    (window(name=None), "spec.executions[0].name: Required value"),
    (window(name="Now"), "spec.executions[0].name in body should match"),
    (window(intervalSeconds=None), "spec.executions[0].intervalSeconds: Required value"),
    (window(sliceLen=None), "spec.executions[0].sliceLen: Required value"),
    (window(intervalSeconds=0), "spec.executions[0].intervalSeconds in body should be greater than or equal to 1"),
    (window(intervalSeconds=86_401), "spec.executions[0].intervalSeconds in body should be less than or equal to"),
    (window(sliceLen=-1), "spec.executions[0].sliceLen in body should be greater than or equal to 1"),
    (window(sliceLen=100_001), "spec.executions[0].sliceLen in body should be less than or equal to 100000"),
    (window(duration=None), "exactly one of endTime and duration must be set"),
    (window(endTime=END), "exactly one of endTime and duration must be set"),
    (window(startTime=END, endTime=START, duration=None), "startTime must be before endTime"),
    (window(startTime=END, endTime=END, duration=None), "startTime must be before endTime"),
    (window(startTime="2026-12-01"), "spec.executions[0].startTime"),
    (window(startTime="2026-12-01T16:00:00"), "spec.executions[0].startTime"),
    (window(startTime="2026-02-30T16:00:00Z"), "spec.executions[0].startTime"),
    (window(duration="0s"), "duration must be a duration from 1s to 720h"),
    (window(duration="999ms"), "duration must be a duration from 1s to 720h"),
    (window(duration="721h"), "duration must be a duration from 1s to 720h"),
    (window(duration="-1h"), "duration must be a duration from 1s to 720h"),
    (window(onReset=True, startTime=START), "onReset needs a duration and no startTime"),
    (window(onReset=True, endTime=END, duration=None), "onReset needs a duration and no startTime"),
    (created(executions=[WINDOW, WINDOW]), 'spec.executions[1]: Duplicate value: {"name":"now"}'),
    (created(executions=[{**WINDOW, "name": f"w{number}"} for number in range(65)]), "spec.executions: Too many"),
    (schedule(cron=""), "spec.resetSchedule.cron in body should match"),
    (schedule("0 2 * *"), "spec.resetSchedule.cron in body should match"),
    (schedule("0 0 2 * * *"), "spec.resetSchedule.cron in body should match"),
    (schedule("@reboot"), "spec.resetSchedule.cron in body should match"),
    (schedule("CRON_TZ=UTC 0 2 * * *"), "spec.resetSchedule.cron in body should match"),
    (schedule("0 2 * * " + "1," * 60), "spec.resetSchedule.cron: Too long"),
    ({"jobId": "job1", "resetSchedule": {}}, "spec.resetSchedule.cron: Required value"),
    (schedule(timeZone="Local"), "timeZone must be the name of a time zone, such as Asia/Shanghai"),
    (schedule(timeZone="../UTC"), "spec.resetSchedule.timeZone in body should match"),
    (schedule(timeZone="+08:00"), "spec.resetSchedule.timeZone in body should match"),
    (schedule(startingDeadlineSeconds=59), "spec.resetSchedule.startingDeadlineSeconds in body should be greater"),
    (schedule(startingDeadlineSeconds=604_801), "spec.resetSchedule.startingDeadlineSeconds in body should be less"),
    (schedule(jitterSeconds=-1), "spec.resetSchedule.jitterSeconds in body should be greater"),
    (schedule(jitterSeconds=3601), "spec.resetSchedule.jitterSeconds in body should be less"),
]


@pytest.mark.parametrize(("spec", "message"), WRONG)
def test_what_is_wrong_is_refused_by_the_name_of_its_field(
    api: Api, namespace: str, spec: dict[str, Any], message: str
) -> None:
    reply = api.call("POST", f"{jobs_path(namespace)}?fieldValidation=Strict&dryRun=All", job(spec))
    assert reply.status == 422, reply.body
    assert message in reply.body["message"]


def test_what_is_not_said_is_shown_as_it_is_meant(api: Api, namespace: str) -> None:
    _, body = stored(api, namespace, window() | {"resetSchedule": {"cron": "@daily"}})
    assert body["spec"]["suspend"] is False
    assert body["spec"]["executions"][0]["onReset"] is False
    assert body["spec"]["resetSchedule"] == {"cron": "@daily", "timeZone": "UTC", "startingDeadlineSeconds": 3600}
    assert "deletionPolicy" not in body["spec"]
    assert "replacePolicy" not in body["spec"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ({"jobId": "job1"}, {"jobId": "job2"}, "jobId is immutable"),
        ({"jobId": "job1"}, {}, "jobId can't be added or removed"),
        ({"jobId": "job1"}, created(), "jobId can't be added or removed"),
        (created(), {"jobId": "job1"}, "siteId can't be added or removed"),
        (created(), created(siteId=4711), "siteId is immutable"),
        (created(), created(name="nightly"), "name can't be added or removed"),
        (created(name="nightly"), created(), "name can't be added or removed"),
        (created(name="nightly"), created(name="daily"), "name is immutable"),
    ],
)
def test_what_names_the_job_can_not_be_changed_added_or_removed(
    api: Api, namespace: str, old: dict[str, Any], new: dict[str, Any], message: str
) -> None:
    path, body = stored(api, namespace, old)
    reply = api.call("PUT", path, {**body, "spec": new})
    assert reply.status == 422
    assert message in reply.body["message"]


def test_everything_else_may_change(api: Api, namespace: str) -> None:
    path, body = stored(api, namespace, created(name="nightly"))
    for spec in (*VALID[5:15], created(suspend=True, deletionPolicy="Retain"), created(replacePolicy="DeleteFirst")):
        reply = api.call("PUT", path, {**body, "spec": {**spec, "name": "nightly"}})
        assert reply.status == 200, reply.body["message"]
        body = reply.body


def test_a_resource_of_an_older_crd_stays_valid_and_can_be_changed(api: Api) -> None:
    crd = custom_resource_definition()
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    newer = json.loads(json.dumps(schema))
    spec, status = schema["properties"]["spec"], schema["properties"]["status"]
    spec["required"] = ["jobId"]
    spec["x-kubernetes-validations"] = [
        each for each in spec["x-kubernetes-validations"] if "(oldSelf.jobId)" in each["rule"]
    ]
    spec["properties"] = {key: spec["properties"][key] for key in ("jobId", "credentialsSecretRef", "minResetInterval")}
    for field in ("source", "creating", "retiredJobs", "executions", "scheduleSeen"):
        del status["properties"][field]
    group = "reset-only.example.org"
    with api.other_group(crd, group):
        old = {**job({"jobId": "job1", "minResetInterval": "5m"}, "old"), "apiVersion": f"{group}/v1alpha1"}
        body = eventually(lambda: api.call("POST", jobs_path("default", group=group), old), 201).body
        schema.clear()
        schema.update(newer)
        api.install_crd(crd)
        path = jobs_path("default", "old", group=group)
        wish = {"spec": {"suspend": True, "resetSchedule": {"cron": "0 2 * * *"}}}
        eventually(lambda: api.call("PATCH", f"{path}?fieldValidation=Strict&dryRun=All", wish, MERGE_PATCH), 200)
        read = api.call("GET", path).body
        assert read["metadata"]["generation"] == body["metadata"]["generation"]
        assert read["spec"] == {"jobId": "job1", "minResetInterval": "5m", "suspend": False}
        assert api.call("PUT", f"{path}/status", {**read, "status": {"retiredJobs": ["job0"]}}).status == 200
        annotated = api.call("PATCH", path, {"metadata": {"annotations": {"resetRequested": "x"}}}, MERGE_PATCH)
        assert annotated.status == 200
        assert annotated.body["metadata"]["generation"] == body["metadata"]["generation"]


def test_the_owners_of_a_long_list_take_no_room(api: Api, namespace: str) -> None:
    _, body = stored(api, namespace, VALID[5])
    assert len(json.dumps(body["metadata"]["managedFields"])) < 1000


def test_the_longest_list_passes_client_side_apply(api: Api, namespace: str) -> None:
    manifest = json.dumps(job(VALID[6], "longest"))
    kubectl = api.control_plane.kubectl
    for _ in range(2):
        kubectl("apply", "-n", namespace, "-f", "-", "--warnings-as-errors", input=manifest)
    kubectl("apply", "-n", namespace, "-f", "-", "--server-side", "--force-conflicts", input=manifest)


_days = st.dates(datetime(2026, 1, 1, tzinfo=UTC).date(), datetime(2029, 1, 1, tzinfo=UTC).date()).map(str)
_clocks = st.sampled_from(
    ["00:00:00", "23:59:59", "24:00:00", "12:60:00", "12:00:60", "12:00", "12:00:00.5", "12:00:00,5"]
)
_offsets = st.sampled_from(["Z", "z", "+08:00", "-00:00", "+0800", "+23:59", "+24:00", "", " Z"])
_times = st.builds(
    "{}{}{}{}".format, _days | st.just("2027-02-29"), st.sampled_from(["T", "t", " "]), _clocks, _offsets
)


@on_a_server
@given(text=_times)
@example(text="2026-12-01T12:00:00.1234567891Z")
@example(text="2026-12-01T12:00:00Z\n")
@example(text="٢026-12-01T12:00:00Z")
def test_the_operator_reads_every_time_that_the_api_server_takes(api: Api, text: str) -> None:
    spec = {"jobId": "job1", "executions": [{**WINDOW, "startTime": text}]}
    reply = api.call("POST", jobs_path("default") + "?dryRun=All", job_body("dry", **spec))
    if reply.status == 201:
        assert instant(text) is not None
        (read,) = windows_of(Spec.model_validate(reply.body["spec"]))
        assert read.start == instant(text)
    else:
        assert "spec.executions[0].startTime" in reply.body["message"]


@on_a_server
@given(cron=st.lists(st.text("0123456789*/,-#LWMON", min_size=1, max_size=5), min_size=4, max_size=6).map(" ".join))
def test_the_api_server_takes_every_expression_that_the_operator_can_use(api: Api, cron: str) -> None:
    reply = api.call("POST", jobs_path("default") + "?dryRun=All", job_body("dry", resetSchedule={"cron": cron}))
    assert (reply.status == 201) is (len(cron.split()) == 5)
    if not cron_problem(cron):
        assert reply.status == 201
