"""What follows when answers are lost again and again: no request is lost, and nobody is charged at speed."""

from esa_preload_operator.domain.call import LONGEST_REPEAT
from esa_preload_operator.domain.conditions import READY, find
from esa_preload_operator.domain.errors import Reason
from esa_preload_operator.domain.steps import Ask, Call, Returned, Wait, Write
from support.protocol import LOST, Process, Resource, expect, job, sent


def _asked() -> Resource:
    resource = Resource()
    resource.ask("A")
    return resource


def _lose_answer(p0: Process, resource: Resource) -> float:
    """Lose the answer to a call, and go on to the next one; return the seconds in between."""
    begun = p0.at
    p0.at = expect(Wait, p0.on(Returned(LOST))).until or 0.0
    while True:
        step = p0.sees(resource, fresh=True)
        if isinstance(step, Ask):
            step = p0.on(Returned(job(1)))
        if isinstance(step, Write):
            step = p0.writes(resource, step)
        if isinstance(step, Call):
            return p0.at - begun
        p0.at = expect(Wait, step).until or 0.0


def test_calls_without_an_answer_are_repeated_more_and_more_slowly() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource)
    waits = [_lose_answer(p0, resource) for _ in range(8)]
    assert waits[0] == p0.rules.deadline
    assert waits[1:6] == [600.0 * 2**n for n in range(5)]
    assert waits[-1] == LONGEST_REPEAT


def test_a_second_lost_answer_is_told_with_what_came_back() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource)
    _lose_answer(p0, resource)
    p0.at = expect(Wait, p0.on(Returned(LOST))).until or 0.0
    expect(Ask, p0.sees(resource, fresh=True))
    note = expect(Write, p0.on(Returned(job(1))))
    assert note.notice is not None
    assert (note.notice.reason, note.notice.warning) == (Reason.OUTCOME_UNKNOWN, True)
    assert "Timeout: said so" in note.notice.message
    rest = expect(Wait, p0.writes(resource, note))
    ready = find(resource.view.shown.conditions, READY)
    assert ready is not None
    assert (ready.status, ready.reason) == ("False", "OutcomeUnknown")
    assert p0.sees(resource, fresh=True) == rest


def test_progress_that_falls_while_the_next_call_is_far_confirms_at_the_look() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource)
    _lose_answer(p0, resource)
    p0.at = expect(Wait, p0.on(Returned(LOST))).until or 0.0
    expect(Ask, p0.sees(resource, fresh=True))
    assert expect(Write, p0.on(Returned(job(0)))).outcome == "Confirmed"


def test_where_nothing_had_been_submitted_two_calls_are_enough() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource, submitted=0)
    p0.at = expect(Wait, p0.on(Returned(LOST))).until or 0.0
    expect(Ask, p0.sees(resource, fresh=True))
    second = expect(Call, p0.writes(resource, p0.on(Returned(job(2)))))
    assert second.intent.submitted_before == 0
    confirmed = expect(Write, p0.on(Returned(LOST)))
    assert confirmed.outcome == "Confirmed"
    assert confirmed.reset is not None
    assert "every URL is submitted after the request" in confirmed.reset.message
    assert p0.writes(resource, confirmed) == Wait()
    assert resource.view.handled == resource.view.asked


def test_a_newer_token_does_not_count_as_satisfied_by_what_an_older_one_had_seen() -> None:
    p0, resource = Process(), _asked()
    sent(p0, resource, submitted=0)
    resource.ask("B")
    p0.at = expect(Wait, p0.on(Returned(LOST))).until or 0.0
    expect(Ask, p0.sees(resource, fresh=True))
    claimed = expect(Call, p0.writes(resource, p0.on(Returned(job(2))))).intent
    assert (claimed.submitted_before, claimed.unproven) == (2, 0)


def test_one_crash_is_recovered_at_once_and_a_second_one_too_but_not_for_ever() -> None:
    resource, at, waits = _asked(), 0.0, []
    sent(Process(), resource)
    for number in range(1, 5):
        successor = Process(name=f"p{number}", at=at)
        rest = expect(Wait, successor.sees(resource, fresh=True))
        while True:
            successor.at = rest.until or 0.0
            expect(Ask, successor.sees(resource, fresh=True))
            step = successor.writes(resource, successor.on(Returned(job(1))))
            if isinstance(step, Call):
                break
            rest = expect(Wait, step)
        waits.append(successor.at - at)
        at = successor.at
    assert waits == [15.0, 15.0, 600.0, 1200.0]
