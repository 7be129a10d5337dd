import pytest

from esa_preload_operator.esa.endpoint import check_endpoint


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://esa.cn-hangzhou.aliyuncs.com", "https://esa.cn-hangzhou.aliyuncs.com"),
        ("https://esa.cn-hangzhou.aliyuncs.com/", "https://esa.cn-hangzhou.aliyuncs.com"),
        (" https://ESA.example:8443 ", "https://esa.example:8443"),
        ("http://127.0.0.1:8089", "http://127.0.0.1:8089"),
        ("http://[::1]:8089/", "http://[::1]:8089"),
        ("http://localhost:1", "http://localhost:1"),
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
     "https://a:99999", "https://[::1", "https://ä.example"],
)  # fmt: skip
def test_what_is_no_endpoint_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ValueError, match="endpoint") as caught:
        check_endpoint(url, allow_http=True)
    assert "pw" not in str(caught.value)
