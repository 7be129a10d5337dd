"""With RESET_CONFIRMATION=nonce a call whose answer was lost is made again as the same signed request."""

from __future__ import annotations

from dataclasses import replace

import pytest

from esa_preload_operator.domain.call import NOT_SENT
from esa_preload_operator.domain.cleaning import format_time
from esa_preload_operator.domain.conditions import State
from esa_preload_operator.domain.errors import Delivery, ErrorClass, Problem, Reason
from esa_preload_operator.domain.signing import CLOCK_MARGIN, VALID_FOR, Signing
from esa_preload_operator.domain.steps import Ask, Call, Read, Returned, Stored, Wait, Write, WriteLost
from esa_preload_operator.domain.values import Phase, Rules
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


def first_call(p: Process, submitted: int = 0) -> tuple[Resource, Call]:
    resource = Resource()
    resource.ask("A")
    expect(Ask, p.sees(resource))
    return resource, expect(Call, p.writes(resource, p.on(Returned(job(submitted), FIRST))))


def recovery(p: Process, resource: Resource, submitted: int = 0, signer: str = "key") -> Write:
    """Let a process wait for the deadline, look, and say what it writes then."""
    while isinstance(step := p.sees(resource, fresh=True), Wait):
        assert step.until is not None
        assert step.until > p.at
        p.at = step.until
    expect(Ask, step)
    return expect(Write, p.on(Returned(job(submitted), fresh(p, f"new{p.at:g}", signer))))


def lost_call(submitted: int = 0) -> tuple[Process, Resource]:
    p = process()
    resource, _ = first_call(p, submitted)
    expect(Wait, p.on(Returned(LOST)))
    return p, resource


def test_an_intent_says_how_its_call_is_signed() -> None:
    _, call = first_call(process())
    assert call.intent.signing == FIRST


@pytest.mark.parametrize("crashed", [False, True])
def test_a_call_whose_answer_was_lost_is_made_again_as_it_was(crashed: bool) -> None:
    p, resource = lost_call()
    successor = process("p1", at=5.0) if crashed else p
    claim = recovery(successor, resource)

    assert claim.reset is not None
    assert claim.reset.signing == FIRST
    assert (claim.reset.tokens, claim.reset.attempts) == (((RESET_KEY, "A"),), 2)
    assert claim.reset.owner == successor.name
    assert "the same signed request was sent again" in claim.reset.message
    assert not claim.undecidable
    assert expect(Call, successor.writes(resource, claim)).intent == claim.reset


def test_a_nonce_that_esa_has_received_confirms_without_a_further_call() -> None:
    p, resource = lost_call()
    expect(Call, p.writes(resource, recovery(p, resource)))
    outcome = expect(Write, p.on(Returned(USED)))

    assert outcome.reset is not None
    assert (outcome.reset.phase, outcome.outcome) == (Phase.SUCCEEDED, "Confirmed")
    assert outcome.reset.message.startswith("confirmed by nonce")
    assert outcome.reset.signing is None
    assert outcome.notice is not None
    assert (outcome.notice.reason, outcome.notice.warning) == (Reason.RESET_CONFIRMED, False)
    assert p.writes(resource, outcome) == Wait()
    assert dict(resource.view.handled) == {RESET_KEY: "A"}


def test_a_request_that_had_not_arrived_succeeds_when_it_is_sent_again() -> None:
    p, resource = lost_call()
    expect(Call, p.writes(resource, recovery(p, resource)))
    outcome = expect(Write, p.on(Returned(job(0))))

    assert outcome.reset is not None
    assert (outcome.reset.phase, outcome.reset.signing) == (Phase.SUCCEEDED, None)
    assert p.writes(resource, outcome) == Wait()


def test_a_second_lost_answer_leads_to_the_same_request_a_third_time() -> None:
    p, resource = lost_call()
    expect(Call, p.writes(resource, recovery(p, resource)))
    expect(Wait, p.on(Returned(LOST)))
    claim = recovery(p, resource)
    assert claim.reset is not None
    assert (claim.reset.signing, claim.reset.attempts) == (FIRST, 3)


