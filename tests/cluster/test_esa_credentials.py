"""Credentials: whose are used, who may use them, and how fast a corrected Secret heals."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from esa_preload_operator.resources.job import RESET_KEY
from support.calls import GET, RESET
from support.crashes import PATIENCE
from support.scenarios import credential, shown

if TYPE_CHECKING:
    from support.world import World

SETTINGS = {"REQUEST_TIMEOUT": "2s", "NETWORK_GRACE": "2s", "LEADER_ELECTION": "false"}
SECRET = {"name": "esa-credentials"}
TOKEN = "CAISsecurityTokenThatNobodySees"
WRONG = "wrongSecretThatNobodySees"


def looks(world: World) -> list[dict[str, Any]]:
    """Return all looks at job 1, also those that ESA refused before it read whose job it is."""
    return [call for call in world.simulator.calls(GET) if call["params"].get("Id") == world.esa_id(1)]


async def looked(world: World, times: int) -> None:
    await world.until(lambda: len(looks(world)) >= times)


async def test_a_corrected_secret_works_at_once(world: World) -> None:
    world.seed(1)
    world.operator(None, **SETTINGS)
    world.create(1, annotations={RESET_KEY: "t1"}, credentialsSecretRef=SECRET)
    assert "does not exist" in (await world.reason(1, "CredentialsMissing"))["message"]
    world.make_secret(accessKeySecret=None)
    await world.until(lambda: "key accessKeySecret of Secret" in world.condition(1)["message"])
    world.make_secret(accessKeySecret="two words")
    await world.reason(1, "CredentialsInvalid")
    for number in range(3):  # each failure doubles the wait that a correction must not have to sit out
        world.make_secret(accessKeySecret=f"{WRONG}{number}")
        await looked(world, number + 1)
    await world.until(lambda: "SignatureDoesNotMatch" in world.condition(1)["message"])
    assert (world.resets(), world.calls(RESET)) == (0, 0)
    world.make_secret()
    status = await world.handled(1, timeout=25)
    assert (world.resets(), status["reset"]["phase"]) == (1, "Succeeded")
    assert {event["reason"] for event in world.events()} == {
        "CredentialsMissing",
        "CredentialsInvalid",
        "ResetSucceeded",
    }
    assert WRONG not in shown(world)


async def test_a_security_token_in_the_secret_is_sent_and_replaced(world: World) -> None:
    world.simulator.add_credentials([credential(world, securityToken=TOKEN)])
    world.seed(1)
    world.make_secret(securityToken="old")
    operator = world.operator(None, **SETTINGS)
    world.create(1, annotations={RESET_KEY: "t1"}, credentialsSecretRef=SECRET)
    await world.reason(1, "CredentialsInvalid")
    world.make_secret(securityToken=TOKEN)
    await world.handled(1)
    assert world.resets() == 1
    assert TOKEN not in shown(world)
    assert not operator.exited


async def test_credentials_that_a_resource_may_not_use_are_never_used(world: World) -> None:
    world.seed(1, 2)
    world.make_secret()
    world.operator(None, **SETTINGS, LEASE_NAMESPACE="elsewhere")
    world.create(1, annotations={RESET_KEY: "t1"})
    world.create(2, annotations={RESET_KEY: "t1"}, credentialsSecretRef={"name": "other"})
    told = (await world.reason(1, "CredentialsNotAllowed"))["message"]
    assert "DEFAULT_CREDENTIALS_NAMESPACES" in told
    told = (await world.reason(2, "CredentialsNotAllowed"))["message"]
    assert "CREDENTIALS_SECRET_NAMES" in told
    assert looks(world) == []
    for number in (1, 2):
        world.patch(number, {"spec": {"credentialsSecretRef": SECRET}})
        await world.handled(number)
    assert (world.resets(1), world.resets(2)) == (1, 1)


async def test_a_namespace_that_is_named_may_use_the_operators_own_credentials(world: World) -> None:
    world.seed(1)
    world.operator(None, **SETTINGS, LEASE_NAMESPACE="elsewhere", DEFAULT_CREDENTIALS_NAMESPACES=world.namespace)
    world.create(1, annotations={RESET_KEY: "t1"})
    await world.handled(1)
    assert world.resets() == 1


def allow_all_secrets(world: World) -> None:
    """Add what the chart adds when all Secrets are allowed."""
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{world.namespace}"
    role: dict[str, Any] = {
        "metadata": {"name": "secrets"},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}],
    }
    account = {"kind": "ServiceAccount", "name": world.user.rsplit(":", 1)[1], "namespace": world.namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "secrets"}
    binding = {"metadata": {"name": "secrets"}, "roleRef": reference, "subjects": [account]}
    assert world.api.call("POST", f"{path}/roles", role).status == 201
    assert world.api.call("POST", f"{path}/rolebindings", binding).status == 201


def handled(world: World, *numbers: int) -> list[int]:
    return [number for number in numbers if world.status(number).get("handledResets")]


async def test_accounts_in_trouble_slow_nobody_else_down(world: World) -> None:
    throttled, wrong, healthy = range(1, 16), range(16, 31), range(31, 51)
    allow_all_secrets(world)
    world.seed(*throttled, *wrong, *healthy)
    slow = credential(world, accessKeyId=f"{world.access_key_id}slow")
    world.simulator.add_credentials([slow])
    world.fault("throttle", access_key_id=slow["accessKeyId"], times=None, retry_after_ms=100_000)
    world.make_secret(accessKeyId=slow["accessKeyId"])
    world.make_secret("wrong", accessKeySecret=WRONG)
    for name, numbers in (("esa-credentials", throttled), ("wrong", wrong)):
        for number in numbers:
            world.create(number, annotations={RESET_KEY: "t1"}, credentialsSecretRef={"name": name})
    for number in healthy:
        world.create(number, annotations={RESET_KEY: "t1"})
    operator = world.operator(None, **SETTINGS, WORKERS="2", CREDENTIALS_SECRET_NAMES="*")
    await asyncio.to_thread(operator.wait_to_lead)
    for number in healthy:
        await world.handled(number, timeout=PATIENCE)
    assert handled(world, *throttled, *wrong) == []
    assert sum(world.resets(number) for number in healthy) == len(healthy)
    assert sum(world.resets(number) for number in (*throttled, *wrong)) == 0
