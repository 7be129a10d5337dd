from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from esa_simulator.errors import EsaError
from esa_simulator.signature import Credential, NonceMemory, SignedRequest, verify

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
NONCE = "3156853299f313e23d1673dc12e1703d"
JOB = "Id=665d3af3621bccf3fe29e1a4"
FORM = "application/x-www-form-urlencoded"
TOKEN = "DummySecurityToken+/="
NOW = datetime(2026, 1, 14, 8, tzinfo=UTC).timestamp()
PLAIN = Credential("YourAccessKeyId", "YourAccessKeySecret", "1")
TEMPORARY = replace(PLAIN, security_token=TOKEN)
CREATE_JOB = (
    b"InsertWay=textBox&Name=nightly+warm-up&SiteId=190007158391808"
    b"&UrlList=http%3A%2F%2Ftesturl.com%2Fa.txt%0Ahttp%3A%2F%2Ftesturl.com%2Fb.txt"
)
CREATE_EXECUTIONS = (
    b"Executions=%5B%7B%22EndTime%22%3A%222024-06-04T02%3A02%3A09Z%22%2C%22Interval%22%3A30"
    b"%2C%22SliceLen%22%3A10%2C%22StartTime%22%3A%222024-06-03T16%3A00%3A00Z%22%7D%5D"
)
BODY_HASH = {
    b"": EMPTY,
    CREATE_JOB: "1ae22b7c26ed5055456fbcd770e486652f014f93f48918ebd793ba42842b9a2e",
    CREATE_EXECUTIONS: "1de200f638c757f7f784f41e5593fc38c50152f5998a0f5b523c76b8d55f858a",
}


def a_request(
    action: str,
    signature: str,
    *,
    method: str = "POST",
    query: str = JOB,
    body: bytes = b"",
    more: Mapping[str, str] | None = None,
) -> SignedRequest:
    headers = {
        "host": "esa.cn-hangzhou.aliyuncs.com",
        "x-acs-action": action,
        "x-acs-content-sha256": BODY_HASH[body],
        "x-acs-date": "2026-01-14T08:00:00Z",
        "x-acs-signature-nonce": NONCE,
        "x-acs-version": "2024-09-10",
        **({"content-type": FORM} if body else {}),
        **(more or {}),
    }
    return sign_as(SignedRequest(method, "/", query, headers, body), signature, sorted(headers))


def sign_as(request: SignedRequest, signature: str, signed: list[str]) -> SignedRequest:
    authorization = (
        f"ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders={';'.join(signed)},Signature={signature}"
    )
    return replace(request, headers={**request.headers, "authorization": authorization})


RESET = a_request("ResetScheduledPreloadJob", "1107ec4fd2e0132d9e542a7e782bef57a48dae66a6099db28a7ef783a7aec34b")
RESET_TEMPORARY = a_request(
    "ResetScheduledPreloadJob",
    "a2ee51a4fb58595f03ce4b6032bbd3755af4cf2454ccf9ad4e963509db568df7",
    more={"x-acs-security-token": TOKEN},
)
WITH_BODY = a_request(
    "CreateScheduledPreloadExecutions",
    "264487ee3113cfe869c143159f226a408996c8da001fcc6c3193986092358354",
    body=CREATE_EXECUTIONS,
)
AS_THE_OFFICIAL_CLIENT_SENDS_IT = a_request(
    "ResetScheduledPreloadJob",
    "db844240ab9302a367187a8792d7dda689fc436d5409ac08e5c7490991618182",
    more={
        "user-agent": "AlibabaCloud (Linux; x86_64) Python/3.11.7 Core/0.4.3 TeaDSL/2",
        "accept": "application/json",
        "x-acs-credentials-provider": "static_ak",
    },
)
VECTORS = {
    "reset": RESET,
    "create-job": a_request(
        "CreateScheduledPreloadJob",
        "41328b0fcc7a254f81fafba92de89427fb8341023c295d4244fc7a90d6c137de",
        query="",
        body=CREATE_JOB,
    ),
    "create-executions": WITH_BODY,
    "list": a_request(
        "ListScheduledPreloadJobs",
        "ea86b003378e60d487145eec1e46d5456cf6e6b210f80debe3bf485ade782866",
        method="GET",
        query="SiteId=190007158391808&PageSize=20&PageNumber=1",
    ),
    "escaping": a_request(
        "GetScheduledPreloadJob",
        "4102ed9c13cdb02d6f6fd7acfc4fd04b26bc408db8a2300748a0cb8a786fe6ba",
        method="GET",
        query="Id=a+b*c~d%2B%C3%A9/%3D",
    ),
    "official-client": AS_THE_OFFICIAL_CLIENT_SENDS_IT,
}


def refusal(request: SignedRequest, credential: Credential = PLAIN, now: float = NOW) -> str:
    with pytest.raises(EsaError) as refused:
        verify(request, {"YourAccessKeyId": credential}, now)
    return refused.value.code


