"""Resources whose jobs the operator creates, in a world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from esa_preload_operator.resources.job import RESET_KEY
from support.api import job_body, jobs_path
from support.world import SITE

if TYPE_CHECKING:
    from support.world import World

URLS: Final = [f"https://www.example.com/{number}.js" for number in range(20)]
WINDOW: Final = {"name": "now", "duration": "1h", "intervalSeconds": 60, "sliceLen": 1}


def make_owned(world: World, number: int = 1, *, token: str = "", **spec: Any) -> None:
    """Make a resource with a list of URLs, unless the spec says otherwise."""
    body = job_body(f"j{number}")
    body["spec"] = {"siteId": SITE + world.offset, "source": {"urls": URLS}, **spec}
    body["metadata"]["annotations"] = {RESET_KEY: token} if token else {}
    reply = world.api.call("POST", jobs_path(world.namespace), body)
    assert reply.status == 201, reply


def put_config_map(world: World, name: str, text: str) -> None:
    """Make or change a ConfigMap with a list of URLs under the key `list.txt`."""
    path = f"/api/v1/namespaces/{world.namespace}/configmaps"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"list.txt": text}}
    if world.api.call("POST", path, body).status == 409:
        assert world.api.call("PUT", f"{path}/{name}", body).status == 200


def delete(world: World, number: int = 1) -> None:
    assert world.api.call("DELETE", jobs_path(world.namespace, f"j{number}")).status == 200


def is_gone(world: World, number: int = 1) -> bool:
    return world.api.call("GET", jobs_path(world.namespace, f"j{number}")).status == 404


def window(world: World, number: int = 1, name: str = "now") -> dict[str, Any]:
    """Return what the status says of a window."""
    entries = world.status(number).get("executions", [])
    return next((dict(each) for each in entries if each["name"] == name), {})


def own_jobs(world: World) -> list[dict[str, Any]]:
    """Return the jobs of this world's account at ESA, each with its executions and resets."""
    return [job for job in world.simulator.jobs() if job["aliUid"] == world.account]
