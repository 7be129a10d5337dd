"""What an account has asked ESA, and what an operator has asked the API server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from support.operator_process import OperatorProcess
    from support.world import World

GET: Final = "GetScheduledPreloadJob"
LIST: Final = "ListScheduledPreloadJobs"
RESET: Final = "ResetScheduledPreloadJob"
WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})


def calls(world: World, action: str | None = None, *, since: int = 0) -> list[dict[str, Any]]:
    """Calls of this world's account, answered or not."""
    return [call for call in world.simulator.calls(action, since=since) if call["accessKeyId"] == world.access_key_id]


def writes(world: World) -> list[tuple[str, str]]:
    """Verb and resource of all writes of this world's operators so far, but those of the Lease."""
    found = []
    for event in world.control_plane.audit_events(world.user):
        target = event.get("objectRef", {})
        if event["verb"] in WRITES and target.get("resource") != "leases":
            sub = f"/{target['subresource']}" if "subresource" in target else ""
            found.append((event["verb"], target["resource"] + sub))
    return found


def lonely(world: World, **settings: str) -> OperatorProcess:
    """Start an operator that needs no lease, and wait until it watches."""
    return world.operator(None, LEADER_ELECTION="false", **settings).wait_to_lead()
