"""docs/guides/pipelines.md: a pipeline with the rights of the page does what the page says, by kubectl alone."""

from __future__ import annotations

import asyncio
import json
import shlex
from typing import TYPE_CHECKING, Final

import pytest

from control_plane import KubectlError
from support.api import job_body
from support.blocks import blocks
from support.manifests import ROOT

if TYPE_CHECKING:
    from support.world import World

PAGE: Final = ROOT / "docs" / "guides" / "pipelines.md"


def commands_with(text: str) -> list[str]:
    """Return the commands of the one block of shell in which a text stands."""
    (found,) = (block for block in blocks(PAGE) if block.language == "sh" and text in block.text)
    return found.commands()


def run(world: World, command: str, *more: str) -> str:
    """Run a command of the page in the namespace of a world."""
    words = shlex.split(command.replace("website", world.namespace).replace("$TOKEN", "deploy-1"))
    return world.control_plane.kubectl(*words[1:], *more)


async def test_the_pipeline_resets_a_job_once_and_may_do_nothing_else_to_it(world: World) -> None:
    world.seed(1)
    world.make_secret()
    world.operator()
    job = job_body("nightly", jobId=world.esa_id(1))
    apply = ("apply", f"--namespace={world.namespace}", "--filename=-")
    await asyncio.to_thread(world.control_plane.kubectl, *apply, input=json.dumps(job))
    for command in commands_with("create role"):
        run(world, command)
    pipeline = f"--as=system:serviceaccount:{world.namespace}:pipeline"
    for _ in range(2):
        for command in commands_with("annotate"):
            await asyncio.to_thread(run, world, command, pipeline)
    assert world.resets(1) == 1
    with pytest.raises(KubectlError, match="cannot delete"):
        run(world, "kubectl --namespace website delete spj nightly", pipeline)
