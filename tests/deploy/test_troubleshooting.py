"""docs/troubleshooting.md, where people look for what they see: each text is one that the code really writes."""

from __future__ import annotations

import ast
import functools
import re
from typing import TYPE_CHECKING, Final

import pytest

from esa_preload_operator.cli.plugin.advice import ADVICE
from support.manifests import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE: Final = (ROOT / "docs" / "troubleshooting.md").read_text()
SOURCES: Final = ROOT / "operator" / "esa_preload_operator"
POLICY: Final = ROOT / "deploy/helm/esa-preload-operator/templates/resetpolicy.yaml"


def texts_of(source: Path) -> Iterator[str]:
    """Yield the strings of a module but its docstrings, those with values in them with `…` in their place."""
    module = ast.parse(source.read_text())
    docstrings = {node.value for node in ast.walk(module) if isinstance(node, ast.Expr)}
    for node in ast.walk(module):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            yield re.sub(r"\{\w*\}|%[sd]", "…", node.value)


@functools.cache
def texts() -> frozenset[str]:
    return frozenset(text for source in SOURCES.rglob("*.py") for text in texts_of(source)) | {POLICY.read_text()}


def is_written(quoted: str) -> bool:
    """Return whether each part of a quoted text stands in the code; a code or reason in front of it, too."""
    code = re.match(r"([A-Z][A-Za-z]+(?:\.[A-Za-z]+)?): ", quoted)
    if code is not None and code.group(1) in texts():
        quoted = quoted[code.end() :]
    return all(any(part.strip(" :") in text for text in texts()) for part in quoted.split("…"))


def quoted() -> list[str]:
    shown = re.findall(r"(?m)^### .+$|^\| `.+?` \|", PAGE)
    return [text for line in shown for text in re.findall(r"`([^`]+)`", line)]


def test_the_page_has_many_texts() -> None:
    assert len(quoted()) > 80


@pytest.mark.parametrize("text", quoted())
def test_the_code_writes_each_text_of_the_page(text: str) -> None:
    assert is_written(text)


def test_a_text_that_the_code_does_not_write_is_found_out() -> None:
    assert not is_written("CredentialsMissing: Secret … is not there")
    assert not is_written("NoSuchCode: …")


@pytest.mark.parametrize("reason", sorted({*ADVICE} - {"ResetFailed"}))
def test_the_page_names_each_reason_that_has_an_advice(reason: str) -> None:
    assert reason in PAGE
