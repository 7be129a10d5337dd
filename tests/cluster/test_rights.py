"""The shipped roles allow what the operator does, and nothing else."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from esa_preload_operator.resources.job import RESET_KEY
from support.api_proxy import ApiProxy, Match
from support.calls import RESET
from support.owned import URLS, delete, is_gone, make_owned, put_config_map
from support.world import RBAC, ROOT

if TYPE_CHECKING:
    from support.world import World

PACKAGE = ROOT / "operator" / "esa_preload_operator"
SECRETS = Match("GET", "/secrets$")


class Right(NamedTuple):
    """One thing that a rule allows; `name` is empty where the rule names no object."""

    group: str
    resource: str
    verb: str
    name: str = ""


def granted() -> set[Right]:
    roles = [each for each in yaml.safe_load_all(RBAC.read_text()) if each and "rules" in each]
    return {
        Right(group, resource, verb, name)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def used(events: list[dict[str, Any]]) -> set[Right]:
    """Every request to an object or a collection, with and without the object's name."""
    found = set()
    for event in events:
        if target := event.get("objectRef"):
            sub = f"/{target['subresource']}" if "subresource" in target else ""
            right = Right(target.get("apiGroup", ""), target["resource"] + sub, event["verb"], target.get("name", ""))
            found |= {right, right._replace(name="")}
    return found


def test_the_roles_name_no_wildcard_and_each_rule_the_code_that_needs_it() -> None:
    comment = ""
    rules = 0
    for line in RBAC.read_text().splitlines():
        assert "*" not in line
        if line.startswith("- apiGroups:"):
            files = re.findall(r"\b[a-z0-9_]+/[a-z0-9_]+\.py\b", comment)
            assert files, f"no file stands above {line!r}"
            for file in files:
                assert (PACKAGE / file).is_file(), file
            rules += 1
        comment = line if line.startswith("#") else ""
    assert rules == sum(len(each.get("rules", ())) for each in yaml.safe_load_all(RBAC.read_text()) if each)


async def live_and_die(world: World, proxy: ApiProxy) -> None:
    """Create a job from a ConfigMap, change the ConfigMap, and delete the resource."""
    put_config_map(world, "urls", "\n".join(URLS))
    make_owned(world, 4, source={"configMapKeyRef": {"name": "urls", "key": "list.txt"}})
    await world.reason(4, "Ready")
    before = world.status(4)["jobId"]
    await proxy.until(lambda: bool(proxy.requests(Match("GET", "/configmaps$", watch=True))))
    put_config_map(world, "urls", URLS[0])
    await world.until(lambda: world.status(4).get("jobId", before) != before)
    delete(world, 4)
    await world.until(lambda: is_gone(world, 4))


async def test_every_right_is_used_and_every_request_is_allowed(world: World) -> None:
    world.seed(1, 2, 3)
    world.make_secret()
    world.create(1, credentialsSecretRef={"name": "esa-credentials"})
    world.create(2, minResetInterval="3s")
    async with ApiProxy(world.control_plane, user=world.user) as proxy:
        gate = proxy.hold(SECRETS)  # until the Secrets are listed, one is read when it is needed
        operator = world.operator(proxy.kubeconfig)
        await world.reason(1, "Ready")
        gate.release()
        await proxy.until(lambda: bool(proxy.requests(Match("GET", "/secrets$", watch=True))))

        for token in ("first", "second"):  # the second one is held
            world.annotate(2, token)
            await world.handled(2, token)
        world.fault("drop_after", action=RESET, jobId=world.esa_id(1))  # its recovery reads
        world.annotate(1, "first")
        await world.handled(1, "first")

        world.make_secret(accessKeyId=None)  # said twice: once for each version of the spec
        world.patch(1, {"spec": {"minResetInterval": "1s"}})
        world.annotate(1, "unusable")
        await world.reason(1, "CredentialsMissing")
        world.patch(1, {"spec": {"minResetInterval": "2s"}})
        await world.until(lambda: any(event.get("series") for event in world.events("CredentialsMissing")))
        world.make_secret()
        await world.handled(1, "unusable")
        world.create(3, annotations={RESET_KEY: "first"})
        await world.handled(3, "first")
        await live_and_die(world, proxy)
        await proxy.until(lambda: len(proxy.requests(Match("PATCH", "/leases/"))) > 1)  # renewed
        operator.terminate()
        assert await asyncio.to_thread(operator.wait) == 0

    def seen() -> list[dict[str, Any]]:
        """All of it once the last request, which releases the Lease, is in the log."""
        events = world.control_plane.audit_events(world.user)
        patched = [e for e in events if e["verb"] == "patch" and e.get("objectRef", {}).get("resource") == "leases"]
        return events if len(patched) >= len(proxy.requests(Match("PATCH", "/leases/"))) else []

    events = await world.until(seen)
    refused = [event["requestURI"] for event in events if event.get("responseStatus", {}).get("code") in (401, 403)]
    assert refused == []
    unused = granted() - used(events)
    assert unused == set(), "rights that nothing has used"
    assert world.resets(1) == 2
    assert world.resets(2) == 2