def test_progress_that_has_fallen_confirms_without_a_call_here_too() -> None:
    p, resource = lost_call(submitted=5)
    outcome = recovery(p, resource, submitted=0)
    assert outcome.reset is not None
    assert outcome.reset.message.startswith("confirmed by progress")


LAST = VALID_FOR - CLOCK_MARGIN - Rules(owner="").deadline


@pytest.mark.parametrize(
    ("age", "same"), [(LAST, True), (LAST + 1, False), (-CLOCK_MARGIN, True), (-CLOCK_MARGIN - 1, False)]
)
def test_a_request_is_sent_again_only_while_its_date_is_valid(age: float, same: bool) -> None:
    p, resource = lost_call()
    record = resource.view.reset
    assert record is not None
    looks_at = process("p1", at=1000.0)
    dated = replace(FIRST, date=format_time(WALL + looks_at.at + looks_at.rules.deadline - age))
    resource.edit(reset=replace(record, signing=dated))
    claim = recovery(looks_at, resource)
    assert claim.reset is not None
    assert (claim.reset.signing == dated) is same
    assert claim.undecidable is not same
    assert p.name != claim.reset.owner


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
    record = resource.view.reset
    assert record is not None
    resource.edit(reset=replace(record, signing=stored))
    claim = recovery(p, resource)
    assert claim.reset is not None
    assert claim.reset.signing == fresh(p, f"new{p.at:g}")
    assert claim.undecidable
    assert "does not show a reset" in claim.reset.message


def test_without_the_setting_a_nonce_in_the_status_is_left_alone() -> None:
    _, resource = lost_call()
    p = Process("p1")
    expect(Wait, p.sees(resource))
    p.at = p.rules.deadline
    expect(Ask, p.sees(resource, fresh=True))
    claim = expect(Write, p.on(Returned(job(0))))
    assert claim.reset is not None
    assert (claim.reset.signing, claim.undecidable) == (None, True)


def test_without_the_setting_a_used_nonce_is_no_proof() -> None:
    p, resource = Process(), Resource()
    resource.ask("A")
    expect(Ask, p.sees(resource))
    call = expect(Call, p.writes(resource, p.on(Returned(job(0)))))
    assert call.intent.signing is None
    outcome = expect(Write, p.on(Returned(USED)))
    assert outcome.reset is not None
    assert outcome.reset.phase == Phase.RETRYING


def test_a_newer_request_is_not_answered_by_an_older_call() -> None:
    p, resource = lost_call()
    resource.ask("B", RESET_KEY_PREFIXED)
    claim = recovery(p, resource)
    assert claim.reset is not None
    assert claim.reset.tokens == ((RESET_KEY, "A"),)
    expect(Call, p.writes(resource, claim))

    expect(Ask, p.writes(resource, p.on(Returned(USED))))
    intent = expect(Write, p.on(Returned(job(0), fresh(p, "second"))))
    assert intent.reset is not None
    assert intent.reset.signing == fresh(p, "second")
    assert dict(intent.reset.tokens) == {RESET_KEY_PREFIXED: "B"}


def test_a_request_in_the_place_of_the_lost_one_is_a_new_call() -> None:
    p, resource = lost_call()
    resource.ask("B")
    claim = recovery(p, resource)
    assert claim.reset is not None
    assert claim.reset.signing == fresh(p, f"new{p.at:g}")
    assert dict(claim.reset.tokens) == {RESET_KEY: "B"}


def test_a_request_that_has_disappeared_is_not_sent_again() -> None:
    p, resource = lost_call()
    resource.ask("")
    closed = recovery(p, resource)
    assert closed.reset is not None
    assert (closed.reset.phase, closed.reset.signing) == (Phase.WITHDRAWN, None)


@pytest.mark.parametrize("refusal", [problem(), UNREACHABLE, problem("NoPermission", ErrorClass.BLOCKED)])
def test_a_first_call_that_was_refused_is_signed_anew(refusal: Problem) -> None:
    p = process()
    resource, _ = first_call(p)
    outcome = expect(Write, p.on(Returned(refusal)))
    assert outcome.reset is not None
    assert (outcome.reset.phase, outcome.reset.signing) == (Phase.RETRYING, None)
    rest = expect(Wait, p.writes(resource, outcome))
    assert rest.until is not None
    p.at = rest.until
    expect(Ask, p.sees(resource, fresh=True))
    intent = expect(Write, p.on(Returned(job(0), fresh(p, "second"))))
    assert intent.reset is not None
    assert intent.reset.signing == fresh(p, "second")
    assert not intent.undecidable


