from collections.abc import Callable

import pytest

from unit.protocol import mutations
from unit.protocol.explorer import Explorer
from unit.protocol.scopes import A_B, LISTS, NONCE, SCOPES, SITE, TWO_KEYS, A, Scope
from unit.protocol.world import Left, Rulebook

Record = Callable[[str, object], None]

UNDECIDABLE = {
    "nothing submitted at first": "a",
    "nothing submitted, 3 lost answers": "0a",
    "3 lost answers and regrowth": "a",
    "removal and regrowth": "a",
    "unbounded network": "ab",
    "2 owners at once: foreign reset": "a",
    "lease: pause between check and send": "b",
    "the counter falls, the status is wiped": "acd",
}
"""Undecidable situations that a scope must reach; 0: nothing had been submitted, so a lost answer may stay lost."""


@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: scope.name)
def test_every_request_is_one_reset_and_comes_to_its_end(scope: Scope, record_property: Record) -> None:
    found = Explorer(scope).run()
    record_property("states", found.states)
    record_property("undecidable", dict(found.excuses))

    must = set(UNDECIDABLE.get(scope.name, ""))
    may = must if scope.script == A else must | {"0", "a", "e"}  # the second look starts at 0 and proves nothing

    assert not found.fault, str(found)
    assert must <= set(found.excuses) <= may


LEFT = {"nonce: removal, edit, lost write": "e", "nonce: refused calls": "af", "nonce: another access key": "a"}
"""What a nonce leaves undecided; f: ESA refused a call, the refusal was lost, and it had used up the nonce."""


@pytest.mark.parametrize("scope", NONCE, ids=lambda scope: scope.name)
def test_with_a_nonce_no_lost_or_late_call_is_a_second_reset(scope: Scope, record_property: Record) -> None:
    found = Explorer(scope).run()
    record_property("states", found.states)

    assert not found.fault, str(found)
    assert "".join(sorted(found.excuses)) == LEFT.get(scope.name, "")


@pytest.mark.parametrize("scope", SITE, ids=lambda scope: scope.name)
def test_conditions_follow_the_facts_of_the_site_and_come_to_rest(scope: Scope, record_property: Record) -> None:
    found = Explorer(scope).run()
    record_property("states", found.states)

    assert not found.fault, str(found)
    assert set(found.excuses) <= {"0", "a"}


@pytest.mark.parametrize("scope", LISTS, ids=lambda scope: scope.name)
def test_a_list_that_lags_loses_no_reset(scope: Scope, record_property: Record) -> None:
    found = Explorer(scope).run()
    record_property("states", found.states)
    record_property("undecidable", dict(found.excuses))

    assert not found.fault, str(found)
    assert set(found.excuses) <= {"0", "a", "e"}


SECOND = "a second reset for one request"
UNANSWERED = "B counts as handled without a reset after it was set"
UNDONE = "A counts as handled without a reset after it was set"
OTHERS = "what other credentials were told is shown"
OLD_LIST = "an old list counts more than a newer look"
DELETED = "a resource that is being deleted is reset"
TOO_MANY = "more calls than a request without progress may cost"
BROKEN = (
    (mutations.NO_CLAIM, Scope("2 owners", A, Left(lose=1), owners=2), SECOND),
    (mutations.NO_CHECK, Scope("pause", A, Left(pause=1), owners=2, lease=1), SECOND),
    (mutations.NO_WAIT, Scope("lost answer", A, Left(lose=1)), SECOND),
    (mutations.NO_WAIT, Scope("crash", A, Left(crash=1)), SECOND),
    (mutations.FORGETS_ANSWER, Scope("edit", A, Left(edit=1), url=0), SECOND),
    (mutations.PRESENT_TOKENS, Scope("2 tokens", A_B), UNANSWERED),
    (mutations.REUSES_LOOK, Scope("2 owners", A, Left(crash=1), owners=2), SECOND),
    (mutations.IGNORES_JOB, Scope("source change", A, Left(crash=1, new_job=1)), UNDONE),
    (mutations.NO_PLAN_AFTER_FAILURE, Scope("author", A_B, Left(author=1)), "a dead end"),
    (mutations.NEW_NONCE, Scope("lost answer", A, Left(lose=1), url=0, nonce=True), SECOND),
    (mutations.NEW_NONCE, Scope("late", A, Left(lose=1), url=0, unbounded=True, nonce=True), SECOND),
    (mutations.NEW_NONCE, Scope("pause", A, Left(pause=1), owners=2, lease=1, split=True, nonce=True), SECOND),
    (mutations.NEWER_TOKENS, Scope("2 keys", TWO_KEYS, Left(lose=1), url=0, nonce=True), UNANSWERED),
    (mutations.OLD_NONCE, Scope("server error", A, Left(server=1), nonce=True), UNDONE),
    (mutations.NEVER_SATISFIED, Scope("lost answers", A, Left(lose=3), url=0, most=2), TOO_MANY),
    (mutations.IGNORES_CREDENTIALS, Scope("Secret", (), Left(secret=2), site=True), OTHERS),
    (mutations.IGNORES_AGE, Scope("old list", (), Left(vanish=1, forge=1), site=True), OLD_LIST),
    (mutations.BELIEVES_LIST, Scope("old list", (), Left(vanish=2), site=True), OLD_LIST),
    (mutations.WITHOUT_REPORT, Scope("denied", (), Left(deny=1), site=True), "Ready says Ready, not AccessDenied"),
    (mutations.STICKY_PROBLEM, Scope("denied", (), Left(deny=1), site=True), "a circle that nothing ends"),
    (mutations.REMEMBERS_CLAIM, Scope("rival", (), Left(rival=1), site=True), "Ready says JobClaimed, not Ready"),
    (mutations.NEVER_BLOCKED, Scope("rival", A, Left(rival=1), site=True), "another resource's job is reset"),
    (mutations.NEVER_BLOCKED, Scope("deleted", A, Left(delete=1), site=True), DELETED),
    (mutations.BELIEVES_COUNT, Scope("a list lags", A, Left(lose=1), url=0, lists=True), UNDONE),
    (mutations.CLAIMS_FOREVER, Scope("crash", A, Left(crash=1)), "a circle that nothing ends"),
)


@pytest.mark.parametrize(("rulebook", "scope", "fault"), BROKEN, ids=lambda value: getattr(value, "name", None))
def test_a_missing_rule_is_found(rulebook: Rulebook, scope: Scope, fault: str, record_property: Record) -> None:
    sound = Explorer(scope).run()
    broken = Explorer(scope, rulebook).run()

    assert not sound.fault, str(sound)
    assert broken.fault == fault
    assert len(broken.trace) >= 5
    record_property("trace", broken.trace)
