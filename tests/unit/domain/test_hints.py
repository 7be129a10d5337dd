"""What looks like a request and is none is told with the cure, once."""

import pytest

from esa_preload_operator.domain.hints import ignored_requests
from esa_preload_operator.domain.steps import Tell, Wait
from esa_preload_operator.resources.job import RESET_KEY, RESET_KEY_PREFIXED
from support.protocol import Process, Resource, expect


@pytest.mark.parametrize(
    "key",
    [
        "resetrequested",
        "reset-requested",
        "Reset_Requested",
        "esa.preload-operator.io/reset-requested",
        "example.com/resetRequested",
        "requestReset",
    ],
)
def test_a_mistyped_annotation_is_named_with_the_right_one(key: str) -> None:
    (said,) = ignored_requests({key: "t1"}, {})
    assert key in said
    assert RESET_KEY in said


def test_an_empty_token_and_a_label_ask_for_nothing_and_say_so() -> None:
    (said,) = ignored_requests({RESET_KEY: ""}, {})
    assert "is empty" in said
    (said,) = ignored_requests({}, {RESET_KEY: "t1"})
    assert "set the annotation" in said


@pytest.mark.parametrize("key", [RESET_KEY, RESET_KEY_PREFIXED, "example.com/preset", "preset", "reset"])
def test_other_annotations_are_none_of_our_business(key: str) -> None:
    assert ignored_requests({key: "t1"}, {"app": "reset"}) == ()


def test_people_are_told_once_and_again_only_of_something_else() -> None:
    p0, resource = Process(), Resource()
    resource.edit(hints=("the label x asks for nothing",))
    told = expect(Tell, p0.sees(resource))
    assert told.notice.message == "the label x asks for nothing"
    assert p0.sees(resource) == Wait()
    resource.edit(hints=())
    assert p0.sees(resource) == Wait()
    resource.edit(hints=("the label y asks for nothing",))
    expect(Tell, p0.sees(resource))
