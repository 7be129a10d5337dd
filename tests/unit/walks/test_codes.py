"""Each way in which ESA refuses a create or a window, from its answer to condition and Event, and back."""

from __future__ import annotations

import pytest

from support.walks.ending import differences
from support.walks.walk import CREATE, REF, Walk

OPEN = "CreateScheduledPreloadExecutions"
TRANSIENT = (
    (400, "TooManyRequests", "Throttled"),
    (400, "Throttling.User", "Throttled"),
    (400, "Rejected.Throttling", "Throttled"),
    (429, "Whatever", "Throttled"),
    (503, "ServiceUnavailable", "ServiceUnavailable"),
    (500, "InternalError", "ServiceUnavailable"),
    (400, "Site.ServiceBusy", "ServiceUnavailable"),
    (400, "LockFailed", "ServiceUnavailable"),
    (408, "Whatever", "ServiceUnavailable"),
    (502, "Whatever", "ServiceUnavailable"),
)
BLOCKED = (
    (403, "InvalidUid.PermissionDenied", "AccessDenied"),
    (403, "Forbidden.RAM", "AccessDenied"),
    (403, "NoPermission", "AccessDenied"),
    (400, "AccessDenied", "AccessDenied"),
    (403, "Whatever", "AccessDenied"),
    (404, "InvalidAccessKeyId.NotFound", "CredentialsInvalid"),
    (400, "SignatureDoesNotMatch", "CredentialsInvalid"),
    (400, "IncompleteSignature", "CredentialsInvalid"),
    (400, "InvalidSecurityToken.Expired", "CredentialsInvalid"),
    (400, "MissingSecurityToken", "CredentialsInvalid"),
    (400, "InvalidTimeStamp.Expired", "CredentialsInvalid"),
    (401, "Whatever", "CredentialsInvalid"),
    (400, "InvalidJob.JobCountOfSiteFull", "QuotaExceeded"),
    (400, "InvalidAccountStatus.NotEnoughBalance", "AccountUnusable"),
    (400, "Account.Arrearage", "AccountUnusable"),
    (403, "UserDisable", "AccountUnusable"),
    (404, "LogNotFound", "EsaError"),
    (400, "Strange.New", "EsaError"),
)
TERMINAL = (
    (400, "InvalidEndTime.Mismatch", "InvalidSpec"),
    (400, "MissingOssUrl", "InvalidSpec"),
    (400, "MissingUrlList", "InvalidSpec"),
)


@pytest.mark.parametrize(("status", "code", "reason"), TRANSIENT + BLOCKED + TERMINAL)
@pytest.mark.parametrize("action", [CREATE, OPEN])
def test_what_esa_says_shows_and_what_heals_it_is_enough(action: str, status: int, code: str, reason: str) -> None:
    walk = Walk()
    walk.restart()
    if action == OPEN:
        walk.create()
        walk.turn(61)
    walk.fault("refuse", action, status=status, code=code, message="because", times=None)
    walk.put_window("w1", walk.window("far", 1))
    walk.create()
    walk.turn(300)
    _, shown, message = walk.cluster.condition(REF)
    assert (shown, code in message) == (reason, True), message
    assert reason in walk.outside.events.reasons
    made = len([each for each in walk.calls() if each.action == action])
    assert made == 1 if (status, code, reason) in TERMINAL else 1 < made < 200, "it backs off"
    walk.simulator.faults.clear()
    if (status, code, reason) in TERMINAL:
        walk.put_window("w1", walk.window("far", 2))
    assert differences(walk) == []
    walk.close()
