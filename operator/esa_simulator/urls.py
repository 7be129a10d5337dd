"""Where a job's URLs come from, and which of them are accepted."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from esa_simulator import errors
from esa_simulator.state import Settings


def read_oss(address: str, settings: Settings) -> list[str]:
    """The lines of an OSS object, which is never fetched: see `Settings` for where its content comes from.

    Raises:
        EsaError: MissingOssUrl, also for an object that does not exist (what ESA answers then is not documented)
    """
    if _host_of(address) is None:
        raise errors.missing_oss_url()
    content = settings.oss_files.get(address)
    if content is None and settings.oss_folder is not None:
        content = _read_object(Path(settings.oss_folder), unquote(urlsplit(address).path))
    if content is not None:
        return content.split("\n")
    return [f"https://www.example.com/{number}" for number in range(settings.oss_url_count)]


def _read_object(folder: Path, name: str) -> str:
    """The file that stands for an object; nothing outside of the folder is one."""
    try:
        file = (folder / name.lstrip("/")).resolve()
        if file.is_relative_to(folder.resolve()):
            return file.read_text(encoding="utf-8")
    except (OSError, ValueError):  # there is none, its name can't be one, or it is no text
        pass
    raise errors.missing_oss_url()


def sift(urls: list[str], settings: Settings, site_id: int) -> tuple[int, list[str], list[str]]:
    """How many URLs are accepted, of which domains, and why others are not."""
    accepted = settings.site_domains.get(str(site_id))
    domains: dict[str, None] = {}
    problems: dict[str, None] = {}
    kept = 0
    for url in urls:
        host = _host_of(url)
        if host is None:
            problems["InvalidUrl"] = None
        elif accepted is not None and not any(host == domain or host.endswith(f".{domain}") for domain in accepted):
            problems["InvalidDomain"] = None
        elif settings.url_quota is not None and kept >= settings.url_quota:
            problems["QuotaExcess"] = None
        else:
            kept += 1
            domains[host] = None
    return kept, list(domains), list(problems)


def _host_of(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    return host if parts.scheme in {"http", "https"} and url.isascii() and " " not in url else None
