import json

import pytest

from esa_preload_operator.domain.errors import Delivery, ErrorClass, EsaError, Problem, Reason
from esa_preload_operator.esa.codes import EXACT
from esa_preload_operator.esa.errors import Answer, read_json, retry_after


def problem_of(
    status: int, body: object, headers: dict[str, str] | None = None, hidden: tuple[str, ...] = ()
) -> Problem:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(EsaError) as caught:
        read_json(Answer(status, headers or {}, raw), hidden)
    return caught.value.problem


@pytest.mark.parametrize(
    ("status", "code", "error_class", "reason", "delivery"),
    [
        (400, "TooManyRequests", ErrorClass.TRANSIENT, Reason.THROTTLED, Delivery.REFUSED),
        (400, "Throttling.User", ErrorClass.TRANSIENT, Reason.THROTTLED, Delivery.REFUSED),
        (403, "InvalidUid.PermissionDenied", ErrorClass.BLOCKED, Reason.ACCESS_DENIED, Delivery.REFUSED),
        (404, "InvalidJob.NotFound", ErrorClass.TERMINAL, Reason.JOB_NOT_FOUND, Delivery.REFUSED),
        (400, "SignatureNonceUsed", ErrorClass.TRANSIENT, Reason.SERVICE_UNAVAILABLE, Delivery.RECEIVED),
        (500, "SignatureNonceUsed", ErrorClass.TRANSIENT, Reason.SERVICE_UNAVAILABLE, Delivery.UNKNOWN),
        (400, "SomethingNew", ErrorClass.BLOCKED, Reason.ESA_ERROR, Delivery.REFUSED),
        (503, "ServiceUnavailable", ErrorClass.TRANSIENT, Reason.SERVICE_UNAVAILABLE, Delivery.UNKNOWN),
        (500, "SomethingNew", ErrorClass.TRANSIENT, Reason.SERVICE_UNAVAILABLE, Delivery.UNKNOWN),
        (500, "InvalidJob.NotFound", ErrorClass.TRANSIENT, Reason.SERVICE_UNAVAILABLE, Delivery.UNKNOWN),
        (408, "RequestTimeout", ErrorClass.TRANSIENT, Reason.SERVICE_UNAVAILABLE, Delivery.UNKNOWN),
        (429, "SomethingNew", ErrorClass.TRANSIENT, Reason.THROTTLED, Delivery.REFUSED),
    ],
)
def test_a_refusal_is_one_only_with_a_code_and_a_client_status(
    *, status: int, code: str, error_class: ErrorClass, reason: Reason, delivery: Delivery
) -> None:
    found = problem_of(status, {"Code": code, "Message": "says why", "RequestId": "r-1"})
    assert found == Problem(code, "says why", error_class, reason, delivery, "r-1", status)


@pytest.mark.parametrize(
    ("status", "code", "error_class", "reason"),
    [
        (400, "InvalidEndTime.Mismatch", ErrorClass.TERMINAL, Reason.INVALID_SPEC),
        (400, "InvalidJob.JobCountOfSiteFull", ErrorClass.BLOCKED, Reason.QUOTA_EXCEEDED),
        (400, "InvalidParameter.ObjectId", ErrorClass.TERMINAL, Reason.INVALID_JOB_ID),
        (400, "MissingOssUrl", ErrorClass.TERMINAL, Reason.INVALID_SPEC),
        (400, "MissingUrlList", ErrorClass.TERMINAL, Reason.INVALID_SPEC),
        (400, "TooManyRequests", ErrorClass.TRANSIENT, Reason.THROTTLED),
        (403, "InvalidUid.PermissionDenied", ErrorClass.BLOCKED, Reason.ACCESS_DENIED),
        (404, "InvalidJob.NotFound", ErrorClass.TERMINAL, Reason.JOB_NOT_FOUND),
        (404, "InvalidExecution.NotFound", ErrorClass.BLOCKED, Reason.ESA_ERROR),
        (404, "LogNotFound", ErrorClass.BLOCKED, Reason.ESA_ERROR),
    ],
)
def test_every_code_that_esa_documents_has_its_class_and_reason(
    status: int, code: str, error_class: ErrorClass, reason: Reason
) -> None:
    assert code in EXACT
    found = problem_of(status, {"Code": code, "Message": "says why", "RequestId": "r-1"})
    assert found == Problem(code, "says why", error_class, reason, Delivery.REFUSED, "r-1", status)


