from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from build import BuildError, binaries
from control_plane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """One real API server per process of the test run; tests keep apart by namespaces of their own."""
    try:
        binaries()
    except BuildError as error:
        pytest.fail(str(error), pytrace=False)
    with ControlPlane(audit=True) as running:
        yield running
