"""Temporary credentials: the operator's own by a service account's token, and those that end in a Secret."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from support.cloud import Cloud, token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.world import World


@pytest.fixture
async def cloud(world: World) -> AsyncIterator[Cloud]:
    """An STS whose credentials are this world's account's."""

    def known_to_esa(issued: dict[str, str]) -> None:
        world.simulator.add_credentials(
            [
                {
                    "accessKeyId": issued["AccessKeyId"],
                    "accessKeySecret": issued["AccessKeySecret"],
                    "securityToken": issued["SecurityToken"],
                    "aliUid": world.account,
                }
            ]
        )

    async with Cloud(on_issue=known_to_esa) as running:
        yield running


@pytest.mark.parametrize("broken", ["unreachable", "expired token"])
async def test_a_role_that_is_not_to_be_had_shows_and_later_resets(
    world: World, cloud: Cloud, tmp_path: Path, broken: str
) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(token("old" if broken == "expired token" else "first"))
    if broken == "unreachable":
        await cloud.stop()
    world.seed(1)
    world.create(1, annotations={"resetRequested": "deploy-1"})
    world.own_credentials = cloud.variables(token_file)
    operator = world.operator()
    ready = await world.reason(1, "CredentialsInvalid")
    assert ready["status"] == "False"
    assert {"unreachable": "connection refused", "expired token": "AuthenticationFail.OIDCToken.Expired"}[broken] in (
        ready["message"]
    )
    token_file.write_text(token("first"))
    if broken == "unreachable":
        await cloud.start()
    status = await world.handled(1, "deploy-1")
    assert (status["reset"]["phase"], world.condition()["status"], world.resets()) == ("Succeeded", "True", 1)
    told = operator.log + str(world.get(1)) + str(await asyncio.to_thread(world.events))
    for part in ("-payload", "-signature", "issued-key-secret", "issued-security-token", "STS.key-id"):
        assert part not in told


async def test_a_security_token_that_ends_in_a_secret_shows_until_the_next_one(world: World) -> None:
    temporary = {"accessKeyId": "STS.of-a-secret", "accessKeySecret": "secret", "aliUid": world.account}
    world.simulator.add_credentials([{**temporary, "securityToken": "first-token", "expires": time.time() - 1}])
    secret = {"accessKeyId": "STS.of-a-secret", "accessKeySecret": "secret"}
    world.make_secret(**secret, securityToken="first-token")
    world.seed(1)
    world.create(1, credentialsSecretRef={"name": "esa-credentials"}, annotations={"resetRequested": "deploy-1"})
    world.operator()
    ready = await world.reason(1, "CredentialsInvalid")
    assert "InvalidSecurityToken.Expired" in ready["message"]
    world.simulator.add_credentials([{**temporary, "securityToken": "second-token", "expires": time.time() + 900}])
    world.make_secret(**secret, securityToken="second-token")
    status = await world.handled(1, "deploy-1")
    assert (status["reset"]["phase"], world.condition()["status"], world.resets()) == ("Succeeded", "True", 1)
