"""A reset that is made again with the same nonce and date is the same request, and the simulator executes it once."""

import re
import time
import uuid

import pytest

from esa_preload_operator.domain.cleaning import format_time
from esa_preload_operator.domain.errors import Delivery, EsaError, Problem
from esa_preload_operator.domain.signing import Signing
from esa_preload_operator.esa.client import EsaClient
from esa_preload_operator.esa.credentials import Credentials
from esa_preload_operator.esa.throttle import Throttle
from esa_preload_operator.esa.transport import Connections
from support.raw_server import RawConnection, RawServer
from support.simulator import ACCESS_KEY_ID, ACCESS_KEY_SECRET, SimulatorProcess, job_id

JOB = job_id(1)
RESET = "ResetScheduledPreloadJob"
STS = Credentials("key-id", "key-secret", "token")
OWN = Credentials(ACCESS_KEY_ID, ACCESS_KEY_SECRET)


def yes() -> bool:
    return True


async def reset(url: str, credentials: Credentials, signing: Signing | None) -> Problem | None:
    """Let a new process, with connections of its own, call once."""
    connections = Connections(url, request_timeout=5)
    client = EsaClient(credentials, connections, Throttle(1000))
    try:
        await client.reset_job(JOB, yes, signing)
    except EsaError as error:
        return error.problem
    finally:
        await connections.close()
    return None


async def answer_all(connection: RawConnection) -> None:
    while True:
        await connection.request()
        await connection.answer(b'{"Id":"%s","RequestId":"r"}' % JOB.encode())


@pytest.mark.parametrize("credentials", [OWN, STS])
async def test_every_byte_is_the_same(credentials: Credentials) -> None:
    async with RawServer(answer_all) as server:
        first = Signing("3156853299f313e23d1673dc12e1703d", "2026-01-14T08:00:00Z", "")
        for signing in (first, first, None):
            assert await reset(server.url, credentials, signing) is None
        again, same, another = server.requests
    assert again == same
    assert f"x-acs-signature-nonce: {first.nonce}" in same
    assert f"x-acs-date: {first.date}" in same
    assert re.findall("nonce: .*", another) != re.findall("nonce: .*", same)


@pytest.fixture
def new() -> Signing:
    return Signing(uuid.uuid4().hex, format_time(time.time()), "")


async def test_it_executes_once_and_is_then_told_to_be_received(new: Signing) -> None:
    with SimulatorProcess() as simulator:
        simulator.seed_jobs([{"id": JOB}])
        simulator.fault("drop_before", action=RESET)
        simulator.fault("drop_after", action=RESET)
        found = [await reset(simulator.url, OWN, new) for _ in range(4)]
        told = [(problem.code, problem.delivery) for problem in found if problem is not None]
        assert told == [("AnswerLost", Delivery.UNKNOWN)] * 2 + [("SignatureNonceUsed", Delivery.RECEIVED)] * 2
        assert simulator.resets() == {JOB: 1}


@pytest.mark.parametrize(
    ("kind", "options"), [("throttle", {}), ("refuse", {"status": 500}), ("refuse", {"status": 403})]
)
async def test_the_simulator_counts_a_refused_request_as_received(
    new: Signing, kind: str, options: dict[str, object]
) -> None:
    with SimulatorProcess() as simulator:
        simulator.seed_jobs([{"id": JOB}])
        simulator.fault(kind, action=RESET, **options)
        assert (await reset(simulator.url, OWN, new)) is not None
        problem = await reset(simulator.url, OWN, new)
        assert problem is not None
        assert problem.delivery is Delivery.RECEIVED
        assert simulator.resets() == {}
        assert await reset(simulator.url, OWN, None) is None
