"""Control, format and bidi characters from outside show nowhere as what they are."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from esa_preload_operator.domain.cleaning import printable
from esa_preload_operator.domain.conditions import Finding, State, judged, shows, with_urls
from esa_preload_operator.domain.errors import EsaError
from esa_preload_operator.domain.esa import EsaJob
from esa_preload_operator.domain.ports import Involved, ObjectRef
from esa_preload_operator.domain.reset_writes import name_tokens
from esa_preload_operator.esa.errors import Answer, read_json
from esa_preload_operator.esa.models import read_job
from esa_preload_operator.k8s.connection import Answer as ApiAnswer
from esa_preload_operator.k8s.events import EventRecorder
from esa_preload_operator.k8s.feed import RELIST, _interruption_of, _read, _RelistError

STEERING = "\x00\x1b\x7f\x85\x9b\xa0\xad\u061c\u200b\u200e\u202a\u202e\u2028\u2029\u2066\u2069\ufeff\U000e0001\n\r\t"


def test_each_of_them_is_escaped_or_a_space() -> None:
    assert printable("a\u202eb\u2028c\nd\x9be") == "a\\u202eb c d\\x9be"
    assert printable(f"ü {STEERING}").isprintable()
    assert printable("Ünïcode 日本語 🦥") == "Ünïcode 日本語 🦥"


def test_the_fields_of_a_job_show_none() -> None:
    told = dict.fromkeys(("Name", "ErrorInfo", "Domains", "FailedFileOss", "InsertWay", "FileId"), f"x{STEERING}y")
    job = read_job({"Id": "j1", **told}, "r", "j1")
    for text in (job.name, job.error_info, job.domains, job.failed_file_oss, job.insert_way, job.file_id):
        assert text is not None
        assert text.isprintable()


def test_an_error_of_esa_shows_none() -> None:
    body = json.dumps({"Code": "Busy", "Message": f"x{STEERING}y", "RequestId": f"r{STEERING}"}).encode()
    for headers in ({}, {"content-type": f"text/{STEERING}", "x-acs-request-id": STEERING}):
        for content in (body, b"", b"<Error><Code>A</Code><Message>a&#x202e;b</Message></Error>"):
            with pytest.raises(EsaError) as caught:
                read_json(Answer(500, headers, content))
            assert str(caught.value.problem).isprintable()


@pytest.mark.parametrize("body", [{"reason": STEERING, "message": f"a{STEERING}b"}, {"reason": [STEERING]}, STEERING])
def test_a_refusal_of_the_api_server_shows_none(body: Any) -> None:
    assert ApiAnswer(422, body).explanation.isprintable()


def test_the_cause_of_an_interrupted_watch_shows_none() -> None:
    line = json.dumps({"type": "ERROR", "object": {"code": 500, "reason": STEERING, "message": STEERING}})
    with pytest.raises(_RelistError) as caught:
        _read(line.encode())
    for error in (caught.value, ValueError(STEERING), RuntimeError(STEERING)):
        assert _interruption_of(error, {}).text.isprintable()
    assert RELIST.kind == "ERROR"


def test_conditions_show_none_and_are_not_written_again_for_them() -> None:
    finding = Finding(State.BLOCKED, "EsaError", f"Code: a{STEERING}b")
    conditions = judged([], finding, 1, "2026-01-01T00:00:00Z")
    conditions = with_urls(conditions, EsaJob("j", error_info=f"invalid{STEERING}", failed_file_oss=STEERING), 1, "")
    assert all(condition.message.isprintable() for condition in conditions)
    assert shows(conditions, finding)


async def test_an_event_shows_none() -> None:
    class Api:
        def __init__(self) -> None:
            self.notes: list[str] = []

        async def request(self, _method: str, _path: str, body: Any, **_: Any) -> ApiAnswer:
            self.notes.append(body["note"])
            return ApiAnswer(201, {})

    api = Api()
    recorder = EventRecorder(api, "pod")  # type: ignore[arg-type] # only its requests are needed
    recorder.post(Involved(ObjectRef("n", "j"), "uid", "1"), "EsaError", f"a{STEERING}b", warning=True)
    await asyncio.wait_for(recorder.drain(30), 60)
    assert len(api.notes) == 1
    assert api.notes[0].isprintable()


def test_a_token_in_a_message_shows_none() -> None:
    assert name_tokens((("resetRequested", f"a{STEERING}b"),)).isprintable()
