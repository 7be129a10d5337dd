from dataclasses import replace

import pytest

from esa_preload_operator.domain.call import NOT_SENT
from esa_preload_operator.domain.conditions import State
from esa_preload_operator.domain.errors import Delivery, ErrorClass, Reason
from esa_preload_operator.domain.local import Looking
from esa_preload_operator.domain.steps import (
    Ask,
    Call,
    Conflicted,
    CrdChanged,
    CredentialsChanged,
    Read,
    Returned,
    Stored,
    Told,
    Wait,
    Write,
    WriteLost,
    WriteRefused,
)
from esa_preload_operator.domain.values import Phase, ResetState
from esa_preload_operator.resources.job import RESET_KEY, RESET_KEY_PREFIXED
from support.protocol import LOST, NOT_FOUND, WALL, Process, Resource, expect, job, problem, sent

OTHER_KEY = RESET_KEY_PREFIXED


def _asked(token: str = "A", key: str = RESET_KEY) -> Resource:
    resource = Resource()
    resource.ask(token, key)
    return resource


def _record(resource: Resource) -> ResetState:
    assert resource.view.reset is not None
    return resource.view.reset


def _failed(token: str = "A") -> Resource:
    """A resource whose reset failed for good."""
    p0, resource = Process(), _asked(token)
    expect(Ask, p0.sees(resource))
    expect(Wait, p0.writes(resource, p0.on(Returned(NOT_FOUND))))
    assert _record(resource).phase == Phase.FAILED
    return resource


# Terminal errors.


def test_a_terminal_error_ends_the_request() -> None:
    resource = _failed()
    assert resource.view.handled == resource.view.asked
    assert Process().sees(resource) == Wait()


def test_a_changed_spec_tries_again_what_had_failed() -> None:
    resource = _failed()
    resource.change_spec()
    p0 = Process()
    send = sent(p0, resource)
    assert resource.view.handled == ()
    assert send.intent.attempts == 1


def test_a_changed_spec_does_not_repeat_a_success() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource)
    expect(Wait, p0.writes(resource, p0.on(Returned(job()))))
    resource.change_spec()
    acknowledged = expect(Write, p0.sees(resource))
    assert not acknowledged.decides
    assert p0.writes(resource, acknowledged) == Wait()


@pytest.mark.parametrize("held", [True, False])
def test_what_a_changed_spec_tries_again_survives_a_delay(*, held: bool) -> None:
    resource = _failed()
    resource.change_spec()
    p0 = Process()
    if held:
        resource.edit(last_reset=WALL, min_interval=60.0)
        expect(Ask, p0.writes(resource, p0.sees(resource)))
        expect(Wait, p0.writes(resource, p0.on(Returned(job()))))
    else:
        expect(Ask, p0.sees(resource))
        expect(Wait, p0.writes(resource, p0.on(Returned(problem()))))
    p0.at = 60.0
    expect(Ask, p0.sees(resource))


def test_a_newer_token_is_tried_at_once_after_an_older_one_has_failed() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource)
    resource.ask("B")
    expect(Read, p0.writes(resource, p0.on(Returned(NOT_FOUND))))
    expect(Ask, p0.writes(resource, p0.sees(resource, fresh=True)))
    assert dict(resource.view.handled) == {RESET_KEY: "A"}


# Transient and blocked errors.


@pytest.mark.parametrize("error_class", [ErrorClass.TRANSIENT, ErrorClass.BLOCKED])
def test_a_refused_call_is_retried_after_a_delay_and_counts_its_attempts(error_class: ErrorClass) -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource)
    rest = expect(Wait, p0.writes(resource, p0.on(Returned(problem(error_class=error_class)))))
    assert (_record(resource).phase, resource.view.handled) == (Phase.RETRYING, ())
    assert rest.until is not None
    assert rest.until > 0.0
    assert expect(Wait, p0.sees(resource)).until == rest.until
    p0.at = rest.until
    assert sent(p0, resource).intent.attempts == 2


def test_a_connection_that_never_opened_is_retried_without_waiting_for_the_deadline() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource)
    refused = problem("ConnectionRefused", delivery=Delivery.NEVER_SENT)
    rest = expect(Wait, p0.writes(resource, p0.on(Returned(refused))))
    assert rest.until is not None
    assert rest.until < p0.rules.deadline


