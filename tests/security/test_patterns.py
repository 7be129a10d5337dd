"""No text from outside makes a regular expression take more than linear time."""

from __future__ import annotations

import ast
import importlib
import itertools
import pkgutil
import re
import time
from functools import lru_cache
from pathlib import Path
from re import _constants as codes  # type: ignore[attr-defined] # what `re` itself reads patterns with
from re import _parser as parser  # type: ignore[attr-defined] # the same
from typing import TYPE_CHECKING, Any

import pytest

import esa_preload_operator
from esa_preload_operator.domain.cleaning import MAX_TEXT, clean_text
from esa_preload_operator.esa.concealing import conceal
from esa_preload_operator.esa.errors import Answer
from esa_preload_operator.esa.parsing import UnreadableBodyError, parse_error
from esa_preload_operator.resources.durations import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 1 << 20
SMALL, LARGE = 1_000, 8_000
LINEAR = LARGE / SMALL
"""How much more work a linear pattern has; a quadratic one has eight times that again."""
CUT_BEFORE = {"resources.durations._PART": parse_duration}
"""Patterns that would take quadratic time, and what refuses a long text before they see it."""
METHODS = ("search", "match", "fullmatch", "sub", "findall", "finditer", "split")


def modules() -> Iterator[Any]:
    for found in pkgutil.walk_packages(esa_preload_operator.__path__, "esa_preload_operator."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


@lru_cache
def patterns() -> dict[str, re.Pattern[str]]:
    return {
        f"{module.__name__.partition('.')[2]}.{name}": value
        for module in modules()
        for name, value in vars(module).items()
        if isinstance(value, re.Pattern) and re.search(rf"^{name}\b", Path(module.__file__).read_text(), re.MULTILINE)
    }


def uses(where: str) -> set[str]:
    """The methods by which the code applies a pattern; one that is handed on counts as matched from its place."""
    module, _, name = where.rpartition(".")
    text = Path(importlib.import_module(f"esa_preload_operator.{module}").__file__ or "").read_text()
    found = {method for method in METHODS if re.search(rf"\b{name}\b[^\n]*\)?\.{method}\(", text)}
    return found or {"match"}


def samples(tree: Any) -> Iterator[str]:
    """A short text for each part of a pattern, and for what stands around it."""
    for code, value in tree:
        if code is codes.LITERAL:
            yield chr(value)
        elif code in {codes.IN, codes.NOT_LITERAL, codes.ANY}:
            yield _member(code, value)
        elif code in {codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT}:
            inner = list(samples(value[2]))
            yield from inner
            yield "".join(inner)
        elif code is codes.BRANCH:
            for branch in value[1]:
                yield from ("".join(samples([item])) for item in branch)
                yield "".join(next(samples([item]), "") for item in branch)
        elif code is codes.SUBPATTERN:
            yield "".join(next(samples([item]), "") for item in value[3])
            yield from samples(value[3])
        elif code in {codes.ASSERT, codes.ASSERT_NOT}:
            yield from samples(value[1])


def runs(tree: Any) -> Iterator[str]:
    """The words of a pattern."""
    for code, group in itertools.groupby(tree, key=lambda item: item[0]):
        if code is codes.LITERAL:
            yield "".join(chr(value) for _, value in group)


def _member(code: Any, value: Any) -> str:
    if code is codes.ANY:
        return "x"
    text = "a0 -.:/_\n\"'<>{}[],x"
    if code is codes.NOT_LITERAL:
        return next(each for each in text if ord(each) != value)
    one = re.compile(parser_pattern(value))
    return next((each for each in map(chr, range(0x3000)) if one.fullmatch(each) and (each in text)), "") or next(
        each for each in map(chr, range(0x3000)) if one.fullmatch(each)
    )


def parser_pattern(value: Any) -> str:
    """Write a set of characters as a pattern again."""
    parts = []
    for code, each in value:
        if code is codes.NEGATE:
            parts.append("^")
        elif code is codes.LITERAL:
            parts.append(re.escape(chr(each)))
        elif code is codes.RANGE:
            parts.append(f"{re.escape(chr(each[0]))}-{re.escape(chr(each[1]))}")
        else:
            parts.append({"SPACE": r"\s", "NOT_SPACE": r"\S", "DIGIT": r"\d", "WORD": r"\w"}[str(each)[9:]])
    return f"[{''.join(parts)}]"


def worst(pattern: re.Pattern[str], size: int) -> Iterator[str]:
    """Texts that make a backtracking matcher try long and fail late: each part and each pair, many times."""
    tree = list(parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE))
    whole = "".join(next(samples([item]), "") for item in tree)
    parts = list(
        dict.fromkeys(
            part for part in (" ", "0", "a", whole, *runs(tree), *sorted(samples(tree), key=len, reverse=True)) if part
        )
    )[:20]
    units = [*parts, *(first + second for first in parts[:8] for second in parts[:8] if first != second)]
    for unit in dict.fromkeys(units):
        yield unit * (size // len(unit))
        yield whole + unit * (size // len(unit))
        yield parts[0] + unit * (size // len(unit)) + "\0"


def seconds(run: Callable[[str], object], text: str) -> float:
    begun = time.thread_time()
    run(text)
    return time.thread_time() - begun


def growth(pattern: re.Pattern[str], method: str) -> float:
    """How much more CPU the larger one of the worst texts takes, of three tries the least; too much ends the search."""
    run: Callable[[str], object] = getattr(pattern, method)
    if method == "sub":
        run = lambda text: pattern.sub("", text)  # noqa: E731
    most = 0.0
    for small, large in zip(worst(pattern, SMALL), worst(pattern, LARGE), strict=True):
        if seconds(run, large) < 0.003:  # a quadratic one takes a billion steps
            continue
        ratio = min(seconds(run, large) / max(seconds(run, small), 1e-5) for _ in range(3))
        most = max(most, ratio)
        if most > 4 * LINEAR:
            break
    return most


def test_all_patterns_are_found() -> None:
    assert {"domain.cleaning._ADDRESS", "esa.concealing._SIGNED", "k8s.lists._BETWEEN"} <= set(patterns())


def test_no_pattern_is_hidden_inside_a_function() -> None:
    inline = [
        f"{module.__name__}:{node.lineno}"
        for module in modules()
        for node in ast.walk(ast.parse(Path(module.__file__).read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
        and node.func.attr in METHODS
    ]
    assert inline == []


@pytest.mark.parametrize("where", sorted(patterns().keys() - CUT_BEFORE.keys()))
def test_the_work_of_a_pattern_grows_with_its_text_and_no_faster(where: str) -> None:
    for method in uses(where):
        assert growth(patterns()[where], method) < 4 * LINEAR, method
        for text in list(worst(patterns()[where], MIB))[:40]:
            assert method == "sub" or getattr(patterns()[where], method)(text) != 0


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"(server|client|the|our)?\s*(string\s*to\s*sign|signature\s*[=:]).*", "search"),
        (r"(https?://[^\s?#\"<>]*)[?#][^\s\"<>]*", "search"),
        (r"<Code>(.*?)</Code>", "search"),
        (r"[0-9]+(ns|s)", "findall"),
    ],
)
def test_a_pattern_that_is_quadratic_is_caught(pattern: str, method: str) -> None:
    assert growth(re.compile(pattern, re.IGNORECASE | re.DOTALL), method) > 4 * LINEAR


@pytest.mark.parametrize(
    "unit", [" ", "<Code>", "string ", "signature ", "http://", "http://a?", "the ", "\u200b", "\n"]
)
def test_a_megabyte_of_the_worst_text_is_shown_cut(unit: str) -> None:
    text = unit * (MIB // len(unit))
    assert len(clean_text(text).encode()) <= MAX_TEXT
    assert len(conceal(text, ("very-secret",), 1024).encode()) <= 1024


@pytest.mark.parametrize(
    "unit",
    [b" ", b"<Code>", b"<Error>", b"<Error><Code>x</Code>", b"<Code><![CDATA[", b"&lt;", b"<a b='c'>", b"<!--", b"<?x"],
)
def test_a_megabyte_in_place_of_an_error_is_read_as_far_as_a_few_kilobytes(unit: bytes) -> None:
    for start in (b"", b"<Error>"):
        try:
            found = parse_error(Answer(500, {}, start + unit * (MIB // len(unit))).body)
        except UnreadableBodyError:
            continue
        assert set(found) <= {"Code", "Message", "RequestId"}


def test_entities_of_a_document_type_are_refused() -> None:
    lol = '<!ENTITY a "lol">' + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(8))
    for declared in (lol, '<!ENTITY a SYSTEM "file:///etc/passwd">', ""):
        body = f"<!DOCTYPE Error [{declared}]><Error><Code>A</Code><Message>&a;</Message></Error>"
        with pytest.raises(UnreadableBodyError):
            parse_error(body.encode())


@pytest.mark.parametrize("where", sorted(CUT_BEFORE))
def test_a_quadratic_pattern_never_sees_a_long_text(where: str) -> None:
    for text in ("1" * SMALL, "1" * MIB, "1h" * MIB):
        with pytest.raises(ValueError, match="too long"):
            CUT_BEFORE[where](text)
