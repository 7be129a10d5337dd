"""Whose turn it is: namespaces in turn, what is urgent first within one, and no namespace before the others."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from esa_preload_operator.domain.line import Line
from esa_preload_operator.domain.ports import ObjectRef

_ROUND: Final = 4
"""Every fourth turn is for any namespace, the others for those with something urgent, so neither starves the other."""


@dataclass(slots=True)
class Turns:
    """The resources that wait for a worker, each once, in the order in which they are served.

    The next namespace in turn is served, and its urgent resources go first. So a resource waits for those before it
    in its own namespace, and for one turn of each other namespace between them.
    """

    _all: Line[ObjectRef, None] = field(default_factory=Line)
    _urgent: Line[ObjectRef, None] = field(default_factory=Line)
    """Those of them that are urgent."""
    _taken: int = 0

    def add(self, ref: ObjectRef, *, urgent: bool) -> bool:
        """Return whether the resource is new here; one that waits already becomes urgent if it is asked for."""
        new = self._all.get(ref.namespace, ref) is None
        if new:
            self._all.join(ref.namespace, ref, None)
        if urgent and self._urgent.get(ref.namespace, ref) is None:
            self._urgent.join(ref.namespace, ref, None)
        return new

    def take(self, may: Callable[[str], bool] = lambda _namespace: True) -> tuple[ObjectRef, bool]:
        """Take the resource whose turn it is of the namespaces that may; return it with whether it was urgent.

        Raises:
            LookupError: none waits there.
        """
        self._taken += 1
        first = (self._taken % _ROUND and self._urgent.first_of(may)) or self._all.first_of(may)
        if first is None:
            raise LookupError
        urgent = self._urgent.first(first.namespace)
        if urgent is not None:
            self._urgent.take(urgent)
        self._all.take(urgent or first)
        return (urgent or first).key, urgent is not None
