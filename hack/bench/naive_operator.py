"""The operator that most would write first, for comparison: kopf's own state, one ESA call, no intent, no Event.

It forgets a reset whose status is refused, and repeats one after a crash between call and patch.
"""

import asyncio
import os
from typing import Any

import kopf

from esa_preload_operator.esa.client import EsaClient
from esa_preload_operator.esa.credentials import Credentials
from esa_preload_operator.esa.throttle import Throttle
from esa_preload_operator.esa.transport import Connections
from esa_preload_operator.resources.job import GROUP, PLURAL, RESET_KEY, VERSION


@kopf.on.startup()
async def start(memo: Any, settings: kopf.OperatorSettings, **_: Any) -> None:
    """Connect to ESA; the same number of resets at once as the operator has by default."""
    settings.posting.enabled = False
    connections = Connections(os.environ["BENCH_ENDPOINT"], request_timeout=10)
    credentials = Credentials(os.environ["BENCH_KEY_ID"], os.environ["BENCH_KEY_SECRET"])
    memo.esa = EsaClient(credentials, connections, Throttle(1e9))
    memo.limit = asyncio.Semaphore(16)


@kopf.on.field(GROUP, VERSION, PLURAL, field=("metadata", "annotations", RESET_KEY))
async def reset(new: Any, spec: kopf.Spec, memo: Any, patch: kopf.Patch, **_: Any) -> None:
    """Reset the job and show what ESA answered."""
    if not new:
        return
    async with memo.limit:
        job = await memo.esa.reset_job(spec["jobId"], lambda: True)
    patch.status["urlSubmitted"] = job.url_submitted
    patch.status["urlCount"] = job.url_count
    patch.status["handledResets"] = {RESET_KEY: new}
