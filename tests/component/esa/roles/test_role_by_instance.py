"""Credentials of an instance's RAM role, against its metadata at the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from esa_preload_operator.domain.errors import Reason
from esa_preload_operator.esa.roles import METADATA
from support.cloud import INSTANCE_ROLE

if TYPE_CHECKING:
    from support.own_keys import Bench


def on_instance(bench: Bench, **environment: str) -> None:
    bench.environment.clear()
    bench.environment |= environment


async def test_the_named_role_of_the_instance_by_imdsv2(bench: Bench) -> None:
    on_instance(bench, ALIBABA_CLOUD_ECS_METADATA=INSTANCE_ROLE)
    found = await bench.credentials()
    assert (found.access_key_id, found.security_token) == ("STS.key-id-1", "issued-security-token-1")
    assert bench.cloud.requests == [
        ("PUT", "/latest/api/token"),
        ("GET", f"/latest/meta-data/ram/security-credentials/{INSTANCE_ROLE}"),
    ]


async def test_the_instance_tells_its_role_if_a_setting_wants_that(bench: Bench) -> None:
    on_instance(bench)
    bench.own = bench.open(ecs_ram_role=True)
    assert await bench.key() == "STS.key-id-1"
    bench.now += 3600
    assert await bench.key() == "STS.key-id-2"


@pytest.mark.parametrize(
    ("environment", "setting"),
    [({}, False), ({"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true"}, True),
     ({"ALIBABA_CLOUD_ECS_METADATA": INSTANCE_ROLE, "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "1"}, False)],
)  # fmt: skip
async def test_metadata_are_not_asked_unless_wanted(bench: Bench, environment: dict[str, str], setting: bool) -> None:
    on_instance(bench, **environment)
    bench.own = bench.open(ecs_ram_role=setting)
    error = await bench.refused()
    assert error.problem.reason is Reason.CREDENTIALS_MISSING
    assert not bench.cloud.requests


async def test_rrsa_comes_before_the_instance(bench: Bench) -> None:
    bench.environment["ALIBABA_CLOUD_ECS_METADATA"] = INSTANCE_ROLE
    await bench.key()
    assert len(bench.cloud.forms) == 1


@pytest.mark.parametrize("name", ["", "other"])
async def test_an_instance_without_that_role_says_so_until_it_has_one(bench: Bench, name: str) -> None:
    on_instance(bench, ALIBABA_CLOUD_ECS_METADATA=name)
    bench.own = bench.open(ecs_ram_role=True)
    bench.cloud.instance_role = ""
    assert "the instance has no RAM role" in str(await bench.invalid())
    bench.cloud.instance_role = name or INSTANCE_ROLE
    await bench.heals()
    assert await bench.key() == "STS.key-id-1"


@pytest.mark.parametrize("answer", [(404, "X", "no IMDSv2 here"), (403, "X", "no")])
async def test_without_imdsv2_there_is_no_way_back_to_the_open_one(bench: Bench, answer: tuple[int, str, str]) -> None:
    on_instance(bench, ALIBABA_CLOUD_ECS_METADATA=INSTANCE_ROLE)
    bench.cloud.refusal = answer
    assert f"HTTP {answer[0]}" in str(await bench.invalid())
    assert [method for method, _ in bench.cloud.requests] == ["PUT"]


@pytest.mark.parametrize("role", ["../../user-data", "two roles", "a" * 65])
async def test_a_role_name_that_is_none_is_not_asked_for(bench: Bench, role: str) -> None:
    on_instance(bench)
    bench.own = bench.open(ecs_ram_role=True)
    bench.cloud.instance_role = role
    await bench.invalid()
    assert len(bench.cloud.requests) == 2


def test_metadata_are_where_every_instance_has_them() -> None:
    assert METADATA == "http://100.100.100.200"
