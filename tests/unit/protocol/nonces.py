"""An ESA that takes each nonce once, and what the world has to know of nonces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esa_preload_operator.domain.signing import Signing
from esa_preload_operator.domain.values import Phase

if TYPE_CHECKING:
    from esa_preload_operator.domain.values import ResetState
    from unit.protocol.world import State


def new(stamp: int, key: int) -> Signing:
    """What a request is signed with; the stamp of its date is in use for as long as anybody remembers it."""
    return Signing(f"n{stamp:02}", f"1970-01-01T00:00:{stamp:02}Z", f"key {key}")


def stamps_of(record: ResetState) -> frozenset[str]:
    """The times that a record names: its start and the date of its signature."""
    if record.signing is None:
        return frozenset({record.started_at})
    return frozenset({record.started_at, f"{record.signing.date[:-1]}.000000Z"})


def is_used(s: State, signing: Signing | None) -> bool:
    """Has ESA received the request before?"""
    return signing is not None and any(nonce == signing.nonce for nonce, _ in s.burnt)


def burn(s: State, signing: Signing | None, *, executed: bool) -> State:
    """ESA has received a request, and has executed or refused it."""
    if signing is None or is_used(s, signing):
        return s
    return s._replace(burnt=tuple(sorted((*s.burnt, (signing.nonce, executed)))))


def forget(s: State, stamps: frozenset[str]) -> State:
    """ESA need not remember what nobody can send any more."""
    kept = tuple((nonce, executed) for nonce, executed in s.burnt if f"1970-01-01T00:00:{nonce[1:]}.000000Z" in stamps)
    return s if kept == s.burnt else s._replace(burnt=kept)


def is_refused(s: State, record: ResetState | None) -> bool:
    """Was the intent's nonce used up by a call that ESA did not execute?"""
    return record is not None and record.signing is not None and (record.signing.nonce, False) in s.burnt


def can_repeat(s: State, record: ResetState | None) -> bool:
    """Could the intent's call be made again as it was, so that no second reset is excused?"""
    return record is not None and record.signing is not None and record.signing.signer == f"key {s.key}"


def continues(record: ResetState | None, old: ResetState | None) -> bool:
    """Is it about the same call as the open intent before it: made again, or known to have been answered somehow?"""
    if record is None or old is None or old.signing is None or {record.phase, old.phase} != {Phase.IN_FLIGHT}:
        return False
    answered = record.signing is None and record.attempts == old.attempts
    return record.signing == old.signing or answered
