"""Every setting, from the class that reads them."""

from typing import Any, Final, get_args

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from esa_preload_operator.runtime.settings import Settings
from tables import code, table

_UNITS: Final = ((3600, "h"), (60, "m"), (1, "s"))


def made() -> str:
    """Return a table of all settings."""
    rows = (
        (code(name.upper()), _kind(info), code(_default(info)), info.description or "")
        for name, info in Settings.model_fields.items()
    )
    return table(("Name", "Kind", "Default", "Meaning"), rows)


def _is_duration(info: FieldInfo) -> bool:
    return info.annotation is float and any(isinstance(each, BeforeValidator) for each in info.metadata)


def _kind(info: FieldInfo) -> str:
    if _is_duration(info):
        return "duration"
    if words := get_args(info.annotation):
        if all(isinstance(each, str) for each in words):
            return " or ".join(code(each) for each in words)
        return "names"
    kind = {bool: "`true` or `false`", int: "number", float: "number", str: "text"}[_plain(info.annotation)]
    bounds = {
        name: value
        for each in info.metadata
        for name in ("ge", "le")
        if (value := getattr(each, name, None)) is not None
    }
    return f"{kind}, {bounds['ge']} to {bounds['le']}" if bounds else kind


def _plain(annotation: Any) -> type:
    if not isinstance(annotation, type):
        raise TypeError(f"no words for the type {annotation}")
    return annotation


def _default(info: FieldInfo) -> str:
    value = info.default
    if _is_duration(info):
        return _duration(value)
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    size, unit = next((each for each in _UNITS if seconds >= each[0] and seconds % each[0] == 0), _UNITS[-1])
    return f"{seconds / size:g}{unit}"
