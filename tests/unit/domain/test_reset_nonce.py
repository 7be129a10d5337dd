"""With RESET_CONFIRMATION=nonce a call whose answer was lost is made again as the same signed request."""

from __future__ import annotations

from dataclasses import replace

import pytest

from esa_preload_operator.domain.cleaning import format_time
from esa_preload_operator.domain.errors import Delivery, ErrorClass, Problem, Reason
from esa_preload_operator.domain.reset import NOT_SENT
from esa_preload_operator.domain.reset_values import (
    Answered,
    CallFailed,
    Look,
    Looked,
    Phase,
    Read,
    Rules,
    Send,
    Stored,
    Wait,
    Write,
    WriteLost,
)
from esa_preload_operator.domain.signing import CLOCK_MARGIN, VALID_FOR, Signing
from esa_preload_operator.resources.job import RESET_KEY, RESET_KEY_PREFIXED
from support.protocol import LOST, WALL, Process, Resource, expect, job, problem

USED = problem("SignatureNonceUsed", delivery=Delivery.RECEIVED)
SERVER_ERROR = replace(problem("InternalError", delivery=Delivery.UNKNOWN), http_status=500)
UNREACHABLE = problem("ConnectionFailed", delivery=Delivery.NEVER_SENT)
FIRST = Signing("first", format_time(WALL), "key")


def process(name: str = "p0", at: float = 0.0) -> Process:
    return Process(name, rules=Rules(owner=name, confirm_by_nonce=True), at=at)


def fresh(p: Process, nonce: str, signer: str = "key") -> Signing:
    return Signing(nonce, format_time(WALL + p.at), signer)


def first_call(p: Process, submitted: int = 0) -> tuple[Resource, Send]:
    resource = Resource()
    resource.ask("A")
    expect(Look, p.sees(resource))
    return resource, expect(Send, p.writes(resource, p.on(Looked(job(submitted), FIRST))))


def recovery(p: Process, resource: Resource, submitted: int = 0, signer: str = "key") -> Write:
    """Let a process wait for the deadline, look, and say what it writes then."""
    while isinstance(step := p.sees(resource, fresh=True), Wait):
        assert step.until is not None
        assert step.until > p.at
        p.at = step.until
    expect(Look, step)
    return expect(Write, p.on(Looked(job(submitted), fresh(p, f"new{p.at:g}", signer))))


def lost_call(submitted: int = 0) -> tuple[Process, Resource]:
    p = process()
    resource, _ = first_call(p, submitted)
    expect(Wait, p.on(CallFailed(LOST)))
    return p, resource


def test_an_intent_says_how_its_call_is_signed() -> None:
    _, call = first_call(process())
    assert call.intent.signing == FIRST


@pytest.mark.parametrize("crashed", [False, True])
def test_a_call_whose_answer_was_lost_is_made_again_as_it_was(crashed: bool) -> None:
    p, resource = lost_call()
    successor = process("p1", at=5.0) if crashed else p
    claim = recovery(successor, resource)

    assert claim.record is not None
    assert claim.record.signing == FIRST
    assert (claim.record.tokens, claim.record.attempts) == (((RESET_KEY, "A"),), 2)
    assert claim.record.owner == successor.name
    assert "the same signed request was sent again" in claim.record.message
    assert not claim.undecidable
    assert expect(Send, successor.writes(resource, claim)).intent == claim.record


def test_a_nonce_that_esa_has_received_confirms_without_a_further_call() -> None:
    p, resource = lost_call()
    expect(Send, p.writes(resource, recovery(p, resource)))
    outcome = expect(Write, p.on(CallFailed(USED)))

    assert outcome.record is not None
    assert (outcome.record.phase, outcome.outcome) == (Phase.SUCCEEDED, "Confirmed")
    assert outcome.record.message.startswith("confirmed by nonce")
    assert outcome.record.signing is None
    assert outcome.notice is not None
    assert (outcome.notice.reason, outcome.notice.warning) == (Reason.RESET_CONFIRMED, False)
    assert p.writes(resource, outcome) == Wait()
    assert dict(resource.view.handled) == {RESET_KEY: "A"}


def test_a_request_that_had_not_arrived_succeeds_when_it_is_sent_again() -> None:
    p, resource = lost_call()
    expect(Send, p.writes(resource, recovery(p, resource)))
    outcome = expect(Write, p.on(Answered(job(0))))

    assert outcome.record is not None
    assert (outcome.record.phase, outcome.record.signing) == (Phase.SUCCEEDED, None)
    assert p.writes(resource, outcome) == Wait()


