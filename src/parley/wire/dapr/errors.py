"""Errors as Dapr's runtime answers them: ``errorCode`` and ``message``, and nothing else.

Source: conversation contract sections 1.4 and 2.
"""

from typing import Final

from msgspec import json

from parley.failure import Failure, ParleyError
from parley.wire.dapr.form import MALFORMED
from parley.wire.status import Headers, failure_of

MISSING_INPUTS: Final = "missing_inputs"
METADATA: Final = "metadata"
NO_CONTEXT: Final = "no_context"
_NOT_FOUND: Final = "ERR_CONVERSATION_NOT_FOUND"
_INVOKE: Final = "ERR_CONVERSATION_INVOKE"
_DETAILED: Final = {
    METADATA: (500, "ERROR", ""),
    MISSING_INPUTS: (400, "ERR_CONVERSATION_MISSING_INPUTS", "missing inputs in request"),
    NO_CONTEXT: (404, "ERR_CONVERSATION_CONTEXT_NOT_FOUND", "there is no such conversation context"),
}
_TIMEOUTS: Final = frozenset({"upstream_timeout", "upstream_connect_timeout"})
# What the runtime has no word for: these are the gateway's own.
_OURS: Final = {
    "forbidden": "ERR_PERMISSION_DENIED",
    "rate_limited": "ERR_RATE_LIMITED",
    "budget_exceeded": "ERR_BUDGET_EXCEEDED",
    "overloaded": "ERR_OVERLOADED",
    "not_implemented": "ERR_NOT_IMPLEMENTED",
}


def encode_error(failure: Failure, request_id: str) -> tuple[int, bytes]:
    """Status and body. A wrong key is answered in plain text, as the runtime does."""
    if failure.kind == "unauthorized":
        return 401, b"invalid api token\n"
    status, code, message = told(failure)
    return status, json.encode({"errorCode": code, "message": message})


def told(failure: Failure) -> tuple[int, str, str]:
    """HTTP status, error code and message of a failure; its ``model`` is the component that was asked for."""
    name = failure.model or ""
    conversing = f"failed conversing with component {name}: "
    if failure.kind == "invalid_json" or failure.detail == MALFORMED:
        return 400, "ERR_MALFORMED_REQUEST", f"failed deserializing HTTP body: {failure.message}"
    if failure.kind == "body_too_large":
        return 400, "ERR_BODY_READ", f"failed to read request body: {failure.message}"
    if failure.kind == "model_not_found":
        return 400, _NOT_FOUND, f"failed finding conversation component {name}"
    if failure.detail in _DETAILED:
        status, code, words = _DETAILED[failure.detail]
        return status, code, f"{conversing}{words}" if words else failure.message
    if failure.kind == "invalid_request":
        return failure.http_status, "ERR_CONVERSATION_INVALID_PARMS", f"{conversing}invalid params: {failure.message}"
    if failure.kind in _OURS:
        return failure.http_status, _OURS[failure.kind], f"{conversing}{failure.message}"
    cause = "context deadline exceeded" if failure.kind in _TIMEOUTS else failure.message
    return 500, _INVOKE, conversing + cause


def decode_error(status: int, headers: Headers, body: bytes) -> Failure:
    """The failure behind an error answer of another runtime."""
    try:
        said = json.decode(body)
    except (ValueError, RecursionError):
        said = None
    told_ = said if isinstance(said, dict) else {}
    message, code = told_.get("message"), told_.get("errorCode")
    return failure_of(
        status,
        headers,
        message if isinstance(message, str) else "",
        wire="dapr",
        body=None,
        upstream_code=code if isinstance(code, str) else None,
    )


def bad_params(message: str, param: str | None = None) -> ParleyError:
    """A request that the runtime calls wrong in its parameters."""
    return ParleyError(Failure("invalid_request", message, param=param))
