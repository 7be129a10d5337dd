"""Where the API server is and how to log in there: from the pod's service account or from a kubeconfig."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from esa_preload_operator.k8s.kubeconfig import ConfigurationError, Headers, read_kubeconfig

IN_CLUSTER_FOLDER: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class LoginSource:
    """Where the login comes from. `kubeconfig` holds one or several paths as KUBECONFIG does; None means in-cluster."""

    kubeconfig: str | None
    context: str | None = None

    def __str__(self) -> str:
        """Name the source, for people."""
        return "the pod's service account" if self.kubeconfig is None else f"kubeconfig {self.kubeconfig}"


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
    home = _home()
    path = None if home is None else home / ".kube" / "config"
    if path is not None and path.is_file():
        return LoginSource(str(path), context)
    absent = path or "home folder"
    raise ConfigurationError(f"no login for Kubernetes: not in a pod, KUBECONFIG is not set, and there is no {absent}")


@contextlib.contextmanager
def some_home() -> Iterator[None]:
    """Provide a home folder, without which the client can't even be imported."""
    if _home() is not None:
        yield
        return
    os.environ["HOME"] = os.sep
    try:
        yield
    finally:
        del os.environ["HOME"]


async def load_login(source: LoginSource, configuration: Any) -> Headers:
    """Read the login into a `kubernetes.aio` Configuration; call again to pick up what was rotated meanwhile.

    Returns the headers by which requests act as somebody else.

    Raises:
        ConfigurationError: it can't be read or leads nowhere.
    """
    from kubernetes.aio import config  # noqa: PLC0415 - costs 20 MiB, which the command line's other verbs can do without

    try:
        if source.kubeconfig is None:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call] # the client has no types here
            return ()
        found = read_kubeconfig(source.kubeconfig, source.context)
        await config.load_kube_config_from_dict(found.as_dict(), client_configuration=configuration)  # type: ignore[no-untyped-call] # the client has no types here
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
    if "exec" in found.user and not configuration.api_key and not configuration.cert_file:
        raise ConfigurationError(f"{source}: the credential plugin gave no credentials")  # the client only logs it
    return found.impersonation


def _home() -> Path | None:
    """Return the home folder; without HOME, an arbitrary user id has none."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def own_namespace(source: LoginSource) -> str | None:
    """Return the namespace of the pod that this process runs in, or None out of a cluster."""
    if source.kubeconfig is not None:
        return None
    try:
        return (IN_CLUSTER_FOLDER / "namespace").read_text().strip() or None
    except OSError:
        return None
