"""Whose turn it is: namespaces in turn, what is urgent first within one, and no namespace before the others."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from esa_preload_operator.domain.ports import ObjectRef

_ROUND: Final = 4
"""Every fourth turn is for any namespace, the others for those with something urgent, so neither starves the other."""


@dataclass(slots=True)
class _Line:
    """What waits in one namespace, first come first served."""

    urgent: OrderedDict[ObjectRef, None] = field(default_factory=OrderedDict)
    calm: OrderedDict[ObjectRef, None] = field(default_factory=OrderedDict)


@dataclass(slots=True)
class Turns:
    """The resources that wait for a worker, each once, in the order in which they are served.

    The next namespace in turn is served, and its urgent resources go first. So a resource waits for those before it
    in its own namespace, and for one turn of each other namespace between them.
    """

    _lines: dict[str, _Line] = field(default_factory=dict)
    _any: OrderedDict[str, None] = field(default_factory=OrderedDict)
    """Namespaces with work, the next one first."""
    _asking: OrderedDict[str, None] = field(default_factory=OrderedDict)
    """Namespaces with urgent work, the next one first."""
    _taken: int = 0

    def add(self, ref: ObjectRef, *, urgent: bool) -> bool:
        """Return whether the resource is new here; one that waits already becomes urgent if it is asked for."""
        line = self._lines.get(ref.namespace)
        if line is None:
            line = self._lines[ref.namespace] = _Line()
        known = ref in line.urgent or ref in line.calm
        if urgent:
            line.calm.pop(ref, None)
            line.urgent[ref] = None
            self._asking.setdefault(ref.namespace)
        elif not known:
            line.calm[ref] = None
        self._any.setdefault(ref.namespace)
        return not known

    def take(self) -> tuple[ObjectRef, bool]:
        """Take the resource whose turn it is, and return it with whether it was urgent.

        Raises:
            LookupError: none waits.
        """
        if not self._any:
            raise LookupError
        self._taken += 1
        turn = self._asking if self._asking and self._taken % _ROUND else self._any
        namespace = next(iter(turn))
        line = self._lines[namespace]
        urgent = bool(line.urgent)
        ref, _ = (line.urgent if urgent else line.calm).popitem(last=False)
        if urgent:
            _pass_on(self._asking, namespace, stays=bool(line.urgent))
        stays = bool(line.urgent or line.calm)
        _pass_on(self._any, namespace, stays=stays)
        if not stays:
            del self._lines[namespace]
        return ref, urgent


def _pass_on(turn: OrderedDict[str, None], namespace: str, *, stays: bool) -> None:
    """Let a namespace that was served stand behind the others, or leave."""
    if stays:
        turn.move_to_end(namespace)
    else:
        del turn[namespace]
