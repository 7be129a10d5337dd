from dataclasses import replace

import pytest

from esa_preload_operator.domain.errors import Reason
from esa_preload_operator.domain.steps import Ask, Call, LookFirst, Read, Returned, Wait, Write
from esa_preload_operator.domain.tokens import normalise
from esa_preload_operator.domain.values import Phase, ResetState
from esa_preload_operator.domain.view import View, requested
from esa_preload_operator.resources.job import RESET_KEY, RESET_KEY_PREFIXED
from support.protocol import CREATED, NOT_FOUND, WALL, Process, Resource, expect, job, problem, sent

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


# An undisturbed reset.


def test_a_reset_is_one_look_two_writes_and_one_call() -> None:
    p0, resource = Process(), _asked()

    look = expect(Ask, p0.sees(resource))
    intent = expect(Write, p0.on(Returned(job(2))))
    send = expect(Call, p0.writes(resource, intent))
    outcome = expect(Write, p0.on(Returned(job(0))))
    rest = expect(Wait, p0.writes(resource, outcome))

    assert isinstance(look.query, LookFirst)
    assert look.query.job_id == send.intent.job_id == "J1"
    assert intent.reset == send.intent
    assert (send.intent.submitted_before, send.intent.attempts, send.intent.owner) == (2, 1, "p0")
    assert outcome.notice is not None
    assert outcome.notice.reason is Reason.RESET_SUCCEEDED
    assert (_record(resource).phase, _record(resource).request_id) == (Phase.SUCCEEDED, "R1")
    assert rest.until is None


def test_a_resource_that_needs_nothing_gets_no_write() -> None:
    resource = Resource()
    assert Process().sees(resource) == Wait()
    resource.edit(asked=((RESET_KEY, "A"),), handled=((RESET_KEY, "A"),))
    assert Process().sees(resource) == Wait()


def test_both_keys_at_once_are_one_reset() -> None:
    p0, resource = Process(), _asked()
    resource.ask("B", OTHER_KEY)
    send = sent(p0, resource)
    assert dict(send.intent.tokens) == {RESET_KEY: "A", OTHER_KEY: "B"}
    expect(Wait, p0.writes(resource, p0.on(Returned(job()))))
    assert resource.view.handled == resource.view.asked


def test_a_key_that_is_set_during_a_reset_is_a_reset_of_its_own() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource)
    resource.ask("B", OTHER_KEY)
    expect(Read, p0.writes(resource, p0.on(Returned(job()))))
    expect(Ask, p0.writes(resource, p0.sees(resource, fresh=True)))
    assert dict(resource.view.handled) == {RESET_KEY: "A"}


@pytest.mark.parametrize("token", ["x" * 200_000, "two\nlines\r\n", "\x00", "ü" * 1000, "'\"{}"])
def test_any_token_is_reset_once_and_shown_within_bounds(token: str) -> None:
    p0, resource = Process(), _asked(normalise(token))
    sent(p0, resource)
    outcome = expect(Write, p0.on(Returned(job())))
    assert outcome.notice is not None
    assert len(outcome.notice.message) < 1024
    assert "\n" not in outcome.notice.message
    assert expect(Wait, p0.writes(resource, outcome)) == Wait()


# Tokens that come and go.


def test_a_token_that_was_removed_and_set_again_asks_again() -> None:
    p0, resource = Process(), _asked("true")
    sent(p0, resource)
    expect(Wait, p0.writes(resource, p0.on(Returned(job()))))

    resource.ask("")
    assert expect(Wait, p0.writes(resource, p0.sees(resource))) == Wait()
    assert resource.view.handled == ()
    assert _record(resource).phase == Phase.SUCCEEDED
    resource.ask("true")
    expect(Ask, p0.sees(resource))


def test_a_time_that_was_removed_and_set_again_is_not_repeated() -> None:
    token = str(int(WALL))
    p0, resource = Process(), _asked(token)
    sent(p0, resource)
    expect(Wait, p0.writes(resource, p0.on(Returned(job()))))
    resource.ask("")
    assert p0.sees(resource) == Wait()
    resource.ask(token)
    assert p0.sees(resource) == Wait()


