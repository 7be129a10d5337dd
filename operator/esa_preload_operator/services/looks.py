"""Looks before resets that wait for the account's rate: one list of their site answers all that wait when it begins."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from esa_preload_operator.domain.errors import EsaError
from esa_preload_operator.domain.esa import JobListing, ListedJob
from esa_preload_operator.domain.ports import EsaAccount, ObjectRef
from esa_preload_operator.domain.steps import LookFirst
from esa_preload_operator.services.clock import Clock
from esa_preload_operator.services.registry import SiteList, TrackedResource

logger = logging.getLogger(__name__)

_PAUSE: Final = 60.0
"""Seconds for which each look is a call of its own after a list of the site has failed."""
_PAGES_KNOWN: Final = 600.0
"""Seconds for which the number of a site's pages is remembered."""
_SITES: Final = 1000
"""Sites that are remembered while nobody waits there."""


@dataclass(slots=True)
class _Site:
    """One site as one set of credentials sees it."""

    waiting: dict[ObjectRef, TrackedResource] = field(default_factory=dict)
    """Resources whose looks no list answers yet; some of them may wait no longer."""
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
    listed: Callable[[ObjectRef, JobListing, float], None]
    """Takes in a list of the site of a resource, and when it began."""
    _sites: dict[tuple[str, int], _Site] = field(default_factory=dict)

    async def told(self, tracked: TrackedResource, look: LookFirst) -> ListedJob | None:
        """Return what a list tells that began after the resource was read; it may have to end first."""
        made = tracked.listed
        if made is None or look.site_id is None:
            return None
        if made.began <= tracked.seen_at:
            tracked.listed = None
            return None
        await made.ended.wait()
        return made.jobs.get(look.job_id)

    def wait(self, tracked: TrackedResource, account: EsaAccount, look: LookFirst) -> None:
        """Note that a look waits for the account's rate."""
        if look.site_id is not None and tracked.listed is None:
            self._site(account, look.site_id).waiting[tracked.ref] = tracked

    async def list_for(self, tracked: TrackedResource, account: EsaAccount, look: LookFirst) -> ListedJob | None:
        """List the site at the turn of one look if more looks wait there than a list takes calls; return its job.

        None if the list is not worth it, has failed, or does not show the job: then only a call of its own tells.
        """
        if look.site_id is None:
            return None
        site, now = self._site(account, look.site_id), self.clock.monotonic()
        site.waiting.pop(tracked.ref, None)
        if now < site.not_before or len(site.waiting) < site.price(now):
            return None
        answered = [other for other in site.waiting.values() if other.line is account and other.still_waits]
        site.waiting = {other.ref: other for other in answered}
        if len(answered) < site.price(now):
            return None
        site.waiting = {}
        made = SiteList(now)
        for other in answered:
            other.listed = made
        try:
            listing = await account.list_jobs_at_once(look.site_id, 1 + len(answered))
        except EsaError as error:
            logger.warning("site %d: each reset looks by itself: %s", look.site_id, error.problem)
            site.not_before = self.clock.monotonic() + _PAUSE
        else:
            site.listed_at, site.pages = now, listing.pages
            made.jobs = {job.id: job for job in listing.jobs}
            self.listed(tracked.ref, listing, now)
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
