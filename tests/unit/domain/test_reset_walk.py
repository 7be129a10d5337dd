"""Whatever happens, in any order that fits the steps, the protocol goes on in a way that makes sense."""

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from esa_preload_operator.domain.call import NOT_SENT
from esa_preload_operator.domain.cleaning import format_time
from esa_preload_operator.domain.errors import Delivery, ErrorClass, Problem, Reason
from esa_preload_operator.domain.local import LocalState, Looking
from esa_preload_operator.domain.plan import advance
from esa_preload_operator.domain.signing import Signing
from esa_preload_operator.domain.steps import (
    Ask,
    Call,
    Conflicted,
    GetJob,
    Input,
    LookFirst,
    Observed,
    Read,
    Returned,
    Step,
    Stored,
    Wait,
    Write,
    WriteLost,
    WriteRefused,
)
from esa_preload_operator.domain.tokens import Tokens, satisfied, token_time
from esa_preload_operator.domain.values import OPEN_PHASES, Moment, Phase, ResetState, Rules
from esa_preload_operator.domain.view import Shown, View
from esa_preload_operator.resources.job import RESET_KEYS
from support.protocol import CREATED, WALL, job, ready
from support.protocol import after as stored

VALUES = ("A", "B", "true", "two\nlines", "ü" * 100, str(int(WALL)), str(int(CREATED - 7200)))


def _tokens(dice: Random) -> Tokens:
    return tuple(sorted((key, dice.choice(VALUES)) for key in RESET_KEYS if dice.random() < 0.6))


def _record(dice: Random) -> ResetState | None:
    if dice.random() < 0.3:
        return None
    return ResetState(
        phase=dice.choice([*Phase, Phase.IN_FLIGHT, Phase.IN_FLIGHT, "Unheard"]),
        job_id=dice.choice(["J1", "J1", "J2", ""]),
        tokens=_tokens(dice),
        owner=dice.choice(["p0", "p1"]),
        submitted_before=dice.choice([None, 0, 1, 2]),
        unproven=dice.choice([0, 0, 1, 2]),
        attempts=dice.randint(0, 5),
        signing=_signing(dice),
    )


def _signing(dice: Random) -> Signing | None:
    date = format_time(WALL + dice.choice([0.0, 100.0, -100.0, -1000.0]))
    return dice.choice([None, Signing("n", date, "key"), Signing("n", date, "other"), Signing("", "", "")])


def _view(dice: Random) -> View:
    return View(
        uid=dice.choice("uuuv"),
        version=dice.randint(1, 100),
        job_id=dice.choice(["J1", "J1", "J2"]),
        asked=_tokens(dice),
        handled=_tokens(dice),
        reset=_record(dice),
        created=CREATED,
        generation=2,
        observed=dice.choice([1, 2]),
        shown=dice.choice([ready(), ready(), Shown()]),
        deleting=dice.random() < 0.05,
        damaged=dice.choice(["", "", "", "", "status.reset"]),
        last_reset=dice.choice([None, WALL - 100.0, WALL, WALL + 100.0]),
        min_interval=dice.choice([0.0, 0.0, 60.0]),
    )


def _problem(dice: Random) -> Problem:
    return Problem(
        code=dice.choice(["X", "Y", NOT_SENT]),
        message="m" * dice.choice([0, 1, 5000]),
        error_class=dice.choice([*ErrorClass]),
        reason=dice.choice([*Reason]),
        delivery=dice.choice([*Delivery]),
        http_status=dice.choice([0, 200, 400, 500]),
        retry_after=dice.choice([None, 0.0, 1000.0]),
    )


def _happens(dice: Random, step: Step) -> Input:
    """Something that can happen after this step."""
    seen = job(dice.randint(0, 3), dice.choice(["J1", "J2", ""]))
    may: list[Input]
    match step:
        case Read():
            return Observed(_view(dice), fresh=True)
        case Ask():
            may = [Returned(seen, _signing(dice)), Returned(seen), Returned(_problem(dice))]
        case Call():
            may = [Returned(seen), Returned(_problem(dice))]
        case Wait():
            return Observed(_view(dice), fresh=dice.random() < 0.5)
        case Write():
            kept = stored(step.view, step)
            pruned = replace(kept, reset=None)
            likely: list[Input] = [Stored(kept)] * 6
            may = [*likely, Stored(pruned), Conflicted(), WriteLost(), WriteRefused(_problem(dice))]
    return dice.choice(may)


