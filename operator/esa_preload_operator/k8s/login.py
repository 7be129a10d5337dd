"""Where the API server is and how to log in there: from the pod's service account or from a kubeconfig."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

IN_CLUSTER_FOLDER: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class ConfigurationError(ValueError):
    """There is no usable way to log in; the message is one line for people and names no secret."""


@dataclass(frozen=True, slots=True)
class LoginSource:
    """Where the login comes from. `kubeconfig` holds one or several paths as KUBECONFIG does; None means in-cluster."""

    kubeconfig: str | None
    context: str | None = None

    def __str__(self) -> str:
        """Name the source, for people."""
        return "the pod's service account" if self.kubeconfig is None else f"kubeconfig {self.kubeconfig}"


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """The login as other clients of the same API server need it."""

    server: str
    ca_path: str | None
    insecure: bool
    """True only where the kubeconfig itself says `insecure-skip-tls-verify`."""
    certificate_path: str | None = None
    private_key_path: str | None = None
    scheme: str | None = None
    token: str | None = field(default=None, repr=False)
    proxy_url: str | None = None


def find_login(kubeconfig: str | None = None, context: str | None = None) -> LoginSource:
    """Choose as kubectl and other operators do: what is asked for, KUBECONFIG, the pod's own account, ~/.kube/config.

    Raises:
        ConfigurationError: none of them exists.
    """
    asked = kubeconfig or os.environ.get("KUBECONFIG")
    if asked:
        return LoginSource(asked, context)
    if context is None and os.environ.get("KUBERNETES_SERVICE_HOST") and (IN_CLUSTER_FOLDER / "token").is_file():
        return LoginSource(None)
    home = Path.home() / ".kube" / "config"
    if home.is_file():
        return LoginSource(str(home), context)
    raise ConfigurationError(f"no login for Kubernetes: not in a pod, KUBECONFIG is not set, and there is no {home}")


async def load_login(source: LoginSource, configuration: Any) -> None:
    """Read the login into a `kubernetes.aio` Configuration; call again to pick up what was rotated meanwhile.

    Raises:
        ConfigurationError: it can't be read or leads nowhere.
    """
    from kubernetes.aio import config  # noqa: PLC0415 - costs 20 MiB, which the command line's other verbs can do without

    try:
        user = {} if source.kubeconfig is None else _judge(source.kubeconfig, source.context)
        if source.kubeconfig is None:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call] # the client has no types here
        else:
            await config.load_kube_config(  # type: ignore[no-untyped-call] # the client has no types here
                source.kubeconfig, source.context, configuration, persist_config=False
            )
    except ConfigurationError:
        raise
    except config.ConfigException as error:
        # The library's text may quote the whole entry, with its token.
        text = str(error) if source.kubeconfig is None else "the entry of the context's user or cluster is not usable"
        raise ConfigurationError(f"{source}: {text}") from None
    except OSError as error:  # a file, or a folder for the certificates that stand in the kubeconfig itself
        where = f"{error.filename}: " if error.filename else ""
        raise ConfigurationError(f"{source}: {where}{error.strerror or type(error).__name__}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ConfigurationError(f"{source}: not usable ({type(error).__name__})") from None
    if "exec" in user and not configuration.api_key and not configuration.cert_file:
        raise ConfigurationError(f"{source}: the credential plugin gave no credentials")  # the client only logs it


def own_namespace(source: LoginSource) -> str | None:
    """Return the namespace of the pod that this process runs in, or None out of a cluster."""
    if source.kubeconfig is not None:
        return None
    try:
        return (IN_CLUSTER_FOLDER / "namespace").read_text().strip() or None
    except OSError:
        return None


def info_of(configuration: Any, authorization: str | None) -> ConnectionInfo:
    """Show the login in a Configuration the way other clients want it."""
    scheme, _, token = (authorization or "").partition(" ")
    return ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        scheme=scheme.capitalize() if token else None,
        token=token.strip() or None,
        proxy_url=configuration.proxy,
    )


def _judge(paths: str, context: str | None) -> dict[str, Any]:
    """Say in one line what is wrong with a kubeconfig, before the client says it in its own way; return the user."""
    merged: dict[str, Any] = {"contexts": {}, "clusters": {}, "users": {}}
    files = [path for each in paths.split(os.pathsep) if each and (path := Path(each).expanduser()).exists()]
    if not files:
        raise ConfigurationError(f"kubeconfig {paths}: no such file")
    for path in files:
        content = _parse(path)
        merged.setdefault("current-context", content.get("current-context"))
        for kind in ("contexts", "clusters", "users"):
            for entry in content.get(kind) or []:
                merged[kind].setdefault(entry["name"], entry.get(kind[:-1]))
    name = context or merged["current-context"]
    if not name:
        raise ConfigurationError(f"kubeconfig {paths}: it has no current-context, and none was asked for")
    chosen = merged["contexts"].get(name)
    if not chosen:
        raise ConfigurationError(f"kubeconfig {paths}: no context {name!r} (it has {sorted(merged['contexts'])})")
    if not (merged["clusters"].get(chosen.get("cluster")) or {}).get("server"):
        raise ConfigurationError(f"kubeconfig {paths}: the context {name!r} leads to no cluster with a server")
    user: dict[str, Any] | None = merged["users"].get(chosen.get("user"))
    if user is None:
        raise ConfigurationError(f"kubeconfig {paths}: the context {name!r} leads to no user")
    return user


def _parse(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
        if not isinstance(content, dict):
            raise ConfigurationError(f"kubeconfig {path}: not a kubeconfig")
        for kind in ("contexts", "clusters", "users"):
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