@pytest.mark.parametrize("status", [200, 302, 400, 404, 502])
@pytest.mark.parametrize("body", [b"", b"<html>nope</html>", b'{"Id": "66', b"\xff\xfe", b"[" * 100_000, b"[1]"])
def test_garbage_tells_nothing_about_the_work(status: int, body: bytes) -> None:
    found = problem_of(status, body)
    assert (found.code, found.error_class, found.delivery) == (
        "UnreadableAnswer",
        ErrorClass.TRANSIENT,
        Delivery.UNKNOWN,
    )


@pytest.mark.parametrize(
    ("status", "kind", "body", "told"),
    [
        (401, "text/html; charset=utf-8", b"<html>", "HTTP 401 with text/html"),
        (404, "text/html", b"<html>", "HTTP 404 with text/html"),
        (204, "", b"", "HTTP 204 with no body"),
        (302, "text/html", b"", "HTTP 302 with no body"),
        (413, "", b"too large", "HTTP 413 with a body of no type"),
        (200, "application/json", b"\x1f\x8b\x08junk", "HTTP 200 with a gzip body, which is no JSON object"),
        (200, "application/json", b"[]", "HTTP 200 with application/json, which is no JSON object"),
        (403, "application/json", b'{"Message": "m"}', "HTTP 403 with JSON, but no error code"),
        (502, "text/very-secret", b"<html>", "HTTP 502 with text/***"),
    ],
)
def test_what_came_back_in_place_of_an_answer_is_said_in_short(status: int, kind: str, body: bytes, told: str) -> None:
    found = problem_of(status, body, {"content-type": kind} if kind else {}, hidden=("very-secret",))
    assert (found.code, found.message, found.http_status) == ("UnreadableAnswer", told, status)
    assert found.delivery is Delivery.UNKNOWN


def test_a_success_with_an_error_code_in_place_of_the_job_is_none() -> None:
    body = json.dumps({"Code": "InternalError", "Message": "m", "RequestId": "r", "Id": None}).encode()
    with pytest.raises(EsaError, match="HTTP 200 with the error code InternalError and without Id") as caught:
        read_json(Answer(200, {}, body), payload="Id")
    problem = caught.value.problem
    assert (problem.code, problem.delivery, problem.request_id) == ("UnreadableAnswer", Delivery.UNKNOWN, "r")
    assert read_json(Answer(200, {}, b'{"Code": "Success", "Id": "x"}'), payload="Id")[0]["Id"] == "x"


def test_a_known_status_line_alone_is_no_refusal() -> None:
    assert problem_of(403, {"Message": "who are you"}).delivery is Delivery.UNKNOWN


def test_small_letters_and_xml_are_read_too() -> None:
    small = problem_of(404, {"code": "InvalidJob.NotFound", "message": "gone", "requestId": "r"})
    xml = b"<?xml version='1.0'?><Error><RequestId>r</RequestId><Code>InvalidJob.NotFound</Code>"
    xml += b"<Message>gone</Message></Error>"
    assert small == problem_of(404, xml)


def test_the_request_id_may_stand_in_a_header() -> None:
    assert problem_of(500, {"Code": "InternalError"}, {"x-acs-request-id": "from-header"}).request_id == "from-header"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2500", 2.5), ("1", 0.001), ("99999999", 120.0), ("0", None), ("-5", None), ("soon", None), ("", None),
     ("1.5", None), ("²", None), ("9" * 5000, None)],
)  # fmt: skip
def test_the_pause_is_in_milliseconds_above_zero_and_bounded(text: str, seconds: float | None) -> None:
    assert retry_after({"x-acs-retry-after": text}) == seconds


