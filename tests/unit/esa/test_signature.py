import hashlib
from collections.abc import Mapping

import httpx
import pytest

from esa_preload_operator.esa.credentials import Credentials, signer
from esa_preload_operator.esa.signature import Acs3Auth, authorization, canonical_query, canonical_request, signature

KEY = Credentials("YourAccessKeyId", "YourAccessKeySecret")
STS = Credentials("YourAccessKeyId", "YourAccessKeySecret", "DummySecurityToken+/=")
NONCE = "3156853299f313e23d1673dc12e1703d"
DATE = "2026-01-14T08:00:00Z"
EPOCH = 1768377600.0
HOST = "esa.cn-hangzhou.aliyuncs.com"
JOB = "665d3af3621bccf3fe29e1a4"
EXECUTION = "66599bd7397885b43804901c"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
FORM = "application/x-www-form-urlencoded"

TEXT_BOX = (
    b"InsertWay=textBox&Name=nightly+warm-up&SiteId=190007158391808&"
    b"UrlList=http%3A%2F%2Ftesturl.com%2Fa.txt%0Ahttp%3A%2F%2Ftesturl.com%2Fb.txt"
)
OSS = (
    b"InsertWay=oss&Name=example&OssUrl=https%3A%2F%2Fxxxobject.oss-cn-hangzhou.aliyuncs.com%2Furls.txt"
    b"&SiteId=190007158391808"
)
WINDOWS = (
    b"Executions=%5B%7B%22EndTime%22%3A%222024-06-04T02%3A02%3A09Z%22%2C%22Interval%22%3A30%2C%22SliceLen%22%3A10"
    b"%2C%22StartTime%22%3A%222024-06-03T16%3A00%3A00Z%22%7D%5D"
)
UPDATE = (
    b"EndTime=2024-05-31T18%3A10%3A48.849%2B08%3A00&Interval=60&SliceLen=10"
    b"&StartTime=2024-05-31T17%3A10%3A48.849%2B08%3A00"
)
PAGE = {"PageNumber": "1", "PageSize": "20", "SiteId": "190007158391808"}


def test_the_published_example_is_signed_as_published() -> None:
    headers = {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-content-sha256": EMPTY,
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": NONCE,
        "x-acs-version": "2014-05-26",
    }
    query = canonical_query(
        {"RegionId": "cn-shanghai", "ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"}
    )
    request = canonical_request("POST", query, headers, EMPTY)
    expected_hash = "7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259"
    assert hashlib.sha256(request.encode()).hexdigest() == expected_hash
    expected = "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    assert signature("YourAccessKeySecret", request) == expected


@pytest.mark.parametrize(
    ("credentials", "method", "action", "query", "body", "expected"),
    [
        (KEY, "POST", "ResetScheduledPreloadJob", {"Id": JOB}, b"",
         "db844240ab9302a367187a8792d7dda689fc436d5409ac08e5c7490991618182"),
        (STS, "POST", "ResetScheduledPreloadJob", {"Id": JOB}, b"",
         "424a04f27719d37a9cb973a605384c87f06174be7ca0efec4b976cc188abce48"),
        (KEY, "POST", "CreateScheduledPreloadJob", {}, TEXT_BOX,
         "3e1639554c8941e4e5526e922ea1e4eb112fbfe48b256b7cf7bd045cb5764faf"),
        (KEY, "POST", "CreateScheduledPreloadJob", {}, OSS,
         "5e0a50aba6be8bf8d7c9edb21853f7ded8a6efc17282f9dae4d87057774bb96d"),
        (KEY, "POST", "CreateScheduledPreloadExecutions", {"Id": JOB}, WINDOWS,
         "34404137cc1d34ee860037a23b61d6c75854af5ff7428f019107febaf165fec1"),
        (KEY, "POST", "UpdateScheduledPreloadExecution", {"Id": EXECUTION}, UPDATE,
         "d70e74d19c3fc8eabc467e9779b2ff03d3399c3dce8bb8f1345a981d451c4b63"),
        (KEY, "GET", "GetScheduledPreloadJob", {"Id": JOB}, b"",
         "01b92770effb8a2f6d4832d222ec539816a92047fdb4d7e8043e3d3f85a0e619"),
        (KEY, "GET", "ListScheduledPreloadJobs", PAGE, b"",
         "9f2d855c0eb6977f78d8c44337ab34c72a1d89825a215608ff3aebdaaa4bff9a"),
    ],
)  # fmt: skip
def test_requests_of_the_official_client_get_its_signature(
    *, credentials: Credentials, method: str, action: str, query: Mapping[str, str], body: bytes, expected: str
) -> None:
    body_hash = hashlib.sha256(body).hexdigest()
    headers = {
        "accept": "application/json",
        "host": HOST,
        "user-agent": "AlibabaCloud (Linux; x86_64) Python/3.11.7 Core/0.4.3 TeaDSL/2",
        "x-acs-action": action,
        "x-acs-content-sha256": body_hash,
        "x-acs-credentials-provider": "static_ak",
        "x-acs-date": DATE,
        "x-acs-signature-nonce": NONCE,
        "x-acs-version": "2024-09-10",
    }
    if body:
        headers["content-type"] = FORM
    if credentials.security_token:
        headers["x-acs-credentials-provider"] = "static_sts"
        headers["x-acs-accesskey-id"] = credentials.access_key_id
        headers["x-acs-security-token"] = credentials.security_token
    value = authorization(
        credentials, method=method, query=canonical_query(query), headers=headers, body_hash=body_hash
    )
    names = ";".join(sorted(headers))
    assert value == f"ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders={names},Signature={expected}"


