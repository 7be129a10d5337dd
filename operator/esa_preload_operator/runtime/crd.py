"""Waits for the CRD, at the start and whenever it is away, and compares its fields with those that are relied on."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from esa_preload_operator.k8s.connection import Connection, RequestError
from esa_preload_operator.resources.job import GROUP, KIND, PLURAL, VERSION, ResetStatus
from esa_preload_operator.resources.names import RELIED_ON
from esa_preload_operator.runtime.health import Health

logger = logging.getLogger(__name__)

_EVERY: Final = 2.0
_OFTEN: Final = 5.0
"""Seconds between two comparisons while the CRD is known not to keep what is written."""
_SELDOM: Final = 60.0
MISSING_CRD: Final = (
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
    return "" if served else MISSING_CRD


async def compare_fields(connection: Connection) -> str | None:
    """Return the status fields that the installed CRD does not keep; None if the API server does not tell.

    Everybody who is logged in may read the schema (Kubernetes API, /openapi/v3), so this needs no rights.
    """
    try:
        answer = await connection.request("GET", f"/openapi/v3/apis/{GROUP}/{VERSION}", timeout=10)
    except RequestError:
        return None
    status = _status_schema(answer.body) if answer.ok else None
    if status is None:
        return None
    reset = _properties(status.get("reset"))
    lacks = [f"status.{name}" for name in RELIED_ON if name not in status]
    if "reset" in status:
        names = sorted(field.alias or name for name, field in ResetStatus.model_fields.items())
        lacks += [f"status.reset.{name}" for name in names if name not in reset]
    return ", ".join(lacks)


def _status_schema(document: Any) -> Mapping[str, Any] | None:
    """Return the fields of the resource's status in an OpenAPI document."""
    schemas = document.get("components", {}).get("schemas", {}) if isinstance(document, dict) else {}
    for schema in schemas.values():
        kinds = schema.get("x-kubernetes-group-version-kind") if isinstance(schema, dict) else None
        if any(kind.get("kind") == KIND for kind in kinds or ()):
            found = _properties(_properties(schema).get("status"))
            return found or None
    return None


def _properties(schema: Any) -> Mapping[str, Any]:
    found = schema.get("properties") if isinstance(schema, dict) else None
    return found if isinstance(found, dict) else {}


async def follow_fields(connection: Connection, changed: Callable[[str], None], incomplete: Callable[[], bool]) -> None:
    """Tell whenever the installed CRD keeps other fields than before, and once it keeps all after an incomplete write.

    `changed` gets the fields that it does not keep; `incomplete` says whether a write has come back without some.
    """
    known = ""
    while True:
        lacks = await compare_fields(connection)
        if lacks is not None and (lacks != known or (not lacks and incomplete())):
            if lacks:
                logger.error("the installed CRD %s.%s does not keep %s; nothing is called", PLURAL, GROUP, lacks)
            changed(lacks)
            known = lacks
        await asyncio.sleep(_OFTEN if known or incomplete() else _SELDOM)
