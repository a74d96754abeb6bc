"""Anthropic Messages: errors as answers and as stream events, in both directions.

Source: provider contract 0.4, 2.4, 2.5; fault contract, table of error events.
"""

from typing import Any, NoReturn

from parley.failure import Failure, ParleyError
from parley.framing import sse
from parley.wire import Headers
from parley.wire.anthropic.blocks import BAD_JSON, NAME, Json, decode, encode
from parley.wire.status import failure_of, told_failure

_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def encode_error(failure: Failure, request_id: str) -> tuple[int, bytes]:
    """Status and body; a provider's own body in this wire goes out as it came, but for refused credentials."""
    own = _own_body(failure)
    if own is not None:
        return failure.http_status, own
    return failure.http_status, encode({**_error(failure), "request_id": request_id})


def error_event(failure: Failure) -> bytes:
    """The one event that says that a stream broke."""
    return sse(encode(_error(failure)), "error")


def _own_body(failure: Failure) -> bytes | None:
    refused = failure.kind == "upstream_auth" or failure.http_status in (401, 403)
    return failure.body if failure.wire == NAME and failure.body and not refused else None


def _error(failure: Failure) -> Json:
    status = failure.http_status
    error: Json = {
        "type": _TYPES.get(status, "invalid_request_error" if 400 <= status < 500 else "api_error"),
        "message": failure.message,
        "code": failure.kind,
        "details": {"error_code": failure.kind},
    }
    if failure.param is not None:
        error["param"] = failure.param
    return {"type": "error", "error": error}


def decode_error(status: int, headers: Headers, body: bytes) -> Failure:
    """The failure behind an error answer; servers that answer in other shapes are read as far as possible."""
    try:
        value = decode(body)
    except BAD_JSON:
        value = None
    error = value.get("error") if type(value) is dict else None
    return failure_of(
        status,
        headers,
        _message(error),
        wire=NAME,
        body=body if _is_own(value, error) else None,
        upstream_type=_word(error, "type"),
        upstream_code=_code(error),
    )


def stream_failure(value: Any, body: bytes) -> Failure:
    """The failure an error object inside a 200 answer or stream tells of; ``value`` is all of ``body``.

    Some servers send the error's members without the object around them, or words alone.
    """
    error = value.get("error", value) if type(value) is dict else value
    if type(error) is str and type(value) is dict:
        error = {**value, "message": error}
    return told_failure(
        error,
        _message(error),
        wire=NAME,
        body=body if _is_own(value, error) else None,
        upstream_type=_word(error, "type"),
        upstream_code=_code(error),
    )


def _is_own(value: Any, error: Any) -> bool:
    """Whether it is an error as this wire writes them."""
    return type(value) is dict and value.get("type") == "error" and value.get("error") is error and type(error) is dict


def _message(error: Any) -> str:
    return error if type(error) is str else _word(error, "message") or ""


def _word(error: Any, key: str) -> str | None:
    found = error.get(key) if type(error) is dict else None
    return found if type(found) is str else None


def _code(error: Any) -> str | None:
    return _word(error.get("details"), "error_code") if type(error) is dict else None


def bad(detail: str, message: str) -> NoReturn:
    """Raises ``upstream_bad_response`` with that word for the logs."""
    raise ParleyError(Failure("upstream_bad_response", message, detail=detail))
