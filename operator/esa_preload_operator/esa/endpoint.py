"""Where ESA is: secrets and resets must not travel in the open."""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

_FORM: Final = "write it as https://esa.cn-hangzhou.aliyuncs.com"


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
    if parts.username is not None or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"the endpoint must be a scheme and a host, without user, path or query; {_FORM}")
    if parts.scheme == "http" and not allow_http and not _is_loopback(host):
        raise ValueError(f"plain http:// to {host} is not allowed outside of this machine; use https://")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port is not None else "")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
