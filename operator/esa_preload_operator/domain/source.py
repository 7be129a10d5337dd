"""The list of URLs before it is sent: what is wrong with it, what ESA gets, and the hash that stands for it."""

import enum
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from esa_preload_operator.domain.spec import OssSource, Source, UrlSource
from esa_preload_operator.resources.spec import MAX_URL

MAX_URLS: Final = 10_000
"""URLs from a ConfigMap; those in a spec have a smaller bound there."""
MAX_TEXT: Final = 1024 * 1024
"""Characters of a ConfigMap's key; Kubernetes takes 1 MiB for all of them."""
_SHOWN: Final = 5
"""Problems that a message names."""


class Kind(enum.StrEnum):
    """How ESA gets the URLs."""

    URLS = "urls"
    OSS = "oss"


@dataclass(frozen=True, slots=True)
class Urls:
    """A list that can be sent: one URL per line."""

    text: str
    count: int


@dataclass(frozen=True, slots=True)
class BadUrls:
    """Why a list can't be sent. The message names lines and never shows a URL, which may carry a signature."""

    message: str
    count: int
    """How many lines are wrong."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a job is made from."""

    kind: Kind
    text: str
    """As it is sent: URLs, one per line, or the address in OSS."""
    hash: str
    count: int | None = None
    """How many URLs it has; None if only ESA knows."""


def content_of(source: Source, config_map_text: str = "") -> Content | BadUrls:
    """Return what a job is made from, or what is wrong with it. The text is that of the ConfigMap's key, if it is one.

    The same URLs are the same content wherever they stand, so moving them into a ConfigMap replaces no job.
    """
    if isinstance(source, OssSource):
        if problem := _problem(source.url, ("https://",)):
            return BadUrls(f"ossUrl {problem}", 1)
        return Content(Kind.OSS, source.url, source_hash(Kind.OSS, source.url, source.revision))
    found = url_list(source.urls) if isinstance(source, UrlSource) else url_text(config_map_text)
    if isinstance(found, BadUrls):
        return found
    return Content(Kind.URLS, found.text, source_hash(Kind.URLS, found.text, source.revision), found.count)


def source_hash(kind: Kind, text: str, revision: str) -> str:
    """Return the hash by which the status tells sources apart. Another form would replace every job that there is."""
    fresh = revision.encode("utf-8", "surrogatepass")
    head = f"{kind}\n{len(fresh)}\n".encode()
    return f"sha256:{hashlib.sha256(head + fresh + text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def url_list(urls: Iterable[str]) -> Urls | BadUrls:
    """Return the URLs of a spec as they are sent, or what is wrong with them."""
    return _checked((f"urls[{number}]", url) for number, url in enumerate(urls))


def url_text(text: str) -> Urls | BadUrls:
    """Return the URLs of a text, one per line, as they are sent, or what is wrong with them.

    Blank lines, lines that begin with `#`, and white space around a URL do not count.
    """
    if len(text) > MAX_TEXT:
        return BadUrls(f"the list has more than {MAX_TEXT} characters", 1)
    lines = enumerate(text.removeprefix("\ufeff").split("\n"), start=1)  # editors of Windows begin with that mark
    stripped = ((number, line.strip()) for number, line in lines)
    return _checked((f"line {number}", line) for number, line in stripped if line and not line.startswith("#"))


def _checked(places: Iterable[tuple[str, str]]) -> Urls | BadUrls:
    seen: dict[str, str] = {}
    problems: list[str] = []
    wrong = 0
    for place, url in places:
        problem = f"is the same as {seen[url]}" if url in seen else _problem(url, ("http://", "https://"))
        if problem:
            wrong += 1
            if len(problems) < _SHOWN:
                problems.append(f"{place} {problem}")
        seen.setdefault(url, place)
    if len(seen) > MAX_URLS:
        return BadUrls(f"the list has {len(seen)} URLs, and {MAX_URLS} at most can be sent", 1)
    if not seen:
        return BadUrls("the list has no URL", 1)
    if wrong:
        more = f"; {wrong - len(problems)} more are wrong" if wrong > len(problems) else ""
        return BadUrls("; ".join(problems) + more, wrong)
    return Urls("\n".join(seen), len(seen))


def _problem(url: str, schemes: tuple[str, ...]) -> str:
    """Return what is wrong with a URL, as the rest of a sentence about it; empty if nothing is."""
    return next(_problems(url, schemes), "")


def _problems(url: str, schemes: tuple[str, ...]) -> Iterator[str]:
    if len(url) > MAX_URL:
        yield f"has more than {MAX_URL} characters"
        return
    if any(each.isspace() for each in url):
        yield "holds white space"
    if not url.isprintable():
        yield "holds a character that does not show"
    if not url.lower().startswith(schemes):
        yield f"does not begin with {' or '.join(schemes)}"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        yield "has a host or a port that can't be read"
        return
    if not host:
        yield "has no host"
    if "@" in parts.netloc:
        yield "holds a user name or a password"
