"""What the variables for proxy and trust mean."""

import base64
import ssl
from pathlib import Path

import pytest

from certificates import Authority
from esa_preload_operator.esa.egress import Egress, read_egress

ESA = "https://esa.cn-hangzhou.aliyuncs.com"
PROXY = "http://proxy.example.com:3128"


def proxy_of(url: str = ESA, **environment: str) -> str | None:
    proxy = read_egress(environment).proxy_for(url)
    return None if proxy is None else proxy.url


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"https_proxy": PROXY}, PROXY),
        ({"HTTPS_PROXY": PROXY, "https_proxy": "http://other"}, PROXY),
        ({"HTTPS_PROXY": " ", "https_proxy": PROXY}, PROXY),
        ({"HTTPS_PROXY": f" {PROXY}/ "}, PROXY),
        ({"HTTPS_PROXY": "proxy.example.com:3128"}, PROXY),
        ({"HTTPS_PROXY": "HTTPS://proxy.example.com"}, "https://proxy.example.com"),
        ({"HTTPS_PROXY": "http://[fd00::1]:3128"}, "http://[fd00::1]:3128"),
        ({"HTTP_PROXY": PROXY, "ALL_PROXY": PROXY}, None),
    ],
)
def test_the_proxy_is_the_one_of_https(environment: dict[str, str], url: str | None) -> None:
    assert proxy_of(**environment) == url


@pytest.mark.parametrize(
    "url", ["http://esa.example.com", "https://localhost:8443", "https://127.0.0.2", "https://[::1]"]
)
def test_plain_http_and_this_machine_are_reached_directly(url: str) -> None:
    assert proxy_of(url, HTTPS_PROXY=PROXY) is None


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("*", ESA, True),
        ("aliyuncs.com", ESA, True),
        (".aliyuncs.com", ESA, True),
        ("*.aliyuncs.com", ESA, True),
        ("10.0.0.0/8, .svc  .ALIYUNCS.com", ESA, True),
        ("esa.cn-hangzhou.aliyuncs.com:443", ESA, True),
        ("esa.cn-hangzhou.aliyuncs.com:8443", ESA, False),
        ("esa.cn-hangzhou.aliyuncs.com", ESA + ".:443", True),
        ("yuncs.com", ESA, False),
        (".example.com", "https://example.com", False),
        ("example.com", "https://example.com", True),
        ("", ESA, False),
        (", ,.", ESA, False),
        ("*.", ESA, False),
        ("10.0.0.0/8", "https://10.1.2.3", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("10.0.0.0/8", ESA, False),
        ("10.1.2.3", "https://10.1.2.3:8443", True),
        ("10.1.2.3:443", "https://10.1.2.3:8443", False),
        ("fd00::/8", "https://[fd00::1]", True),
        ("fd00::1", "https://[fd00::1]", True),
        ("[fd00::1]:443", "https://[fd00::1]", True),
        ("fd00::1", ESA, False),
        ("[x, a:b:c, 1/2/3, x:port", ESA, False),
    ],
)
def test_exceptions_are_read_as_go_programs_do(no_proxy: str, url: str, *, direct: bool) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        assert (proxy_of(url, **{"HTTPS_PROXY": PROXY, name: no_proxy}) is None) == direct


def test_user_and_password_become_a_header_and_leave_the_url() -> None:
    proxy = read_egress({"HTTPS_PROXY": "http://us%40er:p%2Fa%3Ass%C3%AF@proxy.example.com:3128"}).proxy_for(ESA)
    assert proxy is not None
    expected = base64.b64encode("us@er:p/a:ssï".encode()).decode()
    assert (proxy.url, proxy.headers) == (PROXY, {"Proxy-Authorization": f"Basic {expected}"})
    assert expected not in repr(Egress(proxy))
    assert (proxy.host, read_egress({"HTTPS_PROXY": PROXY}).proxy) == ("proxy.example.com:3128", type(proxy)(PROXY))


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http://user:hidden@",
        "http://user:hidden@proxy:port",
        "http://user:hidden@proxy:99999",
        "http://user:hid/den@proxy:3128",
        "http://user:1/hidden@proxy:3128",
        "http://user:1?hidden@proxy:3128",
        "http://user:1#hidden@proxy:3128",
        "http://user:hidden@proxy:3128/path",
        "http://user:hidden@proxy:3128?query",
        "http://user:hid den@proxy:3128",
        "http://user:hid\nden@proxy:3128",
        "http://user:hidden@x..y",
        "http://user:hidden@[::1",
        "socks5://user:hidden@proxy:1080",
        "://user:hidden@proxy",
    ],
)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_what_is_no_proxy_is_told_in_one_line_without_the_value(name: str, url: str) -> None:
    with pytest.raises(ValueError, match=f"^environment variable {name}") as caught:
        read_egress({name: url})
    text = str(caught.value)
    assert "\n" not in text
    assert "hid" not in text
    assert "den" not in text
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_file_and_folders_of_authorities_are_trusted_whatever_their_names(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    first, second = Authority(tmp_path / "one"), Authority(tmp_path / "two")
    (tmp_path / "two" / "README").write_text("no certificate")
    (tmp_path / "two" / "nothing").symlink_to(tmp_path / "absent")
    plain = len(ssl.create_default_context().get_ca_certs())
    for number, environment in enumerate(
        [
            {"SSL_CERT_FILE": str(first.certificate)},
            {"SSL_CERT_DIR": f"{tmp_path / 'absent'}:{tmp_path / 'two'}"},
            {"SSL_CERT_FILE": str(first.certificate), "SSL_CERT_DIR": str(second.certificate.parent)},
        ]
    ):
        tls = read_egress(environment).tls
        assert tls is not None
        assert (tls.verify_mode, tls.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert len(tls.get_ca_certs()) == plain + (2 if number == 2 else 1)
    assert read_egress({}).tls is None


@pytest.mark.parametrize(
    ("content", "why"), [(None, "no such file or directory"), ("", "no certificates"), ("words", "no certificates")]
)
def test_a_file_without_authorities_is_told(tmp_path: Path, content: str | None, why: str) -> None:
    path = tmp_path / "ca.crt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=f"^environment variable SSL_CERT_FILE: {path}: {why}$"):
        read_egress({"SSL_CERT_FILE": str(path)})
