"""Leads as a process of its own, to be frozen: prints `leads SINCE UNTIL` for each span of leading, then `lost`.

Arguments: kubeconfig, namespace, identity, lease duration, renew deadline, retry period (seconds).
Times are those of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import sys
import time

from esa_preload_operator.k8s.connection import connect
from esa_preload_operator.k8s.lease import Elector


async def main(kubeconfig: str, namespace: str, identity: str, *numbers: str) -> None:
    duration, deadline, period = map(float, numbers)
    async with await connect(kubeconfig) as connection:
        elector = Elector(
            connection, namespace=namespace, name="lease", identity=identity,
            lease_duration=duration, renew_deadline=deadline, retry_period=period,
        )  # fmt: skip
        await elector.acquire()
        keeping = asyncio.create_task(elector.keep())
        while not keeping.done():
            # As a caller does: look at the clock and act, with no await in between.
            now, until = time.monotonic(), elector.valid_until()
            if now < until:
                print("leads", now, until, flush=True)  # noqa: T201 - the test reads it
            await asyncio.sleep(0.05)
        print("lost", time.monotonic(), flush=True)  # noqa: T201 - the test reads it


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
