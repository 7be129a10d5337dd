"""Takes the answer to a list apart while it arrives, so that its objects are never in memory together.

A whole list in one answer may come from the API server's cache, while its pages (`limit`) are read from etcd and cost
the API server several times the CPU, which `make bench` shows as seconds to the first outcome.
"""

import codecs
import json
import re
from collections.abc import Mapping
from typing import Any, Final

_ITEMS: Final = re.compile(r'"items"\s*:\s*\[')
_BETWEEN: Final = re.compile(r"[\s,]*")


class ListReader:
    """Feed it the body as it comes; get each object once it is complete, and in the end the list without objects."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._scan = json.JSONDecoder().raw_decode
        self._head: str | None = None
        """What stands before the objects; None until the first one is in sight."""
        self._text = ""
        self._over = False

    def feed(self, chunk: bytes) -> list[Mapping[str, Any]]:
        """Take some bytes; return the objects that they complete.

        Raises:
            ValueError: this is no UTF-8.
        """
        self._text += self._decode(chunk)
        if self._head is None:
            found = _ITEMS.search(self._text)
            if found is None:
                return []
            self._head, self._text = self._text[: found.end()], self._text[found.end() :]
        return [] if self._over else self._objects()

    def _objects(self) -> list[Mapping[str, Any]]:
        found = []
        at = self._skip(0)
        while at < len(self._text) and self._text[at] == "{":
            try:
                item, end = self._scan(self._text, at)
            except ValueError:  # not complete yet; if it never will be, `rest` complains
                break
            found.append(item)
            at = self._skip(end)
        self._over = self._text[at : at + 1] == "]"
        self._text = self._text[at:]
        return found

    def _skip(self, at: int) -> int:
        between = _BETWEEN.match(self._text, at)
        return between.end() if between is not None else at

    def rest(self) -> Any:
        """Return what is not an object: the list itself, or whatever else the body was.

        Raises:
            ValueError: the body ended too early or is no JSON.
        """
        return json.loads((self._head or "") + self._text + self._decode(b"", final=True))
