"""Cohere's errors, both ways: ``{"message": ...}`` and the status.

Statuses of its own: 498 is a token that is not valid, 499 a request that was given up.
"""

from typing import Any, Final

from msgspec import json

from parley.failure import Failure, ParleyError
from parley.framing import sse
from parley.ir import Event
from parley.wire import Reply, unspoken
from parley.wire.openai_error import BAD_JSON
from parley.wire.status import Headers, failure_of, told_failure

NAME: Final = "cohere"
_INVALID_TOKEN: Final = 498
# Reasons for which no answer was made, and the status that says the same.
_BROKEN: Final = {"ERROR": 502, "TIMEOUT": 504, "ERROR_LIMIT": 429}


def encode_error(failure: Failure, request_id: str) -> tuple[int, bytes]:
    """Status and body; a provider's own body in this wire goes out as it came, but for refused credentials."""
    status = 503 if failure.http_status == 529 else failure.http_status
    if failure.wire == NAME and failure.body is not None and status not in (401, 403):
        return status, failure.body
    return status, json.encode({"id": request_id, "message": failure.message})


def decode_error(status: int, headers: Headers, body: bytes) -> Failure:
    """The failure behind an error answer; its body is kept where it has this wire's shape."""
    try:
        value = json.decode(body)
    except BAD_JSON:
        value = None
    own = isinstance(value, dict) and isinstance(value.get("message"), str)
    code = 401 if status == _INVALID_TOKEN else status
    return failure_of(code, headers, words_of(value), wire=NAME, body=body if own else None)


def words_of(value: Any) -> str:
    """What an error object says, "" where it says nothing."""
    found = value
    for name in ("error", "message", "detail"):
        if isinstance(found, dict) and name in found:
            found = found[name]
    return found if isinstance(found, str) else ""


def stream_failure(value: Any) -> ParleyError:
    """What an error object inside a 200 answer means."""
    return ParleyError(told_failure(value, words_of(value), wire=NAME))


def broken(reason: str, error: Any) -> ParleyError | None:
    """What a reason to stop means that is no answer, None for one that is; ``error`` are the words beside it."""
    if reason not in _BROKEN and not error:
        return None
    words = error if isinstance(error, str) and error else f"the provider ended the answer with {reason}"
    return ParleyError(told_failure({"status": _BROKEN.get(reason, 502)}, words, wire=NAME, upstream_code=reason))


class ErrorEvent:
    """The encoder of a wire that nobody is answered in: it can end a stream, not make one."""

    __slots__ = ()

    def __init__(self, reply: Reply) -> None:
        """Nothing of the request is needed."""

    def feed(self, event: Event) -> bytes:
        """Raises ``not_implemented``."""
        unspoken()
        return b""

    def fail(self, failure: Failure) -> bytes:
        """The event that ends a stream with an error."""
        delta = {"finish_reason": "ERROR", "error": failure.message}
        return sse(json.encode({"type": "message-end", "delta": delta}), "message-end")
