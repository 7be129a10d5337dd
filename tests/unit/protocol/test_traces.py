"""The shortest ways in which simpler protocols go wrong, each walked step by step through the real one."""

from dataclasses import replace

from esa_preload_operator.domain.call import NOT_SENT, may_send
from esa_preload_operator.domain.errors import Delivery
from esa_preload_operator.domain.steps import Ask, Call, Observed, Read, Returned, Wait, Write
from esa_preload_operator.domain.values import Phase
from esa_preload_operator.resources.job import RESET_KEY
from support.protocol import LOST, Process, Resource, expect, job, problem, sent

FOREVER = 1e9


def _asked(token: str = "A") -> Resource:
    resource = Resource()
    resource.ask(token)
    return resource


def test_an_edit_between_answer_and_outcome_does_not_reset_twice() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource, submitted=0)

    outcome = p0.on(Returned(job(0)))
    resource.edit()
    expect(Read, p0.writes(resource, outcome))
    again = expect(Write, p0.sees(resource, fresh=True))

    assert again.reset is not None
    assert again.reset.phase == Phase.SUCCEEDED
    expect(Wait, p0.writes(resource, again))
    assert dict(resource.view.handled) == {RESET_KEY: "A"}


def test_own_call_that_timed_out_is_not_repeated_before_its_deadline() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource)

    p0.at = 10.0
    rest = expect(Wait, p0.on(Returned(LOST)))
    assert rest.until is not None
    assert rest.until >= p0.at + p0.rules.deadline
    expect(Wait, p0.sees(resource, fresh=True))

    restarted = Process(name="p0 started again", at=10.0)
    waiting = expect(Wait, restarted.sees(resource, fresh=True))
    assert waiting.until == restarted.at + restarted.rules.deadline


def test_who_holds_an_old_body_cannot_claim_and_does_not_call() -> None:
    p0, p1, resource = Process(), Process(name="p1"), _asked()
    sent(p0, resource, submitted=0)
    old = resource.view
    expect(Wait, p1.sees(old))
    expect(Wait, p0.writes(resource, p0.on(Returned(job(0)))))

    p1.at = p1.rules.deadline
    expect(Read, p1.sees(old))
    expect(Ask, p1.on(Observed(old, fresh=True)))  # even if that read is old by the time it is looked
    claim = p1.on(Returned(job(0)))
    expect(Read, p1.writes(resource, claim))
    expect(Wait, p1.sees(resource, fresh=True))


def test_a_claim_renews_the_deadline_for_whoever_comes_next() -> None:
    p0, p1, resource = Process(), Process(name="p1"), _asked()
    sent(p0, resource)
    expect(Wait, p1.sees(resource))
    p1.at = p1.rules.deadline
    expect(Read, p1.sees(resource))
    expect(Ask, p1.sees(resource, fresh=True))
    call = expect(Call, p1.writes(resource, p1.on(Returned(job(1)))))
    assert call.intent.attempts == 2

    successor = Process(name="p2", at=p1.at)
    waiting = expect(Wait, successor.sees(resource, fresh=True))
    assert waiting.until is not None
    assert waiting.until >= p1.at + p1.rules.deadline


def test_a_process_that_was_paused_between_intent_and_call_does_not_send() -> None:
    p0, p1, resource = Process(), Process(name="p1"), _asked()
    call = sent(p0, resource)
    assert may_send(call, p0.at, FOREVER)
    assert not may_send(call, call.not_after + 0.001, FOREVER)
    assert not may_send(call, p0.at, leads_until=p0.at)

    expect(Wait, p1.sees(resource))
    p0.at = p1.at = p1.rules.deadline
    expect(Ask, p1.sees(resource, fresh=True))
    expect(Call, p1.writes(resource, p1.on(Returned(job(1)))))
    expect(Read, p0.on(Returned(problem(NOT_SENT, delivery=Delivery.NEVER_SENT))))
    expect(Wait, p0.sees(resource, fresh=True))


def test_the_last_moment_to_send_leaves_the_call_its_time_before_the_deadline() -> None:
    p0, resource = Process(at=100.0), _asked()
    call = sent(p0, resource)
    assert call.not_after + p0.rules.request_timeout <= 100.0 + p0.rules.deadline


def test_an_intent_about_another_job_is_closed_without_a_call() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource)
    resource.edit(job_id="J2")

    p1 = Process(name="p1")
    expect(Wait, p1.sees(resource, fresh=True))
    p1.at = p1.rules.deadline
    write = expect(Write, p1.sees(resource, fresh=True))

    assert write.reset is not None
    assert write.reset.phase == Phase.WITHDRAWN
    assert write.handled == ()
    expect(Ask, p1.writes(resource, write))


def test_an_answer_about_the_old_job_does_not_describe_the_new_one() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource)
    outcome = p0.on(Returned(job(0)))
    resource.edit(job_id="J2")
    expect(Read, p0.writes(resource, outcome))
    assert expect(Write, p0.sees(resource, fresh=True)).job is None


def test_a_newer_token_is_not_handled_by_the_older_one_s_outcome() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource)
    outcome = p0.on(Returned(job(0)))
    resource.ask("B")
    expect(Read, p0.writes(resource, outcome))

    onward = p0.writes(resource, p0.sees(resource, fresh=True))

    assert dict(resource.view.handled) == {RESET_KEY: "A"}
    expect(Ask, onward)
    call = expect(Call, p0.writes(resource, p0.on(Returned(job(0)))))
    assert dict(call.intent.tokens) == {RESET_KEY: "B"}


def test_after_a_conflict_the_job_is_looked_at_again() -> None:
    p0, resource = Process(), _asked()
    expect(Ask, p0.sees(resource))
    intent = p0.on(Returned(job(1)))
    resource.ask("B")
    expect(Read, p0.writes(resource, intent))

    expect(Ask, p0.sees(resource, fresh=True))
    call = expect(Call, p0.writes(resource, p0.on(Returned(job(0)))))

    assert call.intent.submitted_before == 0
    assert dict(call.intent.tokens) == {RESET_KEY: "B"}


def test_progress_that_has_regrown_proves_nothing_and_the_status_says_so() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource, submitted=1)
    p1 = Process(name="p1")
    expect(Wait, p1.sees(resource))
    p1.at = p1.rules.deadline
    expect(Ask, p1.sees(resource, fresh=True))

    claim = expect(Write, p1.on(Returned(job(1))))

    assert claim.reset is not None
    assert "does not show a reset" in claim.reset.message
    assert claim.handled == ()


def test_progress_that_has_fallen_confirms_without_a_call() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource, submitted=1)
    p1 = Process(name="p1")
    expect(Wait, p1.sees(resource))
    p1.at = p1.rules.deadline
    expect(Ask, p1.sees(resource, fresh=True))

    write = expect(Write, p1.on(Returned(job(0))))

    assert write.outcome == "Confirmed"
    expect(Wait, p1.writes(resource, write))
    assert dict(resource.view.handled) == {RESET_KEY: "A"}


def test_confirmation_by_progress_can_be_switched_off() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource, submitted=1)
    p1 = Process(name="p1")
    p1.rules = replace(p1.rules, confirm_by_progress=False)
    expect(Wait, p1.sees(resource))
    p1.at = p1.rules.deadline
    expect(Ask, p1.sees(resource, fresh=True))
    expect(Call, p1.writes(resource, p1.on(Returned(job(0)))))
