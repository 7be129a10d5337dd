from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from build import BuildError, binaries
from control_plane import ControlPlane
from support.api import Api
from support.ram import allowed_actions
from support.simulator import SimulatorProcess
from support.world import World, new_world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")  # a busy machine is no failure


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """One real API server per process of the test run; tests keep apart by namespaces of their own."""
    try:
        binaries()
    except BuildError as error:
        pytest.fail(str(error), pytrace=False)
    with ControlPlane(audit=True) as running:
        yield running


@pytest.fixture(scope="session")
def simulator() -> Iterator[SimulatorProcess]:
    """One simulated ESA per process of the test run; tests keep apart by accounts of their own."""
    with SimulatorProcess() as running:
        yield running
        called = set(running.call_counts())
    assert called <= allowed_actions(), "the operator calls what deploy/ram/policy.json does not allow"


@pytest.fixture(scope="session")
def cluster(control_plane: ControlPlane) -> ControlPlane:
    """The API server with the CRD installed."""
    Api(control_plane).install_crd()
    return control_plane


@pytest.fixture
def world(cluster: ControlPlane, simulator: SimulatorProcess, tmp_path: Path) -> Iterator[World]:
    """A namespace and an account of the test's own."""
    with new_world(cluster, simulator, tmp_path) as made:
        yield made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the API proxy cut connections: asyncio leaves what is left of an aborted TLS connection to the collector."""
    for item in items:
        if "cluster" in item.path.parts:
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning"))
