"""Errors: ``code``, ``message``, ``args`` and ``requestId``; for clients of the adapters OpenAI's object beside them.

The codes are this API's own where one fits, else the gateway's. Source: predict contract sections 8 and 10.
"""

from typing import Any, Final

from msgspec import json

from parley.failure import Failure
from parley.wire.openai_error import error_object

BAD_REQUEST: Final = "mlp-action.common.bad-request"
NOT_SUPPORTED: Final = "mlp-action.common.method-not-supported"
INTERNAL: Final = "mlp-action.common.internal-error"
PROCESSING: Final = "mlp-action.common.processing-exception"
NO_MODEL: Final = "mlp.model.invalid-id"
TOO_MANY: Final = "mlp.gate.pps_limit_exceeded"
SHUT_DOWN: Final = "mlp.gate.gate_is_shut_down"
_PREFIXES: Final = ("mlp.", "mlp-action.")
# What a refusal because of the end of this process is called.
_DRAIN: Final = "drain"
# Failure -> code, status; None keeps the failure's own.
_CODES: Final[dict[str, tuple[str, int | None]]] = {
    "invalid_json": (BAD_REQUEST, 400),
    "invalid_request": (BAD_REQUEST, None),
    "url_not_allowed": (BAD_REQUEST, 400),
    "model_not_found": (NO_MODEL, 400),
    "not_implemented": (NOT_SUPPORTED, 400),
    "rate_limited": (TOO_MANY, 429),
    "internal": (INTERNAL, 500),
    "upstream_rejected": (BAD_REQUEST, None),
    "upstream_rate_limited": (TOO_MANY, 429),
}


def told(failure: Failure) -> tuple[int, str, str, dict[str, str]]:
    """HTTP status, code, message and args of a failure."""
    status = 503 if failure.http_status == 529 else failure.http_status
    args = {"kind": failure.kind}
    if failure.param:
        args["field"] = failure.param
    if failure.kind == "model_not_found" and failure.model:
        args["model"] = failure.model
    own = failure.upstream_code
    if own is not None and own.startswith(_PREFIXES):
        # Another gate's own word.
        return status, own, failure.message, args
    if failure.kind == "overloaded" and failure.detail == _DRAIN:
        return status, SHUT_DOWN, failure.message, args
    usual = (PROCESSING if failure.kind.startswith("upstream_") else failure.kind, None)
    code, fixed = _CODES.get(failure.kind, usual)
    return fixed or status, code, failure.message, args


def error_object_of(failure: Failure, request_id: str) -> dict[str, Any]:
    """The object that tells of a failure."""
    _, code, message, args = told(failure)
    return {"code": code, "message": message, "args": args, "requestId": request_id}


def encode_error(failure: Failure, request_id: str) -> tuple[int, bytes]:
    """Status and body."""
    return told(failure)[0], json.encode(error_object_of(failure, request_id))


def encode_adapter_error(failure: Failure, request_id: str) -> tuple[int, bytes]:
    """The same for callers whose client is OpenAI's, with the statuses that it knows."""
    status = 503 if failure.http_status == 529 else failure.http_status
    return status, json.encode({"error": error_object(failure, status), **error_object_of(failure, request_id)})


def event(failure: Failure, request_id: str) -> bytes:
    """The one error event of a stream."""
    return b"data: %b\n\n" % json.encode({"error": error_object_of(failure, request_id)})
