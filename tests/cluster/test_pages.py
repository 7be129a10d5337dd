"""What the pages show does what they say: each manifest is applied as it stands, and the operator takes it up."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from esa_preload_operator.resources.crd import custom_resource_definition
from esa_preload_operator.resources.job import KIND
from support.manifests import EXAMPLES, PAGES, shown_in

if TYPE_CHECKING:
    from pathlib import Path

    from support.world import World

ADOPTED = "665d3af3621bccf3fe29e1a4"
"""The job that pages name."""


def name_of(path: Path) -> str:
    return path.stem


def paths() -> list[Path]:
    found = [path for path in (*PAGES, *EXAMPLES) if any(each["kind"] == KIND for each in shown_in(path))]
    assert len(found) >= 10
    return found


def accounts_in(objects: list[dict[str, Any]]) -> set[str]:
    return {each["spec"].get("credentialsSecretRef", {}).get("name", "") for each in objects if each["kind"] == KIND}


def ready(world: World, name: str) -> str:
    found = world.control_plane.kubectl(
        "get", "spj", name, f"--namespace={world.namespace}", "--output=jsonpath={.status.conditions[0].reason}"
    )
    return found.strip()


@pytest.mark.parametrize("path", paths(), ids=name_of)
async def test_every_resource_of_a_page_is_ready_soon(path: Path, world: World) -> None:
    objects = shown_in(path)
    world.simulator.seed_jobs([{"id": ADOPTED, "aliUid": world.account, "urlCount": 9, "siteId": 7}])
    secrets = accounts_in(objects) - {""}
    more = secrets - {"esa-credentials"}  # the shipped role names no other
    kubeconfig = world.control_plane.kubeconfig() if more else None
    operator = world.operator(kubeconfig, CREDENTIALS_SECRET_NAMES=",".join(secrets) or ",")
    for each in objects:
        if each["kind"] != "Secret":
            text = yaml.safe_dump(each)
            world.control_plane.kubectl("apply", f"--namespace={world.namespace}", "--filename=-", input=text)
    for secret in secrets:
        world.make_secret(secret)
    for each in objects:
        if each["kind"] == KIND:
            name, rests = each["metadata"]["name"], each["spec"].get("suspend", False)
            wanted = "Suspended" if rests else "Ready"
            await world.until(lambda: ready(world, name) == wanted)  # noqa: B023 - awaited at once
    world.control_plane.kubectl("delete", "spj", "--all", f"--namespace={world.namespace}", "--timeout=30s")
    operator.terminate()
    await asyncio.to_thread(operator.wait)
    world.simulator.delete_job(ADOPTED)


def test_the_tables_of_kubectl_have_the_columns_of_the_crd() -> None:
    (version,) = custom_resource_definition()["spec"]["versions"]
    columns = [each["name"].upper() for each in version["additionalPrinterColumns"] if not each.get("priority")]
    tables = [line for page in PAGES for line in page.read_text().splitlines() if re.match(r" +NAME +JOB ", line)]
    assert len(tables) >= 2
    for line in tables:
        assert re.split(r" {2,}", line.strip()) == ["NAME", *columns]