@pytest.mark.parametrize(
    ("credentials", "method", "action", "query", "body", "expected"),
    [
        (KEY, "POST", "ResetScheduledPreloadJob", {"Id": JOB}, b"",
         "1107ec4fd2e0132d9e542a7e782bef57a48dae66a6099db28a7ef783a7aec34b"),
        (STS, "POST", "ResetScheduledPreloadJob", {"Id": JOB}, b"",
         "a2ee51a4fb58595f03ce4b6032bbd3755af4cf2454ccf9ad4e963509db568df7"),
        (KEY, "POST", "CreateScheduledPreloadJob", {}, TEXT_BOX,
         "41328b0fcc7a254f81fafba92de89427fb8341023c295d4244fc7a90d6c137de"),
        (KEY, "POST", "CreateScheduledPreloadExecutions", {"Id": JOB}, WINDOWS,
         "264487ee3113cfe869c143159f226a408996c8da001fcc6c3193986092358354"),
        (KEY, "GET", "ListScheduledPreloadJobs", PAGE, b"",
         "ea86b003378e60d487145eec1e46d5456cf6e6b210f80debe3bf485ade782866"),
        (KEY, "GET", "GetScheduledPreloadJob", {"Id": "a b*c~d+é/="}, b"",
         "4102ed9c13cdb02d6f6fd7acfc4fd04b26bc408db8a2300748a0cb8a786fe6ba"),
    ],
)  # fmt: skip
def test_the_signer_covers_host_gateway_headers_and_content_type(
    *, credentials: Credentials, method: str, action: str, query: Mapping[str, str], body: bytes, expected: str
) -> None:
    headers = {"host": HOST, "accept": "application/json", "x-acs-action": action, "x-acs-version": "2024-09-10"}
    if body:
        headers["content-type"] = FORM
    signer = Acs3Auth(credentials, lambda: EPOCH, lambda: NONCE)
    request = httpx.Request(method, f"https://{HOST}/?{canonical_query(query)}", headers=headers, content=body or None)
    sent = dict(next(signer.auth_flow(request)).headers)
    assert sent["authorization"].endswith(f",Signature={expected}")
    assert sent["x-acs-date"] == DATE
    assert sent.get("x-acs-security-token", "") == credentials.security_token


def test_each_request_gets_its_own_nonce_and_the_time_of_now() -> None:
    nonces = iter(["one", "two"])
    times = iter([EPOCH, EPOCH + 1])
    signer = Acs3Auth(KEY, lambda: next(times), lambda: next(nonces))
    first, second = (signer.sign("GET", "", {"host": HOST}, b"") for _ in range(2))
    assert (first["x-acs-signature-nonce"], second["x-acs-signature-nonce"]) == ("one", "two")
    assert (first["x-acs-date"], second["x-acs-date"]) == (DATE, "2026-01-14T08:00:01Z")
    assert first["authorization"] != second["authorization"]


@pytest.mark.parametrize("credentials", [KEY, STS])
def test_with_a_given_nonce_and_date_the_same_request_is_signed_in_the_same_way(credentials: Credentials) -> None:
    now = Acs3Auth(credentials, lambda: EPOCH, lambda: NONCE)
    later = Acs3Auth(credentials, lambda: EPOCH + 600, lambda: "another").fixed(NONCE, DATE)
    headers = {"host": HOST, "x-acs-action": "ResetScheduledPreloadJob", "x-acs-version": "2024-09-10"}
    query = canonical_query({"Id": JOB})
    first, *others = (auth.sign("POST", query, headers, b"") for auth in (now, later, later))
    assert others == [first, first]


def test_who_signs_is_named_without_a_secret_and_changes_with_key_and_host() -> None:
    name = signer(KEY, HOST)
    assert name == signer(STS, HOST) == signer(Credentials(KEY.access_key_id, "another secret"), HOST)
    assert len({name, signer(Credentials("AnotherKeyId", "YourAccessKeySecret"), HOST), signer(KEY, "other.host")}) == 3
    assert len(name) == 12
    assert not any(part.lower() in name for part in KEY.hidden())
