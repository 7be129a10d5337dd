"""How requests to ESA and STS leave: the proxy and the trusted authorities that well-known variables name."""

import base64
import ipaddress
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from esa_preload_operator.domain.cleaning import clean_text
from esa_preload_operator.esa.endpoint import check_endpoint

ENV_PROXY: Final = ("HTTPS_PROXY", "https_proxy")
ENV_NO_PROXY: Final = ("NO_PROXY", "no_proxy")
ENV_CERT_FILE: Final = "SSL_CERT_FILE"
ENV_CERT_FOLDERS: Final = "SSL_CERT_DIR"
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")
_BEYOND_USER: Final = re.compile(r"[/?#]")
_BETWEEN: Final = re.compile(r"[,\s]+")
_FORM: Final = "write it as http://proxy.example.com:3128, with special characters of a password as %XX"
_LONGEST_PATH: Final = 256

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy that opens tunnels (CONNECT); `url` holds neither user nor password."""

    url: str
    authorization: str | None = field(default=None, repr=False)
    """Value of the header Proxy-Authorization."""

    @property
    def host(self) -> str:
        """Host and port as they stand in the URL."""
        return self.url.partition("://")[2]

    @property
    def headers(self) -> dict[str, str]:
        """What the proxy gets along with CONNECT."""
        return {} if self.authorization is None else {"Proxy-Authorization": self.authorization}


@dataclass(frozen=True, slots=True)
class Egress:
    """The way out of the cluster; by default a direct one that trusts the system's authorities."""

    proxy: Proxy | None = None
    no_proxy: str = ""
    tls: ssl.SSLContext | None = None

    def proxy_for(self, url: str) -> Proxy | None:
        """Return the proxy on the way to a URL: never for plain http, this machine, or an entry of `no_proxy`."""
        parts = urlsplit(url)
        if parts.scheme != "https" or parts.hostname is None:
            return None
        return None if _is_exempt(parts.hostname, parts.port or 443, self.no_proxy) else self.proxy


DIRECT: Final = Egress()


def read_egress(environment: Mapping[str, str]) -> Egress:
    """Return the way out that the environment asks for.

    Raises:
        ValueError: a variable can't be used; the message is one line that names it and shows no password.
    """
    name, url = _first(environment, ENV_PROXY)
    _, no_proxy = _first(environment, ENV_NO_PROXY)
    return Egress(_read_proxy(name, url) if url else None, no_proxy, _read_trust(environment))


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str]:
    """Return the first variable that is set, with its value; capitals come first, as in Go."""
    found = ((name, environment.get(name, "").strip()) for name in names)
    return next((pair for pair in found if pair[1]), ("", ""))


def _read_proxy(name: str, text: str) -> Proxy:
    """Return the proxy of a URL, whose scheme is http if there is none."""
    malformed = ValueError(f"environment variable {name} is no URL of a proxy; {_FORM}")
    scheme, separator, rest = text.partition("://")
    scheme, rest = (scheme.lower(), rest) if separator else ("http", text)
    if _CONTROL.search(text) or not rest:
        raise malformed
    if scheme not in {"http", "https"}:
        raise ValueError(f"environment variable {name}: only http:// and https:// proxies are supported")
    user_info, at, host = rest.rpartition("@")
    try:
        # A password with a slash of its own would otherwise become a host, and show in messages.
        if _BEYOND_USER.search(user_info):
            raise malformed
        url = check_endpoint(f"{scheme}://{host}", allow_http=True)
    except ValueError:
        raise malformed from None
    user, _, password = user_info.partition(":")
    basic = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode("ascii")
    return Proxy(url, f"Basic {basic}" if at else None)


def _read_trust(environment: Mapping[str, str]) -> ssl.SSLContext | None:
    """Return the trust in the given authorities, or None for the system's own.

    OpenSSL reads both variables by itself, but ignores a file that is missing, and in a folder all files whose names
    are no hashes, such as the keys of a mounted ConfigMap.
    """
    file = environment.get(ENV_CERT_FILE, "").strip()
    folders = environment.get(ENV_CERT_FOLDERS, "").strip()
    if not file and not folders:
        return None
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if file:
        try:
            context.load_verify_locations(cafile=file)
        except OSError as error:  # includes ssl.SSLError
            why = "no certificates" if isinstance(error, ssl.SSLError) else (error.strerror or "unreadable").lower()
            shown = clean_text(file, _LONGEST_PATH)
            raise ValueError(f"environment variable {ENV_CERT_FILE}: {shown}: {why}") from None
    for folder in filter(None, folders.split(os.pathsep)):
        _trust_folder(context, Path(folder))
    return context


def _trust_folder(context: ssl.SSLContext, folder: Path) -> None:
    """Trust each certificate in a folder; other files in it, and folders that are missing, are nothing to mind."""
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return
    for path in paths:
        if path.is_file():
            try:
                context.load_verify_locations(cafile=path)
            except OSError:  # includes ssl.SSLError
                continue


def _is_exempt(host: str, port: int, no_proxy: str) -> bool:
    """Return whether a host is reached without a proxy, by the rules of Go's programs, kubectl among them."""
    host, address = host.lower().rstrip("."), _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_matches(entry, host, port, address) for entry in _BETWEEN.split(no_proxy.lower()) if entry)


def _matches(entry: str, host: str, port: int, address: _Address | None) -> bool:
    """Say whether an entry means a host: `*`, an address, a network, a domain, with a port or without."""
    if entry == "*":
        return True
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    name, wanted = _split_port(entry)
    if wanted is not None and wanted != port:
        return False
    if address is not None:
        return _address(name) == address
    domain = name.removeprefix("*")
    return bool(domain.strip(".")) and (host == domain or host.endswith("." + domain.removeprefix(".")))


def _split_port(entry: str) -> tuple[str, int | None]:
    """Return name and port of an entry; the colons of a bare IPv6 address separate no port."""
    if entry.count(":") > 1 and not entry.startswith("["):
        return entry, None
    try:
        parts = urlsplit(f"//{entry}")
        name, port = parts.hostname, parts.port
    except ValueError:
        return "", None
    return name or "", port


def _address(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
