"""What a kubeconfig says, read as kubectl reads it: several files, paths relative to each, one line about mistakes."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import yaml

_KINDS: Final = ("contexts", "clusters", "users")
_PATHS: Final = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_HEADER_KEY: Final = "!#$&'*+-.^_`|~"
"""What may stand in the name of a header besides letters and digits, but for %, by which the rest is written."""

Headers = tuple[tuple[str, str], ...]


class ConfigurationError(ValueError):
    """There is no usable way to log in; the message is one line for people and names no secret."""


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """The cluster and the user of one context, with absolute paths; the user is empty where the context has none."""

    cluster: Mapping[str, Any]
    user: Mapping[str, Any]
    impersonation: Headers
    """Headers by which requests act as somebody else."""

    def as_dict(self) -> dict[str, Any]:
        """Return a kubeconfig of this one context."""
        return {
            "current-context": "only",
            "contexts": [{"name": "only", "context": {"cluster": "only", "user": "only"}}],
            "clusters": [{"name": "only", "cluster": dict(self.cluster)}],
            "users": [{"name": "only", "user": dict(self.user)}],
        }


def read_kubeconfig(paths: str, context: str | None) -> Kubeconfig:
    """Return what a context says, the current one by default; `paths` are one or several, as in KUBECONFIG.

    Raises:
        ConfigurationError: a file or the context is not usable.
    """
    merged: dict[str, dict[str, Any]] = {kind: {} for kind in _KINDS}
    current = None
    for path in _existing(paths):
        content = _parse(path)
        current = current or content.get("current-context")
        for kind in _KINDS:
            for entry in content.get(kind) or []:
                merged[kind].setdefault(entry["name"], _resolved(entry.get(kind[:-1]) or {}, path.absolute().parent))
    where = f"kubeconfig {paths}"
    name = context or current
    if not name:
        raise ConfigurationError(f"{where}: it has no current-context, and none was asked for")
    chosen = merged["contexts"].get(name)
    if not chosen:
        raise ConfigurationError(f"{where}: no context {name!r} (it has {sorted(merged['contexts'])})")
    cluster = merged["clusters"].get(chosen.get("cluster"), {})
    if not cluster.get("server"):
        raise ConfigurationError(f"{where}: the context {name!r} leads to no cluster with a server")
    user = merged["users"].get(chosen["user"]) if chosen.get("user") else {}
    if user is None:
        raise ConfigurationError(f"{where}: the context {name!r} leads to no user")
    return Kubeconfig(cluster, user, tuple(_impersonation(user, where)))


def _existing(paths: str) -> list[Path]:
    """Return the files that exist; kubectl, too, goes without those that do not.

    Raises:
        ConfigurationError: there is none.
    """
    try:
        files = [path for each in paths.split(os.pathsep) if each and (path := Path(each).expanduser()).exists()]
    except RuntimeError:  # ~ without a home
        files = []
    if not files:
        raise ConfigurationError(f"kubeconfig {paths}: no such file")
    return files


def _parse(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
        if not isinstance(content, dict):
            raise ConfigurationError(f"kubeconfig {path}: not a kubeconfig")
        for kind in _KINDS:
            for entry in content.get(kind) or []:
                if not isinstance(entry["name"], str) or not isinstance(entry.get(kind[:-1]) or {}, dict):
                    raise ConfigurationError(f"kubeconfig {path}: an entry of {kind} is malformed")
    except yaml.YAMLError:
        raise ConfigurationError(f"kubeconfig {path}: not YAML") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"kubeconfig {path}: not text") from None
    except OSError as error:
        raise ConfigurationError(f"kubeconfig {path}: {error.strerror}") from None
    except (KeyError, TypeError, AttributeError):
        raise ConfigurationError(f"kubeconfig {path}: an entry has no name") from None
    return content


def _resolved(entry: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return an entry without empty values, its paths relative to the folder of the file that it stands in."""
    found = {key: value for key, value in entry.items() if value not in (None, "")}
    for key in _PATHS:
        if key in found:
            found[key] = str(folder / found[key])
    plugin = found.get("exec")
    # A bare name is looked up in PATH.
    if isinstance(plugin, dict) and os.sep in str(plugin.get("command")):
        found["exec"] = {**plugin, "command": str(folder / plugin["command"])}
    return found


def _impersonation(user: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    """Yield the headers that stand for `as`, `as-uid`, `as-groups` and `as-user-extra`.

    Raises:
        ConfigurationError: they are malformed, or say as what but not as whom.
    """
    name, uid = user.get("as", ""), user.get("as-uid", "")
    groups, extra = user.get("as-groups", []), user.get("as-user-extra", {})
    if not isinstance(groups, list) or not isinstance(extra, dict):
        raise ConfigurationError(f"{where}: as-groups is no list, or as-user-extra is no map")
    found = [("Impersonate-User", name), ("Impersonate-Uid", uid), *(("Impersonate-Group", each) for each in groups)]
    for key, values in extra.items():
        if not isinstance(key, str) or not isinstance(values, list):
            raise ConfigurationError(f"{where}: as-user-extra is no map of lists")
        found += [(f"Impersonate-Extra-{quote(key, safe=_HEADER_KEY)}", each) for each in values]
    if not all(isinstance(value, str) and value.isprintable() for _, value in found):
        raise ConfigurationError(f"{where}: as, as-uid, as-groups and as-user-extra hold text only, quoted if need be")
    if not name and any(value for _, value in found):
        raise ConfigurationError(f"{where}: as-uid, as-groups or as-user-extra without as")
    return ((header, value) for header, value in found if value)