def test_the_delay_stands_even_if_the_answer_to_its_write_is_lost() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource)
    resource.take(expect(Write, p0.on(Returned(problem()))))
    expect(Read, p0.on(WriteLost()))
    assert expect(Wait, p0.sees(resource, fresh=True)).until is not None


def test_who_decided_not_to_send_does_not_wait_for_the_deadline() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource)
    expect(Read, p0.on(Returned(problem(NOT_SENT, delivery=Delivery.NEVER_SENT))))
    rest = expect(Wait, p0.sees(resource, fresh=True))
    assert rest.until is not None
    assert rest.until < p0.rules.deadline
    p0.at = rest.until
    expect(Read, p0.sees(resource))
    expect(Ask, p0.sees(resource, fresh=True))
    claim = expect(Write, p0.on(Returned(job(0))))
    assert claim.outcome == ""  # lower progress proves nothing about a call that was never sent
    assert claim.reset is not None
    assert (claim.reset.phase, claim.reset.message) == (Phase.IN_FLIGHT, "")


def test_the_same_failure_is_not_written_twice() -> None:
    p0, resource = Process(), _asked()
    expect(Ask, p0.sees(resource))
    rest = expect(Wait, p0.writes(resource, p0.on(Returned(problem()))))
    version = resource.view.version
    for _ in range(5):
        assert rest.until is not None
        p0.at = rest.until
        expect(Ask, p0.sees(resource))
        rest = expect(Wait, p0.on(Returned(problem())))
    assert resource.view.version == version
    p0.at = rest.until or 0.0
    expect(Ask, p0.sees(resource))
    expect(Write, p0.on(Returned(problem("NoPermission", ErrorClass.BLOCKED))))


def test_a_failure_is_told_again_about_a_changed_spec_so_that_its_generation_counts_as_observed() -> None:
    p0, resource = Process(), _asked()
    denied = problem("NoPermission", error_class=ErrorClass.BLOCKED)
    expect(Ask, p0.sees(resource))
    expect(Wait, p0.writes(resource, p0.on(Returned(denied))))
    resource.change_spec()
    p0.at += 1000.0
    expect(Ask, p0.sees(resource))
    expect(Wait, p0.writes(resource, p0.on(Returned(denied))))
    p0.at += 1000.0
    expect(Ask, p0.sees(resource))
    expect(Wait, p0.on(Returned(denied)))


def test_the_same_failure_is_not_written_twice_while_an_intent_is_open() -> None:
    resource = _asked()
    sent(Process(), resource)
    resource.ask("B")
    p1 = Process(name="p1")
    expect(Wait, p1.sees(resource))
    p1.at = p1.rules.deadline
    expect(Ask, p1.sees(resource, fresh=True))
    rest = expect(Wait, p1.writes(resource, p1.on(Returned(problem()))))
    assert _record(resource).phase == Phase.IN_FLIGHT
    p1.at = rest.until or 0.0
    expect(Ask, p1.sees(resource, fresh=True))
    expect(Wait, p1.on(Returned(problem())))


def test_a_failure_that_comes_back_after_a_good_look_is_told_again() -> None:
    p0, resource = Process(), _asked()
    expect(Ask, p0.sees(resource))
    rest = expect(Wait, p0.writes(resource, p0.on(Returned(problem()))))
    p0.at = rest.until or 0.0
    sent(p0, resource)
    rest = expect(Wait, p0.on(Returned(LOST)))
    p0.at = rest.until or 0.0
    expect(Ask, p0.sees(resource, fresh=True))
    expect(Write, p0.on(Returned(problem())))


def test_a_hurried_resource_does_not_wait_for_its_delay() -> None:
    p0, resource = Process(), _asked()
    expect(Ask, p0.sees(resource))
    expect(Wait, p0.writes(resource, p0.on(Returned(problem()))))
    expect(Read, p0.on(Told(CredentialsChanged(), "J1", None, began=0.0)))
    expect(Ask, p0.sees(resource))


# What the API server does.


