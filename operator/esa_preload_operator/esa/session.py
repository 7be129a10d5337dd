"""Keeps temporary credentials fresh."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from esa_preload_operator.domain.cleaning import format_time
from esa_preload_operator.domain.errors import EsaError, Problem
from esa_preload_operator.esa.client import Observe, ignore
from esa_preload_operator.esa.credentials import Credentials
from esa_preload_operator.esa.roles import Issued, Issuer

logger = logging.getLogger(__name__)

_AHEAD: Final = 900.0
"""Seconds before the end in which new ones are asked for; a quarter of their time if they last less than an hour."""
_UNSAFE: Final = 30.0
"""Seconds before the end in which they are no longer used: a request takes a while, and clocks differ."""
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_DISTRUST_AFTER: Final = 60.0
"""Seconds that credentials are trusted whatever ESA says: new ones may take a while to be known everywhere."""


@dataclass(frozen=True, slots=True)
class _Held:
    issued: Issued
    since: float

    def usable(self, now: float) -> bool:
        return now < self.issued.expires - min(_UNSAFE, (self.issued.expires - self.since) / 4)

    def fresh(self, now: float) -> bool:
        return now < self.issued.expires - min(_AHEAD, (self.issued.expires - self.since) / 4)


class RoleSession:
    """The current credentials of one role. One request for new ones runs at a time, however many ask.

    They are renewed when somebody asks in their last quarter of an hour, and go on serving meanwhile. While none can be
    had, one task keeps trying with growing pauses, and those who ask are told at once why the last attempt failed.
    """

    def __init__(
        self,
        issuer: Issuer,
        *,
        on_healed: Callable[[], None] = lambda: None,
        observe: Observe = ignore,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`on_healed` is called when there are credentials again after somebody was told that there are none."""
        self.role = issuer.role
        self._issuer = issuer
        self._on_healed = on_healed
        self._observe = observe
        self._wall = wall
        self._sleep = sleep
        self._held: _Held | None = None
        self._problem: Problem | None = None
        self._told = False
        self._attempted = asyncio.Event()
        self._renewal: asyncio.Task[None] | None = None

    async def credentials(self) -> Credentials:
        """Return credentials that are valid now; waits only where there are none yet.

        Raises:
            EsaError: there are none (CredentialsInvalid).
        """
        now = self._wall()
        held = self._held
        if held is None or not held.fresh(now):
            self._start()
        if held is None or not held.usable(now):
            await self._attempted.wait()
            held = self._held
        if held is not None and (self._problem is None or held.usable(self._wall())):
            return held.issued.credentials
        if self._problem is not None:
            self._told = True
            raise EsaError(self._problem)
        if self._renewal is not None:
            await self._renewal  # it can only have ended by a mistake, which shows here
        return await self.credentials()

    def distrust(self, credentials_id: str) -> None:
        """Ask for new ones with the next use, because ESA refused these."""
        held = self._held
        same = held is not None and held.issued.credentials.id == credentials_id
        if same and held is not None and not 0 <= self._wall() - held.since < _DISTRUST_AFTER:
            self._held = None

    async def close(self) -> None:
        """Stop trying, and close the connections."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])
        await self._issuer.close()

    def _start(self) -> None:
        if self._renewal is None or self._renewal.done():
            self._attempted.clear()
            self._renewal = asyncio.create_task(self._renew(), name="credentials")

    async def _renew(self) -> None:
        """Try until there are new ones."""
        pause = _FIRST_PAUSE
        try:
            while not await self._attempt():
                self._attempted.set()
                await self._sleep(pause * (0.5 + random.random() / 2))  # noqa: S311 - jitter
                pause = min(_LONGEST_PAUSE, pause * 2)
        finally:
            self._attempted.set()
        told, self._problem, self._told = self._told, None, False
        if told:
            self._on_healed()

    async def _attempt(self) -> bool:
        started, code = time.monotonic(), "Cancelled"
        try:
            issued = await self._issuer.issue()
            code = "OK"
        except EsaError as error:
            code = error.problem.code
            logger.warning("no new credentials of %s: %s", self.role, error.problem)
            self._problem = error.problem
            return False
        finally:
            self._observe(self._issuer.action, code, time.monotonic() - started)
        self._held = _Held(issued, self._wall())
        logger.info("new credentials of %s, valid until %s", self.role, format_time(issued.expires))
        return True
