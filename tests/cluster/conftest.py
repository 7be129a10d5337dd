"""An API server whose CRD a test may spoil."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from control_plane import ControlPlane
from support.api import Api
from support.life import EARLY
from support.simulator import SimulatorProcess
from support.world import World, new_world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[ControlPlane]:
    """An API server of this module's own."""
    with ControlPlane() as running:
        Api(running).install_crd()
        yield running


@pytest.fixture
def own_world(own_cluster: ControlPlane, simulator: SimulatorProcess, tmp_path: Path) -> Iterator[World]:
    """A world of its own, after which the right CRD is installed again."""
    with new_world(own_cluster, simulator, tmp_path) as made:
        yield made
    Api(own_cluster).install_crd()


@pytest.fixture(scope="session")
def early_simulator() -> Iterator[SimulatorProcess]:
    """A simulated ESA that is ahead in time, so that windows run as soon as they are open."""
    with SimulatorProcess() as running:
        running.clock(advance_seconds=EARLY)
        yield running


@pytest.fixture
def early_world(cluster: ControlPlane, early_simulator: SimulatorProcess, tmp_path: Path) -> Iterator[World]:
    """A world whose windows run as soon as they are open."""
    with new_world(cluster, early_simulator, tmp_path) as made:
        yield made
