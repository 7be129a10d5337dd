import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esa_preload_operator.k8s.lists import ListReader

TEXTS = st.text(max_size=8) | st.sampled_from(['"items":[', "]", "},{", "\\", "é", "🦥"])
OBJECTS = st.dictionaries(TEXTS, TEXTS | st.lists(TEXTS, max_size=3) | st.dictionaries(TEXTS, TEXTS, max_size=2))


def read(body: bytes, size: int) -> tuple[list[Any], Any]:
    reader = ListReader()
    found = [item for at in range(0, len(body), size) for item in reader.feed(body[at : at + size])]
    return found, reader.rest()


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
