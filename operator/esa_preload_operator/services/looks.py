"""Looks before resets that wait for the account's rate: one list of their site answers all that wait when it begins."""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final, Protocol

from esa_preload_operator.domain.errors import EsaError, Reason
from esa_preload_operator.domain.esa import JobListing, ListedJob
from esa_preload_operator.domain.ports import EsaAccount, ObjectRef
from esa_preload_operator.domain.steps import LookFirst
from esa_preload_operator.services.clock import Clock
from esa_preload_operator.services.registry import SiteList, TrackedResource

logger = logging.getLogger(__name__)

_PATIENCE: Final = 2.0
"""Seconds from its beginning for which looks wait for a list; they hold turns and workers meanwhile."""
_OLDEST: Final = 120.0
"""Seconds from its beginning for which a list answers looks."""
_PAUSE: Final = 60.0
"""Seconds for which each look is a call of its own after a list of the site has failed."""
_THROTTLED_PAUSE: Final = 2.0
"""The same after ESA has throttled it."""
_PAGES_KNOWN: Final = 600.0
"""Seconds for which the number of a site's pages is remembered."""
_SITES: Final = 1000
"""Sites that are remembered while nobody waits there."""


class TakesList(Protocol):
    """Takes in a list that was made for looks."""

    def __call__(self, ref: ObjectRef, secret: str | None, site_id: int, listing: JobListing, begun: float) -> None:
        """Take a list of a site, made for `ref` with the credentials of its Secret; `begun` is monotonic."""


@dataclass(slots=True)
class _Site:
    """One site as one set of credentials sees it."""

    waiting: dict[ObjectRef, TrackedResource] = field(default_factory=dict)
    """Resources in line whose looks no list answers yet."""
    listed_at: float = float("-inf")
    pages: int = 1
    """Calls that a list of it took then."""
    not_before: float = float("-inf")

    def price(self, now: float) -> int:
        """Return how many calls a list takes, as far as is known."""
        return self.pages if now - self.listed_at < _PAGES_KNOWN else 1


@dataclass(slots=True)
class SharedLooks:
    """Answers looks by lists. It decides nothing but whether a list costs fewer calls than the looks that wait."""

    clock: Clock
    take_list: TakesList
    _sites: dict[tuple[str, int], _Site] = field(default_factory=dict)

    async def told(self, tracked: TrackedResource, look: LookFirst) -> ListedJob | None:
        """Return what a list tells that began after the resource was read; it may have to end first."""
        made, now = tracked.listed, self.clock.monotonic()
        if made is None or look.site_id is None:
            return None
        if made.began <= tracked.seen_at or now > made.began + _OLDEST or not await self._ended(made):
            if tracked.listed is made:
                tracked.listed = None
            return None
        return made.jobs.get(look.job_id)

    async def _ended(self, made: SiteList) -> bool:
        """Wait for the end of a list, but not for long: a list that hangs must hold up nobody else."""
        if made.ended.is_set():
            return True
        try:
            async with asyncio.timeout(max(0.0, made.began + _PATIENCE - self.clock.monotonic())):
                await made.ended.wait()
        except TimeoutError:
            return False
        return True

    def wait(self, tracked: TrackedResource, account: EsaAccount, look: LookFirst) -> None:
        """Note that a look waits for the account's rate, until the resource leaves the line."""
        if look.site_id is not None and tracked.listed is None:
            waiting = self._site(account, look.site_id).waiting
            waiting[tracked.ref] = tracked
            tracked.waits_among = waiting

    async def list_for(self, tracked: TrackedResource, account: EsaAccount, look: LookFirst) -> ListedJob | None:
        """List the site at the turn of one look if more looks wait there than a list takes calls; return its job.

        None if the list is not worth it, has failed, or does not show the job: then only a call of its own tells.
        """
        if look.site_id is None:
            return None
        site, now = self._site(account, look.site_id), self.clock.monotonic()
        if now < site.not_before or len(site.waiting) < site.price(now):
            return None
        answered = [other for other in site.waiting.values() if other.still_waits]
        if len(answered) < site.price(now):
            return None
        made, secret = SiteList(now), tracked.secret
        for other in answered:
            del site.waiting[other.ref]
            other.listed, other.waits_among = made, None
        try:
            listing = await account.list_jobs_at_once(look.site_id, 1 + len(answered))
        except EsaError as error:
            logger.warning("site %d: each reset looks by itself: %s", look.site_id, error.problem)
            throttled = error.problem.reason is Reason.THROTTLED
            site.not_before = self.clock.monotonic() + (_THROTTLED_PAUSE if throttled else _PAUSE)
        else:
            site.listed_at, site.pages = now, listing.pages
            made.jobs = {job.id: job for job in listing.jobs}
            self.take_list(tracked.ref, secret, look.site_id, listing, now)
        finally:
            made.ended.set()
        return made.jobs.get(look.job_id)

    def _site(self, account: EsaAccount, site_id: int) -> _Site:
        key = account.id, site_id
        site = self._sites.get(key)
        if site is None:
            if len(self._sites) >= _SITES:
                self._sites = {key: site for key, site in self._sites.items() if site.waiting}
            site = self._sites[key] = _Site()
        return site
