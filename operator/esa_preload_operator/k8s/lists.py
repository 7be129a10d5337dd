"""Takes the answer to a list apart while it arrives, so that its objects are never in memory together.

A whole list in one answer may come from the API server's cache, while its pages (`limit`) are read from etcd and cost
the API server several times the CPU, which `make bench` shows as seconds to the first outcome.
"""

import codecs
import json
import re
from collections.abc import Mapping
from typing import Any, Final

LARGEST_OBJECT: Final = 4 << 20
"""Characters of an object above which it is skipped; etcd takes no more than 1.5 MiB unless it is told to."""

_ITEMS: Final = re.compile(r'"items"\s*:\s*\[')
_BETWEEN: Final = re.compile(r"[\s,]*")
_IN_STRING: Final = re.compile(r'["\\]')
_OUTSIDE: Final = re.compile(r'["{}]')


class ListReader:
    """Feed it the body as it comes and get the complete objects; `end` returns the last ones, `rest` what is no object.

    Time is linear in the body: an incomplete object is tried again only when as much as was there has come on top.
    """

    def __init__(self) -> None:
        self.skipped = 0
        """Objects that are too large or nested too deeply."""
        # A string that is no UTF-8 must not hide the other objects.
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._scan = json.JSONDecoder().raw_decode
        self._head: str | None = None
        """What stands before the objects; None until the first one is in sight."""
        self._text: list[str] = []
        self._size = 0
        self._enough = 0
        """Characters to wait for before the text is looked at again."""
        self._skipping: _EndOfObject | None = None
        self._over = False

    def feed(self, chunk: bytes) -> list[Mapping[str, Any]]:
        """Take some bytes; return objects that are complete.

        Raises:
            ValueError: this is no list of objects.
        """
        text = self._decode(chunk)
        self._text.append(text)
        self._size += len(text)
        if self._size > 3 * LARGEST_OBJECT:
            raise ValueError("no list of objects")
        return [] if self._over or self._size < self._enough else self._look()

    def end(self) -> list[Mapping[str, Any]]:
        """Return the objects that are left when the body is over."""
        return [] if self._over else self._look()

    def _look(self) -> list[Mapping[str, Any]]:
        text = self._take_text()
        if self._head is None:
            found = _ITEMS.search(text)
            if found is None:
                self._keep(text, 2 * len(text))
                return []
            self._head, text = text[: found.end()], text[found.end() :]
        return self._objects(text)

    def _take_text(self) -> str:
        text = "".join(self._text)
        self._text.clear()
        self._size = 0
        return text

    def _keep(self, text: str, enough: int = 0) -> None:
        self._text.append(text)
        self._size = len(text)
        self._enough = enough

    def _objects(self, text: str) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        at = 0
        while True:
            if self._skipping is not None:
                at = self._skipping.find(text, at)
                if at < 0:
                    self._keep("")
                    return found
                self._skipping = None
            at = _after(_BETWEEN, text, at)
            if text[at : at + 1] != "{":
                break
            try:
                item, at = self._scan(text, at)
            except json.JSONDecodeError:  # not complete yet; if it never will be, `rest` raises
                if len(text) - at <= LARGEST_OBJECT:
                    self._keep(text[at:], 2 * (len(text) - at))
                    return found
                self._skip()
            except (ValueError, RecursionError):  # complete, but a number is too long or it is nested too deeply
                self._skip()
            else:
                found.append(item)
        self._over = text[at : at + 1] == "]"
        self._keep(text[at:])
        return found

    def _skip(self) -> None:
        self.skipped += 1
        self._skipping = _EndOfObject()

    def rest(self) -> Any:
        """Return what is not an object: the list itself, or whatever else the body was.

        Raises:
            ValueError: the body ended too early or is no JSON.
        """
        self._text.append(self._decode(b"", final=True))
        return json.loads((self._head or "") + self._take_text())


class _EndOfObject:
    """Finds where an object ends without reading it."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = 0
        """1 if the next character is escaped by the last one of the text before."""

    def find(self, text: str, at: int) -> int:
        """Return where the object ends in the text that goes on from `at`, or -1."""
        at += self._escaped
        self._escaped = 0
        while found := (_IN_STRING if self._in_string else _OUTSIDE).search(text, at):
            at = found.end()
            match found[0]:
                case '"':
                    self._in_string = not self._in_string
                case "\\":
                    at += 1
                case "{":
                    self._depth += 1
                case _:
                    self._depth -= 1
                    if self._depth == 0:
                        return at
        self._escaped = max(0, at - len(text))
        return -1


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()
