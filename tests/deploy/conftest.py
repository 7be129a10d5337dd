from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from control_plane import ControlPlane
from support.api import Api
from support.chart import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS: Final = "app.kubernetes.io/part-of=esa-preload-operator"
CLUSTER_SCOPED: Final = "crd,clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding"
NAMESPACED: Final = "deployment,service,serviceaccount,role,rolebinding,poddisruptionbudget,configmap,secret"


@pytest.fixture(scope="session")
def bare() -> Iterator[ControlPlane]:
    """An API server without the CRD, which the other tests share."""
    with ControlPlane() as running:
        yield running


@pytest.fixture
def kubernetes(bare: ControlPlane) -> Iterator[ControlPlane]:
    """The same, with nothing of ours that is cluster-scoped or in the namespace of our name."""
    yield bare
    bare.kubectl("delete", NAMESPACED, "--all", f"--namespace={NAME}")  # a namespace would stay: no controller ends it
    Api(bare).wait_until_served()
    bare.kubectl("delete", CLUSTER_SCOPED, f"--selector={OURS}", "--ignore-not-found", "--wait", timeout=240)
