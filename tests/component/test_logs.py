"""What stands in the log of a process."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.runtime.logs import set_up_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOGGER = logging.getLogger("esa_preload_operator.test_logs")
REF = ObjectRef("team-a", "nightly")
PLAIN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (DEBUG|INFO|WARNING|ERROR) +\S")


@pytest.fixture(autouse=True)
def root() -> Iterator[None]:
    """The root logger as it was, whatever a test set up."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


def written(style: str, log: Callable[[], object], level: str = "info") -> str:
    """What the process would write to stderr."""
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        set_up_logs(style, level)
        log()
    return stream.getvalue()


def record(style: str, log: Callable[[], object]) -> dict[str, Any]:
    line, rest = written(style, log).split("\n")
    assert rest == ""
    return dict(json.loads(line))


def boom() -> None:
    try:
        raise ValueError("two\nlines")  # noqa: TRY301 - the traceback is what is tested
    except ValueError:
        LOGGER.exception("%s: failed", REF)


def test_json_carries_time_severity_logger_message_and_the_object() -> None:
    line = record("json", lambda: LOGGER.warning("%s: %s", REF, "what happened"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("timestamp"))
    assert line == {
        "severity": "warning",
        "logger": LOGGER.name,
        "message": "team-a/nightly: what happened",
        "object": {"kind": "ScheduledPreloadJob", "namespace": "team-a", "name": "nightly"},
    }


def test_json_of_a_line_about_no_object_names_none() -> None:
    assert "object" not in record("json", lambda: LOGGER.info("watching %d resources", 3))
    assert "object" not in record("json", lambda: LOGGER.info("stopping"))


def test_an_exception_is_one_line_of_json() -> None:
    line = record("json", boom)
    assert line["exception"].startswith("Traceback")
    assert "ValueError: two\nlines" in line["exception"]


def test_an_exception_in_plain_text_can_not_pass_for_another_record() -> None:
    first, *rest = written("plain", boom).splitlines()
    assert PLAIN.match(first)
    assert rest
    assert not any(PLAIN.match(line) for line in rest)


@example("\x9b31m\x7f\x1b")
@given(st.text(st.characters() | st.sampled_from("\r\n\u2028\u2029\x85\x0b\x0c\x1b\x00")))
def test_no_text_forges_a_line(text: str) -> None:
    forged = f"{text}\n2026-01-01T00:00:00.000000Z INFO    n/j: reset Succeeded"
    lines = written("plain", lambda: LOGGER.info("%s: %s", REF, forged)).splitlines()
    assert len(lines) == 1
    assert PLAIN.match(lines[0])
    assert not set("\x1b\x7f\x9b") & set(lines[0])
    assert record("json", lambda: LOGGER.info("%s: %s", REF, forged))["message"] == f"{REF}: {forged}"


@pytest.mark.parametrize("text", ["\ud800 alone", "\udcff"])
@pytest.mark.parametrize("style", ["plain", "json"])
def test_text_that_is_no_unicode_is_still_a_line(style: str, text: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace")  # as Python opens stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        set_up_logs(style, "info")
        LOGGER.info("%s: %s", REF, text)
    stream.flush()
    line = raw.getvalue().decode()
    assert line.count("\n") == 1
    assert style == "plain" or json.loads(line)["message"] == f"{REF}: {text}"


def test_the_level_is_a_floor() -> None:
    def log() -> None:
        LOGGER.debug("a")
        LOGGER.info("b")
        LOGGER.warning("c")

    assert [line.split()[-1] for line in written("plain", log, "warning").splitlines()] == ["c"]
    assert [line.split()[-1] for line in written("plain", log, "debug").splitlines()] == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["httpx", "aiohttp.access", "kopf.objects", "kubernetes.client.rest"])
def test_libraries_that_print_urls_are_quiet_even_when_debugging(name: str) -> None:
    logged = written("plain", lambda: logging.getLogger(name).info("GET https://h/?Signature=s"), "debug")
    assert logged == ""


STEERING = "\x00\x1b\x7f\x85\x9b\xa0\xad\u061c\u200b\u200e\u202a\u202e\u2028\u2029\u2066\u2069\ufeff\U000e0001\ud800"


def failing() -> None:
    try:
        raise ValueError(f"a{STEERING}\n2026-01-01T00:00:00.000000Z INFO    n/j: reset Succeeded")  # noqa: TRY301
    except ValueError:
        LOGGER.exception("%s: %s", REF, STEERING)


@pytest.mark.parametrize("style", ["plain", "json"])
def test_nothing_in_a_log_steers_what_shows_it(style: str) -> None:
    for line in written(style, failing).removesuffix("\n").split("\n"):
        assert line.isprintable()
        assert style == "plain" or line.isascii()


def test_the_text_of_an_exception_can_not_pass_for_a_record() -> None:
    first, *rest = written("plain", failing).splitlines()
    assert PLAIN.match(first)
    assert rest
    assert not any(PLAIN.match(line) for line in rest)
