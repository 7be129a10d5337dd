"""Waits for the CRD, at the start and whenever it is away."""

import asyncio
import logging
from typing import Final

from esa_preload_operator.k8s.connection import Connection, RequestError
from esa_preload_operator.resources.job import GROUP, PLURAL, VERSION
from esa_preload_operator.runtime.health import Health

logger = logging.getLogger(__name__)

_EVERY: Final = 2.0
_MISSING: Final = (
    f"waiting for the CRD {PLURAL}.{GROUP}: the API server does not serve {VERSION} of it; "
    "install it with `esa-preload-operator crd | kubectl apply --server-side -f -`"
)


async def wait_for_crd(connection: Connection, health: Health) -> None:
    """Wait until the API server serves the resource; what it waits for stands in the log once and in /readyz.

    The watch needs it: kopf ends, or stays deaf, where the resource is not served.
    """
    while cause := await _obstacle(connection, health):
        if health.note("crd", cause, blocking=True):
            logger.warning("%s", cause)
        await asyncio.sleep(_EVERY)
    if health.note("crd", None):
        logger.info("the CRD %s.%s is served", PLURAL, GROUP)


async def _obstacle(connection: Connection, health: Health) -> str:
    """Return why the resource can't be watched, or nothing."""
    try:
        answer = await connection.request("GET", f"/apis/{GROUP}/{VERSION}", timeout=10)
    except RequestError as error:
        return str(error)
    health.watch_seen()
    if not answer.ok and answer.status != 404:
        return f"the API server can't be asked for the CRD {PLURAL}.{GROUP}: {connection.explain(answer)}"
    resources = answer.body.get("resources") if isinstance(answer.body, dict) else None
    served = any(isinstance(each, dict) and each.get("name") == PLURAL for each in resources or ())
    return "" if served else _MISSING
