"""The RAM policies that are shipped, and the page that shows them, follow the code."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from esa_preload_operator.esa import client, errors, own, roles
from esa_preload_operator.esa.endpoint import SITES
from esa_preload_operator.esa.own import sts_of
from esa_preload_operator.esa.session import _AHEAD
from support.owned import WINDOW, delete, is_gone, make_owned, own_jobs, window
from support.ram import POLICY, allowed_actions

if TYPE_CHECKING:
    from support.world import World

ROOT: Final = Path(__file__).parents[2]
TRUST: Final = ROOT / "deploy" / "ram" / "trust-policy.json"
PAGE: Final = (ROOT / "docs" / "credentials.md").read_text()


def source(module: Any) -> ast.Module:
    return ast.parse(Path(module.__file__).read_text())


def called_actions() -> set[str]:
    """Return the actions of those methods of the client that are used; each must be written out there."""
    package = Path(client.__file__).parents[1]
    code = "\n".join(path.read_text() for path in package.rglob("*.py"))
    found = set()
    for method in ast.walk(source(client)):
        if isinstance(method, ast.AsyncFunctionDef) and f".{method.name}(" in code:
            for node in ast.walk(method):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "_call":
                    found.add(str(ast.literal_eval(node.args[0])))
    assert found
    return found


def test_the_policy_allows_what_the_operator_calls_and_nothing_else() -> None:
    (statement,) = json.loads(POLICY.read_text())["Statement"]
    assert (statement["Effect"], statement["Resource"]) == ("Allow", "*")
    assert statement["Action"] == sorted(statement["Action"])
    assert allowed_actions() == called_actions()


async def test_the_life_of_a_job_needs_every_action_of_the_policy(world: World) -> None:
    """The end of each test run asserts that the simulator's log of all of it holds no other action."""
    since = world.simulator.last_call()
    make_owned(world, executions=[WINDOW])
    with world.operator(REFRESH_ACTIVE="1s", REFRESH_IDLE="1s") as operator:
        operator.wait_to_lead()
        await world.until(lambda: window(world).get("state") == "running", timeout=60)
        world.patch(1, {"spec": {"executions": [WINDOW | {"intervalSeconds": 30}]}})
        await world.until(lambda: window(world).get("intervalSeconds") == 30)
        world.patch(1, {"spec": {"suspend": True}})
        await world.until(lambda: window(world).get("state") == "stopped")
        world.patch(1, {"spec": {"suspend": False}})
        await world.until(lambda: window(world).get("state") == "running")
        world.annotate(1)
        await world.handled(1)
        delete(world)
        await world.until(lambda: is_gone(world))
        called = {each["action"] for each in world.simulator.calls(since=since)}
    assert called == allowed_actions()
    assert own_jobs(world) == []


def test_the_page_shows_the_policy_as_it_is_shipped() -> None:
    assert f"```json\n{POLICY.read_text()}```" in PAGE


def test_the_trust_policy_names_one_service_account_and_the_audience_of_sts() -> None:
    (statement,) = json.loads(TRUST.read_text())["Statement"]
    assert statement["Action"] == "sts:AssumeRole"
    wanted = statement["Condition"]["StringEquals"]
    assert set(wanted) == {"oidc:aud", "oidc:iss", "oidc:sub"}
    assert wanted["oidc:aud"] == "sts.aliyuncs.com"


def test_the_page_names_every_variable_that_is_read_and_no_other() -> None:
    read = {value for name, value in vars(own).items() if name.startswith("ENV_")} | {"ALIBABA_CLOUD_SECURITY_TOKEN"}
    named = set(re.findall(r"ALIBABA_CLOUD_[A-Z_]+", PAGE)) - {"ALIBABA_CLOUD_CREDENTIALS_URI"}
    assert named == read


@pytest.mark.parametrize(("site", "url"), SITES.items())
def test_the_page_names_every_site_and_its_endpoint(site: str, url: str) -> None:
    assert re.search(rf"\| `{site}`[^|]*\| `{url}` \|", PAGE)


def test_the_page_tells_where_sts_is() -> None:
    rows = re.findall(r"^\| (.+STS_\w+=.+|none|the same and .+) \| `?(that host|[\w.-]+)", PAGE, re.MULTILINE)
    variables: dict[str, str] = {}
    told = []
    for cell, host in rows:
        variables |= dict(re.findall(r"(ALIBABA_CLOUD_\w+)=([\w.-]+)", cell))
        found = sts_of(variables, allow_http=False).removeprefix("https://")
        told.append(found == host or (host == "that host" and found == variables[own.ENV_STS_ENDPOINT]))
    assert told == [True] * 4


def test_the_page_explains_every_code_of_the_operators_own() -> None:
    codes = {
        node.args[0].value
        for module in (roles, errors)
        for node in ast.walk(source(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_none"
        if isinstance(node.args[0], ast.Constant)
    }
    assert len(codes) == 6
    assert {code for code in codes if str(code) not in PAGE} == set()


def test_the_page_tells_when_renewal_begins() -> None:
    assert _AHEAD == 900
    assert "last quarter of an hour" in PAGE
