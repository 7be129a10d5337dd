"""Where ESA is: secrets and resets must not travel in the open."""

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

from esa_preload_operator.domain.cleaning import clean_text

SITES: Final = {
    "china": "https://esa.cn-hangzhou.aliyuncs.com",
    "china-vpc": "https://esa-vpc.cn-hangzhou.aliyuncs.com",
    "international": "https://esa.ap-southeast-1.aliyuncs.com",
    "international-vpc": "https://esa-vpc.ap-southeast-1.aliyuncs.com",
}
"""ESA's endpoints by the account's site: there are no others, whatever the region (Alibaba Cloud endpoint metadata)."""
_LABEL: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST_HOST: Final = 253
"""Characters of a host name (RFC 1035)."""
_FORM: Final = f"write it as {SITES['china']}"


def resolve_endpoint(text: str, *, allow_http: bool) -> str:
    """Return the endpoint of a site's short name (a key of `SITES`), or of a URL as `check_endpoint` does.

    Raises:
        ValueError: it is neither.
    """
    site = SITES.get(text.strip().lower())
    try:
        return site or check_endpoint(text, allow_http=allow_http)
    except ValueError as error:
        names = ", ".join(SITES)
        raise ValueError(f"{error}, or as one of {names}" if _FORM in str(error) else str(error)) from None


def check_endpoint(url: str, *, allow_http: bool) -> str:
    """Return the endpoint as `scheme://host[:port]`, without a slash at the end.

    Raises:
        ValueError: it is no such URL, or plain http to a host that is not this machine and was not allowed.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"the endpoint is no URL; {_FORM}") from None
    if parts.scheme not in {"http", "https"} or not host or not host.isascii():
        raise ValueError(f"the endpoint must begin with https:// and name a host; {_FORM}")
    if not _is_host(host):
        raise ValueError(f"the endpoint's host {clean_text(host, 64)} is no host name; {_FORM}")
    if parts.username is not None or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"the endpoint must be a scheme and a host, without user, path or query; {_FORM}")
    if parts.scheme == "http" and not allow_http and not _is_loopback(host):
        raise ValueError(f"plain http:// to {host} is not allowed outside of this machine; use https://")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port is not None else "")


def _is_host(host: str) -> bool:
    """Say whether DNS can carry the name, or it is an address; one dot may stand at the end."""
    if ":" in host:
        return _is_address(host)
    labels = host.removesuffix(".").split(".")
    return len(host) <= _LONGEST_HOST and all(_LABEL.fullmatch(label) for label in labels)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
