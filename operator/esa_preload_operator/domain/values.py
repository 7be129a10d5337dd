"""How values change."""

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import replace
else:

    def replace(value: Any, **changes: Any) -> Any:
        """Do what `dataclasses.replace` does in a fraction of its time, and return what changes nothing as it is."""
        if all(getattr(value, name) is new for name, new in changes.items()):
            return value
        names, values = _parts(type(value))
        return type(value)(**{**dict(zip(names, values(value), strict=True)), **changes})


@cache
def _parts(kind: Any) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    names = tuple(field.name for field in fields(kind))
    return names, attrgetter(*names)


__all__ = ["replace"]
