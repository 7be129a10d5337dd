"""Whatever ESA, STS or the metadata service answer: a value or a documented error, and nothing secret in either."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esa_preload_operator.domain.cleaning import format_time
from esa_preload_operator.domain.errors import EsaError
from esa_preload_operator.domain.esa import (
    CreatedExecutions,
    EsaJob,
    Execution,
    ExecutionChange,
    InsertWay,
    JobListing,
    NewExecution,
    NewJob,
)
from esa_preload_operator.esa.client import EsaClient
from esa_preload_operator.esa.credentials import Credentials
from esa_preload_operator.esa.egress import Egress
from esa_preload_operator.esa.errors import MAX_MESSAGE
from esa_preload_operator.esa.roles import EcsIssuer, Issued, OidcIssuer, OidcRole
from esa_preload_operator.esa.throttle import Throttle
from esa_preload_operator.esa.transport import Connections
from support.fuzzing import SCALARS, SECRETS, TEXTS, encoded, objects, shows_secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

JOB_ID = "665d3af3621bccf3fe29e1a4"
TOKEN = SECRETS[2]
IDS = st.sampled_from([JOB_ID, JOB_ID.upper(), "other", *SECRETS])
FIELDS = [
    *("AliUid", "CreatedAt", "Domains", "ErrorInfo", "FailedFileOss", "FileId", "InsertWay", "Name", "SiteId"),
    *("TaskSubmitted", "TaskType", "UrlCount", "UrlSubmitted", "RequestId"),
    *("JobId", "Status", "StartTime", "EndTime", "Interval", "SliceLen", "ExecutionCount"),
]
_MOMENTS = st.sampled_from(
    ["2024-05-31T17:10:48.849+08:00", "2024-01-01T00:00:00+Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00"]
)
JOBS = objects(FIELDS, Id=IDS)
ERROR = {"Code": st.sampled_from(["InvalidJob.NotFound", "Throttling", "a b"]) | TEXTS, "Message": TEXTS}
LISTS = {
    "Executions": st.lists(JOBS, max_size=3),
    "SuccessExecutions": st.lists(JOBS, max_size=3),
    "FailedExecutions": st.lists(JOBS, max_size=3),
    "FailedMessages": st.lists(TEXTS, max_size=3),
}
ANSWERS = encoded(
    objects((*FIELDS, "TotalCount"), Id=IDS, Jobs=st.lists(JOBS, max_size=3), **LISTS)
    | objects(("RequestId", "code", "message"), **ERROR)
)
_WINDOW = st.fixed_dictionaries(
    {"Id": st.sampled_from([JOB_ID, "a", "b"])},
    optional=dict.fromkeys(("Status", "Interval", "SliceLen", "AliUid", "SiteId", "ExecutionCount"), SCALARS)
    | {"JobId": st.sampled_from([JOB_ID, JOB_ID.upper(), ""]), "StartTime": _MOMENTS, "EndTime": _MOMENTS | SCALARS},
)
_WINDOWS = st.lists(_WINDOW, max_size=3, unique_by=lambda window: window["Id"])
ABOUT_WINDOWS = st.builds(
    lambda one, *lists: one | {"Id": JOB_ID} | dict(zip(LISTS, lists, strict=True)) | {"Jobs": lists[0]},
    _WINDOW,
    *(_WINDOWS, _WINDOWS, _WINDOWS, st.lists(TEXTS, max_size=3)),
).map(lambda answer: json.dumps(answer).encode())
XML = st.builds(
    lambda parts: f"<Error>{''.join(parts)}</Error>".encode("utf-8", "replace"),
    st.lists(
        st.builds(
            lambda name, text: f"<{name}>{text}</{name}>", st.sampled_from(["Code", "Message", "RequestId"]), TEXTS
        )
        | st.sampled_from(["<![CDATA[", "]]>", "&lt;", "&#x202e;", "<!DOCTYPE a>", "<a>", "</Code>", "<!-- -->"]),
        max_size=5,
    ),
)
STATUSES = st.sampled_from([200, 200, 200, 204, 302, 400, 401, 403, 404, 408, 429, 500, 503, 599])
_VALUES = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=30) | st.sampled_from(
    [*SECRETS, "0", "-1", "9" * 40, "1.5", "text/html", "\x85\x9b"]
)
HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "retry-after", "x-acs-retry-after", "x-acs-request-id", "x-other"]), _VALUES
)


class Wire:
    """Answers everything with the same, in place of connections."""

    def __init__(self) -> None:
        self.answer: tuple[int, dict[str, str], bytes] = 200, {}, b""

    async def handle_async_request(self, _request: httpx.Request) -> httpx.Response:
        status, headers, body = self.answer
        pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        return httpx.Response(status, headers=httpx.Headers(pairs, encoding="latin-1"), content=body)

    async def aclose(self) -> None:
        """There is nothing to close."""


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as running:
        yield running


async def outcome(call: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await call()
    except EsaError as error:
        if not error.__suppress_context__ and shows_secret(repr(error.__context__)):
            raise
        return error.problem


def check_problem(problem: Any) -> None:
    assert not shows_secret(f"{problem} {problem!r}")
    for text in (problem.code, problem.message, problem.request_id):
        assert text.isprintable()
        assert len(text.encode()) <= MAX_MESSAGE + 300
    assert problem.retry_after is None or 0 < problem.retry_after <= 120


def check_job(job: EsaJob | Execution) -> None:
    assert not shows_secret(repr(job))
    for instant in (getattr(job, "start", None), getattr(job, "end", None)):
        assert instant is None or len(format_time(instant)) == 20
    for name in job.__dataclass_fields__:
        value = getattr(job, name)
        assert not isinstance(value, str) or (value.isprintable() and len(value.encode()) <= 4096)
        assert not isinstance(value, int) or 0 <= value < 2**63


def yes() -> bool:
    return True


async def outcomes(client: EsaClient) -> list[Any]:
    new = NewJob(7, "n", InsertWay.OSS, "https://bucket.example/list")
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: client.get_job(JOB_ID),
        lambda: client.reset_job(JOB_ID, yes),
        lambda: client.list_jobs(7, "n"),
        lambda: client.create_job(new, yes),
        lambda: client.delete_job(JOB_ID, yes),
        lambda: client.list_executions(JOB_ID),
        lambda: client.create_executions(JOB_ID, [NewExecution(0, 60, 30, 5)], yes),
        lambda: client.update_execution(JOB_ID, ExecutionChange(end=60), yes),
        lambda: client.start_execution(JOB_ID, yes),
        lambda: client.stop_execution(JOB_ID, yes),
        lambda: client.delete_execution(JOB_ID, yes),
    ]
    return [await outcome(call) for call in calls]


def check_found(found: Any) -> None:
    if found is None:
        return
    if isinstance(found, EsaJob | Execution):
        check_job(found)
    elif isinstance(found, JobListing | tuple):
        for each in found.jobs if isinstance(found, JobListing) else found:
            check_job(each)
    elif isinstance(found, CreatedExecutions):
        for each in (*found.succeeded, *(execution for execution, _ in found.failed)):
            check_job(each)
        for _, message in found.failed:
            assert message.isprintable()
            assert len(message.encode()) <= 4096
            assert not shows_secret(message)
    else:
        check_problem(found)


@settings(max_examples=900)
@given(STATUSES, HEADERS, ANSWERS | XML)
def test_whatever_esa_answers(runner: asyncio.Runner, status: int, headers: dict[str, str], body: bytes) -> None:
    check_esa(runner, status, headers, body)


@settings(max_examples=300)
@given(ABOUT_WINDOWS)
def test_whatever_esa_tells_of_executions(runner: asyncio.Runner, body: bytes) -> None:
    check_esa(runner, 200, {}, body)


def check_esa(runner: asyncio.Runner, status: int, headers: dict[str, str], body: bytes) -> None:
    wire, heard = Wire(), list[str]()
    wire.answer = status, headers, body
    connections = Connections("http://esa.example", request_timeout=60)
    connections.transport = wire  # type: ignore[assignment] # the wire is all that is replaced
    client = EsaClient(
        Credentials(*SECRETS),
        connections,
        Throttle(1e6),
        observe=lambda action, code, _: heard.append(f"{action} {code}"),
    )

    results = runner.run(outcomes(client))
    for found in results:
        check_found(found)
    for found in (*results[:2], *results[7:10]):  # what names one job or execution tells of that one
        assert not isinstance(found, EsaJob | Execution) or found.id == JOB_ID
    assert not shows_secret(" ".join(heard))


ISSUED = objects(
    ("RequestId", "Code", "LastUpdated"),
    AccessKeyId=TEXTS,
    AccessKeySecret=TEXTS,
    SecurityToken=TEXTS,
    Expiration=st.sampled_from(["2999-01-01T00:00:00Z", "1999-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]),
    Code=st.just("Success"),
)
GOOD = st.fixed_dictionaries(
    {
        "Code": st.just("Success"),
        "AccessKeyId": TEXTS,
        "AccessKeySecret": TEXTS,
        "SecurityToken": TEXTS,
        "Expiration": st.just("2999-01-01T00:00:00Z"),
    }
)


@settings(max_examples=500)
@given(STATUSES, HEADERS, encoded(objects(("RequestId",), Credentials=ISSUED | GOOD, **ERROR)) | XML)
def test_whatever_sts_answers(
    runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory, status: int, headers: dict[str, str], body: bytes
) -> None:
    issuer = OidcIssuer(
        OidcRole("role", "provider", str(token_file(tmp_path_factory)), "session", "http://sts.example"),
        request_timeout=60,
        egress=Egress(),
    )
    check_issued(runner, issuer, status, headers, body)


@settings(max_examples=500)
@given(STATUSES, HEADERS, encoded(ISSUED | GOOD) | XML | st.sampled_from([b"role", TOKEN.encode(), b"../x", b" a b"]))
def test_whatever_the_metadata_service_answers(
    runner: asyncio.Runner, status: int, headers: dict[str, str], body: bytes
) -> None:
    for name in ("", "role"):
        check_issued(
            runner, EcsIssuer(name, request_timeout=60, metadata="http://metadata.example"), status, headers, body
        )


def token_file(factory: pytest.TempPathFactory) -> Path:
    path = factory.getbasetemp() / "fuzzed-token"
    with contextlib.suppress(FileExistsError), path.open("x") as file:
        file.write(TOKEN)
    return path


def check_issued(
    runner: asyncio.Runner, issuer: OidcIssuer | EcsIssuer, status: int, headers: dict[str, str], body: bytes
) -> None:
    wire = Wire()
    wire.answer = status, headers, body
    issuer._connections.transport = wire  # type: ignore[assignment] # the wire is all that is replaced
    found = runner.run(outcome(issuer.issue))
    if isinstance(found, Issued):
        parts = found.credentials
        for part in (parts.access_key_id, parts.access_key_secret, parts.security_token):
            assert part
            assert part.isascii()
            assert part.isprintable()
            assert part not in repr(found)[:60] or len(part) < 8
    else:
        told = str(found)
        sent = isinstance(issuer, OidcIssuer) or body.strip() == TOKEN.encode()  # the instance has it from the answer
        assert not (sent and TOKEN in told)
        assert told.isprintable()