@pytest.mark.parametrize("status", [400, 503])
def test_a_pause_makes_an_unknown_code_throttling(status: int) -> None:
    found = problem_of(status, {"Code": "Busy", "Message": "m"}, {"x-acs-retry-after": "80"})
    assert (found.error_class, found.reason, found.retry_after) == (ErrorClass.TRANSIENT, Reason.THROTTLED, 0.08)


@pytest.mark.parametrize("body", [b"", b"<html>slow down</html>", {"Message": "slow down"}])
def test_429_without_a_code_is_throttling_and_says_when_to_come_back(body: object) -> None:
    found = problem_of(429, body, {"retry-after": "7"})
    assert found.code == "TooManyRequests"
    assert found.message.startswith("HTTP 429 with ")
    assert (found.error_class, found.reason) == (ErrorClass.TRANSIENT, Reason.THROTTLED)
    assert (found.delivery, found.retry_after) == (Delivery.REFUSED, 7.0)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "86400"}, 120.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "7", "x-acs-retry-after": "80"}, 0.08),
    ],
)
def test_the_general_header_counts_in_seconds_where_esa_has_no_wish_of_its_own(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert problem_of(503, {"Code": "ServiceUnavailable"}, headers).retry_after == seconds


def test_the_general_header_does_not_make_an_unknown_code_throttling() -> None:
    assert problem_of(400, {"Code": "SomethingNew"}, {"retry-after": "7"}).reason is Reason.ESA_ERROR


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("InvalidTimeStamp.Expired", "no; the clock of the operator's machine is off"),
        ("InvalidAction.NotFound", "no; the endpoint is wrong"),
    ],
)
def test_a_code_that_is_a_riddle_comes_with_its_cure(code: str, told: str) -> None:
    message = problem_of(400, {"Code": code, "Message": "no."}).message
    assert message.startswith(told)
    assert "NTP" in message or "ENDPOINT" in message


def test_a_pause_does_not_make_a_known_code_throttling() -> None:
    found = problem_of(404, {"Code": "InvalidJob.NotFound"}, {"x-acs-retry-after": "80"})
    assert found.reason is Reason.JOB_NOT_FOUND


@pytest.mark.parametrize(
    "quote",
    [
        "server string to sign is:ACS3-HMAC-SHA256\n7ea06492",
        "server StringToSign is [POST\n/\nx-acs-security-token:TOKEN]",
        "CanonicalRequest: POST\nx-acs-security-token:TOKEN",
        "Authorization: ACS3-HMAC-SHA256 Credential=KEYID,Signature=7ea06492",
        "Signature=7ea06492",
    ],
)
def test_quotes_of_the_signed_request_are_cut_off(quote: str) -> None:
    message = f"Specified signature is not matched with our calculation. {quote}"
    found = problem_of(400, {"Code": "SignatureDoesNotMatch", "Message": message})
    assert found.message == "Specified signature is not matched with our calculation."


def test_credentials_and_query_strings_never_pass() -> None:
    hidden = ("very-secret", "KEYID")
    body = {"Code": "Odd", "Message": "very-secret of KEYID at https://a.b/c?token=1", "RequestId": "r-very-secret"}
    found = problem_of(400, body, hidden=hidden)
    assert (found.message, found.request_id) == ("*** of *** at https://a.b/c", "r-***")


def test_a_code_that_is_none_is_not_shown() -> None:
    assert problem_of(400, {"Code": "a b\nc", "Message": "m"}).code == "UnreadableAnswer"


def test_an_error_in_xml_may_be_longer_than_what_is_read_of_it() -> None:
    xml = b"<Error><Code>InvalidJob.NotFound</Code><Message>" + b"x" * 100_000 + b"</Message></Error>"
    found = problem_of(404, xml)
    assert (found.code, found.message) == ("InvalidJob.NotFound", "HTTP 404")


@pytest.mark.parametrize("xml", [b"<Error><Code>A.B</Code>", b"<html><Code>A.B</Code></html>", b"<!DOCTYPE Error []>"])
def test_what_is_no_whole_error_in_xml_is_no_refusal(xml: bytes) -> None:
    assert problem_of(404, xml).delivery is Delivery.UNKNOWN
