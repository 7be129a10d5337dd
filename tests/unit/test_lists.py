import itertools
import json
import sys
import tracemalloc
from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esa_preload_operator.k8s import lists
from esa_preload_operator.k8s.lists import ListReader

TEXTS = st.text(max_size=8) | st.sampled_from(['"items":[', "]", "},{", "\\", "é", "🦥"])
OBJECTS = st.dictionaries(TEXTS, TEXTS | st.lists(TEXTS, max_size=3) | st.dictionaries(TEXTS, TEXTS, max_size=2))


def read(body: bytes, size: int, reader: ListReader | None = None) -> tuple[list[Any], Any]:
    reader = reader or ListReader()
    found = [item for at in range(0, len(body), size) for item in reader.feed(body[at : at + size])]
    return found + reader.end(), reader.rest()


@given(st.lists(OBJECTS, max_size=5), st.integers(1, 40), st.booleans(), st.sampled_from([None, 1]))
def test_a_list_is_read_whole_however_it_is_cut(
    items: list[Any], size: int, ascii_only: bool, indent: int | None
) -> None:
    listed = {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": "7", "continue": ""}}
    body = json.dumps(listed, ensure_ascii=ascii_only, indent=indent).encode()
    assert read(body, size) == (items, listed | {"items": []})


@pytest.mark.parametrize("body", [b'{"items":null}', b'{"kind":"Status","code":403}', b"[]", b'{"items": [ ] }'])
def test_what_is_no_list_of_objects_comes_back_as_it_is(body: bytes) -> None:
    assert read(body, 3) == ([], json.loads(body))


@pytest.mark.parametrize("body", [b"", b'{"items":[{"a":1}', b'{"items":[{"a":', b'{"items":[{"a":1}] '])
def test_a_body_that_ends_too_early_is_no_list(body: bytes) -> None:
    with pytest.raises(json.JSONDecodeError):
        read(body, 4)


def test_what_is_no_utf_8_hides_no_other_object() -> None:
    assert read(b'{"items":[{"a":"\xff"},{"b":1}]}', 5) == ([{"a": "�"}, {"b": 1}], {"items": []})


class CountingReader(ListReader):
    """Counts the characters that the parser is given."""

    def __init__(self) -> None:
        super().__init__()
        self.parsed = 0
        scan = self._scan

        def counting(text: str, at: int = 0) -> tuple[Any, int]:
            self.parsed += len(text) - at
            return scan(text, at)

        self._scan = counting  # type: ignore[assignment] # its parameters are named otherwise


def test_the_parser_reads_large_objects_a_few_times_and_not_once_for_each_chunk() -> None:
    one = {"metadata": {"name": "large"}, "spec": {f"k{number}": "v" * 20 for number in range(10_000)}}
    body = json.dumps({"items": [one] * 4, "metadata": {}}).encode()
    reader = CountingReader()
    found, _ = read(body, 1024, reader)
    assert found == [one] * 4
    assert reader.parsed < 8 * len(body)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_an_object_that_is_too_large_is_skipped_and_the_others_are_read(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(lists, "LARGEST_OBJECT", 300)
    large = {"a": ['}{"\\', {"b": "x" * 2000 + '\\"'}], "é": {}}
    body = json.dumps({"items": [{"n": 1}, large, {"n": 2}, large, {"n": 3}], "metadata": {"v": 1}}).encode()
    reader = ListReader()
    found, rest = read(body, size, reader)
    assert found == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert rest == {"items": [], "metadata": {"v": 1}}
    assert reader.skipped == 2


def test_an_object_that_is_nested_too_deeply_is_skipped_and_the_others_are_read() -> None:
    depth = sys.getrecursionlimit() * 50
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    reader = ListReader()
    found, _ = read(b'{"items":[{"n":1},' + deep + b',{"n":2}]}', 32 * 1024, reader)
    assert found == [{"n": 1}, {"n": 2}]
    assert reader.skipped == 1


def test_a_number_that_is_too_long_hides_no_other_object() -> None:
    found, _ = read(b'{"items":[{"n":' + b"9" * 10_000 + b'},{"n":2}]}', 1024)
    assert found == [{"n": 2}]


def test_a_body_without_objects_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "LARGEST_OBJECT", 300)
    for start in (b"", b'{"items":[] '):
        reader = ListReader()
        reader.feed(start)
        chunks = itertools.repeat(b"0123456789")
        with pytest.raises(ValueError, match="no list"):
            deque(map(reader.feed, chunks), maxlen=0)


def test_many_of_the_largest_objects_are_read_one_by_one_and_few_times() -> None:
    size, count = 1_250_000, 400
    one = json.dumps({"metadata": {"name": "large"}, "data": {"a": "x" * size}}).encode()
    reader, chunk = CountingReader(), 32 * 1024
    stream = itertools.chain([b'{"items":['], *([one, b","] for _ in range(count - 1)), [one, b'],"metadata":{}}'])
    found, most = 0, 0
    tracemalloc.start()
    try:
        for part in stream:
            for at in range(0, len(part), chunk):
                found += len(reader.feed(part[at : at + chunk]))
        found += len(reader.end())
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found, reader.rest()) == (count, {"items": [], "metadata": {}})
    assert most < 12 * size
    assert reader.parsed < 8 * count * len(one)
