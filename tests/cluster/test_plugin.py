"""`kubectl esa-preload` by the real kubectl on a real API server, with an operator and a simulated ESA."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from support.plugin import Plugin
from support.world import World, new_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from control_plane import ControlPlane
    from support.simulator import SimulatorProcess


@pytest.fixture(scope="module")
def operated(
    cluster: ControlPlane, simulator: SimulatorProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """One namespace with an operator at work; each test has jobs of its own."""
    with new_world(cluster, simulator, tmp_path_factory.mktemp("operated")) as made:
        made.operator().wait_to_lead()
        yield made


@pytest.fixture(scope="module")
def plugin(operated: World) -> Plugin:
    kubeconfig = operated.control_plane.kubeconfig()
    return Plugin(operated.folder / "bin", kubeconfig, operated.namespace).install()


def test_reset_waits_until_each_job_was_reset_once_and_says_so(operated: World, plugin: Plugin) -> None:
    operated.seed(1, 2)
    names = [operated.create(each) for each in (1, 2)]
    done = plugin.run("reset", *names, "--wait", "--timeout=30s")
    assert (done.code, done.err) == (0, "")
    assert [operated.resets(each) for each in (1, 2)] == [1, 1]
    for name in names:
        assert re.search(rf"{name}  Requested\n", done.out)
        assert re.search(rf"{name}  Succeeded after [\d.]+s, 0/10 URLs submitted", done.out)
    assert "2 of 2 reset" in done.out


def test_the_same_token_asks_only_once(operated: World, plugin: Plugin) -> None:
    operated.seed(3)
    operated.create(3)
    for _ in range(2):
        assert plugin.run("reset", "j3", "--token=deploy-1", "--wait").code == 0
    assert operated.resets(3) == 1
