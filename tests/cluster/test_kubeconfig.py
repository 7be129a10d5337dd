"""The operator with a kubeconfig whose user acts as somebody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from esa_preload_operator.resources.job import RESET_KEY

if TYPE_CHECKING:
    from pathlib import Path

    from support.world import World


async def test_the_operator_has_the_rights_of_whom_it_acts_as_and_no_others(world: World, tmp_path: Path) -> None:
    content = yaml.safe_load(world.control_plane.kubeconfig().read_text())
    groups = ["system:serviceaccounts", "system:authenticated"]

    def acting_as(name: str) -> Path:
        for each in content["users"]:
            each["user"] |= {"as": name, "as-groups": groups}
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(content))
        return path

    world.seed(1)
    world.create(1, annotations={RESET_KEY: "t1"})
    stranger = "system:serviceaccount:default:stranger"
    refused = world.operator(acting_as(stranger), LEADER_ELECTION="false")
    refused.wait_for(f'User "{stranger}" cannot', timeout=60)
    refused.kill()
    assert world.resets() == 0
    world.operator(acting_as(world.user), LEADER_ELECTION="false")
    status = await world.handled(1, timeout=60)
    assert (world.resets(), status["reset"]["phase"]) == (1, "Succeeded")
