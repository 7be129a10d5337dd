"""Calls of the official client, in short."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from alibabacloud_esa20240910 import models
from alibabacloud_esa20240910.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.utils_models import Config

from support.simulator import ACCESS_KEY_ID, ACCESS_KEY_SECRET, SITE_ID

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.simulator import SimulatorControl

URLS: Final = "https://www.example.com/a.js\nhttps://static.example.com/b.js\n"


def client_of(
    simulator: SimulatorControl, key: str = ACCESS_KEY_ID, secret: str = ACCESS_KEY_SECRET, **more: str
) -> Client:
    endpoint = simulator.url.removeprefix("http://")
    return Client(Config(access_key_id=key, access_key_secret=secret, endpoint=endpoint, protocol="http", **more))


def body_of(answer: Any) -> Any:
    assert answer.status_code == 200
    assert answer.headers["x-acs-request-id"] == answer.body.request_id
    return answer.body


def created(client: Client, **more: Any) -> Any:
    fields = {"insert_way": "textBox", "name": "nightly warm-up", "site_id": SITE_ID, "url_list": URLS} | more
    return body_of(client.create_scheduled_preload_job(models.CreateScheduledPreloadJobRequest(**fields)))


def got(client: Client, job: str) -> Any:
    return body_of(client.get_scheduled_preload_job(models.GetScheduledPreloadJobRequest(id=job)))


def code_of(call: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(ClientException) as refused:
        call()
    return refused.value.status_code, refused.value.code


def a_window(start: timedelta = timedelta(), length: timedelta = timedelta(hours=1), **more: Any) -> Any:
    now = datetime.now(UTC)
    fields = {
        "start_time": (now + start).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "end_time": (now + start + length).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "interval": 60,
        "slice_len": 1,
    }
    return models.CreateScheduledPreloadExecutionsRequestExecutions(**(fields | more))


def with_executions(client: Client, job: str, *windows: Any) -> Any:
    request = models.CreateScheduledPreloadExecutionsRequest(id=job, executions=list(windows))
    return body_of(client.create_scheduled_preload_executions(request))


def executions_of(client: Client, job: str) -> Any:
    return body_of(client.list_scheduled_preload_executions(models.ListScheduledPreloadExecutionsRequest(id=job)))
