"""Errors of model servers that are one flat object: ``{"error": text, "error_type"?: word}``. Shared by wires.

``error`` may also be a list of texts or an object with ``message``; ``message`` and ``detail`` may stand alone. A model
that is still being loaded names its ``estimated_time`` in seconds. Sources: provider contract 0.4, 5.2 to 5.4, 6.2.
"""

from typing import Any, Final

from msgspec import json
from msgspec.structs import replace

from parley.failure import Failure, ParleyError
from parley.wire.openai_error import BAD_JSON, bad_response
from parley.wire.status import LONGEST_WAIT, Headers, failure_of, told_failure

# The words of ``error_type`` and the statuses that these servers give them.
_STATUSES: Final = {
    "empty": 400,
    "validation": 422,
    "tokenizer": 422,
    "generation": 424,
    "backend": 424,
    "overloaded": 429,
    "incomplete_generation": 500,
    "unhealthy": 503,
}


def flat_failure(wire: str, status: int, headers: Headers, body: bytes) -> Failure:
    """The failure behind an error answer to a request of ``wire``."""
    try:
        data = json.decode(body)
    except BAD_JSON:
        data = None
    message, word, wait = _words(data)
    failure = failure_of(status, headers, message, wire=wire, body=None, upstream_type=word)
    if wait is None or failure.retry_after is not None or not failure.detail:
        return failure
    return replace(failure, retry_after=min(max(wait, 0.0), LONGEST_WAIT))


def refuse_told(wire: str, data: Any) -> None:
    """Raise what an error object means where an answer was to be expected (detail stream_error)."""
    if not isinstance(data, dict) or not data.get("error"):
        return
    message, word, _ = _words(data)
    error = data["error"]
    known = _STATUSES.get((word or "").lower())
    named = {"status": known} if known is not None else error if isinstance(error, dict) else data
    raise ParleyError(told_failure(named, message, wire=wire, upstream_type=word))


def object_of(body: bytes, what: str) -> Any:
    """The JSON of a whole answer, which ``what`` names. Raises ``upstream_bad_response`` (empty_body, bad_json)."""
    if not body.strip():
        raise bad_response("empty_body", "the provider sent an empty answer")
    try:
        return json.decode(body)
    except BAD_JSON:
        raise bad_response("bad_json", f"the provider's answer is not JSON, so it is no {what}") from None


def bad_shape(what: str) -> ParleyError:
    """The error for an answer that is JSON but not ``what`` was asked for."""
    return bad_response("bad_shape", f"the provider's answer is not {what}")


def _words(data: Any) -> tuple[str, str | None, float | None]:
    """Message, type and the seconds until a model is loaded, as far as they are told."""
    if not isinstance(data, dict):
        return (data if isinstance(data, str) else ""), None, None
    word, wait = data.get("error_type"), data.get("estimated_time")
    seconds = float(wait) if isinstance(wait, int | float) and not isinstance(wait, bool) else None
    return _message(data), word if isinstance(word, str) else None, seconds


def _message(data: dict[str, Any]) -> str:
    for name in ("error", "message", "detail"):
        value = data.get(name)
        if isinstance(value, dict):
            value = value.get("message")
        if isinstance(value, list):
            value = "; ".join(item for item in value if isinstance(item, str))
        if isinstance(value, str) and value:
            return value
    return ""
