"""OpenAI's error shape, in both roles, as every endpoint of that API uses it. Shared by all its wires.

``{"error": {"message", "type", "param", "code"}}``, all four members always there, code a string or null.
Providers are read more leniently: ``error`` may be a string, ``detail`` or ``message`` may stand alone,
``code`` may be a number.
"""

from typing import Any

from msgspec import DecodeError, json
from msgspec.structs import replace

from parley.failure import Failure, ParleyError
from parley.framing import sse
from parley.wire.status import Headers, failure_of, told_failure
from parley.wire.worker_code import Coded, coded_failure, told_code

# A failure that keeps a provider's body names this wire: the body has the shape that every wire of this API shares.
SHAPE = "openai_chat"
BAD_JSON = (DecodeError, UnicodeDecodeError, RecursionError)
# Other servers' words for what this API has a code for.
_CODES = {"DeploymentNotFound": "model_not_found"}
_TYPES = {429: "rate_limit_error", 501: "not_implemented_error"}
# A type of their own, as a model server of this surface gives it: registrations contract 2.5.
_KIND_TYPES = {"model_loading": "model_loading"}


def encode_error(failure: Failure, request_id: str) -> tuple[int, bytes]:
    """Status and body for the caller; a provider's own body in this wire is passed on as it came."""
    status = 503 if failure.http_status == 529 else failure.http_status
    if failure.body is not None and failure.wire == SHAPE and status not in (401, 403):
        return status, failure.body
    return status, json.encode({"error": error_object(failure, status)})


def error_object(failure: Failure, status: int) -> dict[str, str | None]:
    """The inner object; of a refused request the provider's own type and code are shown."""
    usual = "server_error" if status >= 500 else "invalid_request_error"
    type_, code = _KIND_TYPES.get(failure.kind) or _TYPES.get(status) or usual, failure.kind
    if failure.kind in ("upstream_rejected", "invalid_request"):
        type_, code = failure.upstream_type or type_, failure.upstream_code or code
    return {"message": failure.message, "type": type_, "param": failure.param, "code": code}


def error_event(failure: Failure) -> bytes:
    """The one error event of a stream; no terminator may follow it."""
    status = 503 if failure.http_status == 529 else failure.http_status
    return sse(json.encode({"error": error_object(failure, status)}))


def decode_error(status: int, headers: Headers, body: bytes) -> Failure:
    """The failure behind an error answer; its body is kept where it has this wire's shape."""
    try:
        data = json.decode(body)
    except BAD_JSON:
        data = None
    error = _inner(data)
    message, type_, code = _words(error)
    code = _CODES.get(code, code) if code is not None else None
    ours = isinstance(data, dict) and isinstance(data.get("error"), dict)
    failure = failure_of(
        status,
        headers,
        message,
        wire=SHAPE,
        body=body if ours else None,
        upstream_type=type_,
        upstream_code=code,
    )
    return _naming(failure, error)


def _naming(failure: Failure, error: Any) -> Failure:
    """The failure with the field that the provider found at fault."""
    param = error.get("param") if isinstance(error, dict) else None
    return replace(failure, param=param) if isinstance(param, str) and failure.kind == "upstream_rejected" else failure


def told_error(answer: dict[str, Any], event: str = "") -> Any:
    """The error that an answer or chunk tells of, None or empty where it tells none. All of an event named error is
    one; one that is words alone is joined by the members beside it, which may say what kind it is."""
    error = answer.get("error")
    if error and isinstance(error, str):
        return {**answer, "message": error}
    if not error and "code" in answer and (coded := told_code(answer)) is not None:
        return coded
    return error or (answer or "the provider reported an error" if event == "error" else None)


def stream_failure(error: Any) -> Failure:
    """The failure an error object means inside an answer whose status was 200 already."""
    if isinstance(error, Coded):
        return coded_failure(200, error.code, error.message, "stream_error")
    message, type_, code = _words(error)
    failure = told_failure(error, message, wire=SHAPE, upstream_type=type_, upstream_code=code)
    return _naming(failure, error)


def _inner(data: Any) -> Any:
    """The part of an error body that holds the words."""
    if not isinstance(data, dict):
        return None
    return data.get("error") or data.get("detail") or data


def _words(error: Any) -> tuple[str, str | None, str | None]:
    """Message, type and code, as far as they are told."""
    if isinstance(error, str):
        return error, None, None
    if isinstance(error, list):
        return "; ".join(filter(None, map(_complaint, error))), None, None
    if not isinstance(error, dict):
        return "", None, None
    message, type_, code = error.get("message"), error.get("type"), error.get("code")
    return (
        message if isinstance(message, str) else "",
        type_ if isinstance(type_, str) else None,
        code if isinstance(code, str) else None,
    )


def _complaint(item: Any) -> str:
    """One line of a validation answer: ``{"loc": ["body", "seed"], "msg": ...}``."""
    if not isinstance(item, dict) or not isinstance(item.get("msg"), str):
        return ""
    place = item.get("loc")
    where = ".".join(map(str, place)) + ": " if isinstance(place, list) else ""
    return where + str(item["msg"])


def bad_response(detail: str, message: str) -> ParleyError:
    """The error for an answer that is not this wire's."""
    return ParleyError(Failure("upstream_bad_response", message, detail=detail))


def bad_event() -> ParleyError:
    """The error for an event that is not JSON, not UTF-8 or no part of such an answer."""
    return bad_response("bad_event", "the provider sent an event that is not a chunk of an answer")
