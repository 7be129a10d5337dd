"""What an answer, or the lack of one, says: HTTP to `Problem`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from esa_preload_operator.domain.errors import Delivery, ErrorClass, EsaError, Problem, Reason
from esa_preload_operator.esa.codes import advice, classify, is_known
from esa_preload_operator.esa.concealing import conceal, conceal_all
from esa_preload_operator.esa.parsing import UnreadableBodyError, parse_error, parse_json
from esa_preload_operator.esa.throttle import MAX_RETRY_AFTER

MAX_MESSAGE: Final = 1024
"""Bytes of a message from ESA that conditions and Events show."""
_MAX_CODE: Final = 128
_MAX_REQUEST_ID: Final = 128
_MAX_KIND: Final = 64
_GZIP: Final = b"\x1f\x8b"
_CODE: Final = re.compile(r"[\w.:-]+")
_NONCE_USED: Final = "SignatureNonceUsed"


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    secrets: Sequence[str] = field(default=(), repr=False)
    """What the request itself showed, such as its signature, and the answer may echo."""


def read_json(answer: Answer, hidden: Sequence[str] = (), payload: str = "") -> tuple[Any, str]:
    """Return the JSON of a successful answer and its request id.

    Args:
        answer: what came back.
        hidden: texts that no message may show.
        payload: field without which an answer that carries an error code is none, although it is HTTP 200.

    Raises:
        EsaError: ESA answered with an error, or with something that can't be read.
    """
    hidden = (*hidden, *answer.secrets)
    fields, why = _fields(answer, hidden)
    request_id = _request_id(answer, fields, hidden)
    if answer.status != 200:
        raise EsaError(_problem(answer, fields, request_id, hidden))
    if not isinstance(fields, dict):
        raise unreadable(f"{_shape(answer, fields, hidden)}, which {why}", request_id)
    if payload and fields.get(payload) is None and (code := _code(fields, hidden)):
        raise unreadable(f"HTTP 200 with the error code {code} and without {payload}", request_id)
    return fields, request_id


def unreadable(message: str, request_id: str = "", http_status: int = 200) -> EsaError:
    """An answer that tells nothing: what was asked for may have been done."""
    return EsaError(
        Problem(
            "UnreadableAnswer",
            message,
            ErrorClass.TRANSIENT,
            Reason.SERVICE_UNAVAILABLE,
            Delivery.UNKNOWN,
            request_id,
            http_status,
        )
    )


def lost(code: str, message: str, delivery: Delivery) -> EsaError:
    """No answer at all; `delivery` says if the request had left."""
    return EsaError(Problem(code, message, ErrorClass.TRANSIENT, Reason.SERVICE_UNAVAILABLE, delivery))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from `x-acs-retry-after`, which is in milliseconds; None if absent or not above 0; at most 120."""
    return _pause(headers.get("x-acs-retry-after", ""), per_second=1000)


def _pause(text: str, per_second: int) -> float | None:
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
        return None
    seconds = int(digits) / per_second
    return min(seconds, MAX_RETRY_AFTER) if seconds > 0 else None


def _problem(answer: Answer, fields: Any, request_id: str, hidden: Sequence[str]) -> Problem:
    """Return what an answer with an error says; without a code only HTTP 429 says that nothing was done."""
    code, status = _code(fields, hidden), answer.status
    asked = retry_after(answer.headers)
    pause = asked if asked is not None else _pause(answer.headers.get("retry-after", ""), per_second=1)
    if not code:
        if status != 429:
            unread = unreadable(_shape(answer, fields, hidden), request_id, status).problem
            return replace(unread, retry_after=pause)
        code, message = "TooManyRequests", _shape(answer, fields, hidden)
    else:
        message = _message(code, status, fields, hidden)
    error_class, reason = classify(code, status)
    if asked is not None and not is_known(code):
        error_class, reason = ErrorClass.TRANSIENT, Reason.THROTTLED
    delivery = Delivery.REFUSED if 400 <= status < 500 and status != 408 else Delivery.UNKNOWN
    if delivery is Delivery.REFUSED and code == _NONCE_USED:
        delivery = Delivery.RECEIVED
    return Problem(code, message, error_class, reason, delivery, request_id, status, pause)


def _message(code: str, status: int, fields: Any, hidden: Sequence[str]) -> str:
    """Return ESA's own words, with advice where they don't say what to do."""
    help_ = advice(code)
    told = conceal(_field(fields, "Message"), hidden, MAX_MESSAGE - len(help_) - 2) or f"HTTP {status}"
    return f"{told.rstrip('.')}; {help_}" if help_ else told


def _shape(answer: Answer, fields: Any, hidden: Sequence[str]) -> str:
    """Return in short what came back in place of an answer of ESA, such as `HTTP 404 with text/html`."""
    kind = conceal(answer.headers.get("content-type", "").partition(";")[0], hidden, _MAX_KIND)
    if not answer.body:
        kind = "no body"
    elif answer.body.startswith(_GZIP):
        kind = "a gzip body"
    elif isinstance(fields, dict):
        kind = "JSON, but no error code"
    return f"HTTP {answer.status} with {kind or 'a body of no type'}"


def _code(fields: Any, hidden: Sequence[str]) -> str:
    """Return the error code if there is something that looks like one."""
    code = conceal(_field(fields, "Code"), hidden, _MAX_CODE)
    return code if _CODE.fullmatch(code) else ""


def _request_id(answer: Answer, fields: Any, hidden: Sequence[str]) -> str:
    found = _field(fields, "RequestId") or answer.headers.get("x-acs-request-id", "")
    return conceal(found, hidden, _MAX_REQUEST_ID)


def _field(fields: Any, name: str) -> str:
    """Return a text field, whose name some gateways begin with a small letter."""
    if not isinstance(fields, dict):
        return ""
    value = fields.get(name, fields.get(name[0].lower() + name[1:]))
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _fields(answer: Answer, hidden: Sequence[str]) -> tuple[Any, str]:
    """Return the fields of an answer without secrets; None and the cause if it can't be read."""
    try:
        fields = parse_json(answer.body) if answer.status == 200 else parse_error(answer.body)
    except UnreadableBodyError as error:
        return None, str(error)
    return conceal_all(fields, hidden), "is no JSON object"
