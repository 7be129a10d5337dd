"""What a test can do to requests on their way to the API server, and the record of them."""

from __future__ import annotations

import asyncio
import inspect
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@dataclass(frozen=True)
class Match:
    """Which requests a fault is for; what is left out matches everything.

    Attributes:
        method: HTTP method.
        path: regular expression, searched in the path without its query.
        body: predicate on the request's JSON body (None when there is none).
        watch: whether the request is a watch.
    """

    method: str | None = None
    path: str = ""
    body: Callable[[Any], bool] | None = None
    watch: bool | None = None

    def fits(self, request: Exchange) -> bool:
        """Whether a request is meant."""
        return (
            self.method in (None, request.method)
            and self.watch in (None, request.watch)
            and re.search(self.path, request.path) is not None
            and (self.body is None or self.body(request.body))
        )


@dataclass
class Exchange:
    """One request and what became of it.

    Attributes:
        time: `time.monotonic()` of its arrival.
        upstream_status: what the API server answered; None when it never got the request or its answer was lost.
        status: what the client was answered; None when it was not.
        answer: the API server's JSON answer (None for a watch).
        accept: the request's header of that name.
    """

    time: float
    method: str
    path: str
    query: dict[str, str]
    body: Any
    user_agent: str
    upstream_status: int | None = None
    status: int | None = None
    answer: Any = None
    accept: str = ""

    @property
    def watch(self) -> bool:
        """Whether the request is a watch."""
        return self.query.get("watch") in ("1", "true")


@dataclass
class Rule:
    """A fault that waits for requests; `hits` are those it has met so far."""

    match: Match
    times: int | None
    hits: list[Exchange] = field(default_factory=list)
    met: asyncio.Event = field(default_factory=asyncio.Event)

    def takes(self, request: Exchange) -> bool:
        """Whether the rule is for this request; counts it then."""
        if self.times == 0 or not self.match.fits(request):
            return False
        if self.times is not None:
            self.times -= 1
        self.hits.append(request)
        self.met.set()
        return True

    def remove(self) -> None:
        """Ends the fault for requests to come."""
        self.times = 0


@dataclass
class Refusal(Rule):
    """Answers a metav1.Status in the API server's place."""

    status: int = 500
    reason: str = "InternalError"
    message: str = ""
    retry_after: int | None = None
    as_event: bool = False


@dataclass
class Hook(Rule):
    """Runs a callback before or after the API server sees the request."""

    callback: Callable[[Exchange], Awaitable[object] | None] = lambda _request: None
    after: bool = False

    async def run(self, request: Exchange) -> None:
        """Runs the callback to its end."""
        result = self.callback(request)
        if inspect.isawaitable(result):
            await result


@dataclass
class Gate(Hook):
    """Keeps matching requests until `release`; `met` is set when the first one has come."""

    opened: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """A gate is a hook that waits."""
        self.callback = lambda _request: self.opened.wait()

    def release(self) -> None:
        """Lets the kept requests, and all later ones, pass."""
        self.remove()
        self.opened.set()
