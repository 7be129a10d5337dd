"""The one write path: stores what was decided by compare-and-swap, and tells people of it once."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from esa_preload_operator.domain.conditions import (
    NOTHING_OPEN,
    State,
    effective_as_shown,
    newly_rejected,
    rejected,
    shows,
)
from esa_preload_operator.domain.errors import (
    ErrorClass,
    ObjectGoneError,
    Problem,
    Reason,
    VersionConflictError,
    WriteRefusedError,
    WriteUnknownError,
)
from esa_preload_operator.domain.ports import EventLog, Involved, JobStore, Observer
from esa_preload_operator.domain.status import status_after
from esa_preload_operator.domain.steps import Conflicted, Finalizer, Stored, Write, WriteLost, WriteRefused
from esa_preload_operator.domain.values import Notice
from esa_preload_operator.domain.view import View, view_of
from esa_preload_operator.resources.job import FINALIZER
from esa_preload_operator.services.clock import Clock
from esa_preload_operator.services.counting import count_work
from esa_preload_operator.services.registry import TrackedResource

logger = logging.getLogger(__name__)

UNPROVEN: Final = "progress proves nothing"
"""Why a call may be repeated although the first one was executed."""
_BAD: Final = frozenset({State.WAITING, State.BLOCKED, State.STALLED})


class GoneError(Exception):
    """The resource does not exist any more."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes statuses; holds nothing itself."""

    jobs: JobStore
    events: EventLog
    observer: Observer
    clock: Clock

    async def store(self, tracked: TrackedResource, write: Write) -> Stored | Conflicted | WriteLost | WriteRefused:
        """Store a status and tell of it; return what became of it.

        Raises:
            GoneError: the resource does not exist any more.
        """
        status = status_after(write, self.clock.wall())
        tracked.writing = write.view, status
        try:
            body = await self.jobs.write_status(tracked.ref, str(write.view.version), status)
        except VersionConflictError:
            return Conflicted()
        except ObjectGoneError:
            raise GoneError from None
        except WriteRefusedError as error:
            logger.warning("%s: the API server refused the status: %s", tracked.ref, error)
            return WriteRefused(_refusal(error))
        except WriteUnknownError as error:
            logger.warning("%s: the status may not have been stored: %s", tracked.ref, error)
            tracked.unannounced = write
            return WriteLost(error.retry_after or 0.0)
        finally:
            tracked.writing = None
        return Stored(self._took(tracked, write, body))

    async def finalize(
        self, tracked: TrackedResource, step: Finalizer
    ) -> Stored | Conflicted | WriteLost | WriteRefused:
        """Add or remove the operator's finalizer; return what became of it.

        Raises:
            GoneError: the resource does not exist any more, perhaps because this was its last finalizer.
        """
        view = step.view
        others = [name for name in view.finalizers if name != FINALIZER]
        wanted = [*others, FINALIZER] if step.present else others
        try:
            body = await self.jobs.write_finalizers(tracked.ref, str(view.version), wanted)
        except VersionConflictError:
            return Conflicted()
        except ObjectGoneError:
            raise GoneError from None
        except WriteRefusedError as error:
            logger.warning("%s: the API server refused the finalizer: %s", tracked.ref, error)
            return WriteRefused(_refusal(error))
        except WriteUnknownError as error:
            logger.warning("%s: the finalizer may not have been written: %s", tracked.ref, error)
            return WriteLost(error.retry_after or 0.0)
        stored = view_of(body)
        if view.deleting and not wanted:
            logger.info("%s: its ESA jobs are deleted; the resource is released", tracked.ref)
            raise GoneError
        tracked.saw(stored.version, self.clock.monotonic())
        return Stored(stored)

    def _took(self, tracked: TrackedResource, write: Write, body: Mapping[str, Any]) -> View:
        view = view_of(body)
        tracked.saw(view.version, self.clock.monotonic())
        tracked.unannounced = None
        self._announce(tracked, write, view)
        return view

    def tell(self, tracked: TrackedResource, view: View, notice: Notice) -> None:
        """Post an Event about a version of a resource."""
        involved = Involved(tracked.ref, tracked.uid, str(view.version))
        self.events.post(involved, notice.reason, notice.message, warning=notice.warning)

    def announce_late(self, tracked: TrackedResource, view: View) -> None:
        """Announce a write whose answer was lost, once a newer version shows that it was stored."""
        write = tracked.unannounced
        if write is None or view.version <= write.view.version:
            return
        tracked.unannounced = None
        if _is_stored(write, view):
            self._announce(tracked, write, view)

    def _announce(self, tracked: TrackedResource, write: Write, view: View) -> None:
        reset = write.reset
        count_work(self.observer, write)
        if write.outcome and reset is not None:
            self.observer.reset_ended(write.outcome, reset.trigger)
            logger.info("%s: reset %s for %s", tracked.ref, write.outcome, dict(reset.tokens))
        if write.undecidable and reset is not None:
            self.observer.reset_undecidable(UNPROVEN)
            logger.warning("%s: %s", tracked.ref, reset.message)
        involved = Involved(tracked.ref, tracked.uid, str(view.version))
        finding = write.finding
        if write.notice is not None:
            self.tell(tracked, view, write.notice)
        elif finding is not None and finding.state in _BAD and not shows(write.view.shown.conditions, finding):
            logger.warning("%s: %s", tracked.ref, finding.message)
            self.events.post(involved, finding.reason, finding.message, warning=True)
        if write.effective == "False" and not effective_as_shown(write.view.shown.conditions, "False"):
            self.events.post(involved, Reason.NO_ACTIVE_EXECUTION, NOTHING_OPEN, warning=True)
        if write.job is None:
            return
        before, after = write.view.shown.conditions, view.shown.conditions
        said = rejected(after) if write.outcome else newly_rejected(before, after)
        if said is not None:
            self.events.post(involved, Reason.URLS_REJECTED, said, warning=True)


def _is_stored(write: Write, view: View) -> bool:
    if write.decides:
        kept = write.recorded is None or write.recorded == view.recorded
        return kept and (write.reset, write.handled) == (view.reset, view.handled)
    return write.finding is not None and shows(view.shown.conditions, write.finding)


def _refusal(error: WriteRefusedError) -> Problem:
    """Return the API server's refusal of a status as a problem that is retried automatically."""
    return Problem(
        "StatusRefused",
        str(error),
        ErrorClass.TRANSIENT,
        Reason.SERVICE_UNAVAILABLE,
        retry_after=error.retry_after,
    )
