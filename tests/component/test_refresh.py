"""One list for all resources of a site, also where not all of them may use the operator's own credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from esa_preload_operator.domain.ports import ObjectRef
from esa_preload_operator.esa.accounts import AccountPool, Policy
from esa_preload_operator.esa.own import OwnCredentials
from esa_preload_operator.esa.transport import Connections
from esa_preload_operator.services.clock import Clock
from esa_preload_operator.services.refresh import Refresher
from esa_preload_operator.services.registry import Registry, TrackedResource
from support.simulator import ACCESS_KEY_ID, SITE_ID, SimulatorProcess, job_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

EXCLUDED, ALLOWED = ObjectRef("excluded", "a"), ObjectRef("allowed", "b")


async def no_secret(_namespace: str, _name: str) -> Mapping[str, str] | None:
    return None


@pytest.fixture
async def pool() -> AsyncIterator[AccountPool]:
    with SimulatorProcess() as simulator:
        simulator.seed_jobs([{"id": job_id(n), "siteId": SITE_ID, "urlCount": 10} for n in (1, 2)])
        environment = {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "simulator-key-secret",
        }
        pool = AccountPool(
            Policy("operator", (), ("allowed",)),
            Connections(simulator.url, request_timeout=5),
            read_secret=no_secret,
            own=OwnCredentials(environment),
            max_calls_per_second=100,
        )
        yield pool
        await pool.close()


async def test_a_namespace_that_may_not_use_the_credentials_does_not_take_the_others_down(pool: AccountPool) -> None:
    records, woken = Registry(), list[ObjectRef]()
    refresher = Refresher(pool, records, Clock(), 1, 1, wake=woken.append)
    for number, ref in enumerate((EXCLUDED, ALLOWED), start=1):
        records.put(TrackedResource(ref, uid=ref.name, created="", job_id=job_id(number)))
        refresher.track(ref, secret_name=None, site_id=SITE_ID, job_id=job_id(number), known=0, running=False)
    await refresher.refresh(("", None, SITE_ID))
    excluded, allowed = records.get(EXCLUDED), records.get(ALLOWED)
    assert excluded is not None
    assert allowed is not None
    assert (allowed.site_problem, allowed.pending_refresh is not None) == (None, True)
    assert (excluded.needs_verification, excluded.pending_refresh) == (True, None)
    assert set(woken) == {EXCLUDED, ALLOWED}