@pytest.mark.parametrize("answer", [problem(), SERVER_ERROR, problem("NoPermission", ErrorClass.BLOCKED)])
def test_a_nonce_is_not_sent_again_after_an_answer_that_may_have_used_it_up(answer: Problem) -> None:
    p, resource = lost_call()
    expect(Call, p.writes(resource, recovery(p, resource)))
    spent = expect(Write, p.on(Returned(answer)))
    assert spent.reset is not None
    assert (spent.reset.phase, spent.reset.signing, spent.reset.reason) == (Phase.IN_FLIGHT, None, answer.reason)
    assert spent.handled == ()
    expect(Wait, p.writes(resource, spent))

    for successor in (replace(p), process("p1", at=p.at)):
        claim = recovery(successor, resource)
        assert claim.reset is not None
        assert claim.reset.signing == fresh(successor, f"new{successor.at:g}")
        assert claim.undecidable


def test_a_server_error_of_the_first_call_is_remembered_until_it_is_stored() -> None:
    p = process()
    resource, _ = first_call(p)
    expect(Write, p.on(Returned(SERVER_ERROR)))
    expect(Read, p.on(WriteLost()))
    spent = expect(Write, p.sees(resource, fresh=True))
    assert spent.reset is not None
    assert spent.reset.signing is None
    assert expect(Wait, p.writes(resource, spent)).until is not None


def test_a_server_error_with_a_terminal_code_fails_nothing() -> None:
    p = process()
    resource, _ = first_call(p)
    spent = expect(Write, p.on(Returned(replace(SERVER_ERROR, error_class=ErrorClass.TERMINAL))))
    assert spent.reset is not None
    assert spent.reset.phase == Phase.IN_FLIGHT
    assert spent.finding is not None
    assert spent.finding.state is State.WAITING
    assert expect(Wait, p.writes(resource, spent)).until is not None


def test_a_job_that_is_gone_fails_the_request_that_was_sent_again() -> None:
    p, resource = lost_call()
    expect(Call, p.writes(resource, recovery(p, resource)))
    outcome = expect(Write, p.on(Returned(problem("InvalidJob.NotFound", ErrorClass.TERMINAL))))
    assert outcome.reset is not None
    assert (outcome.reset.phase, outcome.reset.signing) == (Phase.FAILED, None)


def test_garbage_in_the_place_of_an_answer_is_a_lost_answer() -> None:
    p = process()
    resource, _ = first_call(p)
    expect(Wait, p.on(Returned(replace(problem("UnreadableAnswer", delivery=Delivery.UNKNOWN), http_status=200))))
    claim = recovery(p, resource)
    assert claim.reset is not None
    assert claim.reset.signing == FIRST


@pytest.mark.parametrize("failure", [UNREACHABLE, problem(NOT_SENT, delivery=Delivery.NEVER_SENT)])
def test_a_request_that_did_not_leave_again_keeps_its_nonce(failure: Problem) -> None:
    p, resource = lost_call()
    claim = recovery(p, resource)
    expect(Call, p.writes(resource, claim))
    expect(Read, p.on(Returned(failure)))
    again = recovery(p, resource)
    assert claim.reset is not None
    assert again.reset is not None
    assert (again.reset.signing, again.reset.attempts) == (FIRST, 3)
    assert again.reset.message == claim.reset.message


def test_a_crd_that_drops_the_nonce_is_outdated_and_nothing_is_called() -> None:
    p, resource = process(), Resource()
    resource.ask("A")
    expect(Ask, p.sees(resource))
    intent = expect(Write, p.on(Returned(job(0), FIRST)))
    assert intent.reset is not None
    resource.edit(reset=replace(intent.reset, signing=None))
    complaint = expect(Write, p.on(Stored(resource.view)))
    assert complaint.finding is not None
    assert complaint.finding.reason is Reason.CRD_OUTDATED
