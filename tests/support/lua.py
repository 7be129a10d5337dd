"""Argo CD's sandbox for Lua: version 5.1 with base, package and table, and a small `os` that must be required.

The functions of `os` behave as Argo CD's, oddities included: few flags, and a `!` that a given time overrules.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Final

from lupa.lua51 import LuaRuntime, lua_type

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Argo CD, util/lua/oslib_safe.go: any other flag but %w stays as it is written.
_FLAGS: Final = {
    "A": "%A", "b": "%b", "B": "%B", "c": "%d %b %y %H:%M %Z", "d": "%d", "F": "%Y-%m-%d", "H": "%H", "I": "%I",
    "m": "%m", "M": "%M", "p": "%p", "S": "%S", "x": "%H/%M/%y", "X": "%H:%M:%S", "y": "%y", "Y": "%Y", "z": "%z",
    "Z": "%Z",
}  # fmt: skip
_GONE: Final = ("string", "math", "io", "os", "coroutine", "debug", "python", "newproxy", "gcinfo", "collectgarbage")


@dataclass
class Sandbox:
    """Runs one script on objects; `zone` is the time zone of Argo CD's process, `clock` gives epoch seconds."""

    script: Path
    zone: tzinfo = UTC
    clock: Callable[[], float] = time.time
    _lua: Any = field(init=False)
    _run: Any = field(init=False)
    _globals: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self._lua = LuaRuntime(register_eval=False, register_builtins=False, unpack_returned_tuples=True)
        self._lua.execute('debug.setmetatable("", nil)')
        names = self._lua.globals()
        for name in _GONE:
            names[name] = None
            names["package"]["loaded"][name] = None
        library = self._lua.table_from({"time": self._time, "date": self._date})
        self._lua.execute("local os = ...; package.preload.os = function() return os end", library)
        self._run = self._lua.compile(self.script.read_text())
        self._globals = {*names, "obj"}

    def run(self, obj: dict[str, Any]) -> Any:
        """Run the script on a copy of the object and return its answer as plain data.

        Raises:
            LuaError: the script failed.
        """
        names = self._lua.globals()
        names["obj"] = self._lua.table_from(obj, recursive=True)
        answer = _plain(self._run())
        assert set(names) <= self._globals, "a script makes no globals"
        return answer

    def _time(self, fields: Any = None) -> float:
        if fields is None:
            return int(self.clock())
        parts = dict(fields.items())
        start = datetime(parts["year"], parts["month"], parts["day"], tzinfo=self.zone)
        moved = start + timedelta(hours=parts.get("hour", 12), minutes=parts.get("min", 0), seconds=parts.get("sec", 0))
        return moved.timestamp()

    def _date(self, pattern: str = "%c", given: float | None = None) -> Any:
        moment = datetime.fromtimestamp(self.clock(), UTC if pattern.startswith("!") else self.zone)
        if given is not None:
            moment = datetime.fromtimestamp(given, self.zone)
        pattern = pattern.lstrip("!")
        if pattern.startswith("*t"):
            names = {"year": "year", "month": "month", "day": "day", "hour": "hour", "min": "minute", "sec": "second"}
            return self._lua.table_from({name: getattr(moment, part) for name, part in names.items()})
        result, rest = "", pattern
        while rest:
            letter, rest = rest[0], rest[1:]
            if letter == "%" and rest:
                flag, rest = rest[0], rest[1:]
                letter = moment.strftime(_FLAGS[flag]) if flag in _FLAGS else f"%{flag}"
            result += letter
        return result


def _plain(value: Any) -> Any:
    if lua_type(value) != "table":
        return value
    keys = list(value)
    if keys and keys == list(range(1, len(keys) + 1)):
        return [_plain(value[key]) for key in keys]
    return {key: _plain(value[key]) for key in keys}


def as_lua_keeps(value: Any) -> Any:
    """Lua has one empty table for both an empty list and an empty mapping, and one kind of number."""
    if isinstance(value, dict):
        return {key: as_lua_keeps(each) for key, each in value.items()} or []
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return [as_lua_keeps(each) for each in value] if isinstance(value, list) else value