def test_a_second_lost_answer_leads_to_the_same_request_a_third_time() -> None:
    p, resource = lost_call()
    expect(Send, p.writes(resource, recovery(p, resource)))
    expect(Wait, p.on(CallFailed(LOST)))
    claim = recovery(p, resource)
    assert claim.record is not None
    assert (claim.record.signing, claim.record.attempts) == (FIRST, 3)


def test_progress_that_has_fallen_confirms_without_a_call_here_too() -> None:
    p, resource = lost_call(submitted=5)
    outcome = recovery(p, resource, submitted=0)
    assert outcome.record is not None
    assert outcome.record.message.startswith("confirmed by progress")


LAST = VALID_FOR - CLOCK_MARGIN - Rules(owner="").deadline


@pytest.mark.parametrize(
    ("age", "same"), [(LAST, True), (LAST + 1, False), (-CLOCK_MARGIN, True), (-CLOCK_MARGIN - 1, False)]
)
def test_a_request_is_sent_again_only_while_its_date_is_valid(age: float, same: bool) -> None:
    p, resource = lost_call()
    record = resource.view.record
    assert record is not None
    looks_at = process("p1", at=1000.0)
    dated = replace(FIRST, date=format_time(WALL + looks_at.at + looks_at.rules.deadline - age))
    resource.edit(record=replace(record, signing=dated))
    claim = recovery(looks_at, resource)
    assert claim.record is not None
    assert (claim.record.signing == dated) is same
    assert claim.undecidable is not same
    assert p.name != claim.record.owner


@pytest.mark.parametrize(
    "stored",
    [
        replace(FIRST, signer="other key"),
        replace(FIRST, nonce=""),
        replace(FIRST, nonce="a\r\nhost: b"),
        replace(FIRST, nonce="ä"),
        replace(FIRST, date="now"),
        replace(FIRST, date=format_time(WALL).replace("Z", "+00:00")),
        None,
    ],
)
def test_what_cannot_be_the_same_request_is_signed_anew_and_says_that_nothing_is_proven(stored: Signing | None) -> None:
    p, resource = lost_call()
    record = resource.view.record
    assert record is not None
    resource.edit(record=replace(record, signing=stored))
    claim = recovery(p, resource)
    assert claim.record is not None
    assert claim.record.signing == fresh(p, f"new{p.at:g}")
    assert claim.undecidable
    assert "does not show a reset" in claim.record.message


def test_without_the_setting_a_nonce_in_the_status_is_left_alone() -> None:
    _, resource = lost_call()
    p = Process("p1")
    expect(Wait, p.sees(resource))
    p.at = p.rules.deadline
    expect(Look, p.sees(resource, fresh=True))
    claim = expect(Write, p.on(Looked(job(0))))
    assert claim.record is not None
    assert (claim.record.signing, claim.undecidable) == (None, True)


def test_without_the_setting_a_used_nonce_is_no_proof() -> None:
    p, resource = Process(), Resource()
    resource.ask("A")
    expect(Look, p.sees(resource))
    call = expect(Send, p.writes(resource, p.on(Looked(job(0)))))
    assert call.intent.signing is None
    outcome = expect(Write, p.on(CallFailed(USED)))
    assert outcome.record is not None
    assert outcome.record.phase == Phase.RETRYING


def test_a_newer_request_is_not_answered_by_an_older_call() -> None:
    p, resource = lost_call()
    resource.ask("B", RESET_KEY_PREFIXED)
    claim = recovery(p, resource)
    assert claim.record is not None
    assert claim.record.tokens == ((RESET_KEY, "A"),)
    expect(Send, p.writes(resource, claim))

    expect(Look, p.writes(resource, p.on(CallFailed(USED))))
    intent = expect(Write, p.on(Looked(job(0), fresh(p, "second"))))
    assert intent.record is not None
    assert intent.record.signing == fresh(p, "second")
    assert dict(intent.record.tokens) == {RESET_KEY_PREFIXED: "B"}


def test_a_request_in_the_place_of_the_lost_one_is_a_new_call() -> None:
    p, resource = lost_call()
    resource.ask("B")
    claim = recovery(p, resource)
    assert claim.record is not None
    assert claim.record.signing == fresh(p, f"new{p.at:g}")
    assert dict(claim.record.tokens) == {RESET_KEY: "B"}


def test_a_request_that_has_disappeared_is_not_sent_again() -> None:
    p, resource = lost_call()
    resource.ask("")
    closed = recovery(p, resource)
    assert closed.record is not None
    assert (closed.record.phase, closed.record.signing) == (Phase.WITHDRAWN, None)


