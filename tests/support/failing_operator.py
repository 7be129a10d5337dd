"""The operator with one part that meets a bug at SIGUSR1; the variable FAILING_PART says which.

For tests of what ends the process, and of what does not.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

from esa_preload_operator.cli.main import main
from esa_preload_operator.handlers import watch
from esa_preload_operator.k8s.lease import Elector
from esa_preload_operator.k8s.secrets import SecretCache
from esa_preload_operator.services.refresh import Refresher

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PARTS: Final[dict[str, tuple[Any, str]]] = {
    "watch": (watch, "watch"),
    "lease": (Elector, "keep"),
    "secrets": (SecretCache, "run"),
    "refresh": (Refresher, "run"),
}


def failing(work: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def run(*arguments: Any) -> None:
        bug = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, bug.set)
        logging.getLogger(__name__).info("%s can fail now", name)
        running, waiting = asyncio.ensure_future(work(*arguments)), asyncio.create_task(bug.wait())
        await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            return running.result()
        running.cancel()
        raise RuntimeError("a bug\nin two lines")

    return run


if __name__ == "__main__":
    place, name = PARTS[os.environ["FAILING_PART"]]
    setattr(place, name, failing(getattr(place, name)))
    sys.exit(main())