def _makes_sense(before: Step, happened: Input, step: Step, memory: LocalState, now: Moment) -> None:
    match step:
        case Read():
            fresh = isinstance(happened, Observed) and happened.fresh
            assert not fresh, "what was just read is read again"
        case Ask(query=GetJob() | LookFirst() as query):
            assert isinstance(memory.call, Looking)
            assert query.job_id == memory.call.view.job_id
            assert not memory.call.view.deleting
            assert not memory.call.view.damaged
        case Write(view=view, reset=record, handled=handled):
            assert not (view.damaged and step.decides)
            if step.decides:
                _judge_write(view, record, handled)
        case Call(intent=intent, not_after=not_after):
            assert isinstance(before, Write)
            assert isinstance(happened, Stored)
            assert not happened.view.deleting
            assert not happened.view.damaged
            assert intent == before.reset == happened.view.reset
            assert intent.phase == Phase.IN_FLIGHT
            assert intent.tokens
            assert intent.owner == "p0"
            assert not_after >= now.monotonic
        case Wait(until=until):
            assert until is None or until > now.monotonic


def _judge_write(view: View, record: ResetState | None, handled: tuple[tuple[str, str], ...]) -> None:
    assert list(handled) == sorted(handled)
    assert len(dict(handled)) == len(handled)
    done = set(record.tokens) if record is not None else set()
    assert set(handled) <= set(view.handled) | done | set(satisfied(view.asked, view.handled, view.newest))
    for key, token in handled:
        assert key in dict(view.asked) or token_time(token) is not None
    if record is not None:
        assert len(record.message.encode()) <= 1024
        assert record.signing is None or record.phase == Phase.IN_FLIGHT or record == view.reset


seeds = st.integers(0, 2**32)


@settings(max_examples=500, deadline=None)
@given(seeds, st.integers(1, 60))
def test_any_order_of_events_is_answered_by_a_step_that_makes_sense(seed: int, length: int) -> None:
    dice = Random(seed)
    nonce = dice.random() < 0.5
    rules = Rules(owner="p0", min_interval=dice.choice([0.0, 30.0]), confirm_by_nonce=nonce)
    memory, monotonic = LocalState(), 0.0
    before: Step = Wait()
    for _ in range(length):
        if isinstance(before, Wait):
            monotonic += dice.choice([0.0, 1.0, 20.0, 1000.0])
        happened = _happens(dice, before)
        now = Moment(wall=WALL + monotonic, monotonic=monotonic, jitter=dice.random())
        memory, after = advance(memory, happened, now, rules)
        _makes_sense(before, happened, after, memory, now)
        before = after


@settings(max_examples=500, deadline=None)
@given(seeds)
def test_a_cooperative_world_brings_any_resource_to_rest(seed: int) -> None:
    """Nobody else writes, ESA answers, time passes: the request is handled within a bounded number of steps."""
    dice = Random(seed)
    view = replace(_view(dice), deleting=False, damaged="")
    memory, monotonic = LocalState(), 0.0
    step: Step = Wait()
    rules = Rules(owner="p0", confirm_by_nonce=dice.random() < 0.5)
    happened: Input = Observed(view, fresh=dice.random() < 0.5)
    for _ in range(40):
        memory, step = advance(memory, happened, Moment(wall=WALL + monotonic, monotonic=monotonic), rules)
        match step:
            case Wait(until=None):
                break
            case Wait(until=float(until)):
                monotonic = until
                happened = Observed(view)
            case Read():
                happened = Observed(view, fresh=True)
            case Ask(query=GetJob() | LookFirst() as query):
                happened = Returned(job(1, query.job_id), _signing(dice) if rules.confirm_by_nonce else None)
            case Call(intent=intent):
                happened = Returned(job(0, intent.job_id))
            case Write():
                view = stored(view, step)
                happened = Stored(view)
    else:
        raise AssertionError(step)
    assert set(view.asked) <= set(view.handled)
    assert view.reset is None or view.reset.phase not in OPEN_PHASES
    assert view.observed == view.generation
    assert view.shown.ready