@pytest.mark.parametrize("refusal", [problem(), UNREACHABLE, problem("NoPermission", ErrorClass.BLOCKED)])
def test_a_first_call_that_was_refused_is_signed_anew(refusal: Problem) -> None:
    p = process()
    resource, _ = first_call(p)
    outcome = expect(Write, p.on(CallFailed(refusal)))
    assert outcome.record is not None
    assert (outcome.record.phase, outcome.record.signing) == (Phase.RETRYING, None)
    rest = expect(Wait, p.writes(resource, outcome))
    assert rest.until is not None
    p.at = rest.until
    expect(Look, p.sees(resource, fresh=True))
    intent = expect(Write, p.on(Looked(job(0), fresh(p, "second"))))
    assert intent.record is not None
    assert intent.record.signing == fresh(p, "second")
    assert not intent.undecidable


@pytest.mark.parametrize("answer", [problem(), SERVER_ERROR, problem("NoPermission", ErrorClass.BLOCKED)])
def test_a_nonce_is_not_sent_again_after_an_answer_that_may_have_used_it_up(answer: Problem) -> None:
    p, resource = lost_call()
    expect(Send, p.writes(resource, recovery(p, resource)))
    spent = expect(Write, p.on(CallFailed(answer)))
    assert spent.record is not None
    assert (spent.record.phase, spent.record.signing, spent.problem) == (Phase.IN_FLIGHT, None, answer)
    assert spent.handled == ()
    expect(Wait, p.writes(resource, spent))

    for successor in (replace(p), process("p1", at=p.at)):
        claim = recovery(successor, resource)
        assert claim.record is not None
        assert claim.record.signing == fresh(successor, f"new{successor.at:g}")
        assert claim.undecidable


def test_a_server_error_of_the_first_call_is_remembered_until_it_is_stored() -> None:
    p = process()
    resource, _ = first_call(p)
    expect(Write, p.on(CallFailed(SERVER_ERROR)))
    expect(Read, p.on(WriteLost()))
    spent = expect(Write, p.sees(resource, fresh=True))
    assert spent.record is not None
    assert spent.record.signing is None
    assert expect(Wait, p.writes(resource, spent)).until is not None


def test_a_server_error_that_blames_the_author_fails_nothing() -> None:
    p = process()
    resource, _ = first_call(p)
    spent = expect(Write, p.on(CallFailed(replace(SERVER_ERROR, error_class=ErrorClass.TERMINAL))))
    assert spent.record is not None
    assert spent.record.phase == Phase.IN_FLIGHT
    assert spent.problem is not None
    assert spent.problem.error_class is ErrorClass.TRANSIENT
    assert expect(Wait, p.writes(resource, spent)).until is not None


def test_a_job_that_is_gone_fails_the_request_that_was_sent_again() -> None:
    p, resource = lost_call()
    expect(Send, p.writes(resource, recovery(p, resource)))
    outcome = expect(Write, p.on(CallFailed(problem("InvalidJob.NotFound", ErrorClass.TERMINAL))))
    assert outcome.record is not None
    assert (outcome.record.phase, outcome.record.signing) == (Phase.FAILED, None)


def test_garbage_in_the_place_of_an_answer_is_a_lost_answer() -> None:
    p = process()
    resource, _ = first_call(p)
    expect(Wait, p.on(CallFailed(replace(problem("UnreadableAnswer", delivery=Delivery.UNKNOWN), http_status=200))))
    claim = recovery(p, resource)
    assert claim.record is not None
    assert claim.record.signing == FIRST


@pytest.mark.parametrize("failure", [UNREACHABLE, problem(NOT_SENT, delivery=Delivery.NEVER_SENT)])
def test_a_request_that_did_not_leave_again_keeps_its_nonce(failure: Problem) -> None:
    p, resource = lost_call()
    claim = recovery(p, resource)
    expect(Send, p.writes(resource, claim))
    expect(Read, p.on(CallFailed(failure)))
    again = recovery(p, resource)
    assert claim.record is not None
    assert again.record is not None
    assert (again.record.signing, again.record.attempts) == (FIRST, 3)
    assert again.record.message == claim.record.message


def test_a_crd_that_drops_the_nonce_is_outdated_and_nothing_is_called() -> None:
    p, resource = process(), Resource()
    resource.ask("A")
    expect(Look, p.sees(resource))
    intent = expect(Write, p.on(Looked(job(0), FIRST)))
    assert intent.record is not None
    resource.edit(record=replace(intent.record, signing=None))
    complaint = expect(Write, p.on(Stored(resource.view)))
    assert complaint.problem is not None
    assert complaint.problem.reason is Reason.CRD_OUTDATED