def test_an_intent_whose_write_was_lost_is_mine_and_needs_no_deadline() -> None:
    p0, resource = Process(), _asked()
    expect(Ask, p0.sees(resource))
    resource.take(expect(Write, p0.on(Returned(job(1)))))
    expect(Read, p0.on(WriteLost()))
    expect(Ask, p0.sees(resource, fresh=True))
    expect(Call, p0.writes(resource, p0.on(Returned(job(1)))))


def test_an_outcome_whose_write_was_lost_is_written_again_without_a_call() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource)
    expect(Write, p0.on(Returned(job())))
    expect(Read, p0.on(WriteLost()))
    assert p0.writes(resource, p0.sees(resource, fresh=True)) == Wait()


def test_an_outcome_that_was_stored_though_its_answer_was_lost_is_not_repeated() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource)
    resource.take(expect(Write, p0.on(Returned(job()))))
    expect(Read, p0.on(WriteLost()))
    assert p0.sees(resource, fresh=True) == Wait()


def test_an_api_server_that_keeps_failing_is_given_time() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource)
    waits = []
    expect(Write, p0.on(Returned(job())))
    expect(Read, p0.on(WriteLost()))
    for _ in range(10):
        expect(Write, p0.sees(resource, fresh=True))
        rest = expect(Wait, p0.on(WriteLost()))
        assert rest.until is not None
        waits.append(rest.until - p0.at)
        p0.at = rest.until
    assert waits[0] == 1.0
    assert waits == sorted(waits)
    assert waits[-1] == 30.0
    assert p0.writes(resource, p0.sees(resource, fresh=True)) == Wait()


def test_a_refused_outcome_is_kept_even_when_the_watch_shows_an_older_version() -> None:
    p0, resource = Process(), _asked()
    resource.edit(reset=ResetState(phase=Phase.SUCCEEDED))
    before = resource.view
    sent(p0, resource)
    expect(Write, p0.on(Returned(job())))
    p0.at = expect(Wait, p0.on(WriteRefused(problem("Forbidden")))).until or 0.0
    expect(Read, p0.sees(before))
    assert p0.writes(resource, p0.sees(resource, fresh=True)) == Wait()
    assert _record(resource).phase == Phase.SUCCEEDED


def test_a_wiped_status_does_not_lose_an_answer() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource)
    outcome = p0.on(Returned(job()))
    resource.edit(reset=None)
    expect(Read, p0.writes(resource, outcome))
    assert p0.writes(resource, p0.sees(resource, fresh=True)) == Wait()
    assert resource.view.handled == resource.view.asked


def test_another_object_of_the_same_name_is_a_new_request() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource)
    outcome = p0.on(Returned(job()))
    resource.edit(uid="v", reset=None, handled=())
    assert resource.take(expect(Write, outcome)) == Conflicted()
    expect(Read, p0.on(Conflicted()))
    expect(Ask, p0.sees(resource, fresh=True))
    assert isinstance(p0.memory.call, Looking)


def test_an_older_crd_that_drops_the_intent_stops_before_the_call() -> None:
    p0, resource = Process(), _asked()
    expect(Ask, p0.sees(resource))
    intent = expect(Write, p0.on(Returned(job(1))))
    assert intent.reset is not None
    resource.edit(reset=replace(intent.reset, owner=""))

    said = expect(Write, p0.on(Stored(resource.view)))
    assert said.finding is not None
    assert (said.finding.state, said.finding.reason) == (State.STALLED, Reason.CRD_OUTDATED)
    assert "status.reset" in said.finding.message
    assert p0.writes(resource, said) == Wait()
    p0.at += 1000.0
    assert p0.sees(resource, fresh=True) == Wait()
    assert resource.view.handled == ()

    expect(Read, p0.on(Told(CrdChanged(), "J1", None, began=p0.at)))
    expect(Wait, p0.writes(resource, p0.sees(resource, fresh=True)))
    p0.at += p0.rules.deadline
    expect(Ask, p0.sees(resource, fresh=True))


def test_a_refused_intent_is_not_called_and_tried_again_later() -> None:
    p0, resource = Process(), _asked()
    expect(Ask, p0.sees(resource))
    expect(Write, p0.on(Returned(job(1))))
    rest = expect(Wait, p0.on(WriteRefused(problem("Forbidden"))))
    assert rest.until is not None
    expect(Wait, p0.sees(resource))
    p0.at = rest.until
    sent(p0, resource)
