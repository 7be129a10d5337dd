"""Reads the body of an answer, at a cost that its length bounds: JSON, or the XML of an error."""

import json
from typing import Any, Final
from xml.parsers import expat

MAX_VALUES: Final = 50_000
"""Values in one body; a page of fifty jobs has some thousands. As objects, two bytes of a body become a hundred."""
_MAX_XML: Final = 16 * 1024
"""Bytes of an error in XML that are read; the parts that matter stand in the first kilobyte."""
_WANTED: Final = frozenset({"Code", "Message", "RequestId"})


class UnreadableBodyError(ValueError):
    """The body is neither JSON nor the XML of an error, or it holds too much; the message says which."""


def parse_json(body: bytes) -> Any:
    """Return the JSON of a body.

    Raises:
        UnreadableBodyError: it is none, or holds too many values.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise UnreadableBodyError(f"holds more than {MAX_VALUES} values")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise UnreadableBodyError("is no JSON object") from None


def parse_error(body: bytes) -> Any:
    """Return the fields of an error, from JSON or from XML, of which three matter.

    Raises:
        UnreadableBodyError: there are none.
    """
    try:
        return parse_json(body)
    except UnreadableBodyError:
        return _ErrorXml().read(body)


class _ErrorXml:
    """Collects the texts that stand right below the element `Error`. A document type is refused, so no entity grows."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}
        self._path: list[str] = []
        self._text: list[str] = []

    def read(self, body: bytes) -> dict[str, str]:
        """Return what the first kilobytes tell; what is cut off there is missing.

        Raises:
            UnreadableBodyError: this is no XML, or not that of an error.
        """
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.StartDoctypeDeclHandler = self._refuse
        text = body[:_MAX_XML].decode("utf-8", "replace").lstrip()
        try:
            parser.Parse(text, len(body) <= _MAX_XML)
        except (expat.ExpatError, ValueError):
            raise UnreadableBodyError("is no XML of an error") from None
        return self._found

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        if not self._path and name != "Error":
            raise UnreadableBodyError
        self._path.append(name)
        self._text.clear()

    def _end(self, name: str) -> None:
        if len(self._path) == 2 and name in _WANTED:
            self._found.setdefault(name, "".join(self._text).strip())
        self._path.pop()
        self._text.clear()

    def _refuse(self, *_declared: object) -> None:
        raise UnreadableBodyError
