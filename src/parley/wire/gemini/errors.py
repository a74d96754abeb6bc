"""Gemini's errors as answers, as stream events and inside the array of a stream that is none of events.

``{"error": {"code", "message", "status", "details"}}``. The gateway's own code is the reason of an ErrorInfo among
the details, a field at fault is a BadRequest, seconds to wait are a RetryInfo. Source: provider contract 0.4, 3.5.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from msgspec.structs import replace

from parley.failure import Failure, ParleyError
from parley.framing import sse
from parley.wire.gemini.names import BAD_JSON, NAME, Json, decode, encode, word
from parley.wire.status import LONGEST_WAIT, Headers, failure_of, told_failure

_STATUSES: Final[Mapping[int, str]] = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    402: "FAILED_PRECONDITION",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_DETAIL: Final = "type.googleapis.com/google.rpc."
_BAD_KEYS: Final = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED"})
_SECONDS: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")


def encode_error(failure: Failure, request_id: str) -> tuple[int, bytes]:
    """Status and body; a provider's own body in this wire goes out as it came, but for refused credentials."""
    status = _status(failure)
    body = failure.body
    if body and failure.wire == NAME and status not in (401, 403):
        return status, body
    return status, encode(_error(failure, status))


def encode_array_error(failure: Failure, request_id: str) -> tuple[int, bytes]:
    """The same for callers of a stream that is one array: the error is its only item."""
    status, body = encode_error(failure, request_id)
    return status, body if body.lstrip().startswith(b"[") else b"[%b]" % body


def error_event(failure: Failure) -> bytes:
    """The one event that says that a stream broke."""
    return sse(error_item(failure))


def error_item(failure: Failure) -> bytes:
    """The same without framing. No status line says 502 any more, so the code is the one that UNAVAILABLE has."""
    status = _status(failure)
    return encode(_error(failure, 503 if status == 502 else status))


def _status(failure: Failure) -> int:
    return 503 if failure.http_status == 529 else failure.http_status


def _error(failure: Failure, status: int) -> Json:
    details: list[Json] = [{"@type": f"{_DETAIL}ErrorInfo", "reason": failure.kind, "domain": "parley"}]
    if failure.param is not None:
        violation = {"field": failure.param, "description": failure.message}
        details.append({"@type": f"{_DETAIL}BadRequest", "fieldViolations": [violation]})
    if failure.retry_after is not None:
        details.append({"@type": f"{_DETAIL}RetryInfo", "retryDelay": f"{failure.retry_after:g}s"})
    name = _STATUSES.get(status, "INVALID_ARGUMENT" if 400 <= status < 500 else "INTERNAL")
    return {"error": {"code": status, "message": failure.message, "status": name, "details": details}}


def decode_error(status: int, headers: Headers, body: bytes) -> Failure:
    """The failure behind an error answer, also one that stands alone in an array."""
    try:
        value = _alone(decode(body))
    except BAD_JSON:
        value = None
    error = value.get("error") if type(value) is dict else None
    own = type(error) is dict
    message = word(error, "message") or (error if type(error) is str else "")
    if status == 400 and not _BAD_KEYS.isdisjoint(_reasons(error)):
        status = 401
    failure = failure_of(
        status,
        headers,
        message,
        wire=NAME,
        body=encode(value) if own else None,
        upstream_type=word(error, "status"),
        upstream_code=next(iter(_reasons(error)), None),
    )
    return _waiting(failure, error)


def _waiting(failure: Failure, error: Any) -> Failure:
    """With the seconds to wait that the details name, where no header does."""
    if failure.retry_after is not None or not failure.detail:
        return failure
    seconds = _delay(error)
    return failure if seconds is None else replace(failure, retry_after=seconds)


def _delay(error: Any) -> float | None:
    for detail in _details(error):
        found = _SECONDS.fullmatch(word(detail, "retryDelay") or "")
        if found is not None:
            return min(float(found[1]), LONGEST_WAIT)
    return None


def _details(error: Any) -> list[Any]:
    found = error.get("details") if type(error) is dict else None
    return found if type(found) is list else []


def _reasons(error: Any) -> list[str]:
    """The providers' own words for what went wrong."""
    return [reason for detail in _details(error) if (reason := word(detail, "reason")) is not None]


def _alone(value: Any) -> Any:
    return value[0] if type(value) is list and len(value) == 1 else value


def refuse_error(value: Any) -> None:
    """Raise what an answer or event tells of, if it tells an error: what is inside a 200 answer (stream_error)."""
    value = _alone(value)
    error = value.get("error") if type(value) is dict else None
    if not error:
        return
    if type(error) is str:
        error = {**value, "message": error}
    status = 401 if not _BAD_KEYS.isdisjoint(_reasons(error)) else None
    failure = told_failure(
        {"http_status_code": status, **error} if type(error) is dict and status else error,
        word(error, "message") or "",
        wire=NAME,
        body=encode(value) if type(value.get("error")) is dict else None,
        upstream_type=word(error, "status"),
        upstream_code=next(iter(_reasons(error)), None),
    )
    raise ParleyError(_waiting(failure, error))


def bad(detail: str, message: str) -> NoReturn:
    """Raises ``upstream_bad_response`` with that word for the logs."""
    raise ParleyError(Failure("upstream_bad_response", message, detail=detail))