def altered(request: SignedRequest, **headers: str | None) -> SignedRequest:
    changed: dict[str, str | None] = {
        **request.headers,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return replace(request, headers={name: value for name, value in changed.items() if value is not None})


@pytest.mark.parametrize("name", VECTORS)
def test_a_golden_vector_verifies(name: str) -> None:
    assert verify(VECTORS[name], {"YourAccessKeyId": PLAIN}, NOW) is PLAIN


def test_the_published_vector_verifies() -> None:
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": EMPTY,
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": NONCE,
        "x-acs-version": "2014-05-26",
    }
    query = "ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai"
    request = SignedRequest("POST", "/", query, headers, b"")
    request = sign_as(request, "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0", sorted(headers))
    assert verify(request, {"YourAccessKeyId": PLAIN}, datetime(2023, 10, 26, 10, 30, tzinfo=UTC).timestamp()) is PLAIN


def test_a_temporary_credential_verifies_with_its_token_only() -> None:
    assert verify(RESET_TEMPORARY, {"YourAccessKeyId": TEMPORARY}, NOW) is TEMPORARY
    assert refusal(RESET, TEMPORARY) == "InvalidSecurityToken.Malformed"
    assert refusal(RESET_TEMPORARY, PLAIN) == "InvalidSecurityToken.MismatchWithAccessKey"
    assert (
        refusal(RESET_TEMPORARY, replace(PLAIN, security_token="another"))
        == "InvalidSecurityToken.MismatchWithAccessKey"
    )
    assert refusal(RESET_TEMPORARY, replace(TEMPORARY, expires=NOW)) == "InvalidSecurityToken.Expired"


@pytest.mark.parametrize("name", sorted(set(AS_THE_OFFICIAL_CLIENT_SENDS_IT.headers) - {"authorization", "x-acs-date"}))
def test_each_altered_header_is_refused(name: str) -> None:
    changed = {name: AS_THE_OFFICIAL_CLIENT_SENDS_IT.headers[name] + "0"}
    assert refusal(altered(AS_THE_OFFICIAL_CLIENT_SENDS_IT, **changed)) == "SignatureDoesNotMatch"


@pytest.mark.parametrize("name", sorted(AS_THE_OFFICIAL_CLIENT_SENDS_IT.headers))
def test_each_missing_header_is_refused(name: str) -> None:
    assert refusal(altered(AS_THE_OFFICIAL_CLIENT_SENDS_IT, **{name: None})) in {
        "IncompleteSignature",
        "SignatureDoesNotMatch",
    }


@pytest.mark.parametrize("name", sorted(set(WITH_BODY.headers) - {"authorization"}))
def test_each_header_that_must_be_signed_is_refused_unsigned(name: str) -> None:
    signed = sorted(set(WITH_BODY.headers) - {"authorization", name})
    assert refusal(sign_as(WITH_BODY, "0" * 64, signed)) == "IncompleteSignature"


def test_a_changed_date_method_query_body_or_secret_is_refused() -> None:
    assert refusal(altered(RESET, x_acs_date="2026-01-14T08:00:01Z")) == "SignatureDoesNotMatch"
    assert refusal(replace(RESET, method="GET")) == "SignatureDoesNotMatch"
    assert refusal(replace(RESET, query=JOB[:-1] + "5")) == "SignatureDoesNotMatch"
    assert refusal(replace(WITH_BODY, body=CREATE_EXECUTIONS + b" ")) == "SignatureDoesNotMatch"
    assert refusal(RESET, replace(PLAIN, access_key_secret="other")) == "SignatureDoesNotMatch"


@pytest.mark.parametrize(("seconds", "fresh"), [(900, True), (-900, True), (901, False), (-901, False)])
def test_a_date_counts_for_fifteen_minutes_either_way(seconds: int, fresh: bool) -> None:
    if fresh:
        assert verify(RESET, {"YourAccessKeyId": PLAIN}, NOW + seconds) is PLAIN
    else:
        assert refusal(RESET, now=NOW + seconds) == "InvalidTimeStamp.Expired"


def test_unknown_inactive_and_unreadable_are_told_apart() -> None:
    with pytest.raises(EsaError, match="not found") as refused:
        verify(RESET, {}, NOW)
    assert refused.value.code == "InvalidAccessKeyId.NotFound"
    assert refusal(RESET, replace(PLAIN, active=False)) == "InvalidAccessKeyId.Inactive"
    assert refusal(altered(RESET, x_acs_date="yesterday")) == "InvalidTimeStamp.Format"
    assert refusal(altered(RESET, authorization="ACS3-HMAC-SHA256 nonsense")) == "IncompleteSignature"


@settings(deadline=None)  # a busy machine is no failure
@given(st.floats(0, 3000), st.lists(st.floats(0, 1000), min_size=1))
@example(1799.0, [2.0, 900.0, 890.0])
def test_a_nonce_counts_once_within_thirty_minutes(used: float, pauses: list[float]) -> None:
    memory = NonceMemory()
    memory.claim("key", "first", 0)
    memory.claim("key", "nonce", used)
    now = used
    for number, pause in enumerate(pauses):
        now += pause
        memory.claim("key", f"fresh-{number}", now)
        memory.claim("another-key", f"nonce-{number}", now)
        if now - used <= 1800:
            with pytest.raises(EsaError) as refused:
                memory.claim("key", "nonce", now)
            assert refused.value.code == "SignatureNonceUsed"
