"""Tells kubectl's own options from the plugin's: they may stand anywhere, and go on to every kubectl."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

_WITH_VALUE: Final = frozenset(
    {
        *("--as", "--as-group", "--as-uid", "--as-user-extra", "--cache-dir", "--certificate-authority"),
        *("--client-certificate", "--client-key", "--cluster", "--context", "--kubeconfig", "--kuberc"),
        *("--log-flush-frequency", "--namespace", "-n", "--password", "--profile", "--profile-output", "--proxy-url"),
        *("--request-timeout", "--server", "-s", "--tls-server-name", "--token", "--user", "--username", "--vmodule"),
        *("--v", "-v"),
    }
)
"""Source: `kubectl options` of 1.37."""
_SWITCHES: Final = frozenset(
    {"--disable-compression", "--insecure-skip-tls-verify", "--match-server-version", "--warnings-as-errors"}
)
_SECRET: Final = frozenset({"--token", "--password", "--proxy-url"})
"""Options whose values nobody may see."""
_ASKS_BY_TOKEN: Final = "reset"  # noqa: S105 - a command's name, no password
"""After this command --token is that of the request; kubectl's own stands before it."""


class UsageError(Exception):
    """The words of the command line can't be meant; the message says what to write."""


@dataclass(frozen=True, slots=True)
class Given:
    """A command line, taken apart."""

    kubectl: tuple[str, ...] = field(default=(), repr=False)
    """kubectl's options, each in one word."""
    hidden: tuple[str, ...] = field(default=(), repr=False)
    """Their values that are secret."""
    namespace: str = ""
    all_namespaces: bool = False
    rest: tuple[str, ...] = ()

    @property
    def scope(self) -> tuple[str, ...]:
        """What `kubectl get` of several objects takes beside its options."""
        return ("--all-namespaces",) if self.all_namespaces else ()

    @property
    def shown(self) -> tuple[str, ...]:
        """Kubectl's options as they may stand in advice: without secrets."""
        return tuple(word for word in self.kubectl if word.partition("=")[0] not in _SECRET)


def take_apart(words: Sequence[str]) -> Given:
    """Return kubectl's options and the rest of a command line.

    Raises:
        UsageError: an option lacks its value.
    """
    kubectl: list[str] = []
    hidden: list[str] = []
    rest: list[str] = []
    namespace, everywhere, ahead = "", False, list(words)
    while ahead:
        word = ahead.pop(0)
        if word == "--":
            rest += [word, *ahead]
            break
        name, given, value = _split(word)
        if word in {"-A", "--all-namespaces"}:
            everywhere = True
        elif name in _SWITCHES:
            kubectl.append(word)
        elif name not in _WITH_VALUE or (name == "--token" and _ASKS_BY_TOKEN in rest):
            rest.append(word)
        else:
            if not given and not ahead:
                raise UsageError(f"{name} needs a value")
            value = value if given else ahead.pop(0)
            kubectl.append(f"{name}={value}")
            namespace = value if name in {"-n", "--namespace"} else namespace
            hidden += [value] if name in _SECRET and value else []
    return Given(tuple(kubectl), tuple(hidden), namespace, everywhere, tuple(rest))


def _split(word: str) -> tuple[str, bool, str]:
    """Return an option's name, whether its value stands in the same word, and the value: --n=v, -n=v, -nv."""
    if word.startswith("-") and not word.startswith("--") and len(word) > 2 and word[:2] in _WITH_VALUE:
        return word[:2], True, word[2:].removeprefix("=")
    name, equals, value = word.partition("=")
    return name, bool(equals), value
