import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from esa_preload_operator.domain.errors import ErrorClass, Reason
from esa_preload_operator.esa.codes import TERMINAL, classify

statuses = st.integers(100, 599)
parts = st.sampled_from(
    ["InvalidJob", "NotFound", "Invalid", "ObjectId", "MissingOssUrl", ".", "Parameter", "Arrearage"]
)
codes = st.lists(parts, max_size=4).map("".join) | st.text(max_size=40)


@given(codes, statuses)
@example("InvalidExecution.NotFound", 404)
@example("InvalidParameter", 400)
def test_only_codes_that_are_known_to_be_terminal_end_a_request(code: str, status: int) -> None:
    error_class, _ = classify(code, status)
    assert error_class is not ErrorClass.TERMINAL or code in TERMINAL


@given(st.sampled_from(sorted(TERMINAL)), statuses)
def test_a_server_error_ends_no_request(code: str, status: int) -> None:
    error_class, reason = classify(code, status)
    if status in {408, 429} or status >= 500:
        assert error_class is ErrorClass.TRANSIENT
    else:
        assert (error_class, reason) == (ErrorClass.TERMINAL, TERMINAL[code])


@pytest.mark.parametrize(
    ("status", "error_class", "reason"),
    [
        (400, ErrorClass.BLOCKED, Reason.ESA_ERROR),
        (401, ErrorClass.BLOCKED, Reason.CREDENTIALS_INVALID),
        (403, ErrorClass.BLOCKED, Reason.ACCESS_DENIED),
        (404, ErrorClass.BLOCKED, Reason.ESA_ERROR),
        (408, ErrorClass.TRANSIENT, Reason.SERVICE_UNAVAILABLE),
        (409, ErrorClass.BLOCKED, Reason.ESA_ERROR),
        (429, ErrorClass.TRANSIENT, Reason.THROTTLED),
        (500, ErrorClass.TRANSIENT, Reason.SERVICE_UNAVAILABLE),
        (504, ErrorClass.TRANSIENT, Reason.SERVICE_UNAVAILABLE),
    ],
)
def test_the_status_decides_about_a_code_that_is_not_known(
    status: int, error_class: ErrorClass, reason: Reason
) -> None:
    assert classify("SomethingNew", status) == (error_class, reason)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("Throttling", Reason.THROTTLED),
        ("Throttling.Api", Reason.THROTTLED),
        ("Rejected.Throttling", Reason.THROTTLED),
        ("Site.ServiceBusy", Reason.SERVICE_UNAVAILABLE),
    ],
)
def test_what_passes_by_itself_is_retried(code: str, reason: Reason) -> None:
    assert classify(code, 400) == (ErrorClass.TRANSIENT, reason)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("InvalidAccountStatus.NotEnoughBalance", Reason.ACCOUNT_UNUSABLE),
        ("Account.Arrearage", Reason.ACCOUNT_UNUSABLE),
        ("Forbidden.Arrearage", Reason.ACCOUNT_UNUSABLE),
        ("AccountArrears", Reason.ACCOUNT_UNUSABLE),
        ("UserDisable", Reason.ACCOUNT_UNUSABLE),
        ("Forbidden.RAM", Reason.ACCESS_DENIED),
        ("AccessDeniedException", Reason.ACCESS_DENIED),
        ("MissingSecurityToken", Reason.CREDENTIALS_INVALID),
        ("InvalidTimeStamp.Format", Reason.CREDENTIALS_INVALID),
        ("InvalidAction.NotFound", Reason.ESA_ERROR),
        ("LogNotFound", Reason.ESA_ERROR),
    ],
)
def test_what_only_the_owner_of_the_account_can_change_keeps_the_request(code: str, reason: Reason) -> None:
    assert classify(code, 404) == (ErrorClass.BLOCKED, reason)
