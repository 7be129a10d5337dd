"""What is asked, what it is good for, and what came out."""

import asyncio
import enum
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from hack.questions.account import Account, Reply

_T = TypeVar("_T")


class Word(enum.StrEnum):
    """The answer in a word."""

    YES = "yes"
    NO = "no"
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Answer:
    """The answer to one question, with what it rests on: codes, request ids, numbers and times."""

    word: Word
    evidence: str


def answered(holds: bool, *evidence: object) -> Answer:
    """Return yes or no."""
    return Answer(Word.YES if holds else Word.NO, "; ".join(map(str, evidence)))


def unclear(*evidence: object) -> Answer:
    """Return that it could not be told."""
    return Answer(Word.UNCLEAR, "; ".join(map(str, evidence)))


@dataclass
class Scene:
    """What the questions share, in their order: the job is made by the first of them and deleted by the last."""

    account: Account
    urls: Sequence[str]
    patience: float
    """Seconds that are waited at most for a thing to show."""
    job_id: str = ""
    gone_id: str = ""
    """A throw-away job that was deleted."""
    window_id: str = ""
    begun: float = field(default_factory=time.time)

    async def until(
        self, look: Callable[[], Awaitable[_T | None]], at_most: float = float("inf")
    ) -> tuple[_T | None, float]:
        """Return what a look finds, None when patience is over, and the seconds that it took; 0 at the first look."""
        started = time.monotonic()
        found = await look()
        if found is not None:
            return found, 0.0
        while found is None and time.monotonic() - started < min(self.patience, at_most):
            await asyncio.sleep(min(2.0, self.patience / 20))
            found = await look()
        return found, time.monotonic() - started


@dataclass(frozen=True)
class Question:
    """One question; `key` names it in the page about them."""

    key: str
    text: str
    ask: Callable[[Scene], Awaitable[Answer]]


def code_is(reply: Reply[_T], code: str) -> Answer:
    """Return whether a call was answered by the code that the documentation names."""
    if reply.problem is not None and reply.http_status == 0:
        return unclear(reply)
    return answered(reply.code == code, reply)
