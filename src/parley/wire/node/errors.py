"""Failures as a code and a message, and the HTTP status beside them. Source: contract sections 5.6, 5.7, 10."""

from typing import Any, Final

from msgspec import json

from parley.failure import NODE_LOOP, Failure, ParleyError
from parley.wire.flat_error import flat_failure
from parley.wire.status import Headers

PARAMETER: Final = 1001
PARSING: Final = 1002
TIMEOUT: Final = 1005
MODEL: Final = 1007
PERMISSION: Final = 1010
UNSUPPORTED: Final = 1011
PROXY: Final = 1017
INTERNAL: Final = 5000

TEXTS: Final = {
    PARAMETER: "Parameter error",
    PARSING: "Parsing error",
    TIMEOUT: "Processing timeout",
    MODEL: "Model error",
    PERMISSION: "Permission error",
    UNSUPPORTED: "Unsupported function",
    PROXY: "Proxy error",
    INTERNAL: "Internal server error",
}
NO_PEER: Final = "Not enough available and directly connected nodes"
NO_MODEL: Final = "can not find in registered project and model"
# What the answer to a chat would hold, all of it nothing.
NO_CHAT: Final[dict[str, Any]] = {
    "id": "",
    "object": "",
    "created": 0,
    "choices": None,
    "usage": {"completion_tokens": 0, "prompt_tokens": 0, "total_tokens": 0},
}
_CODES: Final = {
    "invalid_json": PARSING,
    "invalid_request": PARAMETER,
    "url_not_allowed": PARAMETER,
    "unauthorized": PERMISSION,
    "forbidden": PERMISSION,
    "not_implemented": UNSUPPORTED,
    "upstream_timeout": TIMEOUT,
    "upstream_connect_timeout": TIMEOUT,
}
# The gateway's own refusals keep their status: clients and proxies act on it.
_OWN: Final = frozenset(
    {"unauthorized", "forbidden", "rate_limited", "budget_exceeded", "overloaded", "body_too_large"}
)
_PINNED: Final = "#"


def parameter(message: str, *, status: int = 400) -> ParleyError:
    """A request that is no good, in the words that a node has for it."""
    return ParleyError(Failure("invalid_request", message, status=status, upstream_code=str(PARAMETER)))


def parsing() -> ParleyError:
    """A request that is not JSON, or whose members have other types."""
    return ParleyError(Failure("invalid_request", TEXTS[PARSING], status=400, upstream_code=str(PARSING)))


def coded(failure: Failure) -> tuple[int, str]:
    """The code and the message."""
    if failure.upstream_code is not None and failure.upstream_code.lstrip("-").isdecimal():
        return int(failure.upstream_code), failure.message
    if failure.detail == NODE_LOOP:
        return PROXY, failure.message
    if failure.kind in ("model_not_found", "no_upstream"):
        return (MODEL, NO_MODEL) if _PINNED in (failure.model or _PINNED) else (PROXY, NO_PEER)
    if failure.kind == "invalid_json":
        return PARSING, TEXTS[PARSING]
    if failure.code.blame == "upstream" or failure.kind == "upstream_rejected":
        return _CODES.get(failure.kind, MODEL), failure.message
    return _CODES.get(failure.kind, INTERNAL), failure.message


def encode_node(failure: Failure, request_id: str) -> tuple[int, bytes]:
    """As a node answers: what is wrong with a request is 400, what became of it 500."""
    code, message = coded(failure)
    return _node_status(failure, code), json.encode({"code": code, "message": message})


def encode_called(failure: Failure, request_id: str) -> tuple[int, bytes]:
    """The same for a chat, whose refusals hold an empty one."""
    code, message = coded(failure)
    status = _node_status(failure, code)
    return status, json.encode({"code": code, "message": message, **(NO_CHAT if status == 400 else {})})


def encode_edit(failure: Failure, request_id: str) -> tuple[int, bytes]:
    """The same for an edit: what is no form is 422."""
    if failure.detail == "form":
        return 422, json.encode({"code": PARAMETER, "message": TEXTS[PARAMETER]})
    return encode_node(failure, request_id)


def encode_worker(failure: Failure, request_id: str) -> tuple[int, bytes]:
    """As a worker answers a node."""
    code, message = coded(failure)
    status = 503 if failure.http_status == 529 else failure.http_status
    # What was judged is not to be asked for again by the node either.
    status = 400 if failure.final and status >= 500 else status
    return status, json.encode({"code": code, "message": message})


def _node_status(failure: Failure, code: int) -> int:
    if failure.kind in _OWN:
        return 503 if failure.http_status == 529 else failure.http_status
    if code == TIMEOUT:
        return 504
    if failure.kind == "not_implemented":
        return 501
    blamed = failure.code.blame == "caller" and failure.kind not in ("model_not_found", "upstream_rejected")
    return failure.http_status if blamed else 500


def decode_error(status: int, headers: Headers, body: bytes) -> Failure:
    """The failure behind an error answer of a node."""
    return flat_failure("node_images", status, headers, body)
