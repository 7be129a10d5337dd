import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from esa_preload_operator.handlers.wire import NewsStream

if TYPE_CHECKING:
    from aiohttp import StreamReader

    from esa_preload_operator.runtime.app import App


class Wire:
    """Chunks as aiohttp hands them over."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks
        self.closed = False

    async def iter_chunked(self, _size: int) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk


class Memory:
    """Knows all versions up to ten."""

    def __init__(self) -> None:
        self.signs_of_life = 0

    def alive(self) -> None:
        self.signs_of_life += 1

    def knows(self, body: Mapping[str, Any]) -> bool:
        return int(body["metadata"]["resourceVersion"]) <= 10


def event(kind: str, version: int) -> bytes:
    return json.dumps({"type": kind, "object": {"metadata": {"resourceVersion": str(version), "name": "ü"}}}).encode()


async def sifted(*chunks: bytes) -> list[bytes]:
    stream = NewsStream(cast("StreamReader", Wire(*chunks)), cast("App", Memory()))
    return b"".join([chunk async for chunk in stream.iter_chunked(1024)]).split(b"\n")


async def test_what_is_known_already_becomes_a_bookmark_of_its_version() -> None:
    for kind in ("ADDED", "MODIFIED"):
        known, _ = await sifted(event(kind, 10) + b"\n")
        assert json.loads(known) == {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "10"}}}


async def test_news_deletions_errors_and_what_cannot_be_read_pass_as_they_are() -> None:
    error = b'{"type":"ERROR","object":{"code":410}}'
    lines = [
        event("MODIFIED", 11),
        event("DELETED", 9),
        event("BOOKMARK", 9),
        error,
        b"{",
        b"",
        b"[]",
        b'{"type":"ADDED"}',
    ]
    assert await sifted(b"\n".join(lines) + b"\n") == [*lines, b""]


def cuts(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    for at in range(len(text) + 1):
        yield text[:at], text[at:]


async def test_lines_may_be_cut_anywhere() -> None:
    text = event("MODIFIED", 11) + b"\n" + event("MODIFIED", 12) + b"\n"
    for parts in cuts(text):
        assert await sifted(*parts) == text.split(b"\n")


async def test_a_line_that_is_cut_off_at_the_end_is_not_swallowed() -> None:
    assert await sifted(event("MODIFIED", 11) + b"\n" + b'{"type":"MOD') == [event("MODIFIED", 11), b'{"type":"MOD']


async def test_each_chunk_is_a_sign_of_life_and_the_rest_is_left_to_aiohttp() -> None:
    memory = Memory()
    stream = NewsStream(cast("StreamReader", Wire(b"a", b"b\n")), cast("App", memory))
    assert [chunk async for chunk in stream.iter_chunked(1024)] == [b"ab\n", b""]
    assert memory.signs_of_life == 2
    assert stream.closed is False
