"""An endpoint that echoes what a request carried reaches no status, Event, log or metric with it."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from esa_preload_operator.domain.errors import EsaError
from esa_preload_operator.domain.esa import ExecutionChange, NewExecution
from esa_preload_operator.esa.client import EsaClient
from esa_preload_operator.esa.credentials import Credentials
from esa_preload_operator.esa.throttle import Throttle
from esa_preload_operator.esa.transport import Connections
from support.raw_server import RawServer
from support.sending import JOB_ID, create, yes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from support.raw_server import Behaviour, RawConnection

KEYS = Credentials("LTAI5tEcho4Id", "a/Secret+that=is/kept", "CAIS/token+that=is/kept" * 10)
TEXTS = ("Name", "ErrorInfo", "Domains", "FailedFileOss", "FileId", "InsertWay", "TaskType", "AliUid", "RequestId")
DISGUISES: dict[str, Callable[[str], str]] = {
    "plain": lambda text: text,
    "quoted": lambda text: quote(text, safe=""),
    "in a sentence": lambda text: f"we got {text}, thanks",
    "with characters that don't show": "\u200b".join,
    "with control characters": "\x00".join,
}


def echoing(body: Callable[[list[str]], object], status: str = "200 OK") -> Behaviour:
    """Answers with what the request's headers hold."""

    async def behave(connection: RawConnection) -> None:
        while True:
            head = await connection.request()
            headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            signed = headers["authorization"]
            secrets = [headers["x-acs-security-token"], signed, signed.rpartition("=")[2], KEYS.access_key_secret]
            extra = f"x-acs-request-id: {signed}\r\nContent-Type: text/{secrets[2]}\r\n"
            await connection.answer(json.dumps(body(secrets)).encode(), status, extra)

    return behave


class Calls:
    """Makes every call and collects all that is shown of the answers."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    async def make(self, behaviour: Behaviour) -> list[str]:
        async with RawServer(behaviour) as server:
            connections = Connections(server.url, request_timeout=30)
            client = EsaClient(KEYS, connections, Throttle(1000), observe=self._observe)
            calls: list[Callable[[], Awaitable[object]]] = [
                lambda: client.get_job(JOB_ID),
                lambda: client.reset_job(JOB_ID, yes),
                lambda: client.list_jobs(7, ""),
                lambda: client.list_executions(JOB_ID),
                lambda: create(client, yes),
                lambda: client.delete_job(JOB_ID, yes),
                lambda: client.create_executions(JOB_ID, [NewExecution(0, 60, 30, 5)], yes),
                lambda: client.update_execution(JOB_ID, ExecutionChange(end=60), yes),
                lambda: client.start_execution(JOB_ID, yes),
                lambda: client.stop_execution(JOB_ID, yes),
                lambda: client.delete_execution(JOB_ID, yes),
            ]
            for call in calls:
                try:
                    self.shown.append(repr(await call()))
                except EsaError as error:
                    self.shown += [str(error), repr(error.problem), repr(error.__cause__), repr(error.__context__)]
            await connections.close()
            signatures = [head.partition("Signature=")[2].partition("\r")[0] for head in server.requests]
        assert all(len(signature) == 64 for signature in signatures)
        return signatures

    def _observe(self, action: str, code: str, _seconds: float) -> None:
        self.shown.append(f"{action} {code}")


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "500 Oops"])
async def test_no_echo_is_shown(disguise: str, status: str, caplog: pytest.LogCaptureFixture) -> None:
    hide = DISGUISES[disguise]

    def body(secrets: list[str]) -> object:
        texts = {name: hide(secrets[number % len(secrets)]) for number, name in enumerate(TEXTS)}
        texts |= {"Code": hide(secrets[0])[:100], "Message": " ".join(map(hide, secrets))}
        texts |= {hide(secret): hide(secret) for secret in secrets}
        job = {"Id": JOB_ID, "SiteId": 7, **texts}
        other = {**job, "Id": hide(secrets[0])}
        return {
            **job,
            "TotalCount": 2,
            "Jobs": [job, other],
            "Executions": [{"Id": "1", "Status": hide(secrets[2])}, other],
            "SuccessExecutions": [{"Id": hide(secrets[2]), "Status": hide(secrets[1])}],
            "FailedExecutions": [other],
            "FailedMessages": [" ".join(map(hide, secrets))],
        }

    calls = Calls()
    with caplog.at_level(logging.DEBUG):
        signatures = await calls.make(echoing(body, status))
    bare = (
        "".join(filter(str.isprintable, "\n".join([*calls.shown, caplog.text])))
        .replace("\\u200b", "")
        .replace("\\x00", "")
    )
    for secret in (KEYS.access_key_id, KEYS.access_key_secret, KEYS.security_token, *signatures):
        assert secret not in bare
        assert quote(secret, safe="") not in bare


async def test_what_is_no_secret_is_shown_as_it_is() -> None:
    calls = Calls()
    await calls.make(echoing(lambda _: {"Id": JOB_ID, "Name": "a/b+c=d", "ErrorInfo": "invalid url:https://h/a?x=1"}))
    assert "name='a/b+c=d'" in calls.shown[1]
    assert "error_info='invalid url:https://h/a'" in calls.shown[1]
