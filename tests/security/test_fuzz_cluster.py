"""Whatever stands in objects of any kind, annotations and kubeconfigs: a value or a documented error."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from esa_preload_operator.domain import tokens
from esa_preload_operator.domain.errors import EsaError, StoreError, StoreUnavailableError
from esa_preload_operator.domain.ports import SECRET_VALUE_LIMIT, ObjectRef
from esa_preload_operator.domain.reset_writes import name_tokens
from esa_preload_operator.domain.schedule import due_time, next_time, skipped_runs
from esa_preload_operator.domain.source import content_of
from esa_preload_operator.domain.view import View, requested, view_of
from esa_preload_operator.esa.credentials import from_secret
from esa_preload_operator.k8s.config_maps import ConfigMapSources
from esa_preload_operator.k8s.connection import Answer
from esa_preload_operator.k8s.feed import Event, _interruption_of, _read, _RelistError
from esa_preload_operator.k8s.jobs import JobRepository
from esa_preload_operator.k8s.kubeconfig import ConfigurationError
from esa_preload_operator.k8s.lease import Elector, NotRenewedError
from esa_preload_operator.k8s.lists import ListReader
from esa_preload_operator.k8s.login import LoginSource, load_login
from esa_preload_operator.k8s.secrets import SecretCache
from esa_preload_operator.resources.job import RESET_KEYS
from esa_preload_operator.runtime.intake import identify
from support.fuzzing import JSON, SECRETS, TEXTS, encoded, objects, shows_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

REF = ObjectRef("team", "nightly")
KEYS = ("accessKeyId", "accessKeySecret", "securityToken")
NAMES = st.sampled_from(["team", "nightly", "a-b.c"])
VERSIONS = st.sampled_from(["1", "007", "x", "", "-1", "٣", "9" * 5000])
ANNOTATIONS = objects(
    ("other", *SECRETS),
    resetRequested=TEXTS | st.sampled_from(["1767225600", "1767225600000", "2026-01-01T00:00:00+08:00", "9" * 400]),
)
METADATA = objects(
    ("labels", "finalizers", "deletionTimestamp"),
    name=NAMES,
    namespace=NAMES,
    uid=st.just("uid"),
    resourceVersion=VERSIONS,
    generation=st.integers(0, 9),
    creationTimestamp=TEXTS,
    annotations=ANNOTATIONS,
)
TIMES = st.sampled_from(["2026-12-01T16:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"]) | TEXTS
SIZES = st.sampled_from([60, 1, 0, -1, 2**63, 10**400])
WINDOWS = objects(
    (),
    name=NAMES,
    startTime=TIMES,
    endTime=TIMES,
    duration=st.sampled_from(["2h", "0s", "99999999h"]) | TEXTS,
    onReset=st.booleans(),
    intervalSeconds=SIZES,
    sliceLen=SIZES,
)
SOURCE = objects(
    ("revision",),
    urls=st.lists(
        st.sampled_from(["https://www.example.com/a.js", "http://[", "https://a:9999999"]) | TEXTS, max_size=3
    ),
    configMapKeyRef=objects((), name=NAMES, key=NAMES),
    ossUrl=TEXTS,
)
SCHEDULE = objects(
    (),
    cron=st.sampled_from(["0 2 * * *", "@daily", "* * * * MON#5", "0 0 31 2 *", "9" * 5000]) | TEXTS,
    timeZone=st.sampled_from(["UTC", "Asia/Shanghai", "Local", "../../etc/passwd", "America"]) | TEXTS,
    startingDeadlineSeconds=SIZES,
    jitterSeconds=SIZES,
)
SPEC = objects(
    ("other", "name", "replacePolicy", "deletionPolicy", "suspend"),
    jobId=TEXTS,
    minResetInterval=TEXTS,
    credentialsSecretRef=objects((), name=TEXTS),
    siteId=SIZES,
    source=SOURCE,
    executions=st.lists(WINDOWS, max_size=2),
    resetSchedule=SCHEDULE,
)
RESET = objects(
    ("owner", "startedAt", "generation", "attempts", "unproven", "signing", "message"),
    phase=st.sampled_from(["InFlight", "Failed", "Succeeded", "New"]),
    tokens=ANNOTATIONS,
    jobId=TEXTS,
    submittedBefore=st.integers(),
)
STATUS = objects(
    (
        *("observedGeneration", "lastResetTime", "siteId", "jobId", "urlCount", "name", "refreshedAt", "handledTimes"),
        *("source", "scheduleSeen"),
    ),
    creating=objects(("name", "source", "since"), tokens=ANNOTATIONS),
    retiredJobs=st.lists(TEXTS, max_size=2),
    executions=st.lists(objects(("id", "state"), name=NAMES, startTime=TIMES, intervalSeconds=SIZES), max_size=2),
    reset=RESET,
    handledResets=ANNOTATIONS,
    conditions=st.lists(objects(("reason", "message"), type=NAMES, status=TEXTS, lastTransitionTime=TEXTS), max_size=3),
)
OBJECTS = objects(("kind",), metadata=METADATA, spec=SPEC, status=STATUS)
STATUSES = st.sampled_from([200, 201, 400, 401, 403, 404, 409, 410, 422, 429, 500, 503])
REFUSALS = objects(("code", "details"), reason=st.just("NotFound") | TEXTS, message=TEXTS, metadata=METADATA) | OBJECTS


class Api:
    """Answers everything with the same, in place of a connection."""

    def __init__(self, status: int, body: Any) -> None:
        self.answer = Answer(status, body)

    async def request(self, *_: Any, **__: Any) -> Answer:
        return self.answer

    def explain(self, answer: Answer) -> str:
        return answer.explanation


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as running:
        yield running


@settings(max_examples=500)
@given(OBJECTS)
def test_whatever_an_object_holds(body: Any) -> None:
    try:
        identity = identify(body)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - that it comes is not certain
    else:
        assert identity.version >= 0
    try:
        view = view_of(body)
    except ValueError:
        return
    assert isinstance(view, View)
    requested(view)


@settings(max_examples=400, deadline=None)
@given(SPEC, STATUS, st.floats(-1e12, 1e12), st.floats(1.7e9, 1.9e9))
def test_a_spec_without_a_problem_can_be_planned_with(spec: Any, status: Any, base: float, now: float) -> None:
    meta = {"name": "nightly", "namespace": "team", "uid": "uid", "resourceVersion": "1"}
    view = view_of({"metadata": meta, "spec": spec, "status": status})
    if view.problem is not None:
        assert f"{view.problem.field} {view.problem.message}".isprintable()
        assert len(view.problem.message) < 200
    if view.invalid or view.problem:
        return
    if view.schedule is not None:
        due_time(view.schedule, view.uid, base, now)
        next_time(view.schedule, view.uid, base, now)
        skipped_runs(view.schedule, view.uid, base, now)
    if view.owned is not None:
        content_of(view.owned.source, "https://www.example.com/a.js")


@settings(max_examples=200)
@given(STATUSES, REFUSALS)
def test_whatever_the_api_server_answers(runner: asyncio.Runner, status: int, body: Any) -> None:
    jobs = JobRepository(Api(status, body))  # type: ignore[arg-type] # only its requests are needed
    for call in (jobs.read(REF), jobs.write_status(REF, "1", {})):
        try:
            found = runner.run(call)
        except StoreError as error:
            assert str(error).isprintable()  # noqa: PT017 - the same
            assert len(str(error)) < 4000  # noqa: PT017 - the same
        else:
            assert found is None or isinstance(found, dict)


KINDS = st.sampled_from(["ADDED", "DELETED", "ERROR", "BOOKMARK"])


@settings(max_examples=200)
@given(encoded(objects(("x",), type=KINDS, object=OBJECTS | REFUSALS)))
def test_whatever_a_watch_tells(line: bytes) -> None:
    try:
        event = _read(line)
    except _RelistError as error:
        told = _interruption_of(error, {})
        assert told.text.isprintable()
        assert len(told.text) < 4000
    else:
        assert isinstance(event, Event)


@settings(max_examples=300)
@given(encoded(objects(("kind",), items=st.lists(OBJECTS, max_size=4), metadata=METADATA)), st.integers(1, 50))
def test_whatever_a_list_holds(body: bytes, size: int) -> None:
    reader = ListReader()
    try:
        for at in range(0, len(body), size):
            assert all(isinstance(item, dict) for item in reader.feed(body[at : at + size]))
        reader.end()
        reader.rest()
    except (ValueError, RecursionError) as error:
        assert _interruption_of(error, {}).text.isprintable()  # noqa: PT017 - the same


LEASES = objects(
    ("kind",),
    metadata=METADATA,
    spec=objects(
        ("acquireTime", "renewTime"),
        holderIdentity=TEXTS,
        leaseDurationSeconds=st.integers(-5, 10**6),
        leaseTransitions=st.integers(),
    ),
)


@settings(max_examples=200)
@given(STATUSES, LEASES | REFUSALS)
def test_whatever_a_lease_holds(status: int, body: Any) -> None:
    elector = Elector(Api(status, body), namespace="n", name="l", identity="me")  # type: ignore[arg-type] # the same
    try:
        record = elector._record(Answer(status, body))
    except NotRenewedError as error:
        assert str(error).isprintable()  # noqa: PT017 - the same
    else:
        assert record.duration is None or record.duration > 0
        assert record.transitions >= 0


VALUES = st.binary(max_size=40).map(lambda raw: base64.b64encode(raw).decode()) | st.sampled_from(
    [base64.b64encode(text.encode()).decode() for text in (*SECRETS, SECRETS[1] + "\n", SECRETS[1] + " x", "A" * 9000)]
)
DATA = objects(("other",), **dict.fromkeys(KEYS, VALUES | TEXTS))


@settings(max_examples=400)
@given(objects(("kind", "stringData"), data=DATA, metadata=METADATA), STATUSES)
def test_whatever_a_secret_holds(runner: asyncio.Runner, body: Any, status: int) -> None:
    api = Api(status, body)
    cache = SecretCache(api, ["*"], keys=KEYS)  # type: ignore[arg-type] # the same
    try:
        data = runner.run(cache.read("team", "s"))
    except StoreUnavailableError as error:
        assert str(error).isprintable()  # noqa: PT017 - the same
        return
    if data is None:
        return
    assert set(data) <= set(KEYS)
    assert all(len(value) <= SECRET_VALUE_LIMIT + 1 for value in data.values())
    try:
        credentials = from_secret(data, "team/s")
    except EsaError as error:
        told = f"{error} {error.__cause__!r} {error.problem!r}"
        shown = [value for value in data.values() if len(value) > 12 and value in told]
        assert shown == []
        assert not shows_secret(told)
    else:
        assert not shows_secret(repr(credentials))


@settings(max_examples=200)
@given(objects(("kind", "binaryData"), data=objects(("other",), list=TEXTS), metadata=METADATA), STATUSES)
def test_whatever_a_config_map_holds(runner: asyncio.Runner, body: Any, status: int) -> None:
    sources = ConfigMapSources(Api(status, body), None, lambda *_: None)  # type: ignore[arg-type] # the same
    try:
        text = runner.run(sources.read("team", "urls", "list"))
    except StoreUnavailableError as error:
        assert str(error).isprintable()  # noqa: PT017 - the same
    else:
        assert text is None or text == body["data"]["list"]


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from([*RESET_KEYS, "other"]), TEXTS), TEXTS, st.floats(0, 4e9))
def test_whatever_stands_in_annotations(annotations: dict[str, str], other: str, created: float) -> None:
    asked = tokens.asked_tokens(annotations)
    handled = tokens.handled_after(asked, asked, (("resetRequested", tokens.normalise(other)),))
    for _, token in (*asked, *handled):
        assert len(token.encode("utf-8", "replace")) <= tokens.MAX_TOKEN
        moment = tokens.token_time(token)
        assert moment is None or abs(moment) < 1e12
        tokens.is_stale(token, created, 3600)
    tokens.satisfied(asked, handled, tokens.newest_after(handled, asked, asked))
    assert name_tokens(asked).isprintable()
    json.dumps(asked)


def entry(kind: str, **known: st.SearchStrategy[Any]) -> Any:
    return st.lists(objects((), name=NAMES, **{kind: objects((), **known)}), max_size=2) | JSON


KUBECONFIGS = objects(
    ("apiVersion", "kind"),
    **{
        "current-context": NAMES,
        "contexts": entry("context", cluster=NAMES, user=NAMES),
        "clusters": entry("cluster", server=st.just("https://a") | TEXTS, **{"tls-server-name": TEXTS}),
        "users": entry("user", token=st.sampled_from(SECRETS), username=TEXTS, password=st.sampled_from(SECRETS)),
    },
)


@settings(max_examples=200)
@given(KUBECONFIGS.map(lambda value: yaml.safe_dump(value).encode("utf-8", "surrogatepass")) | st.binary(max_size=60))
def test_whatever_a_kubeconfig_holds(
    runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    from kubernetes.aio.client import Configuration  # noqa: PLC0415 - slow to import

    path = tmp_path_factory.getbasetemp() / "fuzzed-kubeconfig"
    path.write_bytes(content)
    try:
        runner.run(load_login(LoginSource(str(path)), Configuration()))
    except ConfigurationError as error:
        assert "\n" not in str(error)  # noqa: PT017 - the same
        named = b"".join(line for line in content.splitlines() if line.startswith(b"current-context"))
        named_so = shows_secret(named.decode("utf-8", "replace"))  # the name of a context is none
        assert named_so or not shows_secret(str(error))  # noqa: PT017 - the same
