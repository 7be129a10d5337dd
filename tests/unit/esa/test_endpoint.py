import pytest

from esa_preload_operator.esa.endpoint import SITES, check_endpoint, resolve_endpoint


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://esa.cn-hangzhou.aliyuncs.com", "https://esa.cn-hangzhou.aliyuncs.com"),
        ("https://esa.cn-hangzhou.aliyuncs.com/", "https://esa.cn-hangzhou.aliyuncs.com"),
        (" https://ESA.example:8443 ", "https://esa.example:8443"),
        ("http://127.0.0.1:8089", "http://127.0.0.1:8089"),
        ("http://[::1]:8089/", "http://[::1]:8089"),
        ("http://localhost:1", "http://localhost:1"),
        ("https://esa.example.", "https://esa.example."),
        (f"https://{'a' * 63}.com", f"https://{'a' * 63}.com"),
    ],
)
def test_https_and_this_machine_are_fine(url: str, kept: str) -> None:
    assert check_endpoint(url, allow_http=False) == kept


def test_plain_http_elsewhere_must_be_allowed() -> None:
    with pytest.raises(ValueError, match=r"plain http:// to sim\.ns\.svc is not allowed"):
        check_endpoint("http://sim.ns.svc", allow_http=False)
    assert check_endpoint("http://sim.ns.svc", allow_http=True) == "http://sim.ns.svc"


@pytest.mark.parametrize(
    "url",
    ["", "esa.cn-hangzhou.aliyuncs.com", "ftp://a", "https://", "https://user:pw@a", "https://a/path", "https://a?q=1",
     "https://a:99999", "https://[::1", "https://ä.example", "https://.", "https://x..y.com", "https://.a.com",
     f"https://{'a' * 64}.com", f"https://{'.'.join(['a' * 60] * 5)}", "https://a b", "https://x.%zz", "https://-a.com",
     "https://*", "https://[::1::]"],
)  # fmt: skip
def test_what_is_no_endpoint_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ValueError, match="endpoint") as caught:
        check_endpoint(url, allow_http=True)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("site", "url"),
    [
        ("china", "https://esa.cn-hangzhou.aliyuncs.com"),
        ("international", "https://esa.ap-southeast-1.aliyuncs.com"),
        (" China-VPC ", "https://esa-vpc.cn-hangzhou.aliyuncs.com"),
        ("international-vpc", "https://esa-vpc.ap-southeast-1.aliyuncs.com"),
        ("https://esa.example/", "https://esa.example"),
    ],
)
def test_a_site_stands_for_its_endpoint(site: str, url: str) -> None:
    assert resolve_endpoint(site, allow_http=False) == url


def test_a_site_that_there_is_none_of_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=", ".join(SITES)):
        resolve_endpoint("singapore", allow_http=False)
    with pytest.raises(ValueError, match="plain http"):
        resolve_endpoint("http://esa.example", allow_http=False)


def test_each_endpoint_of_a_site_can_be_used() -> None:
    assert all(check_endpoint(url, allow_http=False) == url for url in SITES.values())