def test_a_token_that_disappears_during_its_call_can_be_set_again() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource)
    resource.ask("")
    expect(Read, p0.writes(resource, p0.on(Returned(job()))))
    expect(Wait, p0.writes(resource, p0.sees(resource, fresh=True)))
    assert resource.view.handled == ()
    resource.ask("A")
    expect(Ask, p0.sees(resource))


def test_a_token_older_than_the_object_is_handled_without_a_call() -> None:
    p0, resource = Process(), _asked(str(int(CREATED - 3601)))
    write = expect(Write, p0.sees(resource))
    assert write.notice is not None
    assert write.notice.reason is Reason.STALE_TOKEN
    assert p0.writes(resource, write) == Wait()
    assert resource.view.handled == resource.view.asked
    assert _record(resource).phase == Phase.WITHDRAWN


def test_a_stale_token_does_not_take_a_present_one_with_it() -> None:
    p0, resource = Process(), _asked(str(int(CREATED - 3601)))
    resource.ask("B", OTHER_KEY)
    expect(Ask, p0.writes(resource, p0.sees(resource)))
    assert set(dict(resource.view.handled)) == {RESET_KEY}


def test_a_stale_token_does_not_swallow_what_a_changed_spec_tries_again() -> None:
    resource = _failed()
    resource.ask(str(int(CREATED - 3601)), OTHER_KEY)
    resource.change_spec()
    p0 = Process()
    expect(Ask, p0.writes(resource, p0.sees(resource)))
    assert requested(resource.view) == ((RESET_KEY, "A"),)


def test_a_request_that_disappears_before_recovery_is_withdrawn_without_a_call() -> None:
    resource = _asked()
    sent(Process(), resource)
    resource.ask("")
    p1 = Process(name="p1")
    expect(Wait, p1.sees(resource))
    p1.at = p1.rules.deadline
    expect(Ask, p1.sees(resource, fresh=True))
    assert p1.writes(resource, p1.on(Returned(job(1)))) == Wait()
    assert (_record(resource).phase, resource.view.handled) == (Phase.WITHDRAWN, ())


def test_a_request_that_disappears_while_it_is_retried_is_withdrawn() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource)
    expect(Wait, p0.writes(resource, p0.on(Returned(problem()))))
    resource.ask("")
    assert p0.writes(resource, p0.sees(resource)) == Wait()
    assert _record(resource).phase == Phase.WITHDRAWN


# minResetInterval.


def test_requests_that_come_too_soon_are_held_and_become_one_reset() -> None:
    p0, resource = Process(), _asked()
    resource.edit(last_reset=WALL - 10.0, min_interval=60.0)

    held = expect(Write, p0.sees(resource))
    rest = expect(Wait, p0.writes(resource, held))
    assert held.due == WALL + 50.0
    assert rest.until == 50.0
    assert _record(resource).phase == Phase.HELD
    assert expect(Wait, p0.sees(resource)).until == 50.0

    resource.ask("B")
    rest = expect(Wait, p0.writes(resource, p0.sees(resource)))
    p0.at = 50.0
    assert dict(sent(p0, resource).intent.tokens) == {RESET_KEY: "B"}


def test_the_operator_s_interval_is_a_floor() -> None:
    p0, resource = Process(), _asked()
    p0.rules = replace(p0.rules, min_interval=100.0)
    resource.edit(last_reset=WALL, min_interval=60.0)
    assert expect(Write, p0.sees(resource)).due == WALL + 100.0


def test_a_held_request_that_disappears_is_withdrawn() -> None:
    p0, resource = Process(), _asked()
    resource.edit(last_reset=WALL, min_interval=60.0)
    expect(Wait, p0.writes(resource, p0.sees(resource)))
    resource.ask("")
    assert p0.writes(resource, p0.sees(resource)) == Wait()
    assert _record(resource).phase == Phase.WITHDRAWN


def test_requested_counts_every_key_on_its_own() -> None:
    view = View(
        uid="u", version=1, job_id="J1", asked=((OTHER_KEY, "B"), (RESET_KEY, "A")), handled=((RESET_KEY, "A"),)
    )
    assert requested(view) == ((OTHER_KEY, "B"),)
