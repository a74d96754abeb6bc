"""Ollama's errors, as answers and as lines of a stream, in both directions: ``{"error": "text"}``.

Ours also carry ``code``. Source: provider contract 0.4, 4.1.
"""

from typing import Any, NoReturn

import msgspec

from parley.failure import Failure, ParleyError
from parley.wire.status import Headers, failure_of, told_failure

# All wires of this API share the shape, so a provider's body fits a caller of any of them.
NAME = "ollama"
BAD_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode


def encode_error(failure: Failure, request_id: str) -> tuple[int, bytes]:
    """Status and body; a provider's own body in this shape goes out as it came, but for refused credentials."""
    status = 503 if failure.http_status == 529 else failure.http_status
    if failure.body is not None and failure.wire == NAME and status not in (401, 403):
        return status, failure.body
    return status, encode(_told(failure))


def error_line(failure: Failure) -> bytes:
    """The one line that says that a stream broke; nothing may follow it."""
    return encode(_told(failure)) + b"\n"


def _told(failure: Failure) -> dict[str, str]:
    """The error has no member for the field at fault, so the words name it."""
    message, param = failure.message, failure.param
    if param is not None and param not in message:
        message = f"{param}: {message}"
    return {"error": message, "code": failure.kind}


def decode_error(status: int, headers: Headers, body: bytes) -> Failure:
    """The failure behind an error answer; servers in front of this one that answer in other shapes are read too."""
    try:
        value = decode(body)
    except BAD_JSON:
        value = None
    error = value.get("error") if isinstance(value, dict) else None
    ours = body if isinstance(error, str) else None
    words = _words(value)
    # The words are all that tells a missing model from a missing path.
    missing = status == 404 and "model" in words and "not found" in words
    code = "model_not_found" if missing else None
    return failure_of(status, headers, words, wire=NAME, body=ours, upstream_code=code)


def stream_failure(value: dict[str, Any]) -> Failure:
    """The failure an error object means inside an answer whose status was 200 already."""
    error = value.get("error")
    said = error if isinstance(error, dict) else value
    return told_failure(said, _words(value), wire=NAME)


def _words(value: Any) -> str:
    """The message, wherever it stands."""
    if not isinstance(value, dict):
        return ""
    error = value.get("error", value)
    if isinstance(error, dict):
        error = error.get("message")
    return error if isinstance(error, str) else ""


def bad(detail: str, message: str) -> NoReturn:
    """Raises ``upstream_bad_response`` with that word for the logs."""
    raise ParleyError(Failure("upstream_bad_response", message, detail=detail))
