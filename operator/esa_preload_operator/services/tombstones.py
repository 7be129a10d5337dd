"""Which resources are known to be gone, so that an answer or an event from before cannot revive them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

_LIMIT: Final = 10_000
"""Tombstones that are kept, about 1.5 MB; of a mass deletion the oldest ones go first."""


@dataclass(slots=True)
class Tombstones:
    """The uids of deleted resources, each with the version of its deletion and its namespace."""

    limit: int = _LIMIT
    _versions: dict[str, tuple[int, str]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Count the tombstones."""
        return len(self._versions)

    def bury(self, uid: str, version: int, namespace: str) -> None:
        """Remember a deletion."""
        self._versions.pop(uid, None)
        self._versions[uid] = (version, namespace)
        if len(self._versions) > self.limit:
            del self._versions[next(iter(self._versions))]

    def is_gone(self, uid: str, version: int) -> bool:
        """Return whether this version of a resource is from before its deletion."""
        buried = self._versions.get(uid)
        return buried is not None and version <= buried[0]

    def uids(self, namespace: str) -> set[str]:
        """Return the uids that were buried in a namespace; the empty one stands for all namespaces."""
        return {uid for uid, (_, where) in self._versions.items() if namespace in ("", where)}

    def forget(self, uids: Iterable[str]) -> None:
        """Drop tombstones."""
        for uid in uids:
            self._versions.pop(uid, None)
